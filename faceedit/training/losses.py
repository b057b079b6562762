"""What training makes small, as pure functions of tensors. Pictures are normalised, (N, 3, H, W); flows are
(N, H, W, 2) places in the source, across and down, -1..1 from border to border."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FAR = 1.5  # a place that is farther off than this counts no more: it lies outside the source


def squared_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error."""
    return ((made - wanted) ** 2).mean()


def gradient_difference(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbours, across plus down (Mathieu, Couprie, LeCun, ICLR
    2016)."""
    error = made - wanted
    return error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()


def flow_error(flow: Tensor, truth: Tensor, seen: Tensor, exists: Tensor, hidden: float) -> Tensor:
    """Mean |dx| + |dy|, at most FAR, where the source shows the point: seen (N, H, W) bool. Where the point exists and
    is covered, its place is known all the same and counts `hidden` times as much: that keeps the flow smooth there."""
    weight = seen + hidden * (exists & ~seen)
    distance = (flow - truth).abs().sum(-1).clamp_max(FAR)
    return (distance * weight).sum() / weight.sum().clamp_min(1)


def source_of_pixels(scores: Tensor, seen: Tensor, mirrored_seen: Tensor) -> Tensor:
    """Cross-entropy of the weights' logits (N, 3, H, W): 0 where the source shows the point, else 1 where it shows the
    mirrored one, else 2."""
    label = torch.where(seen, 0, torch.where(mirrored_seen, 1, 2))
    return F.cross_entropy(scores, label)


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute second difference of a flow, across plus down."""
    return flow.diff(n=2, dim=1).abs().mean() + flow.diff(n=2, dim=2).abs().mean()


def feature_error(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Squared error of what a network sees in pictures, relative to how strong that is, averaged over its layers
    (Johnson, Alahi, Fei-Fei, ECCV 2016)."""
    ratios = [
        ((a.float() - b.float()) ** 2).mean() / (b.float() ** 2).mean() for a, b in zip(made, wanted, strict=True)
    ]
    return torch.stack(ratios).mean()


def hinge_of_critic(real: Tensor, made: Tensor) -> Tensor:
    """A critic's loss: scores of real pictures above 1, of made ones below -1 (Lim and Ye, 2017; Miyato et al., ICLR
    2018)."""
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()
