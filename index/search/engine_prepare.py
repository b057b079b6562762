"""Build what an engine searches by, and measure what it finds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Connection

from index.errors import EngineError, GalleryEmptyError, RecallError
from index.progress import Progress
from index.search.engine import FLAT, HNSW, LONGEST, Engine
from index.search.engine_following import drain
from index.search.plan import AT, Option, Plan, Prepared, Requirements
from index.search.reduction import PLANNED, SAMPLE, components, enough, shares
from index.search.scan import scan
from index.search.searcher import Found, merged
from index.truth import engine as engine_rows
from index.truth import outbox, state, store
from index.truth.database import Database
from index.truth.engine import EngineAbout
from index.values import FloatArray, IdArray
from index.where import Both, Comparison, Condition

QUERIES = 100  # that recall is measured with
LENGTHS = (50, 100, 200, 400, 800, 1600)
EFFORTS = {FLAT: (1,), HNSW: (128, 512, 1024)}
GROWN = 2  # times as many faces as were measured, from which on it is measured again
_FEWEST_HNSW = 5_000
_MARGIN = 0.25  # share of the misses that are allowed when it is tuned: other queries will be unlike these
_PAGE = 5_000
_Measure = Callable[[EngineAbout], float]


@dataclass(frozen=True)
class Case:
    """A condition that recall is measured under, how many faces pass, and the true nearest of each query."""

    where: Condition | None
    passing: IdArray | None
    nearest: list[IdArray]


def prepare(
    database: Database, engine: Engine, requirements: Requirements, progress: Progress | None = None
) -> Prepared:
    """Build what the engine searches by, unless it is there; tell it all that it does not know, and measure what it
    finds. The caller holds the writer's lock. Raises GalleryEmptyError, EngineError; RecallError where it finds less,
    or takes longer, than is required."""
    with database.reading() as session:
        about, model, token = engine_rows.about(session), state.state(session).model, engine_rows.token(session)
        count = outbox.count_described(session)
    if count == 0:
        raise GalleryEmptyError(f"the gallery {database.name} holds no images yet; index some before planning")
    there = engine.token()
    if there is not None and there != token:
        raise EngineError(
            "the engine's collection belongs to another gallery: give each gallery its own, or drop it if that gallery "
            "is no more"
        )
    built = about is None or about.model_digest != model[0] or there is None or count > 4 * max(about.faces, 1) > 4
    if built:
        about = _begun(database, engine, token)
    drain(database, engine, progress)
    assert about is not None
    good = about.recall >= requirements.recall and about.milliseconds <= requirements.max_ms
    if built or not good or count > GROWN * about.faces:
        engine.settle()
        about, built = _measured(database, engine, about, requirements, progress), True
    return Prepared(_plan(count, model[1], about, requirements), about, built)


def plan(database: Database, requirements: Requirements) -> Plan:
    """How the engine searches, as it was measured. Raises GalleryEmptyError."""
    with database.reading() as session:
        about, model, count = engine_rows.about(session), state.state(session).model, store.count(session)
    if about is None:
        raise GalleryEmptyError(f"nothing is built in the engine of {database.name} yet: index images first")
    return _plan(count, model[1], about, requirements)


def _begun(database: Database, engine: Engine, token: str | None) -> EngineAbout:
    """Make room for the gallery's faces, of which the engine knows none then."""
    with database.reading() as session:
        model, ids = state.state(session).model, outbox.described(session)
        sample = _some(session, ids, SAMPLE, model[1])
    reduction = components(sample, enough(shares(sample[:PLANNED])))
    own = token or secrets.token_hex(8)
    about = EngineAbout(own, model[0], FLAT, 1, LENGTHS[-1], False, 0.0, 0.0, 0, reduction)
    with database.writing() as session:  # first: what carries a token that the truth does not know is nobody's
        engine_rows.write(session, about)
        engine_rows.note_all(session)
    engine.begin(own, reduction.shape[1], FLAT)
    return about


def _measured(
    database: Database, engine: Engine, about: EngineAbout, requirements: Requirements, progress: Progress | None
) -> EngineAbout:
    """With the shortest list that reaches the recall under every condition: by comparing with every reduced descriptor,
    or along a graph where that takes too long. Raises RecallError."""
    if progress:
        progress("measuring recall", 0, 1)
    queries, cases = _cases(database, engine, about)
    flat = replace(about, kind=FLAT)
    if about.kind != FLAT:
        engine.use(FLAT)
    with database.reading() as session:
        graph = outbox.count_described(session) >= _FEWEST_HNSW
    made = None
    if not graph or _comparing_ms(engine, flat, queries[:5]) <= requirements.max_ms:  # else its recall is of no use
        made = _tuned(database, engine, flat, queries, cases, requirements)
    if graph and (made is None or made.milliseconds > requirements.max_ms):
        engine.use(HNSW)
        walked = _tuned(database, engine, replace(about, kind=HNSW), queries, cases, requirements)
        if _keeps(walked, requirements):
            made = walked
        else:
            engine.use(FLAT)
    made = made or _tuned(database, engine, flat, queries, cases, requirements)
    kept = made if made.recall >= requirements.recall else replace(made, recall=0.0)  # nobody searches by it then
    with database.writing() as session:
        engine_rows.write(session, kept)
    if not _keeps(made, requirements):
        raise RecallError(
            f"the engine finds {made.recall:.4f} of the {AT} nearest in {made.milliseconds:.1f} ms a search at its "
            f"best; asked for {requirements.recall:g} in {requirements.max_ms:g} ms: allow more time, or a lower recall"
        )
    return made


def _comparing_ms(engine: Engine, about: EngineAbout, queries: FloatArray) -> float:
    """What the engine alone takes for a search without a condition, at least."""
    seconds = []
    for query in queries:
        started = time.perf_counter()
        engine.search(query[None] @ about.reduction, LENGTHS[0], 1, None, "")
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds)


def _keeps(about: EngineAbout, requirements: Requirements) -> bool:
    return about.recall >= requirements.recall and about.milliseconds <= requirements.max_ms


def _tuned(
    database: Database,
    engine: Engine,
    about: EngineAbout,
    queries: FloatArray,
    cases: Sequence[Case],
    requirements: Requirements,
) -> EngineAbout:
    """As little as reaches the recall: first where the engine looks at conditions itself, then where it gives more."""
    aim = 1 - _MARGIN * (1 - requirements.recall)
    with database.reading() as session:
        attribute, count = state.attribute(session), outbox.count_described(session)
    best = replace(about, faces=count, recall=0.0)
    for over in (False, True) if about.kind == HNSW else (False,):
        for effort in EFFORTS[about.kind]:
            for length in LENGTHS:
                one = replace(best, over=over, effort=effort, length=length)
                recall = min(_recall(engine, one, queries, case, attribute) for case in cases)
                if recall > best.recall:
                    best = replace(one, recall=recall)
                if recall >= aim:
                    return replace(best, milliseconds=_milliseconds(database, engine, best, queries, cases))
    return replace(best, milliseconds=_milliseconds(database, engine, best, queries, cases))


def _named(engine: Engine, about: EngineAbout, queries: FloatArray, case: Case, attribute: str) -> list[IdArray]:
    reduced = queries @ about.reduction
    if case.where is None or not about.over:
        return engine.search(reduced, about.length, about.effort, case.where, attribute)
    assert case.passing is not None
    length = min(LONGEST, int(1.5 * about.length * about.faces / max(len(case.passing), 1)))
    found = engine.search(reduced, length, about.effort, None, attribute)
    return [np.intersect1d(one, case.passing) for one in found]


def _recall(engine: Engine, about: EngineAbout, queries: FloatArray, case: Case, attribute: str) -> float:
    found = _named(engine, about, queries, case, attribute)
    return float(np.mean([np.isin(true, one).mean() for true, one in zip(case.nearest, found, strict=True)]))


def _milliseconds(
    database: Database, engine: Engine, about: EngineAbout, queries: FloatArray, cases: Sequence[Case]
) -> float:
    """Of one search, descriptors read and compared, the median under the slowest condition."""
    with database.reading() as session:
        attribute = state.attribute(session)
    return max(_median(database, engine, about, queries[:20], case, attribute) for case in cases)


def _median(
    database: Database, engine: Engine, about: EngineAbout, queries: FloatArray, case: Case, attribute: str
) -> float:
    seconds = []
    for query in queries:
        started = time.perf_counter()
        [few] = _named(engine, about, query[None], case, attribute)
        with database.reading() as session:
            ids, content = outbox.descriptors(session, np.sort(few), len(about.reduction))
            scan(content, np.arange(len(ids)), ids, query[None], AT)
            store.present(session, ids[:AT].tolist())
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _cases(database: Database, engine: Engine, about: EngineAbout) -> tuple[FloatArray, list[Case]]:
    """Likely queries (n, size), and what they find without a condition, under one, and under two."""
    with database.reading() as session:
        size, ids = len(about.reduction), outbox.described(session)
        queries = _likely(session, engine, about, ids)
        wheres: list[Condition | None] = [None, *_conditions(session, ids)]
        passing = [None if where is None else store.select_ids(session, where) for where in wheres]
        nearest: list[list[Found]] = [[_nothing() for _ in queries] for _ in wheres]
        for page, content in outbox.all_descriptors(session, size, _PAGE):
            for n, those in enumerate(passing):
                rows = np.arange(len(page)) if those is None else np.flatnonzero(np.isin(page, those))
                if len(rows):
                    found = scan(content, rows, page[rows], queries, AT)
                    nearest[n] = [merged([a, b], AT) for a, b in zip(nearest[n], found, strict=True)]
    return queries, [
        Case(where, those, [found for _, found in one])
        for where, those, one in zip(wheres, passing, nearest, strict=True)
        if those is None or len(those) > AT
    ]


def _conditions(session: Connection, ids: IdArray) -> list[Condition]:
    """The commonest value that was decided, and with that every other id or so: what many ask for, and fewer."""
    values = outbox.decided(session)
    one = Comparison("decided", "=", (values[0],))
    rarest = Comparison("decided", "=", (values[-1],))
    return [one, Both("and", (rarest, Comparison("id", "<=", (int(ids[len(ids) // 2]),))))]


def _likely(session: Connection, engine: Engine, about: EngineAbout, ids: IdArray) -> FloatArray:
    """As `index.search.prepare` makes them: descriptors, each moved by half of the difference of two neighbours."""
    rows = ids[np.linspace(0, len(ids) - 1, min(QUERIES, len(ids))).astype(int)]
    _, content = outbox.descriptors(session, rows, len(about.reduction))
    queries = content.astype(np.float32)
    near = engine.search(queries @ about.reduction, 3, max(EFFORTS[about.kind]), None, "")
    if len(ids) < 3 or min(map(len, near)) < 3:
        return queries
    known, neighbours = outbox.descriptors(session, np.unique(np.concatenate(near)), len(about.reduction))
    first, second = (
        neighbours[np.searchsorted(known, [one[n] for one in near]).clip(0, len(known) - 1)].astype(np.float32)
        for n in (1, 2)
    )
    moved: FloatArray = queries + (first - second) / 2
    return moved


def _some(session: Connection, ids: IdArray, most: int, size: int) -> FloatArray:
    """The descriptors of up to so many of these, the same every time."""
    chosen = ids if len(ids) <= most else np.sort(np.random.default_rng(0).choice(ids, most, replace=False))
    _, content = outbox.descriptors(session, chosen, size)
    return np.asarray(content.astype(np.float32)[np.random.default_rng(0).permutation(len(content))])


def _nothing() -> Found:
    return np.zeros(0, np.float32), np.zeros(0, np.int64)


def _plan(count: int, size: int, about: EngineAbout, requirements: Requirements) -> Plan:
    memory = count * 4 * about.reduction.shape[1]  # of the engine, for the numbers alone
    option = Option(about.kind, memory, about.milliseconds, 0.0, "", False)
    return Plan(count, size, about.reduction.shape[1], requirements, (option,))
