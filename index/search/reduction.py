"""Fewer numbers per descriptor, for a first look: an uncentred principal component analysis.

Faiss's own centres the vectors, which changes which are near when they are compared by their angle, and its cost grows
with the cube of the sample; this one takes the smaller of the two Gram matrices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.values import FloatArray

ENERGY = 0.9  # share of the squared length that the first look should see
SAMPLE, PLANNED = 2_048, 1_024  # descriptors that the reduction is made from, and planned with
STEP, MOST = 32, 512  # numbers to choose from


def components(sample: FloatArray, most: int) -> FloatArray:
    """The first principal directions (size, n) of a sample (m, size), n = min(m, size, most), by descending share of
    the squared length."""
    gram, by_numbers = _gram(sample)
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :most]
    if not by_numbers:
        vectors = sample.T @ vectors.astype(np.float32)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)
    return np.ascontiguousarray(vectors, np.float32)


def shares(sample: FloatArray) -> FloatArray:
    """Each principal direction's share of a sample's (m, size) squared length, (min(m, size),), descending."""
    values = np.maximum(np.linalg.eigvalsh(_gram(sample)[0])[::-1], 0)
    return np.asarray(values / max(values.sum(), 1e-30), np.float32)


def _gram(sample: FloatArray) -> tuple[NDArray[np.float64], bool]:
    """The smaller of the two Gram matrices, and whether it is that of the numbers."""
    by_numbers = sample.shape[1] <= len(sample)
    gram = sample.T @ sample if by_numbers else sample @ sample.T
    return gram.astype(np.float64), by_numbers


def enough(share: FloatArray) -> int:
    """How many directions see ENERGY of the squared length, as a multiple of STEP."""
    needed = int(np.searchsorted(np.cumsum(share), ENERGY)) + 1
    return min(-(-needed // STEP) * STEP, MOST, len(share))
