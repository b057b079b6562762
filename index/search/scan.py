"""Every descriptor is compared, in the descriptor file itself: what every other way to search is measured by.

Distances are exact for descriptors rounded to half precision; queries are not rounded. `index.search.exact` does the
same by Faiss: each is the other's oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.config import State
from index.search.searcher import Found, Rows, merged, rows_of
from index.values import FloatArray, HalfArray, IdArray

Part = tuple[int, int]
"""Of a descriptor the numbers from one to before another."""
_CHUNK = 16_000_000  # numbers of full precision at a time
_TOGETHER = 32  # queries that share a pass over a chunk


def scan(
    records: NDArray[Any], slots: IdArray, ids: IdArray, queries: FloatArray, k: int, part: Part | None = None
) -> list[Found]:
    """For each query (q, size) the distances and ids of the k nearest of these slots, compared with every one.

    records (m, size): of any floating type, also mapped from a file; ids (n,): of the slots (n,). part: of the numbers
    of both those from one to before another alone are compared, brought to length 1.
    """
    best: list[Found] = [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries]
    order = np.argsort(slots)  # as they lie on the disk
    if part is not None:
        queries = _of_length_1(queries[:, slice(*part)].astype(np.float32))
    for some_rows in parts(len(slots), records.shape[1] if part is None else part[1] - part[0]):
        rows = order[some_rows]
        block = _read(records, slots[rows], part)
        lengths = np.einsum("ij,ij->i", block, block)
        for first in range(0, len(queries), _TOGETHER):
            some = queries[first : first + _TOGETHER]
            rough = lengths - 2 * (some @ block.T)  # up to rounding, and the query's own length
            for n, (query, distances) in enumerate(zip(some, rough, strict=True), start=first):
                near = _smallest(distances, 2 * k + 16)
                true = np.sqrt(((block[near] - query) ** 2).sum(1))
                best[n] = merged([best[n], (true, ids[rows[near]])], k)
    return best


def _read(records: NDArray[Any], slots: IdArray, part: Part | None) -> FloatArray:
    """(n, d) of ascending slots, in full precision."""
    columns = slice(None) if part is None else slice(*part)
    together = len(slots) > 0 and int(slots[-1] - slots[0]) == len(slots) - 1  # one behind the other: read at once
    found = records[int(slots[0]) : int(slots[-1]) + 1, columns] if together else records[slots, columns]
    block: FloatArray = found.astype(np.float32)
    return block if part is None else _of_length_1(block)


def _of_length_1(vectors: FloatArray) -> FloatArray:
    """Each of vectors (n, d); zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=vectors, where=lengths > 0), np.float32)


def parts(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` descriptors of `size` numbers that fit into memory in full precision."""
    step = max(1, _CHUNK // size)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _smallest(values: NDArray[np.floating], count: int) -> IdArray:
    """Positions of the smallest values, and of all that equal the last of them up to rounding."""
    if len(values) <= count:
        return np.arange(len(values))
    limit = float(np.partition(values, count - 1)[count - 1])
    return np.flatnonzero(values <= limit + 1e-5 * abs(limit) + 1e-5)


@dataclass(frozen=True)
class Scan:
    """A Searcher without an index, for galleries whose index would take more memory than is allowed; and for what no
    index is of: a part of descriptors."""

    state: State
    ids: IdArray
    slots: IdArray
    part: Part | None = None

    def fits(self, state: State) -> bool:
        return state == self.state

    def search(self, records: HalfArray, queries: FloatArray, k: int, competing: Rows | None = None) -> list[Found]:
        rows = rows_of(self, competing)
        return scan(records, self.slots[rows], self.ids[rows], queries, k, self.part)
