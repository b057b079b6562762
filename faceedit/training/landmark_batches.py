"""Batches to learn landmarks from: the square around what a detector said, a little elsewhere, of a person before a
random background; under another exposure, hidden in part, out of focus, noisy, compressed or grey."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.align import CHIN, EYES
from faceedit.landmarks import SIDE, square_around
from faceedit.training.augmentation import (
    Augmentation,
    colourless,
    composite,
    compressed,
    grainy,
    random_backgrounds,
    toned,
)
from faceedit.training.landmark_pictures import LandmarkPictures
from faceedit.training.occluders import occluder

_KNOBS = Augmentation(gamma=0.3, exposure=0.25, white_balance=0.1, noise=0.06, compression=0.4)
_SHIFT, _SCALE, _ROLL = 0.02, 0.05, math.radians(4)  # spread of where the square lies besides a detector's own errors
_HIDDEN, _SOFT, _GREY, _CONTRAST = 0.22, 0.35, 0.15, 0.25  # shares of pictures; of the logarithm
_COARSEST = 20  # pixels that a soft picture may have had
_OCCLUDERS, _BLACK = 300, 0.2  # drawn once; share of them that are the paper's patterns
_AT_ONCE = 128  # pictures
_MIRRORED = [1, 0, 3, 2, 4]


@dataclass(frozen=True)
class Batch:
    """seen (B, 3, 64, 64) RGB 0..1; true (B, 5, 2) where the points are, shares of the side; yaw (B,) degrees."""

    seen: Tensor
    true: Tensor
    yaw: Tensor


class Batches:
    """Batches of some people's pictures. The same seed and step give the same."""

    def __init__(self, data: LandmarkPictures, seed: int) -> None:
        self._data, self._seed = data, seed
        rng = np.random.default_rng([seed, 0x0CC])
        drawn = [occluder(rng, _BLACK) for _ in range(_OCCLUDERS)]
        colours = torch.from_numpy(np.stack([one.colours for one in drawn])).permute(0, 3, 1, 2) / 255
        cover = torch.from_numpy(np.stack([one.cover for one in drawn]))[:, None]
        self._occluders = torch.cat([colours * cover, cover], 1)

    def draw(self, step: int, count: int) -> Batch:
        """Pictures at random, each seen anew."""
        random = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        return self._seen(torch.randint(len(self._data), (count,), generator=random), random)

    def all(self) -> Batch:
        """Every picture once."""
        random = torch.Generator().manual_seed(self._seed)
        parts = [self._seen(rows, random) for rows in _parts(torch.arange(len(self._data)))]
        return Batch(*(torch.cat([getattr(part, name) for part in parts]) for name in ("seen", "true", "yaw")))

    def _seen(self, rows: Tensor, random: torch.Generator) -> Batch:
        data = self._data
        points, looks = data.points[rows], data.detected[rows]
        look = looks[torch.arange(len(rows)), torch.randint(looks.shape[1], (len(rows),), generator=random)]
        look = torch.where(look.isfinite(), look, points[:, :4])  # a face that was not found would not be asked for
        square = _elsewhere(torch.from_numpy(square_around(look.numpy())), random)
        true = (points - square[:, None, :, 2]) @ torch.linalg.inv(square[:, :, :2]).mT
        pictures = data.pictures[rows].permute(0, 3, 1, 2).float()
        seen = self._photographed(_sampled(pictures, square) / 255, true, random)
        flip = torch.rand(len(rows), generator=random) < 0.5
        mirrored = torch.stack([1 - true[:, _MIRRORED, 0], true[:, _MIRRORED, 1]], -1)
        return Batch(
            torch.where(flip[:, None, None, None], seen.flip(3), seen),
            torch.where(flip[:, None, None], mirrored, true),
            data.yaw[rows],
        )

    def _photographed(self, cut_out: Tensor, true: Tensor, random: torch.Generator) -> Tensor:
        count, person, mask = len(cut_out), cut_out[:, :3], cut_out[:, 3:]
        gamma = torch.exp(_KNOBS.gamma * torch.randn(count, 1, 1, 1, generator=random))
        gain = _KNOBS.exposure * torch.randn(count, 1, 1, 1, generator=random)
        gain = torch.exp(gain + _KNOBS.white_balance * torch.randn(count, 3, 1, 1, generator=random))
        behind = random_backgrounds(count, SIDE, random, "cpu", _KNOBS.textures)
        seen = composite(toned(person, mask, gamma, gain), mask, behind)
        seen = _soft(self._hidden(seen, true, random), random)
        seen = colourless(compressed(grainy(seen, _KNOBS, random), _KNOBS, random), _GREY, random)
        contrast = torch.exp(_CONTRAST * torch.randn(count, 1, 1, 1, generator=random))
        mean = seen.mean((1, 2, 3), keepdim=True)
        return ((seen - mean) * contrast + mean).clamp(0, 1)

    def _hidden(self, seen: Tensor, true: Tensor, random: torch.Generator) -> Tensor:
        """Some of them with something before the face, about where the crop would have it."""
        count = len(seen)
        chosen = torch.randint(len(self._occluders), (count,), generator=random)
        before = self._occluders[chosen] * (torch.rand(count, 1, 1, 1, generator=random) < _HIDDEN)
        eyes, mouth = true[:, :2].mean(1), true[:, 2:4].mean(1)
        side = (true[:, 4, 1] - eyes[:, 1]) / (CHIN - EYES)
        middle = torch.stack([(eyes[:, 0] + mouth[:, 0]) / 2, eyes[:, 1] + (0.5 - EYES) * side], 1)
        side = side * torch.exp(0.15 * torch.randn(count, generator=random))
        middle = middle + 0.06 * torch.randn(count, 2, generator=random)
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = 1 / side
        theta[:, :, 2] = -(2 * middle - 1) / side[:, None]
        grid = F.affine_grid(theta, [count, 4, SIDE, SIDE], align_corners=False)
        laid = F.grid_sample(before, grid, align_corners=False)
        return laid[:, :3] + (1 - laid[:, 3:]) * seen


def _parts(rows: Tensor) -> list[Tensor]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]


def _elsewhere(square: Tensor, random: torch.Generator) -> Tensor:
    """Squares (B, 2, 3) shifted, scaled and turned a little."""
    drawn = torch.randn(len(square), 4, generator=random).clamp(-2.5, 2.5)
    scale, roll = torch.exp(_SCALE * drawn[:, 2]), _ROLL * drawn[:, 3]
    turn = torch.stack([roll.cos(), -roll.sin(), roll.sin(), roll.cos()], 1).view(-1, 2, 2) * scale[:, None, None]
    half = torch.tensor([0.5, 0.5])
    corner = half + _SHIFT * drawn[:, :2] - turn @ half
    linear = square[:, :, :2]
    return torch.cat([linear @ turn, linear @ corner[:, :, None] + square[:, :, 2:]], 2)


def _sampled(pictures: Tensor, square: Tensor) -> Tensor:
    """What lies in each picture's square, (B, C, 64, 64); black beyond the border."""
    count, channels, _, side = pictures.shape
    theta = torch.cat([square[:, :, :2] / side, torch.zeros(count, 2, 1)], 2)
    theta[:, :, 2] = 2 * (square[:, :, 2] + square[:, :, :2] @ torch.tensor([0.5, 0.5])) / side - 1
    grid = F.affine_grid(theta, [count, channels, 2 * SIDE, 2 * SIDE], align_corners=False)
    return F.avg_pool2d(F.grid_sample(pictures, grid, align_corners=False), 2)


def _soft(seen: Tensor, random: torch.Generator) -> Tensor:
    """Some of them as if they had had fewer pixels."""
    chosen = torch.rand(len(seen), generator=random) < _SOFT
    sizes = torch.randint(_COARSEST, SIDE, (len(seen),), generator=random)
    out = seen.clone()
    for row in chosen.nonzero().flatten().tolist():
        size = (int(sizes[row]),) * 2
        small = F.interpolate(seen[row : row + 1], size=size, mode="bilinear", antialias=True)
        out[row : row + 1] = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    return out
