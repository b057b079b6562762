"""What a way to search is: the interface that every index has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.values import FloatArray, HalfArray, IdArray, State

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
