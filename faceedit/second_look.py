"""What is believed of a face that a detector is not sure of: looks at it alone, and what the landmark network says.

Whatever the size, and mirrored, a face is seen again, and two networks say the same of its points; a headlamp or a
letter looks like one by chance, seldom twice. How much each sign weighs was fitted by logistic regression, to renders
in drawn and photographed scenes, blurred, dark, noisy and hidden in part, and to what the detector takes for faces in
pictures without anybody (docs/results.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from faceedit.images import Picture
from faceedit.landmarks import shipped_finder

if TYPE_CHECKING:
    from faceedit.face_detector import Face

_POINTS = ("eye_left", "eye_right", "mouth_left", "mouth_right")
_AROUND = 2  # times the longer side of a box that is looked at
_SIDES = (64, 160)  # pixels that these have then
_NEAR = 1 / 3  # of a box's sides, that the middle of the same face's may lie elsewhere
_SPREAD, _APART = 0.28, 0.78  # what it takes from how surely a face is seen again, of a share of 1
_SHARP = 30  # pixels of a box's height: of fewer, the points of a face are spread over more places, by their logarithm
_LEAST = -0.57  # a tenth of the renders that the detector is not sure of have less, and seven eighths of what is none
_CUT_OFF = 0.85  # how sure the detector is, at least, of what lies beyond the border in part: it is told of that

Detected = Callable[[Picture], Iterable["Face"]]
"""What a detector sees in BGR pixels, in these pixels."""


def is_believed(face: Face, pixels: Picture, detected: Detected) -> bool:
    """Whether a face that was detected in BGR pixels, upright and in these pixels, is one. Raises ModelFileError for a
    damaged landmark network."""
    if not _shows_all_points(face, pixels):
        return face.score >= _CUT_OFF  # there is nothing to look at again
    patch, there = _cut_out(face, pixels)
    again = float(np.mean([_seen_again(there, patch, side, detected) for side in _SIDES]))
    spread, apart = _doubts(there, patch)
    return again - _SPREAD * spread - _APART * apart >= _LEAST


def _shows_all_points(face: Face, pixels: Picture) -> bool:
    height, width = pixels.shape[:2]
    points = (getattr(face.landmarks, name) for name in _POINTS)
    return all(0 <= x <= width and 0 <= y <= height for x, y in points)


def _cut_out(face: Face, pixels: Picture) -> tuple[Picture, Face]:
    """A square around a face, what is beyond the border repeated, and the face in it."""
    import cv2

    left, top, width, height = face.box
    side = max(round(_AROUND * max(width, height)), 2)
    middle = (round(left + width / 2), round(top + height / 2))
    x, y = (one - side / 2 for one in middle)
    patch: Picture = np.asarray(cv2.getRectSubPix(pixels, (side, side), middle), np.uint8)
    return patch, face.moved(-x, -y)


def with_side(pixels: Picture, side: int) -> Picture:
    """Pixels, their longer side so many."""
    import cv2

    scale = side / max(pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(1, round(scale * one)) for one in (pixels.shape[1], pixels.shape[0])]
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def _seen_again(face: Face, patch: Picture, side: int, detected: Detected) -> float:
    """How surely a face in the middle of a patch is seen, 0 to 1, where that has so many pixels, plain and mirrored."""
    share, small = side / len(patch), with_side(patch, side)
    near = (_NEAR * share * face.box[2], _NEAR * share * face.box[3])
    both = (small, np.ascontiguousarray(small[:, ::-1]))
    return float(np.mean([_surest(detected(one), side, near) for one in both]))


def _surest(found: Iterable[Face], side: int, near: tuple[float, float]) -> float:
    """How sure the surest face is whose middle is so near the middle of a square; 0 where there is none."""
    return max((face.score for face in found if _is_near(face, side / 2, near)), default=0.0)


def _is_near(face: Face, middle: float, near: tuple[float, float]) -> bool:
    left, top, width, height = face.box
    return abs(left + width / 2 - middle) < near[0] and abs(top + height / 2 - middle) < near[1]


def _doubts(face: Face, patch: Picture) -> tuple[float, float]:
    """Of a face in BGR pixels: how much more spread over the places the landmark network's points are than so few
    pixels make them, nats, and how far they lie from the detector's, of the way from its eyes to its mouth."""
    found, spread = shipped_finder().judged(Image.fromarray(np.ascontiguousarray(patch[:, :, ::-1])), face)
    given = face.landmarks
    apart = [np.subtract(getattr(found, name), getattr(given, name)) for name in _POINTS]
    down = float(np.linalg.norm(np.subtract(given.mouth, given.eyes)))
    blurred = math.log(_SHARP / min(max(face.box[3], 1.0), _SHARP))
    return spread - blurred, float(np.linalg.norm(apart, axis=1).mean()) / max(down, 1e-6)
