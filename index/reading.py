"""Reads that need the database and the files together, while another process may write.

A writer adds behind the committed slots and so never disturbs a read. It zeroes the slots of
removed images: a read during which images were removed is made again.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TypeVar

import numpy as np

from index import projection, store
from index.database import Database
from index.errors import GalleryBusyError, GalleryChangedError, GalleryCorruptError, GalleryEmptyError
from index.plan import read_requirements
from index.projection import Projection, State
from index.rows import Filter, Match
from index.shortlist import Shortlist, merged, scan
from index.vectors import FloatArray, IdArray, build_exact, nearest

ATTEMPTS = 5

_T = TypeVar("_T")


class _OvertakenError(Exception):
    """Images were removed while an index was built."""


class Reader:
    """Searches a gallery and reads its descriptors; may be shared by threads."""

    def __init__(self, folder: Path, database: Database, model: tuple[str, int]) -> None:
        """model: the digest of the one that describes what is searched for, and its descriptors' size."""
        self._folder = folder
        self._database = database
        self._model = model
        self._building = RLock()
        self._projection: Projection | None = None
        self._shortlist: Shortlist | None = None

    def state(self) -> State:
        """How far the gallery has come."""
        with self._database.reading() as session:
            return store.state(session)

    def forget(self) -> None:
        """Let go of the indexes."""
        self._projection = self._shortlist = None

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these images, (len(ids), size). Raises UnknownImageError."""

        def read(_: State) -> FloatArray:
            with self._database.reading() as session:
                slots, records = store.slots(session, ids), store.records(session, self._folder)
            return records[slots].astype(np.float32)

        return self.undisturbed(read)

    def search(self, queries: FloatArray, k: int, where: Filter, exclude: Collection[int]) -> list[list[Match]]:
        """For each query (n, size) its k nearest among the images that the filters let pass."""
        return self.undisturbed(lambda state: self._search(state, queries, k, where, exclude))

    def _search(
        self, state: State, queries: FloatArray, k: int, where: Filter, exclude: Collection[int]
    ) -> list[list[Match]]:
        shortlist = self._shortlist_of(state)
        look = k + len(exclude)  # cheaper than to tell every one of a large gallery from these few
        if shortlist is None:
            results = self._exactly(state, queries, look, where)
        else:
            results = self._in_two_looks(shortlist, queries, look, where)
        results = [_without(exclude, result, k) for result in results]
        unique = sorted({id_ for _, ids in results for id_ in ids.tolist()})
        with self._database.reading() as session:
            if store.state(session).removals != state.removals:
                raise _OvertakenError
            images = dict(zip(unique, store.get(session, unique), strict=True))
        return [
            [Match(images[id_], distance) for id_, distance in zip(ids.tolist(), distances.tolist(), strict=True)]
            for distances, ids in results
        ]

    def _exactly(
        self, state: State, queries: FloatArray, k: int, where: Filter
    ) -> list[tuple[FloatArray, IdArray]]:  # fmt: skip
        with self._database.reading() as session:
            count = store.count(session)
        if 2 * count * self._model[1] > read_requirements(self._folder).bytes:
            return self._by_scanning(queries, k, where)
        current = self._current(state)
        if len(current.ids) == 0:
            raise GalleryEmptyError(f"the gallery {self._folder} holds no images yet; index some before searching")
        competing = self._competing(current.ids, where)
        return list(zip(*nearest(current.index, queries, k, competing), strict=True))

    def _by_scanning(
        self, queries: FloatArray, k: int, where: Filter
    ) -> list[tuple[FloatArray, IdArray]]:  # fmt: skip
        """In the descriptor file itself, part by part: an index of everything would take more memory than allowed."""
        with self._database.reading() as session:
            _, ids, slots = store.snapshot(session)
            records = store.records(session, self._folder)
        kept = np.isin(ids, self._competing(ids, where), assume_unique=True)
        return scan(records, slots[kept], ids[kept], queries, k)

    def _in_two_looks(
        self, shortlist: Shortlist, queries: FloatArray, k: int, where: Filter
    ) -> list[tuple[FloatArray, IdArray]]:
        """Among the reduced descriptors, and among all that were added since."""
        with self._database.reading() as session:
            ids, slots = store.added_after(session, int(shortlist.ids[-1]))
            records = store.records(session, self._folder)
        old = None
        if where.restricts:
            old = np.isin(shortlist.ids, self._competing(np.asarray(shortlist.ids), where), assume_unique=True)
        new = np.isin(ids, self._competing(ids, where), assume_unique=True)
        found = shortlist.search(records, queries, k, old)
        if not new.any():
            return found
        return [merged(both, k) for both in zip(found, scan(records, slots[new], ids[new], queries, k), strict=True)]

    def _shortlist_of(self, state: State) -> Shortlist | None:
        """The index of reduced descriptors, where there is one that still holds."""
        with self._building:
            if self._shortlist is not None and self._shortlist.about.removals == state.removals:
                return self._shortlist
            self._shortlist = None
            if projection.has_shortlist(self._folder):
                with self._database.reading() as session:
                    records = store.records(session, self._folder)
                    rows = partial(store.has_rows, session)
                    self._shortlist = projection.load_shortlist(self._folder, state, records, rows)
            return self._shortlist

    def _competing(self, ids: IdArray, where: Filter) -> IdArray:
        if where.restricts:
            with self._database.reading() as session:
                # Without the images added since the index was built.
                ids = np.intersect1d(ids, store.select_ids(session, where), assume_unique=True)
        return ids

    def _current(self, state: State) -> Projection:
        """The index of this state: the one at hand, the saved one, or a new one."""
        with self._building:
            if self._projection is None or self._projection.state != state:
                self._projection = None  # two at once may not fit into memory
                self._projection = self._load_or_build()
            return self._projection

    def _load_or_build(self) -> Projection:
        with self._database.reading() as session:
            state, ids, slots = store.snapshot(session)
            records = store.records(session, self._folder)
        loaded = projection.load(self._folder, state, ids, self._model[1]) if len(ids) else None
        if loaded is not None:
            return loaded
        built = Projection(state, build_exact(records, ids, slots), ids)
        now = self.state()
        if now.removals != state.removals:
            raise _OvertakenError
        if now == state and len(ids):
            projection.save(self._folder, built)
        return built

    def undisturbed(self, read: Callable[[State], _T]) -> _T:
        """What `read` returns for one state of the gallery, during which no images were removed. Raises
        GalleryBusyError, GalleryChangedError."""
        for _ in range(ATTEMPTS):
            before = self.state()
            if before.model != self._model:
                raise GalleryChangedError(
                    f"the gallery {self._folder} was described by another model meanwhile ({before.model[0][:12]}); "
                    "open it again, with that model"
                )
            try:
                result = read(before)
            except _OvertakenError:
                continue
            except GalleryCorruptError:  # a descriptor file that another one has replaced
                if self.state().removals == before.removals:
                    raise
                continue
            if self.state().removals == before.removals:
                return result
        raise GalleryBusyError(
            f"images of the gallery {self._folder} were removed {ATTEMPTS} times during one read; "
            "wait for the other process to finish and try again"
        )


def _without(exclude: Collection[int], result: tuple[FloatArray, IdArray], k: int) -> tuple[FloatArray, IdArray]:
    """The first k of a result that are not excluded."""
    distances, ids = result
    kept = np.flatnonzero(~np.isin(ids, list(exclude)))[:k]
    return distances[kept], ids[kept]
