"""Which faces are one person's: average linkage of what descriptors say of who it is, as pure functions.

Two groups are as far apart as their faces are on average, squared: of vectors of length 1 that is 2 - 2 a.b, with a and
b the means of both (Sokal and Michener, A Statistical Method for Evaluating Systematic Relationships, 1958; here of
squared distances). The nearest two become one until none are near enough. Only groups are compared of which two faces
are near each other, so that the work grows with neighbours, not with pairs. Ties go to what came first.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from index.progress import Steps
from index.values import FloatArray, IdArray

NEIGHBOURS = 50  # of a face that are looked at
_AT_ONCE = 2**25  # numbers of one block of products
_NOBODY = -1


def grouped(
    vectors: FloatArray, first: IdArray, anchors: IdArray, new: NDArray[np.bool_], near: float, told: Steps
) -> IdArray:
    """(n,) the group of each face, by the lowest row in it.

    vectors (n, d): of length 1. first (n,): the group that each is in to begin with, by any number. anchors (n,): who a
    face is known to be, or -1; groups of two who are known never become one. new (n,): whose neighbours are looked for.
    near: distance within which groups become one.
    """
    _, rows = np.unique(first, return_inverse=True)
    lowest = np.full(rows.max(initial=-1) + 1, len(rows))
    np.minimum.at(lowest, rows, np.arange(len(rows)))
    groups = _Groups(vectors, lowest[rows], anchors)
    groups.join(neighbours(vectors, np.flatnonzero(new), near, told), near)
    return groups.lowest()


def neighbours(
    vectors: FloatArray, asked: IdArray, near: float, told: Steps, most: int = NEIGHBOURS
) -> Iterator[tuple[int, int]]:
    """Pairs of rows: each of those asked (m,) with its nearest ones, at most so many, that lie within a distance."""
    alike = 1 - near * near / 2
    step = max(1, _AT_ONCE // max(1, len(vectors)))
    for start in range(0, len(asked), step):
        rows = asked[start : start + step]
        products = vectors[rows] @ vectors.T
        products[np.arange(len(rows)), rows] = -np.inf
        for row, some in zip(rows.tolist(), products, strict=True):
            found = np.flatnonzero(some >= alike)
            if len(found) > most:
                found = found[np.argsort(-some[found], kind="stable")[:most]]
            yield from ((row, other) for other in found.tolist())
        told(start + len(rows), len(asked))


class _Groups:
    """Groups by their lowest rows, which become fewer."""

    def __init__(self, vectors: FloatArray, lowest: IdArray, anchors: IdArray) -> None:
        """lowest (n,): the lowest row of the group that each row is in."""
        self._of = lowest.copy()
        self._sizes = np.bincount(lowest, minlength=len(lowest))
        self._sums = vectors.copy()
        others = np.flatnonzero(lowest != np.arange(len(lowest)))
        np.add.at(self._sums, lowest[others], vectors[others])
        self._anchors = np.full(len(lowest), _NOBODY)
        np.maximum.at(self._anchors, lowest, anchors)
        self._beside: dict[int, set[int]] = {}
        self._changes: dict[int, int] = {}

    def join(self, pairs: Iterator[tuple[int, int]], near: float) -> None:
        """Let the nearest groups become one, of those that a pair of faces joins, until none are near enough."""
        for one, other in pairs:
            a, b = int(self._of[one]), int(self._of[other])
            if a != b:
                self._beside.setdefault(a, set()).add(b)
                self._beside.setdefault(b, set()).add(a)
        waiting = [entry for a, beside in self._beside.items() for b in beside if a < b for entry in self._entry(a, b)]
        heapify(waiting)
        while waiting:
            far, a, b, changes = heappop(waiting)
            if far > near * near:
                return
            if changes == self._changed(a, b):
                for entry in self._joined(a, b):
                    heappush(waiting, entry)

    def lowest(self) -> IdArray:
        """(n,) of each row the lowest one of its group."""
        found = self._of
        while not np.array_equal(found, self._of[found]):
            found = self._of[found]
        return found

    def _joined(self, a: int, b: int) -> list[tuple[float, int, int, tuple[int, int]]]:
        """b, the higher one, becomes a part of a; the distances that are others now."""
        self._sums[a] += self._sums[b]
        self._sizes[a] += self._sizes[b]
        self._anchors[a] = max(self._anchors[a], self._anchors[b])
        self._of[b] = a
        self._changes[a] = self._changes.get(a, 0) + 1
        self._changes[b] = _NOBODY
        beside = (self._beside[a] | self._beside.pop(b)) - {a, b}
        self._beside[a] = beside
        for c in beside:
            self._beside[c].discard(b)
            self._beside[c].add(a)
        return [entry for c in sorted(beside) for entry in self._entry(min(a, c), max(a, c))]

    def _entry(self, a: int, b: int) -> list[tuple[float, int, int, tuple[int, int]]]:
        """None where both are known to be two."""
        if _NOBODY not in (self._anchors[a], self._anchors[b]) and self._anchors[a] != self._anchors[b]:
            return []
        alike = float(self._sums[a] @ self._sums[b]) / (int(self._sizes[a]) * int(self._sizes[b]))
        return [(2 - 2 * alike, a, b, self._changed(a, b))]

    def _changed(self, a: int, b: int) -> tuple[int, int]:
        return self._changes.get(a, 0), self._changes.get(b, 0)
