"""A photograph, decoded as finely as somebody needs it, and the faces in it, looked for as finely as that takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from PIL import Image

from faceedit.colours import Told
from faceedit.decoding import read_photograph
from faceedit.face_detector import SIDES, Faces, FindsFaces, scaled
from faceedit.lookalikes import SMALL, Lookalike, apart, is_in, moved

_MUCH_LARGER = 2  # a photograph is not blown up beyond so many times its size
_LEAST = 14  # pixels of a face's height: of fewer, letters look like faces, and faces like one another
_FINER = 1.25  # times the pixels of a finer look that a photograph has, where that can show what is smaller
_SMALL_IN_IT = 0.2  # of the longer side: who is smaller may have company
_FAINT_HIGH = 40  # pixels of what is faint since it is small; of more, it is faint for another reason


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
    """The faces at the smallest size that shows any, and at finer ones while those may show others, who are smaller;
    what is smaller than anybody can be known by is none. Of what is left out each place is told once, whatever it took
    to find somebody, and none where somebody was found in the end."""
    faces = _large_enough(given, detector.faces(given.at(SIDES[0], told), SIDES[0]))
    for side, finer in pairwise(SIDES):
        if not faces.found and finer < _MUCH_LARGER * max(given.size):
            faces = _after(faces, _large_enough(given, detector.faces(given.at(finer), finer)))
        elif faces.found and max(given.size) >= _FINER * finer and _may_show_smaller(faces, side):
            faces = _with_smaller(given, detector, faces, finer)
        elif faces.found:
            break
    return replace(faces, lookalikes=apart(faces.lookalikes, [face.box for face in faces.found]))


def _after(before: Faces, faces: Faces) -> Faces:
    """What a look shows, with what an earlier one left out."""
    turns, size = faces.turns - before.turns, faces.photograph.size
    earlier = moved(before.lookalikes, before.photograph.size, turns, size)
    return replace(faces, lookalikes=(*earlier, *faces.lookalikes))


def _may_show_smaller(faces: Faces, side: int) -> bool:
    """Whether a photograph that was looked at in so many pixels shows, in the coarsest, several people, or one who is
    small in it, or else somebody faintly."""
    longest = max(faces.photograph.size)
    small = faces.found[0].box[3] < _SMALL_IN_IT * longest
    if side == SIDES[0] and (len(faces.found) > 1 or small):
        return True
    return any(
        one.box[3] * side <= _FAINT_HIGH * longest and not any(is_in(one.box, face.box) for face in faces.found)
        for one in faces.faint
    )


def _with_smaller(given: Photograph, detector: FindsFaces, faces: Faces, side: int) -> Faces:
    """These faces, and what a finer look shows besides."""
    finer = given.at(side)
    photograph = finer.rotate(90 * faces.turns, expand=True) if faces.turns else finer
    across, down = (new / old for new, old in zip(photograph.size, faces.photograph.size, strict=True))
    known, seen = [scaled(face, across, down) for face in faces.found], detector.standing(photograph, side)
    more = [face for face in seen.found if not any(is_in(face.box, other.box) for other in known)]
    together = tuple(sorted([*known, *more], key=lambda face: -face.area))
    now = Faces(photograph, faces.turns, together, seen.faint, seen.lookalikes)
    return _after(faces, _large_enough(given, now))


def _large_enough(given: Photograph, faces: Faces) -> Faces:
    least = _LEAST * max(faces.photograph.size) / max(given.size)
    found, faint = (tuple(face for face in some if face.box[3] >= least) for some in (faces.found, faces.faint))
    small = [Lookalike(face.box, SMALL) for face in faces.found if face.box[3] < least]
    return replace(faces, found=found, faint=faint, lookalikes=(*faces.lookalikes, *small))
