"""The losses, each a pure function of tensors: no network, no recipe, no state. What a stage's loss is made of, and how
much each part weighs, is said in `faceedit.training.stages`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def squared_error(error: Tensor, summed: bool = False) -> Tensor:
    """Mean square of an error (B, C, H, W); summed: over each picture instead, and averaged over the batch."""
    return (error**2).sum() / len(error) if summed else (error**2).mean()


def coarse_difference(a: Tensor, b: Tensor, block: int = 6) -> Tensor:
    """Mean absolute difference of the means of pictures (B, C, H, W) over blocks of so many pixels a side: how unlike
    their colours are, whatever is sharp in them."""
    return F.avg_pool2d(a - b, block).abs().mean()


def gradient_difference(error: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels' errors (B, C, H, W), across and down: how unlike the edges of
    two pictures are (Mathieu, Couprie, LeCun, ICLR 2016, with exponent 1)."""
    return error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()


def feature_loss(here: Sequence[Tensor], there: Sequence[Tensor]) -> Tensor:
    """How far activations `here` are from those `there`, layer by layer, of any shapes: the mean square of the
    difference over the mean square there, averaged over the layers (Johnson, Alahi, Fei-Fei, ECCV 2016)."""
    ratios = [((a.float() - b.float()) ** 2).mean() / (b.float() ** 2).mean() for a, b in zip(here, there, strict=True)]
    return torch.stack(ratios).mean()


def info_nce(a: Tensor, b: Tensor, scale: float = 16.0) -> Tensor:
    """Mean over both directions of -log p(own | all), for rows of length 1 (B, D) that belong together in order
    (van den Oord, Li, Vinyals 2018)."""
    likeness = scale * a @ b.T
    own = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2


def contrast(query: Tensor, stored: Tensor, unturned: Tensor, scale: float, people: Tensor | None = None) -> Tensor:
    """InfoNCE of edits in both directions, summed: the descriptor (B, D) of a picture turned to a value is that of its
    own person and light `stored` at that value, rather than another's, or than its own `unturned` at the value that it
    came from; and, back, each stored one's is its own query's. people (B,): whose each row is, where only rows of the
    same person are each other's look-alikes."""
    likeness = scale * query @ torch.cat([stored, unturned]).T  # (B, 2 B)
    if people is not None:
        others = people[:, None] != people
        likeness = likeness.masked_fill(others.repeat(1, 2), -math.inf)
    own = torch.arange(len(query), device=query.device)
    return F.cross_entropy(likeness, own) + F.cross_entropy(likeness[:, : len(query)].T, own)


def value_loss(scores: Tensor, own: Tensor) -> Tensor:
    """Cross-entropy of scores (B, n_a) of each attribute value against the positions (B,) that pictures have."""
    return F.cross_entropy(scores.float(), own)


FAR = 1.5  # a place in the source that is farther off than this counts no more: it lies outside


def flow_error(flow: Tensor, truth: Tensor, seen: Tensor, exists: Tensor, hidden: float) -> Tensor:
    """Mean |dx| + |dy|, at most FAR, of flows (B, H, W, 2) where the source shows the point: seen (B, H, W) bool. Where
    the point exists and is covered, its place is known all the same and counts `hidden` times as much: that keeps the
    flow smooth there."""
    weight = seen + hidden * (exists & ~seen)
    distance = (flow - truth).abs().sum(-1).clamp_max(FAR)
    return (distance * weight).sum() / weight.sum().clamp_min(1)


def source_of_pixels(scores: Tensor, seen: Tensor, mirrored_seen: Tensor) -> Tensor:
    """Cross-entropy of the weights' logits (B, 3, H, W): 0 where the source shows the point, else 1 where it shows the
    mirrored one, else 2."""
    return F.cross_entropy(scores, torch.where(seen, 0, torch.where(mirrored_seen, 1, 2)))


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute second difference of a flow (B, H, W, 2), across plus down."""
    return flow.diff(n=2, dim=1).abs().mean() + flow.diff(n=2, dim=2).abs().mean()


def hinge_of_critic(real: Tensor, made: Tensor) -> Tensor:
    """A critic's loss: scores of real pictures above 1, of made ones below -1 (Lim and Ye, 2017; Miyato et al., ICLR
    2018)."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()
