"""What colour a face has: where it lies in crops, the chroma of what is seen there, and numbers to compare it by."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.images import SIZE

_FACE = (29.5, 35.0, 17.0, 20.0)  # an ellipse, centre and half axes in pixels: eyes at 21, chin at 54 (align.py)
_SOFT = 0.3  # width of its edge
_SKIN = slice(22, 50)  # rows: below the brows, above the chin's edge
_NEAR = 2.0  # chromas so far apart are hardly alike any more, of CIE 1976 a* and b*; chosen on renders
_RINGS, _ANGLES = 4, 6  # so that pictures whose colours are far apart have nothing to do with each other
CODE = 2 * _RINGS * _ANGLES  # numbers
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)  # D65


def face_window() -> NDArray[np.float32]:
    """(60, 60) in 0..1: where aligned crops show the face. At 45 degrees a quarter of it lies behind the profile."""
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    distance = np.hypot((across - _FACE[0]) / _FACE[2], (down - _FACE[1]) / _FACE[3])
    return np.asarray(np.clip((1 - distance) / _SOFT + 0.5, 0, 1), np.float32)


def complexion(pictures: Tensor) -> Tensor:
    """(N, 2) the median a* and b* (CIE 1976, sRGB under D65) of the skin on crops (N, 3, 60, 60) of 0..255."""
    rgb = pictures.flatten(2)[:, :, torch.from_numpy(_skin()).to(pictures.device)].float().clamp(0, 255) / 255
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratios = torch.einsum("xc,ncp->nxp", rgb.new_tensor(_TO_XYZ), linear) / rgb.new_tensor(_WHITE)[:, None]
    x, y, z = torch.where(ratios > 216 / 24389, ratios.pow(1 / 3), ratios * (24389 / 27 / 116) + 16 / 116).unbind(1)
    return torch.stack([500 * (x - y), 200 * (y - z)], 1).median(2).values


def chroma_codes(chromas: Tensor) -> Tensor:
    """(N, CODE) of length 1 for chromas (N, 2): up to a distance d of three and a half _NEAR the inner product is
    exp(-d^2 / 2 _NEAR^2) within 0.04; beyond, where that is 0, it is between -0.36 and 0.5 by chance, the nearer to 0
    the more rings there are. By frequencies of the Gaussian on a few rings (Rahimi, Recht, NIPS 2007; here by
    Gauss-Laguerre quadrature)."""
    frequencies, weights = (torch.from_numpy(of).to(chromas) for of in _frequencies())
    phases = chromas @ frequencies.T
    return torch.cat([phases.cos(), phases.sin()], 1) * weights.sqrt().repeat(2)


@cache
def _skin() -> NDArray[np.int64]:
    """Which of the 3,600 pixels."""
    where = face_window() > 0.5
    where[: _SKIN.start], where[_SKIN.stop :] = False, False
    return np.flatnonzero(where)


@cache
def _frequencies() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, 2) and their weights (K,), of sum 1."""
    squares, weights = np.polynomial.laguerre.laggauss(_RINGS)
    found = [
        (math.sqrt(2 * square) / _NEAR, math.pi * (i + 0.5 * (ring % 2)) / _ANGLES)
        for ring, square in enumerate(squares.tolist())
        for i in range(_ANGLES)
    ]
    return np.array([(r * math.cos(a), r * math.sin(a)) for r, a in found]), np.repeat(weights, _ANGLES) / _ANGLES
