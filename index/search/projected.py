"""Reads of a gallery whose descriptors an engine searches.

A search sees one state of the truth. The engine names those that may be nearest; what it does not know as it is now,
by the notes that are still in the outbox, comes from the truth; and all of them are compared in full there. Where
anything was changed while an engine of its own was asked, it may have been between two states, so the search is made
again; as where a face that was found has gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from sqlalchemy import Connection

from index.errors import EngineError, GalleryBusyError, GalleryEmptyError
from index.search.answering import ATTEMPTS, OvertakenError, matches
from index.search.engine import LONGEST, Engine, require_ours
from index.search.plan import AT, size_text
from index.search.scan import scan
from index.search.searcher import Found
from index.truth import engine as engine_rows
from index.truth import outbox, state, store
from index.truth.database import PATIENCE, Database
from index.truth.engine import EngineAbout, Seen
from index.values import FloatArray, IdArray, Match
from index.where import Condition

FEW = 800_000
_MOST_BYTES = 2_000_000_000  # of descriptors that this machine copies where the engine does not answer
_AGAIN = 15.0  # seconds
_MORE = 1.5  # times as many as a condition would need on average, where the engine does not look at it

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """queries (n, size), how many results each, and of which faces."""

    queries: FloatArray
    k: int
    where: Condition | None


@dataclass(frozen=True)
class _Built:
    """What was built in the engine when it was seen so, and what the gallery's models edit."""

    seen: Seen
    about: EngineAbout
    attribute: str


@dataclass(frozen=True)
class _Silence:
    """When an engine was asked that did not answer, and what it said; before: the same, of one look earlier."""

    since: float
    error: EngineError
    before: _Silence | None = None


class ByEngine:
    """What a Reader asks first, where an engine searches the gallery. May be shared by threads."""

    def __init__(
        self,
        database: Database,
        model: tuple[str, int],
        engine: Engine,
        few: int = FEW,
        patience: float = PATIENCE,
        again: float = _AGAIN,
    ) -> None:
        """model: as a Reader has it; few: numbers that are rather read from the truth and compared in full than asked
        of the engine; patience: seconds for which a search is made again, at least, where others write during it;
        again: those after which an engine that did not answer is asked again."""
        self._database, self._model = database, model
        self._engine, self._few_numbers, self._patience, self._again = engine, few, patience, again
        self._in_engine: _Built | None = None
        self._told = ""
        self._down: _Silence | None = None
        self._lock = Lock()

    def search(
        self, queries: FloatArray, k: int, where: Condition | None, exclude: Collection[int]
    ) -> list[list[Match]] | None:
        """As a Reader does. None: by this machine's copy of the descriptors, since nothing was built in the engine that
        can be used, or it does not answer, which is told once. Raises EngineError where that copy would be too
        large."""
        look: _Silence | None = None
        try:
            look = self._look()
            found = self._by_engine(Asked(queries, k + len(exclude), where))
        except EngineError as error:
            self._require_small(error)
            return None
        finally:
            self._give_back(look)
        if found is None:
            return None
        return [[match for match in one if match.face.id not in exclude][:k] for one in found]

    def descriptors(self, ids: Sequence[int]) -> FloatArray | None:
        """The descriptors of these faces, (len(ids), size); None where one of them is not sound. Raises
        UnknownImageError."""
        with self._database.reading() as session:
            found, content = outbox.descriptors(session, np.unique(np.array(ids, np.int64)), self._model[1])
            if len(found) < len(set(ids)):
                store.get(session, ids)
        if len(found) < len(set(ids)):  # there, and without a sound one
            return None
        made: FloatArray = content[np.searchsorted(found, ids)].astype(np.float32)
        return made

    def _by_engine(self, asked: Asked) -> list[list[Match]] | None:
        """None where nothing was built there that can be used."""
        began, tries = time.monotonic(), 0
        while tries < ATTEMPTS or time.monotonic() - began < self._patience:
            tries += 1
            with suppress(OvertakenError):
                return self._answer(asked)
        raise GalleryBusyError(
            f"images of the gallery {self._database.name} were changed {tries} times during one search; wait for "
            "the other process to finish and try again"
        )

    def _answer(self, asked: Asked) -> list[list[Match]] | None:
        """Of the state that one transaction sees. Raises OvertakenError where what was found has gone meanwhile."""
        with self._database.reading() as session:
            seen = engine_rows.seen(session)
            if seen.model != self._model:
                state.require_model(state.state(session), self._model, self._database.name)
            built = self._usable(session, seen)
            if built is None:
                return None
            found = self._nearest(session, asked, built)
            answer = self._matches(session, found)
        named = {match.face.id for one in answer for match in one}
        with self._database.glance() as session:
            if not outbox.are_there(session, list(named)):
                raise OvertakenError
        return answer

    def _usable(self, session: Connection, seen: Seen) -> _Built | None:
        """What was built and measured for the gallery's model. Raises EngineError where it is not there."""
        if self._in_engine is None or self._in_engine.seen.built != seen.built:
            about = engine_rows.about(session)
            if about is None or about.recall <= 0 or about.model_digest != self._model[0]:
                return None
            require_ours(self._engine, about)
            self._in_engine = _Built(seen, about, state.attribute(session))
        return replace(self._in_engine, seen=seen)

    def _nearest(self, session: Connection, asked: Asked, built: _Built) -> list[Found]:
        """For each query the nearest, compared in full."""
        pending = outbox.pending(session)
        candidates = self._few(session, asked)
        if candidates is None:
            named = self._named(session, asked, built)
            new = pending if asked.where is None else outbox.passing_among(session, asked.where, pending)
            candidates = [np.union1d(np.setdiff1d(one, pending), new) for one in named]
            candidates = self._enough(session, asked, candidates)
        ids, content = outbox.descriptors(session, np.unique(np.concatenate(candidates)), self._model[1])
        found = []
        for query, own in zip(asked.queries, candidates, strict=True):
            rows = np.flatnonzero(np.isin(ids, own, assume_unique=True))
            found.append(scan(content, rows, ids[rows], query[None], asked.k)[0])
        return found

    def _few(self, session: Connection, asked: Asked) -> list[IdArray] | None:
        """Those that pass, where they are few: an engine could only lose some of them."""
        if asked.where is None:
            return None
        passing = outbox.few_passing(session, asked.where, max(self._few_numbers // self._model[1], asked.k))
        return None if passing is None else [passing] * len(asked.queries)

    def _named(self, session: Connection, asked: Asked, built: _Built) -> list[IdArray]:
        """For each query those that may be nearest, by the engine; all of them pass, but what changed since."""
        about = built.about
        length = max(about.length, about.length * asked.k // AT)
        if asked.where is None:
            return self._ask(session, asked, built, length, None)
        if not about.over and self._engine.expresses(asked.where, built.attribute):
            return self._ask(session, asked, built, length, asked.where)
        passing = store.select_ids(session, asked.where)
        length = int(_MORE * length * store.count(session) / max(len(passing), 1))
        if length > LONGEST:
            return [passing] * len(asked.queries)
        found = self._ask(session, asked, built, length, None)
        return [np.intersect1d(one, passing) for one in found]

    def _ask(
        self, session: Connection, asked: Asked, built: _Built, length: int, where: Condition | None
    ) -> list[IdArray]:
        """What the engine says. Raises OvertakenError where it may have been told of what this transaction does not
        see, so that it was between two states."""
        about = built.about
        reduced = asked.queries @ about.reduction
        found = self._engine.search(reduced, length, about.effort, where, built.attribute, session)
        self._is_up()
        if not self._engine.in_truth():
            with self._database.glance() as now:
                if engine_rows.seen(now) != built.seen:
                    raise OvertakenError
        return found

    def _enough(self, session: Connection, asked: Asked, candidates: list[IdArray]) -> list[IdArray]:
        """Where fewer came than are asked for, and more are there: all that pass. An engine may have lost some."""
        if all(len(one) >= asked.k for one in candidates):
            return candidates
        passing = outbox.described(session) if asked.where is None else store.select_ids(session, asked.where)
        return [one if len(one) >= min(asked.k, len(passing)) else passing for one in candidates]

    def _matches(self, session: Connection, found: list[Found]) -> list[list[Match]]:
        unique = sorted({id_ for _, ids in found for id_ in ids.tolist()})
        faces = {face.id: face for face in store.present(session, unique)}
        if not unique and store.count(session) == 0:
            raise GalleryEmptyError(
                f"the gallery {self._database.name} holds no images yet; index some before searching"
            )
        return matches(faces, found)

    def forget(self) -> None:
        """Look again at what is built there, and whether it answers."""
        with self._lock:
            self._in_engine = self._down = None

    def _look(self) -> _Silence | None:
        """Raise again what the engine said a moment ago: every search would wait for it as long. After a while one of
        those that search may ask it again, and has this look; the others have no part in its waiting."""
        with self._lock:
            if self._down is None:
                return None
            if time.monotonic() - self._down.since < self._again:
                raise self._down.error
            self._down = _Silence(time.monotonic(), self._down.error, self._down)
            return self._down

    def _give_back(self, look: _Silence | None) -> None:
        """Another may have it, where the engine was not asked by it."""
        with self._lock:
            if look is not None and self._down is look:
                self._down = look.before

    def _is_up(self) -> None:
        """It answered: if it falls silent again, that is told again."""
        with self._lock:
            self._down, self._told = None, ""

    def _require_small(self, error: EngineError) -> None:
        """Raise it unless this machine can search without the engine; then it is told, once."""
        with self._database.reading() as session:
            needed = 2 * self._model[1] * store.count(session)
        with self._lock:
            if self._down is None or self._down.error is not error:
                self._down = _Silence(time.monotonic(), error)
            told, self._told = self._told, str(error)
        self._in_engine = None
        if needed > _MOST_BYTES:
            copied = size_text(needed)
            raise EngineError(f"{error}; this machine would have to copy {copied} of descriptors") from error
        if told != str(error):
            _log.warning("%s; until then this machine searches by a copy of the descriptors", error)
