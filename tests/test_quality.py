"""Squared error, structural similarity and sharpness against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from faceedit.complexion import face_window
from retrieval.evaluation.quality import quality


def pictures(n: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(p).resize((60, 60), Image.Resampling.BICUBIC)) for p in coarse])


def blurred(shown: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(1.5))) for p in shown])


def test_equal_pictures_are_perfect() -> None:
    shown = pictures()
    assert quality(shown, shown).summary() == {"mse": 0.0, "ssim": 1.0, "sharpness": 1.0}


def test_the_error_is_the_windows_weighted_mean() -> None:
    shown, other = pictures(), pictures()[::-1]
    weights = face_window().astype(float)
    difference = ((shown.astype(float) - other) ** 2).mean(3)
    expected = (difference * weights).sum((1, 2)) / weights.sum()
    assert np.allclose(quality(shown, other).mse, expected, rtol=1e-4)
    corner = shown.copy()
    corner[:, :5, :5] = 0  # no face there
    assert quality(corner, shown).mse.max() == 0


def test_ssim_equals_its_formula_at_one_place() -> None:
    """Wang et al. 2004 with an 11 x 11 Gaussian window of deviation 1.5, written out for the mean over the window."""
    a, b = pictures(1), blurred(pictures(1))
    grey_a, grey_b = ((p[0].astype(float) * [0.299, 0.587, 0.114]).sum(2) for p in (a, b))
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    padded_a, padded_b = (np.pad(g, 5, mode="reflect") for g in (grey_a, grey_b))
    table = np.empty((60, 60))
    for row in range(60):
        for column in range(60):
            x, y = (p[row : row + 11, column : column + 11] for p in (padded_a, padded_b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
            cov = (window * x * y).sum() - mx * my
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            table[row, column] = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    weights = face_window() / face_window().sum()
    assert quality(a, b).ssim[0] == pytest.approx((table * weights).sum(), abs=2e-3)


def test_blur_costs_sharpness_and_likeness() -> None:
    shown = pictures()
    soft = quality(blurred(shown), shown).summary()
    assert soft["sharpness"] < 0.6 and soft["ssim"] < 0.98 and soft["mse"] > 0
    assert quality(shown, blurred(shown)).summary()["sharpness"] > 1.6


def test_the_window_covers_the_face_and_not_the_corners() -> None:
    window = face_window()
    assert window.shape == (60, 60) and window.min() == 0 and window.max() == 1
    assert window[21, 22] == 1 and window[21, 37] == 1 and window[42, 30] == 1  # eyes, mouth
    assert window[:8].max() == 0 and window[:, :8].max() == 0 and window[:, -8:].max() == 0
