"""Weights averaged over the updates, which are calmer than those of any one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def share_kept(most: float, step: int) -> float:
    """Of the average before, after update `step` (from 0): little at first, since it began with nothing learnt."""
    return min(most, (step + 1) / (step + 10))


class Averages:
    """Moving averages of parameters (Polyak and Juditsky 1992) or of what else changes with them, with the share `most`
    of the average before each update; with 0 there are none."""

    def __init__(self, parameters: Sequence[Tensor], most: float) -> None:
        self._parameters, self._most = list(parameters) if most > 0 else [], most
        self._kept = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Note what update `step` made of the parameters."""
        for kept, parameter in zip(self._kept, self._parameters, strict=True):
            kept.lerp_(parameter, 1 - share_kept(self._most, step))

    @torch.no_grad()
    def put(self) -> None:
        """Make the averages the parameters."""
        for kept, parameter in zip(self._kept, self._parameters, strict=True):
            parameter.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """The averages, by the parameters' numbers."""
        return {str(number): kept for number, kept in enumerate(self._kept)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave. Raises KeyError when an average is missing."""
        for number, kept in enumerate(self._kept):
            kept.copy_(state[str(number)])
