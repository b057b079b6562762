"""What a way to search is: the interface that every index has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.config import State
from index.values import FloatArray, HalfArray, IdArray

Found: TypeAlias = tuple[FloatArray, IdArray]
"""One query's results: Euclidean distances (m,) and ids (m,), nearest first, equals by id."""
Rows: TypeAlias = NDArray[np.bool_]
"""Which rows of an index may be found, (n,)."""


class Searcher(Protocol):
    """An index of some faces. It is derived: it may be deleted at any time, and knows what it was made from."""

    @property
    def ids(self) -> IdArray:
        """Of its rows, (n,), ascending."""

    @property
    def slots(self) -> IdArray:
        """Where their descriptors lie in the descriptor file, (n,)."""

    def fits(self, state: State) -> bool:
        """Whether all of its rows are faces of a gallery that has come so far; others may have been added since."""

    def search(self, records: HalfArray, queries: FloatArray, k: int, competing: Rows | None = None) -> list[Found]:
        """For each query (q, size) the k nearest rows, fewer where fewer compete.

        records: the descriptor file's, (slots, size); competing: which rows may be found, None for all.
        """


def merged(lists: Sequence[Found], k: int) -> Found:
    """The k nearest of several results, equals by id."""
    distances, ids = (np.concatenate(column) for column in zip(*lists, strict=True))
    order = np.lexsort((ids, distances))[:k]
    return distances[order], ids[order]


def rows_of(searcher: Any, competing: Rows | None) -> IdArray:
    """The positions of the rows that compete, ascending."""
    return np.arange(len(searcher.ids)) if competing is None else np.flatnonzero(competing)


def both(alive: Rows | None, ids: IdArray, passing: IdArray | None) -> Rows | None:
    """Which rows are there and pass; ids (n,) of the rows."""
    if passing is None:
        return alive
    rows = np.isin(ids, passing, assume_unique=True)
    return rows if alive is None else rows & alive


def still_there(ids: IdArray, slots: IdArray, now: IdArray, slots_now: IdArray, most: float) -> Rows | None:
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


def without(exclude: Collection[int], result: Found, k: int) -> Found:
    """The first k of a result that are not excluded."""
    distances, ids = result
    kept = np.flatnonzero(~np.isin(ids, list(exclude)))[:k]
    return distances[kept], ids[kept]
