"""Alignment: a photograph and its landmarks to the crop that the networks see.

The eye line lies at 0.35 of the crop's height, the mouth line at 0.70 and the chin at about 0.90; the middle of eyes
and mouth lies in the middle of the width. The scale comes from eyes and chin where the chin is annotated (as in the
paper, section 4.1), else from eyes and mouth, which is what five-point detectors give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PIL import Image

from faceedit.errors import LandmarkError
from faceedit.images import LARGEST, SIZE, Picture

EYES, MOUTH, CHIN = 0.35, 0.70, 0.90  # heights in the crop, from the top
_LARGEST, _SMALLEST = 3.0, 8.0  # a crop's side may be that many photographs, or that few pixels
_SLACK = 1.0  # pixels that a point may lie beyond the border, or from another
_BELOW = 0.15  # of the way from the eyes to the chin, that this may lie below the border: pictures end at chins
_NEAREST = 0.05  # of eyes and mouth to one another, of the way between them: in profile, eyes are four times as far
_SAMPLES = 4  # per pixel of the crop and direction; a finer photograph is averaged down first
POINTS = ("eye_left", "eye_right", "mouth_left", "mouth_right")  # and perhaps "chin"

Point = tuple[float, float]


@dataclass(frozen=True)
class Landmarks:
    """Points (x, y) in pixels of the upright photograph, from its top-left corner; left and right as the image shows
    them. chin: its lowest point, where known."""

    eye_left: Point
    eye_right: Point
    mouth_left: Point
    mouth_right: Point
    chin: Point | None = None

    @property
    def eyes(self) -> Point:
        return middle(self.eye_left, self.eye_right)

    @property
    def mouth(self) -> Point:
        return middle(self.mouth_left, self.mouth_right)

    def known(self) -> dict[str, Point]:
        """Each point that is known, by its name."""
        points = {name: getattr(self, name) for name in POINTS}
        return points if self.chin is None else {**points, "chin": self.chin}


def landmarks_of(cells: Mapping[str, str]) -> Landmarks:
    """Landmarks from a table's row: eye_left_x, eye_left_y, eye_right_x, ... mouth_right_y, and chin_x, chin_y where
    there are any. Raises LandmarkError for a missing or empty cell, or text that is no number."""
    points: dict[str, Point] = {}
    chin = all(cells.get(f"chin_{axis}", "").strip() for axis in "xy")
    for name in (*POINTS, *(("chin",) if chin else ())):
        points[name] = (_number(cells, f"{name}_x"), _number(cells, f"{name}_y"))
    return Landmarks(**points)


def align(photograph: Image.Image, landmarks: Landmarks, size: int = SIZE, upright: bool = False) -> Picture:
    """The face as (size, size, 3) uint8 RGB.

    photograph: upright (EXIF orientation applied), in mode RGB; upright: also turn the face until its eyes are level.
    Where the crop reaches beyond the photograph its border is repeated. Raises LandmarkError for points that cannot be
    a face's.
    """
    # the photograph's x and y of a crop's (column, row): the eyes' middle plus multiples of two vectors per pixel
    roll = _roll(landmarks) if upright else 0.0
    down, right = (-math.sin(roll), math.cos(roll)), (math.cos(roll), math.sin(roll))
    side = _side(landmarks, down)
    _check(photograph, landmarks, side)
    return _sample(photograph, _corner(landmarks, side, right, down), right, down, side, size)


def larger_side(landmarks: Landmarks) -> int:
    """Pixels of a side of the face's crop as large as the photograph has it, but 60 to 240."""
    return round(min(max(crop_side(landmarks), SIZE), LARGEST))


def crop_side(landmarks: Landmarks) -> float:
    """How many pixels of the photograph a side of the crop has."""
    return _side(landmarks, (0.0, 1.0))


def crop_corner(landmarks: Landmarks) -> Point:
    """Where in the photograph the upper left corner of the crop is, as it is cut upright."""
    return _corner(landmarks, crop_side(landmarks), (1.0, 0.0), (0.0, 1.0))


def _corner(landmarks: Landmarks, side: float, right: Point, down: Point) -> Point:
    eyes, offset = landmarks.eyes, _along(landmarks.eyes, landmarks.mouth, right) / 2 - side / 2
    return (eyes[0] + offset * right[0] - EYES * side * down[0], eyes[1] + offset * right[1] - EYES * side * down[1])


def _side(landmarks: Landmarks, down: Point) -> float:
    lower, share = (landmarks.mouth, MOUTH - EYES) if landmarks.chin is None else (landmarks.chin, CHIN - EYES)
    return _along(landmarks.eyes, lower, down) / share


def _sample(photograph: Image.Image, corner: Point, right: Point, down: Point, side: float, size: int) -> Picture:
    """The square whose top-left corner and directions are given, averaged down to size x size."""
    photograph, corner, side = _part(photograph, corner, right, down, side, size)
    factor = max(1, math.ceil(side / size))  # samples per pixel and direction, so that nothing is left out
    fine = size * factor
    step = side / fine
    if (right, down) == ((1.0, 0.0), (0.0, 1.0)):
        means = _averaged(np.asarray(photograph, dtype=np.float32), corner, step, size, factor)
        return np.asarray(means.round().clip(0, 255), dtype=np.uint8)
    rows, columns = np.mgrid[0:fine, 0:fine] + 0.5
    x = corner[0] + (columns * right[0] + rows * down[0]) * step - 0.5
    y = corner[1] + (columns * right[1] + rows * down[1]) * step - 0.5
    values = _bilinear(np.asarray(photograph, dtype=np.float32), x, y)
    means = values.reshape(size, factor, size, factor, 3).mean((1, 3))
    return np.asarray(means.round().clip(0, 255), dtype=np.uint8)


def _averaged(pixels: np.ndarray, corner: Point, step: float, size: int, factor: int) -> np.ndarray:
    """What the mean of bilinear samples of an upright square is, in each direction by itself: a tenth of the time."""
    across = _weights(corner[0], step, size, factor, pixels.shape[1])
    down = _weights(corner[1], step, size, factor, pixels.shape[0])
    rows = (down @ pixels.reshape(len(pixels), -1)).reshape(size, -1, 3)
    return np.asarray(np.einsum("cx,rxk->rck", across, rows, optimize=True))


def _weights(start: float, step: float, size: int, factor: int, length: int) -> np.ndarray:
    """(size, length): how much each pixel of a row has of each pixel of the crop."""
    places = (start + (np.arange(size * factor) + 0.5) * step - 0.5).clip(0, length - 1)
    low = np.minimum(places.astype(int), length - 2).clip(0)
    share = (places - low).astype(np.float32)
    weights, crop = np.zeros((size, length), np.float32), np.arange(size * factor) // factor
    np.add.at(weights, (crop, low), (1 - share) / factor)
    np.add.at(weights, (crop, np.minimum(low + 1, length - 1)), share / factor)
    return weights


def _part(
    photograph: Image.Image, corner: Point, right: Point, down: Point, side: float, size: int
) -> tuple[Image.Image, Point, float]:
    """The part of the photograph that the square touches, no finer than needed, with the corner and side in it."""
    ends = [
        (corner[0] + side * (a * right[0] + b * down[0]), corner[1] + side * (a * right[1] + b * down[1]))
        for a in (0, 1)
        for b in (0, 1)
    ]
    reduction = max(1, int(side / size / _SAMPLES))
    margin = 2 * reduction
    low = [min(max(int(min(end[i] for end in ends)) - margin, 0), photograph.size[i] - 1) for i in (0, 1)]
    high = [max(min(int(max(end[i] for end in ends)) + margin, photograph.size[i]), low[i] + 1) for i in (0, 1)]
    part = photograph.crop((low[0], low[1], high[0], high[1])).reduce(reduction)
    inside = ((corner[0] - low[0]) / reduction, (corner[1] - low[1]) / reduction)
    return part, inside, side / reduction


def _bilinear(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2).clip(0), np.minimum(y.astype(int), height - 2).clip(0)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    u, v = (x - left)[..., None].astype(np.float32), (y - top)[..., None].astype(np.float32)
    above = pixels[top, left] * (1 - u) + pixels[top, right] * u
    below = pixels[bottom, left] * (1 - u) + pixels[bottom, right] * u
    return np.asarray(above * (1 - v) + below * v)


def _check(photograph: Image.Image, landmarks: Landmarks, side: float) -> None:
    wide, high = photograph.size
    _require_places(landmarks, wide, high)
    chin = landmarks.chin
    low_enough = chin is None or chin[1] > landmarks.mouth[1]
    if not low_enough or not _SMALLEST <= side <= _LARGEST * max(wide, high):
        raise LandmarkError(
            f"eyes at {_text(landmarks.eyes)}, mouth at {_text(landmarks.mouth)}"
            f"{f' and chin at {_text(chin)}' if chin else ''} of a photograph of {wide} x {high} "
            "pixels are no upright face: give x and y in pixels of the upright photograph"
        )


def _require_places(landmarks: Landmarks, wide: int, high: int) -> None:
    """Raise LandmarkError for a point outside the photograph, or two of eyes and mouth on one spot: whoever made them
    meant another photograph, or made them up."""
    points = landmarks.known()
    for name, (x, y) in points.items():
        below = max(_SLACK, _BELOW * (y - landmarks.eyes[1])) if name == "chin" else _SLACK
        if not (-_SLACK <= x <= wide + _SLACK and -_SLACK <= y <= high + below):
            raise LandmarkError(
                f"the landmark {name} at {_text((x, y))} lies outside the photograph of {wide} x {high} pixels: give x "
                "and y in pixels of the upright photograph"
            )
    least = max(_SLACK, _NEAREST * math.dist(landmarks.eyes, landmarks.mouth))
    for one, other in combinations(POINTS, 2):
        if math.dist(points[one], points[other]) < least:
            raise LandmarkError(
                f"the landmarks {one} and {other} lie on one spot, {_text(points[one])}: give each its own"
            )


def _roll(landmarks: Landmarks) -> float:
    (x1, y1), (x2, y2) = sorted((landmarks.eye_left, landmarks.eye_right))  # however left and right are meant
    return math.atan2(y2 - y1, x2 - x1)


def _along(start: Point, end: Point, direction: Point) -> float:
    return (end[0] - start[0]) * direction[0] + (end[1] - start[1]) * direction[1]


def middle(a: Point, b: Point) -> Point:
    """Of two points."""
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _text(point: Point) -> str:
    return f"({point[0]:.0f}, {point[1]:.0f})"


def _number(cells: Mapping[str, str], name: str) -> float:
    if name not in cells:
        raise LandmarkError(f"there is no landmark {name}: expected columns {', '.join(POINTS)}, each with _x and _y")
    try:
        value = float(cells[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LandmarkError(f"the landmark {name} is {cells[name]!r}, not a number of pixels")
    return value
