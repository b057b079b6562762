"""Recall, and how sure it is."""

from __future__ import annotations

import numpy as np

from retrieval.evaluation.queries import Bools, Rows

RANKS = (1, 5, 10)
_RESAMPLES = 1000


def recall(hits: Bools, rank: int) -> float:
    """Share of queries with a correct picture among the first `rank`."""
    return float(hits[:, :rank].any(1).mean())


def bootstrap(hits: Bools, rank: int, people: Rows, seed: int = 0) -> tuple[float, float]:
    """95 % interval of recall by resampling people with all their queries, since one person's queries are alike
    (Efron and Tibshirani 1993, chapter 8; a cluster bootstrap)."""
    found = hits[:, :rank].any(1).astype(np.float64)
    _, group = np.unique(people, return_inverse=True)
    sums, counts = np.bincount(group, found), np.bincount(group)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sums), size=(_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
