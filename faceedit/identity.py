"""A small network that tells people (and their expressions) apart, whatever the pose, the light and the background.

It sees only pictures that were rendered here, and learns by InfoNCE (van den Oord, Li, Vinyals 2018): two pictures of
one person making one face have nearer descriptors than any others of the batch. It serves as a loss for the generation
network and as a part of the descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IDENTITY_SIZE = 256
MIDDLE = 2  # of its features: 128x15x15, as large as the refinement's descriptor layer


def _unit(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
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
        self.stem = nn.Sequential(_unit(3, 32), _unit(32, 64, 2), _Residual(64))  # 64x30x30
        self.middle = nn.Sequential(_unit(64, 128, 2), _Residual(128))  # 128x15x15
        self.top = nn.Sequential(_unit(128, 256, 2), _Residual(256))  # 256x8x8
        self.narrow = nn.Conv2d(256, 64, 1)
        self.out = nn.Linear(64 * 64, size)

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations after the first convolution (32x60x60) and after each part, for a feature loss (Johnson,
        Alahi, Fei-Fei, ECCV 2016)."""
        first = self.stem[0](x)
        stem = self.stem[1:](first)
        middle = self.middle(stem)
        return [first, stem, middle, self.top(middle)]

    def forward(self, x: Tensor) -> Tensor:
        return self.named(self.features(x))

    def named(self, features: Sequence[Tensor]) -> Tensor:
        """The descriptor (B, 256) of what `features` gave."""
        return F.normalize(self.out(F.relu(self.narrow(features[-1])).flatten(1)).float(), dim=1)

    def both(self, x: Tensor, features: Sequence[Tensor] | None = None) -> Tensor:
        """The mean of a picture's descriptor and its mirror image's, of length 1: people are nearly symmetric.
        features: of x, where they are known already."""
        own = self(x) if features is None else self.named(features)
        return F.normalize(own + self(x.flip(3)), dim=1)


def info_nce(a: Tensor, b: Tensor, scale: float = 16.0) -> Tensor:
    """Mean over both directions of -log p(own | all), for rows of length 1 (B, D) that belong together in order."""
    likeness = scale * a @ b.T
    own = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2
