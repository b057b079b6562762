"""Whitening: what two descriptors of one picture differ in should not count."""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.errors import TrainingError


def whitening(noise: Tensor, floor: float) -> Tensor:
    """(D, D) what makes differences of second moment `noise` (D, D), not centred, equally large in every direction, but
    for `floor` times the mean added in each; as long, all in all, as the identity. It is within-class covariance
    normalisation (Hatch, Kajarekar, Stolcke, Interspeech 2006), where a class is what belongs together: an imagined
    picture and the stored one. Raises TrainingError when nothing differs."""
    if not (torch.isfinite(noise).all() and noise.diagonal().sum() > 0):
        raise TrainingError(
            "the descriptors that were compared do not differ: train stage two first, or set whitening=0"
        )
    spread, directions = torch.linalg.eigh(noise)
    spread = spread.clamp(min=0) + floor * spread.mean()
    scales = spread.rsqrt()
    by: Tensor = (directions * (scales / scales.square().mean().sqrt())) @ directions.T
    return by
