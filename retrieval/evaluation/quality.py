"""How good imagined pictures are beside the real ones: squared error, structural similarity and sharpness.

`quality` looks at the face only, within `faceedit.complexion.face_window`, so that models that keep the background and
models that leave it out can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceedit.complexion import face_window

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
_RADIUS, _SIGMA = 5, 1.5  # of the 11 x 11 window of Wang et al. 2004
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_CHUNK = 512

Pictures = NDArray[np.uint8]
Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """Each (Q,). mse: per-pixel squared error in 0..255 units; ssim: 1 for equal pictures; sharpness, true_sharpness:
    variance of the Laplacian of the grey picture and of the real one."""

    mse: Figures
    ssim: Figures
    sharpness: Figures
    true_sharpness: Figures

    def summary(self) -> dict[str, float]:
        """Means, and the sharpness of the pictures over that of the real ones."""
        return {
            "mse": round(float(self.mse.mean()), 1),
            "ssim": round(float(self.ssim.mean()), 4),
            "sharpness": round(float(self.sharpness.mean() / self.true_sharpness.mean()), 3),
        }


def quality(made: Pictures, truths: Pictures) -> Quality:
    """Compare imagined with real pictures, both (Q, 60, 60, 3) uint8."""
    weights = torch.from_numpy(face_window())
    weights = weights / weights.sum()
    parts = []
    for start in range(0, len(made), _CHUNK):
        a, b = (_floats(pictures[start : start + _CHUNK]) for pictures in (made, truths))
        grey_a, grey_b = _grey(a), _grey(b)
        mse = (((a - b) ** 2).mean(1) * weights).sum((1, 2))
        ssim = (_ssim_map(grey_a, grey_b)[:, 0] * weights).sum((1, 2))
        parts.append(torch.stack([mse, ssim, _sharpness(grey_a, weights), _sharpness(grey_b, weights)]))
    figures = torch.cat(parts, 1).double().numpy() if parts else np.zeros((4, 0))
    return Quality(*figures)


def per_pixel_mse(made: Pictures, truths: Pictures) -> Figures:
    """(Q,) mean over pixels and channels of the squared difference, in 0..255 units."""
    out = np.empty(len(made))
    for start in range(0, len(made), 256):
        part = slice(start, start + 256)
        difference = made[part].astype(np.float32) - truths[part]
        out[part] = (difference**2).mean((1, 2, 3))
    return out


def _floats(pictures: Pictures) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()


def _grey(pictures: Tensor) -> Tensor:
    return (pictures * torch.tensor(_GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """(Q, 1, H, W) of two grey pictures in 0..255 (Wang, Bovik, Sheikh, Simoncelli 2004)."""
    steps = torch.arange(-_RADIUS, _RADIUS + 1).float()
    line = torch.exp(-(steps**2) / (2 * _SIGMA**2))
    line = line / line.sum()
    window = (line[:, None] * line)[None, None]

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, [_RADIUS] * 4, mode="reflect"), window)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    return ((2 * mean_a * mean_b + _C1) * (2 * both + _C2)) / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))


def _sharpness(grey: Tensor, weights: Tensor) -> Tensor:
    """(Q,) variance of the Laplacian (Pech-Pacheco et al. 2000), weighted."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = F.conv2d(F.pad(grey, [1] * 4, mode="replicate"), kernel)[:, 0]
    mean = (edges * weights).sum((1, 2), keepdim=True)
    return ((edges - mean) ** 2 * weights).sum((1, 2))
