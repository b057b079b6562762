"""The face that is meant in a photograph, which is no crop of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from PIL import Image

from faceedit.align import align, crop_side
from faceedit.colours import Told
from faceedit.errors import LandmarkError, MissingPackageError, NoFaceError
from faceedit.faces import SMALL, Face, FaceDetector, Faces, FindsFaces, is_square, lies_by_the_rule, may_be_crop
from faceedit.images import LARGEST, SIZE, Picture, picture_size, read_photograph

_GIVE = "give a picture that shows one, or a crop of it"


class FaceFinder:
    """Finds whom a picture shows. May be shared by threads: the detector, which may not, is loaded with the first
    photograph and used by one at a time."""

    def __init__(self, load: Callable[[], FindsFaces] = FaceDetector) -> None:
        """load: makes the detector; raises MissingPackageError where it cannot be had."""
        self._load = load
        self._detector: FindsFaces | None = None
        self._one = Lock()

    def crops(
        self, name: Path, content: bytes | Image.Image, face: int | None, told: Told
    ) -> tuple[Picture, Picture] | None:
        """The crop (60, 60, 3) of a face in a picture, and the same as large as the picture has it, 60 to 240; None for
        a picture that is a crop already.

        face: its number, from 1, the largest first; None: the largest. told: what a user should know is added to it.
        Raises NoFaceError, also for a number that there is none of, MissingPackageError for what can be no crop where
        there is no detector, ImageError.
        """
        size, amiss = picture_size(content), Told()
        if face is None and size is not None and is_square(*size) and max(size) <= SMALL:
            return None
        try:
            photograph, faces = self._found(name, content, amiss)
        except MissingPackageError as error:
            size = size or read_photograph(name, content=content).size
            if face is None and may_be_crop(*size):
                return None
            told_size = f"{name} has {size[0]} x {size[1]} pixels and is no crop of a face"
            raise MissingPackageError(f"{told_size}; {error}") from error
        crop = face is None and may_be_crop(*photograph.size)
        if crop and not faces.found:
            return None  # what hides a part of a face may hide it from the detector
        meant = _meant(name, faces, face, amiss)
        if len(faces.found) == 1 and lies_by_the_rule(meant, photograph):
            return None
        try:
            large = round(min(max(crop_side(meant.landmarks), SIZE), LARGEST))
            crops = align(photograph, meant.landmarks, SIZE), align(photograph, meant.landmarks, large)
        except LandmarkError as error:
            if crop:
                return None
            raise NoFaceError(f"the face in {name} cannot be cut out: it lies too near the border; {_GIVE}") from error
        told += amiss  # of a crop, whoever reads it tells
        return crops

    def _found(self, name: Path, content: bytes | Image.Image, told: Told) -> tuple[Image.Image, Faces]:
        with self._one:
            self._detector = self._detector or self._load()
        photograph = read_photograph(name, content=content, told=told)
        with self._one:
            faces = self._detector.faces(photograph)
        return faces.photograph, faces


def _meant(name: Path, faces: Faces, number: int | None, told: Told) -> Face:
    found = faces.found
    if not found:
        raise NoFaceError(f"no face is found in {name}: {_GIVE}")
    if number is not None and not 1 <= number <= len(found):
        raise NoFaceError(f"there is no face {number} in {name}: it shows {len(found)}, and 1 is the largest")
    meant = found[(number or 1) - 1]
    if number is None and len(found) > 1:
        left, top, width, height = meant.box
        told.append(
            f"face 1 of {len(found)} at {left + width / 2:.0f},{top + height / 2:.0f} is meant, the largest; its "
            "number chooses another (--face)"
        )
    return meant
