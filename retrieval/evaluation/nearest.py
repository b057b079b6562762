"""Exact nearest neighbours by blocked matrix products: for measuring, where everything fits in memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_BLOCK = 2048
_DEVICE_BLOCK = 32_768


def exact_nearest(
    queries: NDArray[np.float32], gallery: NDArray[np.floating], own: NDArray[np.int64], k: int, device: str = "cpu"
) -> NDArray[np.int64]:
    """The k gallery rows (Q, k) nearest to each query by Euclidean distance, nearest first, equals by row.

    queries (Q, D) float32; gallery (N, D) in any floating type; own (Q,): each query's own row, which never counts,
    or -1. Fewer than k rows come back when the gallery is smaller. device: where the products are computed, 'cpu' or
    'cuda'.
    """
    if device != "cpu":
        return by_torch(queries, gallery, own, k, device)
    distances = np.empty((len(queries), len(gallery)), np.float32)
    for start in range(0, len(gallery), _BLOCK):
        block = np.asarray(gallery[start : start + _BLOCK], dtype=np.float32)
        # |q - g|^2 without |q|^2, which does not change the order
        distances[:, start : start + len(block)] = (block**2).sum(1) - 2 * (queries @ block.T)
    held = own >= 0
    distances[np.flatnonzero(held), own[held]] = np.inf
    k = min(k, len(gallery) - (1 if held.any() else 0))
    if not 0 < k < len(gallery):
        return np.argsort(distances, axis=1, kind="stable")[:, :k]
    rows = np.sort(np.argpartition(distances, k - 1, axis=1)[:, :k], axis=1)
    held_distances = np.take_along_axis(distances, rows, 1)
    found = np.take_along_axis(rows, np.argsort(held_distances, axis=1, kind="stable"), 1)
    # equals on both sides of the border, of which the partition took any: choose by row
    tied = np.flatnonzero((distances <= held_distances.max(1, keepdims=True)).sum(1) > k)
    found[tied] = np.argsort(distances[tied], axis=1, kind="stable")[:, :k]
    return found


@torch.inference_mode()
def by_torch(
    queries: NDArray[np.float32], gallery: NDArray[np.floating], own: NDArray[np.int64], k: int, device: str
) -> NDArray[np.int64]:
    """The same with PyTorch: only a block of the gallery, and the best so far, are on the device at a time."""
    asked, mine = torch.from_numpy(queries).to(device), torch.from_numpy(own).to(device)
    held = (mine >= 0).nonzero().flatten()
    k = min(k, len(gallery) - (1 if len(held) else 0))
    best = torch.empty((len(queries), 0), device=device)
    rows = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    for start in range(0, len(gallery), _DEVICE_BLOCK):
        block = torch.from_numpy(np.array(gallery[start : start + _DEVICE_BLOCK])).to(device).float()
        distances = (block**2).sum(1) - 2 * (asked @ block.T)
        inside = held[(mine[held] >= start) & (mine[held] < start + len(block))]
        distances[inside, mine[inside] - start] = torch.inf
        numbers = torch.arange(start, start + len(block), device=device).expand(len(queries), -1)
        # earlier rows stand first, so that a stable order leaves equals by row
        values, order = torch.cat([best, distances], 1).sort(stable=True, dim=1)
        best, rows = values[:, :k], torch.cat([rows, numbers], 1).gather(1, order[:, :k])
    return np.asarray(rows.cpu().numpy())
