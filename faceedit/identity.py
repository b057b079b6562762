"""A small network that tells people (and their expressions) apart, whatever the pose, the light and the background.

It sees only pictures that were rendered here, and learns by InfoNCE (van den Oord, Li, Vinyals 2018): two pictures of
one person making one face have nearer descriptors than any others of the batch. It serves as a loss for both stages'
pictures and as a part of the descriptor, and shows the other part what it saw.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

IDENTITY_SIZE = 256
MIDDLE = 128  # channels of what it has seen half-way


class Seen(NamedTuple):
    """Activations on the way, for B pictures: first (B, 32, 60, 60), stem (B, 64, 30, 30), middle (B, 128, 15, 15), as
    large as the refinement's descriptor layer, and top (B, 256, 8, 8)."""

    first: Tensor
    stem: Tensor
    middle: Tensor
    top: Tensor


def _unit(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_unit(channels, channels), _unit(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


class IdentityNetwork(nn.Module):
    """3x60x60 normalised -> (B, 256) of length 1."""

    def __init__(self, size: int = IDENTITY_SIZE) -> None:
        super().__init__()
        self.size = size
        self.stem = nn.Sequential(_unit(3, 32), _unit(32, 64, 2), Residual(64))  # 64x30x30
        self.middle = nn.Sequential(_unit(64, MIDDLE, 2), Residual(MIDDLE))  # 128x15x15
        self.top = nn.Sequential(_unit(MIDDLE, 256, 2), Residual(256))  # 256x8x8
        self.narrow = nn.Conv2d(256, 64, 1)
        self.out = nn.Linear(64 * 64, size)

    def features(self, x: Tensor) -> Seen:
        """What is seen on the way, for a feature loss (Johnson, Alahi, Fei-Fei, ECCV 2016)."""
        first = self.stem[0](x)
        stem = self.stem[1:](first)
        middle = self.middle(stem)
        return Seen(first, stem, middle, self.top(middle))

    def half_way(self, x: Tensor) -> Tensor:
        """`features(x).middle` alone, (B, 128, 15, 15)."""
        return self.middle(self.stem(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.named(self.features(x))

    def named(self, seen: Seen) -> Tensor:
        """The descriptor (B, 256) of what was seen."""
        return F.normalize(self.out(F.relu(self.narrow(seen.top)).flatten(1)).float(), dim=1)

    def both(self, x: Tensor, seen: Seen | None = None) -> Tensor:
        """The mean of a picture's descriptor and its mirror image's, of length 1: people are nearly symmetric.
        seen: in x, where that is known already."""
        own = self(x) if seen is None else self.named(seen)
        return F.normalize(own + self(x.flip(3)), dim=1)
