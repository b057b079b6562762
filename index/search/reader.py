"""Reads that need the database and the files together, while another process may write.

A writer adds behind the committed slots, and zeroes the slots of removed images after it has committed the removal.
An id is never given again: an index that is in memory goes on to hold, less the images that have been removed since,
beside a small one of those that were added. Whatever is found must still be there at the end, else the read is made
again.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from index.descriptors import FloatArray, HalfArray, IdArray, build_exact, nearest
from index.errors import GalleryBusyError, GalleryChangedError, GalleryCorruptError, GalleryEmptyError
from index.search import projection
from index.search.plan import read_requirements
from index.search.projection import Projection, State
from index.search.shortlist import Shortlist, merged, scan
from index.truth import store
from index.truth.database import Database
from index.values import Filter, Match

ATTEMPTS = 5
FEW = 10  # one image in so many may be new or removed before an index is built anew

_T = TypeVar("_T")
Found = list[tuple[FloatArray, IdArray]]  # for each query, distances and ids


class _OvertakenError(Exception):
    """Images were removed while they were read."""


@dataclass(frozen=True)
class _View:
    """One state of the gallery by an index of an earlier one: those of its ids that are still there, and an index of
    what was added since."""

    state: State
    base: Projection
    alive: IdArray
    alive_slots: IdArray
    added: Projection | None


@dataclass(frozen=True)
class _Alive:
    """Which rows of a shortlist are still there, after so many removals; None: all."""

    removals: int
    rows: NDArray[np.bool_] | None = None


class Reader:
    """Searches a gallery and reads its descriptors; may be shared by threads."""

    def __init__(self, folder: Path, database: Database, model: tuple[str, int]) -> None:
        """model: the digest of the one that describes what is searched for, and its descriptors' size."""
        self._folder = folder
        self._database = database
        self._model = model
        self._building = RLock()
        self._view: _View | None = None
        self._shortlist: Shortlist | None = None
        self._alive = _Alive(-1)

    def state(self) -> State:
        """How far the gallery has come."""
        with self._database.reading() as session:
            return store.state(session)

    def forget(self) -> None:
        """Let go of the indexes."""
        self._view = self._shortlist = None

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these images, (len(ids), size). Raises UnknownImageError."""

        def read() -> FloatArray:
            with self._database.reading() as session:
                slots, records = store.slots(session, ids), self._records(session)
            made: FloatArray = records[slots].astype(np.float32)
            with self._database.reading() as session:
                store.slots(session, ids)  # still there, so not zeroed
            return made

        return self.repeated(read)

    def search(self, queries: FloatArray, k: int, where: Filter, exclude: Collection[int]) -> list[list[Match]]:
        """For each query (n, size) its k nearest among the images that the filters let pass."""
        return self.repeated(lambda: self._search(queries, k, where, exclude))

    def undisturbed(self, read: Callable[[], _T]) -> _T:
        """What `read` returns while no image is removed. Raises GalleryBusyError, GalleryChangedError."""

        def watched() -> _T:
            before = self.state().removals
            result = read()
            if self.state().removals != before:
                raise _OvertakenError
            return result

        return self.repeated(watched)

    def repeated(self, read: Callable[[], _T]) -> _T:
        """What `read` returns; made again where a compaction or a removal came between. Raises GalleryBusyError,
        GalleryChangedError."""
        for _ in range(ATTEMPTS):
            before = self.state()
            self.require_model(before)
            try:
                return read()
            except _OvertakenError:
                continue
            except GalleryCorruptError:  # a descriptor file that another one has replaced
                if self.state().removals == before.removals:
                    raise
        raise GalleryBusyError(
            f"images of the gallery {self._folder} were removed {ATTEMPTS} times during one read; "
            "wait for the other process to finish and try again"
        )

    def require_model(self, state: State) -> None:
        """Raise GalleryChangedError when another model describes the gallery since it was opened."""
        if state.model != self._model:
            raise GalleryChangedError(
                f"the gallery {self._folder} was described by another model meanwhile ({state.model[0][:12]}); "
                "open it again, with that model"
            )

    def _search(self, queries: FloatArray, k: int, where: Filter, exclude: Collection[int]) -> list[list[Match]]:
        held = self._current_shortlist()
        look = k + len(exclude)  # cheaper than to tell every one of a large gallery from these few
        if held is None:
            results = self._exactly(queries, look, where)
        else:
            results = self._in_two_looks(*held, queries, look, where)
        results = [_without(exclude, result, k) for result in results]
        unique = sorted({id_ for _, ids in results for id_ in ids.tolist()})
        with self._database.reading() as session:
            images = {image.id: image for image in store.present(session, unique)}
            if len(images) < len(unique) or store.state(session).model != self._model:
                raise _OvertakenError
        return [
            [Match(images[id_], distance) for id_, distance in zip(ids.tolist(), distances.tolist(), strict=True)]
            for distances, ids in results
        ]

    def _exactly(self, queries: FloatArray, k: int, where: Filter) -> Found:
        with self._database.reading() as session:
            count = store.count(session)
        if 2 * count * self._model[1] > read_requirements(self._folder).bytes:
            return self._by_scanning(queries, k, where)
        view = self._current_view()
        parts = [(view.base, view.alive)] + ([(view.added, view.added.ids)] if view.added else [])
        found = [zip(*nearest(part.index, queries, k, self._competing(ids, where)), strict=True) for part, ids in parts]
        return [merged(of_one, k) for of_one in zip(*found, strict=True)]

    def _by_scanning(self, queries: FloatArray, k: int, where: Filter) -> Found:
        """In the descriptor file itself, part by part: an index of everything would take more memory than allowed."""
        with self._database.reading() as session:
            _, ids, slots = store.snapshot(session)
            records = self._records(session)
        kept = np.isin(ids, self._competing(ids, where), assume_unique=True)
        return scan(records, slots[kept], ids[kept], queries, k)

    def _in_two_looks(
        self, shortlist: Shortlist, alive: _Alive, queries: FloatArray, k: int, where: Filter
    ) -> Found:  # fmt: skip
        """Among the reduced descriptors, and among all that were added since."""
        with self._database.reading() as session:
            if store.state(session).removals != alive.removals:  # the slots may be others
                raise _OvertakenError
            ids, slots = store.added_after(session, int(shortlist.ids[-1]))
            records = self._records(session)
        old = alive.rows
        if where.restricts:
            old = np.isin(shortlist.ids, self._competing(np.asarray(shortlist.ids), where), assume_unique=True)
        found = shortlist.search(records, queries, k, old)
        new = np.isin(ids, self._competing(ids, where), assume_unique=True)
        if not new.any():
            return found
        return [merged(both, k) for both in zip(found, scan(records, slots[new], ids[new], queries, k), strict=True)]

    def _current_shortlist(self) -> tuple[Shortlist, _Alive] | None:
        """The index of reduced descriptors, where there is one that still holds, and which of its rows do."""
        with self._building:
            state, held = self.state(), self._shortlist
            if held is not None and self._alive.removals == state.removals:
                return held, self._alive
            self._shortlist = None
            if held is not None:
                with self._database.reading() as session:
                    state, ids, slots = store.snapshot(session)
                alive = _still_there(held.ids, held.slots, ids, slots, 1 / FEW)
                if alive is not None:
                    self._shortlist, self._alive = held, _Alive(state.removals, alive)
            elif projection.has_shortlist(self._folder):
                with self._database.reading() as session:
                    state, records = store.state(session), self._records(session)
                    rows = partial(store.has_rows, session)
                    self._shortlist = projection.load_shortlist(self._folder, state, records, rows)
                self._alive = _Alive(state.removals)
            return None if self._shortlist is None else (self._shortlist, self._alive)

    def _records(self, session: Session) -> HalfArray:
        """The descriptor file's records, of the model that the reader is for."""
        if store.state(session).model != self._model:
            raise _OvertakenError
        return store.records(session, self._folder)

    def _competing(self, ids: IdArray, where: Filter) -> IdArray:
        if where.restricts:
            with self._database.reading() as session:
                # Without the images added since the index was built.
                ids = np.intersect1d(ids, store.select_ids(session, where), assume_unique=True)
        return ids

    def _current_view(self) -> _View:
        """The gallery as it is now, by the index at hand, the saved one, or a new one. Raises GalleryEmptyError."""
        with self._building:
            if self._view is None or self._view.state != self.state():
                before, self._view = self._view, None
                view = None if before is None else self._view_by(before.base, 1 / FEW, before)
                if view is None:
                    del before  # two at once may not fit into memory
                    view = self._view_by(self._load_or_build(), 1.0)  # much may have come while it was built
                if view is None:
                    raise _OvertakenError
                self._view = view
            return self._view

    def _view_by(self, base: Projection, most: float, before: _View | None = None) -> _View | None:
        """None where more than a share `most` has changed since that index was built, or the gallery has another
        history. before: the view of an earlier state by the same index."""
        last = int(base.ids[-1])
        with self._database.reading() as session:
            state, records = store.state(session), self._records(session)
            if before is not None and store.has_rows(session, before.alive, before.alive_slots, last):
                old, old_slots = before.alive, before.alive_slots
                new, new_slots = store.added_after(session, last)
            else:
                _, ids, slots = store.snapshot(session)
                alive = _still_there(base.ids, base.slots, ids, slots, most)
                if alive is None:
                    return None
                old, old_slots = base.ids[alive], base.slots[alive]
                new, new_slots = ids[ids > last], slots[ids > last]
        if len(new) > most * len(base.ids) and most < 1:
            return None
        added = Projection(state, build_exact(records, new, new_slots), new, new_slots) if len(new) else None
        return _View(state, base, old, old_slots, added)

    def _load_or_build(self) -> Projection:
        with self._database.reading() as session:
            state, ids, slots = store.snapshot(session)
            records = self._records(session)
        if len(ids) == 0:
            raise GalleryEmptyError(f"the gallery {self._folder} holds no images yet; index some before searching")
        loaded = projection.load(self._folder, state, ids, slots, self._model[1])
        if loaded is not None:
            return loaded
        # What is removed meanwhile may be zeros in it: whoever uses it leaves out what has gone.
        built = Projection(state, build_exact(records, ids, slots), ids, slots)
        if self.state() == state:
            projection.save(self._folder, built)
            if self.state() != state:  # what was removed meanwhile must not lie there
                projection.discard_file(self._folder, state)
        return built


def _still_there(
    ids: IdArray, slots: IdArray, now: IdArray, slots_now: IdArray, most: float
) -> NDArray[np.bool_] | None:  # fmt: skip
    """Which of the ids (n,) with these slots are among those of now, all ascending. None where more than a share `most`
    are not, or where those of now up to the last one are others."""
    old = now <= ids[-1]
    place = np.searchsorted(ids, now[old])
    same = np.array_equal(ids[place], now[old]) and np.array_equal(slots[place], slots_now[old])
    if not same or len(ids) - len(place) > most * len(ids):
        return None
    alive = np.zeros(len(ids), bool)
    alive[place] = True
    return alive


def _without(exclude: Collection[int], result: tuple[FloatArray, IdArray], k: int) -> tuple[FloatArray, IdArray]:
    """The first k of a result that are not excluded."""
    distances, ids = result
    kept = np.flatnonzero(~np.isin(ids, list(exclude)))[:k]
    return distances[kept], ids[kept]
