"""Faces in photographs: where they are, and their eyes and mouth, by YuNet in OpenCV (`faceedit.yunet`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import Landmarks, Point
from faceedit.errors import UsageError
from faceedit.images import Picture
from faceedit.lookalikes import SHAPE, UNSEEN, Lookalike
from faceedit.second_look import is_believed, with_side
from faceedit.trial import reason, tried
from faceedit.yunet import LEAST_SCORE, LITTLE, faces_of_nothing, opencv, shipped_weights, yunet

SIDES = (640, 1280, 2560)  # pixels of the longer side in which a face is looked for, until one is found
_FAINT = 0.15  # how sure the detector is, at least, where a finer look may show somebody
_FIRST_LOOKS = (160, 320)  # pixels, to see how a photograph lies, where that shows a face
_TURNS = (0, 2, 1, 3)  # quarter turns, in which as few as can be follow a picture of another shape
_SURE = 0.9  # so sure that no second look is needed
_LARGEST_BOX = 2  # times the longer side of the picture
_MOST = 500  # places in a look that are asked about, the surest first
_MOST_BYTES = 2**27  # of a detector's file
_DARK = 60  # grey levels that 99 % of a photograph stay below which is looked at brighter


@dataclass(frozen=True)
class Face:
    """A face in an upright photograph. box: left, top, width, height, in pixels; landmarks: eyes and mouth in them;
    score: how sure the detector is, 0 to 1."""

    box: tuple[float, float, float, float]
    landmarks: Landmarks
    score: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.box[2] * self.box[3]

    def moved(self, across: float, down: float) -> Face:
        """The same face so many pixels farther to the right and down, as in a picture of which this one is a part."""
        left, top, width, height = self.box
        points = {name: (x + across, y + down) for name, (x, y) in self.landmarks.known().items()}
        return Face((left + across, top + down, width, height), Landmarks(**points), self.score)


@dataclass(frozen=True)
class Faces:
    """What was found. photograph: set upright, RGB; turns: by how many quarter turns to the left that took; found: the
    faces, the largest first; faint: what may be others, or none, as far as so few pixels tell; lookalikes: what was
    taken for others, and left out."""

    photograph: Image.Image
    turns: int
    found: tuple[Face, ...]
    faint: tuple[Face, ...] = ()
    lookalikes: tuple[Lookalike, ...] = ()


@dataclass
class _Seen:
    """What the detector says of one look. faces: upright ones, and what may be some; lookalikes: what can be none."""

    faces: list[Face] = field(default_factory=list)
    lookalikes: list[Lookalike] = field(default_factory=list)

    @property
    def plain(self) -> list[Face]:
        """Those that are faces for sure enough."""
        return [face for face in self.faces if face.score >= LEAST_SCORE]

    @property
    def faint(self) -> tuple[Face, ...]:
        return tuple(face for face in self.faces if face.score < LEAST_SCORE)


class FindsFaces(Protocol):
    """`FaceDetector`, or what stands in for it."""

    def faces(self, photograph: Image.Image, side: int = SIDES[0], /) -> Faces:
        """The faces of an RGB photograph, EXIF orientation applied, the largest first, looked for where its longer side
        has so many pixels."""

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        """The same of a photograph that stands upright already."""


class FaceDetector:
    """Finds faces. Not to be shared by threads."""

    def __init__(self, weights: Path | None = None) -> None:
        """weights: another YuNet's ONNX file. Raises MissingPackageError without the extra `photos`, UsageError for a
        file that is none."""
        self._weights = weights or shipped_weights()
        self._cv2 = opencv()
        if weights is not None and not weights.is_file():
            raise UsageError(f"{weights} does not exist: give the ONNX file of a YuNet")
        if weights is not None and weights.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{weights} has over {_MOST_BYTES:,} bytes, which no YuNet has: give another")

    def faces(self, photograph: Image.Image, side: int = SIDES[0], /) -> Faces:
        """The faces of an RGB photograph, EXIF orientation applied, at one size. One that lies on its side is set
        upright by the surest of its faces."""
        pixels, scale = self._to_look_at(photograph, side)
        turns, seen = self._turned(pixels, scale, _FIRST_LOOKS if side == SIDES[0] else ())
        upright = photograph.rotate(90 * turns, expand=True) if turns else photograph
        sure, lookalikes = self._sure(seen, np.ascontiguousarray(np.rot90(pixels, turns)), scale)
        return Faces(upright, turns, sure, seen.faint, lookalikes)

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        """See `FindsFaces`."""
        pixels, scale = self._to_look_at(photograph, side)
        seen = self._upright(pixels, scale)
        sure, lookalikes = self._sure(seen, pixels, scale)
        return Faces(photograph, 0, sure, seen.faint, lookalikes)

    def _to_look_at(self, photograph: Image.Image, side: int) -> tuple[Picture, float]:
        """Its BGR pixels at one size, a dark one brighter, and how many of them it has for one of its own."""
        pixels = self._cv2.cvtColor(with_side(np.asarray(photograph), side), self._cv2.COLOR_RGB2BGR)
        return _stretched(np.asarray(pixels)), side / max(photograph.size)

    def _sure(self, seen: _Seen, pixels: Picture, scale: float) -> tuple[tuple[Face, ...], tuple[Lookalike, ...]]:
        """Those that stand a second look, the largest first, and what is left out."""
        sure, lookalikes = list[Face](), [*seen.lookalikes]
        for face in seen.plain:
            if face.score >= _SURE or self._is_believed(face, pixels, scale):
                sure.append(face)
            else:
                lookalikes.append(Lookalike(face.box, UNSEEN))
        if max(pixels.shape) > SIDES[0]:
            self._asked(self._fine, LITTLE)
        return tuple(sorted(sure, key=lambda face: -face.area)), tuple(lookalikes)

    def _is_believed(self, face: Face, pixels: Picture, scale: float) -> bool:
        return is_believed(scaled(face, scale, scale), pixels, lambda small: self._detected(small, 1.0))

    def _turned(self, pixels: Picture, scale: float, looks: Sequence[int]) -> tuple[int, _Seen]:
        """The quarter turns to the left after which the surest upright face stands there, at the smallest size that
        shows one, and what is seen then; no face where there is none. looks: smaller sizes to begin with."""
        for look in looks:
            share = look / max(pixels.shape[:2])
            found = self._at_each_turn(with_side(pixels, look), share * scale)
            if any(one.plain for one in found):
                turns = _surest(found)
                seen = self._upright(np.rot90(pixels, turns), scale)
                return turns, seen if seen.plain else found[turns]
        found = self._at_each_turn(pixels, scale)
        return _surest(found), found[_surest(found)]

    def _at_each_turn(self, pixels: Picture, scale: float) -> list[_Seen]:
        seen = {turns: self._upright(np.rot90(pixels, turns), scale) for turns in _TURNS}
        return [seen[turns] for turns in range(4)]

    def _upright(self, pixels: Picture, scale: float) -> _Seen:
        """What lies in the picture: of one that is a line, a detector also says boxes that are nowhere."""
        seen, sides = _Seen(), (pixels.shape[1] / scale, pixels.shape[0] / scale)
        for face in self._detected(np.ascontiguousarray(pixels), scale):
            if not _lies_within(face, *sides):
                continue
            if _is_upright(face.landmarks):
                seen.faces.append(face)
            elif face.score >= LEAST_SCORE:
                seen.lookalikes.append(Lookalike(face.box, SHAPE))
        return seen

    def _detected(self, pixels: Picture, scale: float) -> Iterator[Face]:
        """Faces of BGR pixels, in pixels before these were scaled."""
        small = max(pixels.shape) <= _FIRST_LOOKS[-1]
        rows = self._asked(self._coarse if small else self._fine, pixels)
        for row in () if rows is None else rows[:_MOST]:
            yield face_of(row, scale)

    def _asked(self, network: Any, pixels: Picture) -> NDArray[np.float32] | None:
        """What a network says; it keeps the room that the last picture took, 400 MB at 2,560 pixels a side."""
        network.setInputSize((pixels.shape[1], pixels.shape[0]))
        try:
            rows: NDArray[np.float32] | None = network.detect(pixels)[1]
        except self._cv2.error as error:
            raise self._none(error) from error
        return rows

    @cached_property
    def _fine(self) -> Any:
        return self._loaded()

    @cached_property
    def _coarse(self) -> Any:
        """The same once more, for small looks: to make it ready for another size takes as long as such a look."""
        return self._loaded()

    def _loaded(self) -> Any:
        try:
            return yunet(self._weights, 320, _FAINT)
        except self._cv2.error as error:
            raise self._none(error) from error

    def _none(self, error: Exception) -> UsageError:
        return _no_detector(self._weights, reason(error))


def require_detector(weights: Path) -> None:
    """Raise UsageError for a stranger's file that is no YuNet, MissingPackageError without the extra `photos`. It is
    tried before a gallery remembers it."""
    FaceDetector(weights)
    try:
        tried(faces_of_nothing, weights)
    except ValueError as error:
        raise _no_detector(weights, str(error)) from error


def _no_detector(weights: Path, said: str) -> UsageError:
    return UsageError(f"{weights} is no YuNet that OpenCV can run ({said}): give another")


def face_of(row: NDArray[np.float32], scale: float) -> Face:
    """The face of a row (15,) of YuNet's answer: a box, five points and how sure it is; scale: pixels that it saw for
    one of the picture's."""
    left, top, width, height, *points = (row[:14].astype(float) / scale).tolist()
    right_eye, left_eye, _, right_mouth, left_mouth = zip(points[::2], points[1::2], strict=True)
    landmarks = Landmarks(right_eye, left_eye, right_mouth, left_mouth)  # the person's right is to the left
    return Face((left, top, width, height), landmarks, float(row[14]))


def scaled(face: Face, across: float, down: float) -> Face:
    """The same face in a photograph that has so many times the pixels in each direction."""
    left, top, width, height = face.box
    points = {name: (point[0] * across, point[1] * down) for name, point in face.landmarks.known().items()}
    return Face((left * across, top * down, width * across, height * down), Landmarks(**points), face.score)


def _surest(found: Sequence[_Seen]) -> int:
    """Which turn shows the surest face; 0 where none shows any."""
    return int(np.argmax([max((face.score for face in seen.plain), default=0) for seen in found]))


def _stretched(pixels: Picture) -> Picture:
    """A dark photograph with all the brightness that there is; others as they are."""
    white = float(np.percentile(pixels[::4, ::4], 99))
    if not 0 < white < _DARK:
        return pixels
    brighter = (np.arange(256) * (255 / white)).clip(0, 255).astype(np.uint8)
    return np.asarray(brighter[pixels])


def _is_upright(landmarks: Landmarks) -> bool:
    """Whether these points can be an upright face's: the mouth below the eyes, and across to them."""
    across = _from(landmarks.eye_left, landmarks.eye_right)
    down = _from(landmarks.eyes, landmarks.mouth)
    lengths = math.hypot(*across) * math.hypot(*down)
    turned = across[0] * down[1] - across[1] * down[0]
    return lengths > 0 and turned > 0.8 * lengths and down[1] > 0.5 * math.hypot(*down)


def _lies_within(face: Face, width: float, height: float) -> bool:
    """Whether the middle of a face's box lies in the picture, and the box is no larger than a picture of a part of a
    face may have it."""
    left, top, wide, high = face.box
    inside = 0 <= left + wide / 2 <= width and 0 <= top + high / 2 <= height
    return inside and max(wide, high) <= _LARGEST_BOX * max(width, height)


def _from(start: Point, end: Point) -> Point:
    return end[0] - start[0], end[1] - start[1]
