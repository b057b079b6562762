"""Reads that need the database and the files together, while another process may write.

A writer adds behind the committed slots, and zeroes the slots of removed faces after it has committed the removal. An
id is never given again: an index that is in memory goes on to hold, less the faces that have been removed since, beside
a small one of those that were added. Whatever is found must still be there at the end, else the read is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sqlalchemy import Connection

from index.config import State
from index.errors import GalleryBusyError, GalleryCorruptError, GalleryEmptyError
from index.files import shortlists
from index.search import exact, shortlist
from index.search.answering import ATTEMPTS, OvertakenError, matches
from index.search.exact import Exact
from index.search.plan import read_requirements
from index.search.records import Records
from index.search.scan import Part, Scan
from index.search.searcher import Found, Rows, Searcher, both, merged, still_there, without
from index.search.shortlist import Shortlist
from index.truth import descriptor_slots, state, store
from index.truth.database import Database
from index.values import FloatArray, HalfArray, IdArray, Match
from index.where import Condition

if TYPE_CHECKING:
    from index.search.projected import ByEngine

FEW = 10  # one face in so many may be new or removed before an index is built anew

_T = TypeVar("_T")


@dataclass(frozen=True)
class _View:
    """One state of the gallery by a searcher of an earlier one: which of its rows are still there (None: all), and an
    index of what was added since."""

    state: State
    base: Searcher
    alive: Rows | None
    added: Searcher | None
    prepared: frozenset[str]
    """the indexes of reduced descriptors that were there when the searcher was chosen"""


class Reader:
    """Searches a gallery and reads its descriptors; may be shared by threads."""

    def __init__(
        self, folder: Path, database: Database, model: tuple[str, int], engine: ByEngine | None = None
    ) -> None:
        """model: the digest of the one that describes what is searched for, and its descriptors' size; engine: what is
        asked first, None: nothing."""
        self._folder = folder
        self._database = database
        self._model = model
        self._engine = engine
        self._building = RLock()
        self._view: _View | None = None
        self._content = Records(folder, model[1])

    def state(self) -> State:
        """How far the gallery has come."""
        with self._database.glance() as session:
            return state.state(session)

    def forget(self) -> None:
        """Let go of the indexes, and compare the descriptors again."""
        self._view = None
        self._content.forget()
        if self._engine is not None:
            self._engine.forget()

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these faces, (len(ids), size). Raises UnknownImageError."""

        def read() -> FloatArray:
            with self._database.reading() as session:
                slots, (_, content) = descriptor_slots.slots_of(session, ids), self._records(session)
            made: FloatArray = content[slots].astype(np.float32)
            with self._database.reading() as session:
                descriptor_slots.slots_of(session, ids)  # still there, so not zeroed
            return made

        by_engine = None if self._engine is None else self._engine.descriptors(ids)
        return self.repeated(read) if by_engine is None else by_engine

    def search(
        self, queries: FloatArray, k: int, where: Condition | None, exclude: Collection[int], part: Part | None
    ) -> list[list[Match]]:
        """For each query (n, size) its k nearest among the faces that pass the condition. part: the numbers that are
        compared, with those of every face. Raises EngineError where an engine does not answer, and the gallery is too
        large to be searched without it."""
        if self._engine is not None and part is None:  # no reduced descriptor says enough of a part
            found = self._engine.search(queries, k, where, exclude)
            if found is not None:
                return found
        return self._repeated(lambda now: self._search(now, queries, k, where, exclude, part), self._sound_state)

    def undisturbed(self, read: Callable[[], _T]) -> _T:
        """What `read` returns while no face is removed. Raises GalleryBusyError, GalleryChangedError."""

        def watched() -> _T:
            before = self.state().removals
            result = read()
            if self.state().removals != before:
                raise OvertakenError
            return result

        return self.repeated(watched)

    def repeated(self, read: Callable[[], _T]) -> _T:
        """What `read` returns; made again where a compaction or a removal came between. Raises GalleryBusyError,
        GalleryChangedError."""
        return self._repeated(lambda _: read(), self.state)

    def _repeated(self, read: Callable[[State], _T], now: Callable[[], State]) -> _T:
        """The same for what is told how far the gallery has come; now: what says that."""
        for _ in range(ATTEMPTS):
            before = now()
            self.require_model(before)
            try:
                return read(before)
            except OvertakenError:
                if self.state() == before:  # by nobody
                    raise GalleryCorruptError(
                        f"the gallery {self._database.name} holds other images than its index finds: run `facesearch "
                        "gallery repair`, which deletes the index, and ask again"
                    ) from None
                continue
            except GalleryCorruptError:  # a descriptor file that another one has replaced
                if self.state().removals == before.removals:
                    raise
        raise GalleryBusyError(
            f"images of the gallery {self._database.name} were removed {ATTEMPTS} times during one read; "
            "wait for the other process to finish and try again"
        )

    def require_model(self, found: State) -> None:
        """Raise GalleryChangedError when another model describes the gallery since it was opened."""
        state.require_model(found, self._model, self._database.name)

    def _sound_state(self) -> State:
        with self._database.glance() as session:
            return self._content.state(session)

    def _search(
        self,
        now: State,
        queries: FloatArray,
        k: int,
        where: Condition | None,
        exclude: Collection[int],
        part: Part | None,
    ) -> list[list[Match]]:
        look = k + len(exclude)  # cheaper than to tell every one of a large gallery from these few
        results = [without(exclude, found, k) for found in self._found(now, queries, look, where, part)]
        unique = sorted({id_ for _, ids in results for id_ in ids.tolist()})
        with self._database.reading() as session:
            faces = {face.id: face for face in store.present(session, unique)}
            if len(faces) < len(unique) or state.state(session).model != self._model:
                raise OvertakenError
        return matches(faces, results)

    def _found(
        self, now: State, queries: FloatArray, k: int, where: Condition | None, part: Part | None
    ) -> list[Found]:
        """By the index, and among what was added since."""
        view = self._current_view(now)
        parts: list[Searcher] = [view.base] if view.added is None else [view.base, view.added]
        alive = [view.alive, None]
        if part is not None:  # of which a reduction of whole descriptors hardly keeps anything
            parts = [Scan(view.state, one.ids, one.slots, part) for one in parts]
        content, passing = self._searched(view, where)
        found = [
            part.search(content, queries, k, both(rows, part.ids, passing))
            for part, rows in zip(parts, alive, strict=False)
        ]
        return [merged(of_one, k) for of_one in zip(*found, strict=True)]

    def _searched(self, view: _View, where: Condition | None) -> tuple[HalfArray, IdArray | None]:
        """The records of a view's slots, and the faces that pass, None for all. A face that is removed from here on is
        missed at the end of the search."""
        content = self._content.at(view.state)
        if content is not None and where is None:
            return content, None
        with self._database.reading() as session:
            if content is None:
                now, content = self._records(session)
                if now.removals != view.state.removals:  # the slots may be others
                    raise OvertakenError
            return content, None if where is None else store.select_ids(session, where)

    def _records(self, session: Connection) -> tuple[State, HalfArray]:
        """How far the gallery has come, and the descriptor file's records, of the model that the reader is for."""
        now, content = self._content.read(session)
        if now.model != self._model:
            raise OvertakenError
        return now, content

    def require_descriptors(self, session: Connection) -> None:
        """Raise GalleryCorruptError unless the descriptors are what was stored."""
        self._content.compare(session)

    def _current_view(self, now: State) -> _View:
        """The gallery as it is now, or a moment later, by the searcher at hand, a saved one, or a new one. Raises
        GalleryEmptyError."""
        with self._building:
            there = frozenset(path.name for _, path in shortlists(self._folder))
            newly = self._view is not None and bool(there - self._view.prepared)  # another process has prepared one
            if self._view is None or newly or self._view.state != now:
                before, self._view = self._view, None
                view = None if before is None or newly else self._view_by(before.base, 1 / FEW, before)
                if view is None:
                    del before  # two at once may not fit into memory
                    view = self._view_by(self._load_or_build(), 1.0)  # much may have come while it was built
                    view = None if view is None else replace(view, prepared=there)
                if view is None:
                    raise OvertakenError
                self._view = view
            return self._view

    def _view_by(self, base: Searcher, most: float, before: _View | None = None) -> _View | None:
        """None where more than a share `most` has changed since that searcher was made, or the gallery has another
        history. before: the view of an earlier state by the same searcher. An index of reduced descriptors is built on
        request alone: any number of faces may be new to it."""
        last = int(base.ids[-1])
        with self._database.reading() as session:
            now, content = self._records(session)
            if _nothing_went(session, base, before, now):
                alive = before.alive if before else None
                new, new_slots = descriptor_slots.added_after(session, last)
            else:
                ids, slots = descriptor_slots.added_after(session, 0)
                alive = still_there(base.ids, base.slots, ids, slots, most)
                if alive is None:
                    return None
                new, new_slots = ids[ids > last], slots[ids > last]
        if len(new) > most * len(base.ids) and most < 1 and not isinstance(base, Shortlist):
            return None
        added = self._searcher(now, content, new, new_slots) if len(new) else None
        return _View(now, base, alive, added, before.prepared if before else frozenset())

    def _searcher(self, now: State, content: HalfArray, ids: IdArray, slots: IdArray) -> Searcher:
        """An index of all these faces, or none where it would take more memory than is allowed."""
        return Scan(now, ids, slots) if self._too_large(content, ids) else exact.build(now, content, ids, slots)

    def _too_large(self, content: HalfArray, ids: IdArray) -> bool:
        """Whether an index of every descriptor would take more memory than is allowed."""
        return content.itemsize * len(ids) * self._model[1] > read_requirements(self._folder).bytes

    def _load_or_build(self) -> Searcher:
        with self._database.reading() as session:
            ids, slots = descriptor_slots.added_after(session, 0)
            now, content = self._records(session)
            if len(ids) == 0:
                raise GalleryEmptyError(
                    f"the gallery {self._database.name} holds no images yet; index some before searching"
                )
            reduced = shortlist.load(self._folder, now, content, partial(descriptor_slots.has_rows, session))
        if reduced is not None:
            return reduced
        if self._too_large(content, ids):
            return Scan(now, ids, slots)
        loaded = exact.load(self._folder, now, ids, slots, self._model[1])
        return loaded or self._built(now, content, ids, slots)

    def _built(self, now: State, content: HalfArray, ids: IdArray, slots: IdArray) -> Exact:
        # What is removed meanwhile may be zeros in it: whoever uses it leaves out what has gone.
        made = exact.build(now, content, ids, slots)
        if self.state() == now:
            exact.save(self._folder, made)
            if self.state() != now:  # what was removed meanwhile must not lie there
                exact.discard(self._folder, now)
        return made


def _nothing_went(session: Connection, base: Searcher, before: _View | None, now: State) -> bool:
    """Whether all rows that were there are there now. The rows of large galleries are not counted again: no removal was
    noted, and a database that is restored from a copy while it is searched must be opened again."""
    if isinstance(base, Shortlist):
        return now.removals == before.state.removals if before else base.fits(now)
    alive = before.alive if before else None
    ids, slots = (base.ids, base.slots) if alive is None else (base.ids[alive], base.slots[alive])
    return base.fits(now) or descriptor_slots.has_rows(session, ids, slots, int(base.ids[-1]))
