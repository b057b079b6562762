"""Whether a part of descriptors tells people apart: how far two pictures of one person lie, and how far strangers'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Accepted, Usual, Who

RATES = (0.01, 0.001, 0.0001)
"""shares of strangers that are taken for one person"""
_MOST = 3_000  # pictures, of which all pairs are compared
_DRAWS = 200  # of people, for an interval
_Floats = NDArray[np.float32]
_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """What descriptors (N, D) say of who it is, brought to length 1: vectors (N, n); people (N,): a number for each;
    looks (N,): the value that each picture shows, such as its pose."""

    vectors: _Floats
    people: _Rows
    looks: _Rows

    @classmethod
    def of(cls, descriptors: _Floats, who: Who, people: _Rows, looks: _Rows, seed: int = 0) -> Parts:
        """At most 3,000 pictures, drawn at random."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(descriptors))[:_MOST])
        vectors = descriptors[chosen, who.start : who.stop].astype(np.float32)
        return cls(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), people[chosen], looks[chosen])

    def among(self, chosen: NDArray[np.bool_]) -> Parts:
        """Of some pictures (N,)."""
        return Parts(self.vectors[chosen], self.people[chosen], self.looks[chosen])


def measured(parts: Parts, data: str, rates: Sequence[float] = RATES) -> Usual | None:
    """How far first results at other looks lie where they show the right person; and within which distance so large a
    share of strangers lies, with the share of one person's pictures that lie there (their interval: 95 %, people
    resampled). None where no first result is right, or there is one person alone."""
    far = _distances(parts)
    same = parts.people[:, None] == parts.people
    elsewhere = parts.looks[:, None] != parts.looks
    upper = np.triu(np.ones(far.shape, np.bool_), 1)
    strangers, right = np.sort(far[upper & ~same]), _right_firsts(parts, far, elsewhere)
    if not len(strangers) or not len(right):
        return None
    half, most, nearly_all = (round(float(one), 4) for one in np.quantile(right, (0.5, 0.9, 0.99)))
    owners, own = np.nonzero(upper & same & elsewhere)
    accepted = tuple(_accepted(rate, strangers, far[owners, own], parts.people[owners]) for rate in rates)
    today = datetime.now(UTC).date().isoformat()
    return Usual(data, today, len(right), half, most, nearly_all, accepted)


def first_right(parts: Parts) -> float:
    """The share of pictures whose nearest at another look shows the same person."""
    far = _distances(parts)
    elsewhere = parts.looks[:, None] != parts.looks
    asked = elsewhere.any(1)
    return len(_right_firsts(parts, far, elsewhere)) / max(1, int(asked.sum()))


def _right_firsts(parts: Parts, far: _Floats, elsewhere: NDArray[np.bool_]) -> _Floats:
    """Distances of the nearest at another look where they show the right person."""
    asked = np.flatnonzero(elsewhere.any(1))
    first = np.where(elsewhere, far, np.inf).argmin(1)[asked]
    right = parts.people[first] == parts.people[asked]
    return np.asarray(far[asked, first][right])


def _accepted(rate: float, strangers: _Floats, own: _Floats, owners: _Rows) -> Accepted:
    """strangers: distances, rising; own (P,): of pairs that show one person; owners (P,): whom."""
    beyond = int(rate * len(strangers))  # so many may lie within
    within = math.floor(float(np.nextafter(strangers[beyond], np.float32(0))) * 10_000) / 10_000
    names, whose = np.unique(owners, return_inverse=True)
    hits, all_ = (np.bincount(whose, weights, len(names)) for weights in ((own <= within).astype(float), None))
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(names), size=len(names)) for _ in range(_DRAWS)]
    low, high = np.quantile([hits[some].sum() / all_[some].sum() for some in drawn], (0.025, 0.975))
    share = hits.sum() / all_.sum()
    return Accepted(rate, within, *(round(float(one), 4) for one in (share, low, high)))


def _distances(parts: Parts) -> _Floats:
    """(N, N) Euclidean."""
    alike = parts.vectors @ parts.vectors.T
    return np.asarray(np.sqrt(np.maximum(2 - 2 * alike, 0)), np.float32)
