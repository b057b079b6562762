"""Occlusion patterns of the inpainting task: ten black blocks of different shapes, one laid on the face at a random
place (the paper, section 4.2). A pattern and its place depend on nothing but numbers, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from faceedit.images import SIZE, Picture

PATTERNS = 10
_SMALLEST, _LARGEST = 18, 32  # sides of the blocks, pixels
_FACE = (12, 48)  # the block's centre lies on the face: rows and columns of the crop
Mask = NDArray[np.bool_]


@lru_cache(maxsize=4)
def patterns(seed: int = 0) -> tuple[Mask, ...]:
    """Ten masks (h, w), True where the block is black: rectangles, ellipses, triangles, L and cross shapes."""
    rng = np.random.default_rng([seed, PATTERNS])
    return tuple(_shape(kind % 5, rng) for kind in range(PATTERNS))


def _shape(kind: int, rng: np.random.Generator) -> Mask:
    height, width = (int(v) for v in rng.integers(_SMALLEST, _LARGEST + 1, 2))
    image = Image.new("1", (width, height))
    pen = ImageDraw.Draw(image)
    right, bottom = width - 1, height - 1
    third_x, third_y = (int(n * rng.uniform(0.3, 0.5)) for n in (width, height))
    if kind == 0:
        pen.rectangle((0, 0, right, bottom), fill=1)
    elif kind == 1:
        pen.ellipse((0, 0, right, bottom), fill=1)
    elif kind == 2:
        pen.polygon(((int(rng.integers(0, width)), 0), (0, bottom), (right, bottom)), fill=1)
    elif kind == 3:  # an L, and with luck a turned one
        pen.rectangle((0, 0, third_x, bottom), fill=1)
        pen.rectangle((0, bottom - third_y, right, bottom), fill=1)
    else:  # a cross
        pen.rectangle((third_x // 2 + width // 5, 0, right - width // 5 - third_x // 2, bottom), fill=1)
        pen.rectangle((0, third_y // 2 + height // 5, right, bottom - height // 5 - third_y // 2), fill=1)
    return np.rot90(np.array(image, dtype=bool), int(rng.integers(4))).copy()


def occlude(picture: Picture, rng: np.random.Generator, seed: int = 0) -> Picture:
    """A copy of (60, 60, 3) uint8 with one of the ten patterns of `seed` laid on it, black; rng chooses which, and
    where."""
    mask = occlusion_mask(rng, seed)
    return np.where(mask[..., None], np.uint8(0), picture)


def crops_at(images: NDArray[np.uint8], rows: NDArray[np.int64], draw: Sequence[int]) -> NDArray[np.uint8]:
    """The pictures (R, 60, 60, 3) of these rows (R,). A row N + r is picture r of N occluded; the same numbers `draw`
    give it the same pattern at the same place."""
    n = len(images)
    out = images[rows % n]
    for i in np.flatnonzero(rows >= n):
        out[i] = occlude(out[i], np.random.default_rng([*draw, int(rows[i]) - n]))
    return out


def occlusion_mask(rng: np.random.Generator, seed: int = 0) -> Mask:
    """(60, 60): True where the face is hidden."""
    shape = patterns(seed)[int(rng.integers(PATTERNS))]
    out = np.zeros((SIZE, SIZE), bool)
    height, width = shape.shape
    top, left = (int(rng.integers(*_FACE)) - n // 2 for n in (height, width))
    rows, columns = (slice(max(0, start), min(SIZE, start + n)) for start, n in ((top, height), (left, width)))
    out[rows, columns] = shape[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return out
