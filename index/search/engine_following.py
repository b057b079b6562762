"""Keep an engine as far as the truth is: what waits is told it, and what it has is compared with what is stored.

Who writes passes changes on, at the end of what it wrote, since it holds the writer's lock: two that did so at once
could leave the older state there. A reader only reads; it takes from the truth what was not passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from index.errors import EngineError
from index.progress import Progress
from index.search.engine import Engine, require_ours
from index.truth import engine as engine_rows
from index.truth import outbox, state
from index.truth.database import Database
from index.truth.engine import EngineAbout
from index.values import FloatArray, HalfArray

BATCH = 2_000  # faces that are passed on at a time
SETTLED = 1_000  # from so many on an engine is to build its index at once


def drain(database: Database, engine: Engine, progress: Progress | None = None, batch: int = BATCH) -> int:
    """Pass on every note of the outbox, so many at a time; how many. The caller holds the writer's lock. What is passed
    on twice, after a crash, changes nothing. Raises EngineError."""
    with database.reading() as session:
        about, of = engine_rows.about(session), engine_rows.lag(session)
        attribute_model = state.state(session).model
    if about is None or about.model_digest != attribute_model[0] or not of:
        return 0
    require_ours(engine, about)
    done = 0
    while True:
        with database.reading() as session:
            faces, upto = outbox.next_notes(session, batch)
            there = outbox.states(session, faces, attribute_model[1])
        if not faces:
            break
        rows = reduced([one.vector for one in there], about)
        entries = [replace(one, vector=row) for one, row in zip(there, rows, strict=True)]
        engine.apply(entries, sorted(set(faces) - {one.id for one in there}))
        with database.writing() as session:
            engine_rows.forget_notes(session, faces, upto)
        done += len(faces)
        if progress:
            progress("telling the engine", done, max(of, done))
    if done >= SETTLED:
        engine.settle()
    return done


def rebuild(database: Database) -> None:
    """Forget what is there; `prepare` builds it anew. The caller holds the writer's lock."""
    with database.writing() as session:
        engine_rows.forget(session)


def verify(database: Database, engine: Engine, findings: list[str]) -> str:
    """How the gallery is searched. Every row of the engine is compared with the truth, but for those that it is yet to
    learn of; what is wrong goes to the findings."""
    with database.reading() as session:
        about, waiting = engine_rows.about(session), engine_rows.lag(session)
        if about is None or about.recall <= 0:
            return "nothing is built in the engine yet; `facesearch index` does so"
        try:
            require_ours(engine, about)
            missing, extra, count = _differences(session, engine)
        except EngineError as error:
            findings.append(str(error))
            return "the engine could not be compared"
    if missing or extra:
        findings.append(
            f"the engine lacks {missing:,} faces as they are, and has {extra:,} that are not there: `facesearch "
            "gallery repair` builds it anew"
        )
    also = f"; {waiting:,} changes wait to be told" if waiting else ""
    return f"{about.kind}: {count - missing:,} of {count:,} faces as stored, recall {about.recall:.4f}{also}"


def _differences(session: Connection, engine: Engine) -> tuple[int, int, int]:
    """How many faces the engine lacks as they are, has too many, and how many there are."""
    missing = extra = count = last = 0
    waiting = set(outbox.pending(session).tolist())
    for page in outbox.stamps(session):
        there = engine.stamps(last + 1, max(page))
        missing += sum(there.get(id_) != stamp for id_, stamp in page.items())
        extra += len(set(there) - set(page) - waiting)
        count, last = count + len(page), max(page)
    extra += len(set(engine.stamps(last + 1, 2**63 - 1)) - waiting)
    return missing, extra, count


def reduced(descriptors: Sequence[FloatArray | HalfArray], about: EngineAbout) -> FloatArray:
    if not descriptors:
        return np.zeros((0, about.reduction.shape[1]), np.float32)
    made: FloatArray = np.stack(descriptors).astype(np.float32) @ about.reduction
    return made
