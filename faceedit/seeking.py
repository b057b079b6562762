"""A photograph, decoded as finely as somebody needs it, and the faces in it, looked for as finely as that takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from faceedit.colours import Told
from faceedit.face_detector import SIDES, Face, Faces, FindsFaces, scaled
from faceedit.images import read_photograph

_MUCH_LARGER = 2  # a photograph is not blown up beyond so many times its size
_LEAST = 14  # pixels of a face's height: of fewer, letters look like faces, and faces like one another
_MUCH_TO_SEE = 1_600  # pixels of the longer side, from which on others may be smaller than what a first look shows
_SMALL_IN_IT = 0.2  # of the longer side: who is smaller may have company


class Photograph:
    """A picture that is decoded as finely as somebody needs it."""

    def __init__(self, name: Path, content: bytes | Image.Image | None, size: tuple[int, int] | None) -> None:
        self.name, self.content = name, content
        self._header, self._size = size, size
        self._decoded: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Of the whole picture, its EXIF orientation applied; known once it was decoded."""
        assert self._size is not None
        return self._size

    def at(self, longest: float, told: Told | None = None) -> Image.Image:
        """In RGB, EXIF orientation applied, its longer side at least so many pixels where it has as many."""
        decoded = self._decoded
        if decoded is None or (max(decoded.size) < longest and max(decoded.size) < max(self.size)):
            decoded = read_photograph(self.name, content=self.content, told=told, longest=round(longest))
            self._decoded = decoded
        width, height = self._header or decoded.size
        same = (width >= height) == (decoded.width >= decoded.height)
        self._size = (width, height) if same else (height, width)
        return decoded


def looked_for(given: Photograph, detector: FindsFaces, told: Told) -> Faces:
    """The faces at the smallest size that shows any, and at the next one where others may be smaller; what is smaller
    than anybody can be known by is none."""
    faces = _large_enough(given, detector.faces(given.at(SIDES[0], told), SIDES[0]))
    if faces.found:
        return _with_smaller(given, detector, faces) if _may_show_smaller(given, faces) else faces
    for side in SIDES[1:]:
        if not faces.found and side < _MUCH_LARGER * max(given.size):
            faces = _large_enough(given, detector.faces(given.at(side), side))
    return faces


def _may_show_smaller(given: Photograph, faces: Faces) -> bool:
    """Whether a large photograph shows several people, or one who is small in it."""
    small = faces.found[0].box[3] < _SMALL_IN_IT * max(faces.photograph.size)
    return max(given.size) >= _MUCH_TO_SEE and (len(faces.found) > 1 or small)


def _with_smaller(given: Photograph, detector: FindsFaces, faces: Faces) -> Faces:
    """These faces, and what a finer look shows besides."""
    side = SIDES[1]
    finer = given.at(side)
    photograph = finer.rotate(90 * faces.turns, expand=True) if faces.turns else finer
    across, down = (new / old for new, old in zip(photograph.size, faces.photograph.size, strict=True))
    known = [scaled(face, across, down) for face in faces.found]
    more = [face for face in detector.standing(photograph, side) if not any(_is_in(face, other) for other in known)]
    together = Faces(photograph, faces.turns, tuple(sorted([*known, *more], key=lambda face: -face.area)))
    return _large_enough(given, together)


def _is_in(face: Face, other: Face) -> bool:
    """Whether the middle of one of both lies in the other."""
    return any(
        left <= x <= left + width and top <= y <= top + height
        for (left, top, width, height), (x, y) in ((face.box, _middle_of(other)), (other.box, _middle_of(face)))
    )


def _middle_of(face: Face) -> tuple[float, float]:
    left, top, width, height = face.box
    return left + width / 2, top + height / 2


def _large_enough(given: Photograph, faces: Faces) -> Faces:
    share = max(given.size) / max(faces.photograph.size)
    return replace(faces, found=tuple(face for face in faces.found if share * face.box[3] >= _LEAST))
