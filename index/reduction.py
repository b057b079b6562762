"""Fewer numbers per descriptor, for a first look: an uncentred principal component analysis.

Faiss's own centres the vectors, which changes which are near when they are compared by their angle, and its cost grows
with the cube of the sample; this one takes the smaller of the two Gram matrices.
"""

from __future__ import annotations

import numpy as np

from index.vectors import FloatArray

ENERGY = 0.9  # share of the squared length that the first look should see
STEP, MOST = 32, 512  # numbers to choose from


def components(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Principal directions (size, n) of a sample (m, size), n = min(m, size), and each one's share of the squared
    length (n,), descending."""
    m, size = sample.shape
    gram = sample.T @ sample if size <= m else sample @ sample.T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    if size > m:
        lengths = np.sqrt(np.maximum(values, 1e-12 * max(values[0], 1e-30)))
        vectors = sample.T.astype(np.float64) @ (vectors / lengths)
    share = values / max(values.sum(), 1e-30)
    return np.ascontiguousarray(vectors, np.float32), np.asarray(share, np.float32)


def enough(share: FloatArray) -> int:
    """How many directions see ENERGY of the squared length, as a multiple of STEP."""
    needed = int(np.searchsorted(np.cumsum(share), ENERGY)) + 1
    return min(-(-needed // STEP) * STEP, MOST, len(share))
