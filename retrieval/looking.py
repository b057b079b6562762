"""What the gallery shows: a photo upright, or one face of it; no larger than asked, and only while the file is what was
described."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceedit.align import POINTS, Landmarks, Point, align, crop_side, larger_side
from faceedit.cropping import ALIGNED, AUTO, Cropper
from faceedit.errors import ImageError, LandmarkError, UsageError
from faceedit.images import LARGEST, SIZE, Picture
from faceedit.lookalikes import Lookalike
from index.gallery import Face, Gallery
from index.values import Box
from retrieval.answers import THERE
from retrieval.photographs import upright
from retrieval.query import how_found
from retrieval.source import GIVEN, Source, read_source

LARGEST_LOOK = 4_096  # pixels


@dataclass(frozen=True)
class Seen:
    """A face in a picture. number: from 1, the largest first; box: left, top, width and height in pixels of the upright
    picture, None where the whole picture is the face; score: how sure the detector is, 0 to 1, None where nobody
    looked."""

    number: int
    box: Box | None = None
    score: float | None = None


@dataclass(frozen=True)
class Shown:
    """The faces in a picture, the largest first. size: width and height of the upright picture in pixels, None where
    the picture is a crop; turns: quarter turns to the left that set it upright, besides its EXIF; warnings: what is
    amiss with its file; lookalikes: what was taken for other faces, and left out."""

    faces: tuple[Seen, ...]
    size: tuple[int, int] | None = None
    turns: int = 0
    warnings: tuple[str, ...] = ()
    lookalikes: tuple[Lookalike, ...] = ()


def faces_in(cropper: Cropper, content: bytes) -> Shown:
    """The faces in the content of a picture's file. Raises NoFaceError, MissingPackageError, ImageError."""
    told: list[str] = []
    cuts = cropper.having(AUTO).cut(GIVEN, content, told)
    seen = tuple(
        Seen(number, None if cut.face is None else cut.face.box, None if cut.face is None else cut.face.score)
        for number, cut in enumerate(cuts.faces, start=1)
    )
    return Shown(seen, cuts.size, cuts.turns, tuple(told), cuts.lookalikes)


def looked_at(gallery: Gallery, face: Face, size: int) -> Picture:
    """The photo of a face, upright: (H, W, 3) uint8 RGB, its longer side at most `size` pixels. Raises UsageError,
    ImageError."""
    if not 1 <= size <= LARGEST_LOOK:
        raise UsageError(f"size is {size}: give the longer side of the picture in pixels, 1 to {LARGEST_LOOK:,}")
    image = upright(described_file(gallery, face), face.photo, size)
    image.thumbnail((size, size))
    return np.array(image, np.uint8)


def read_known(gallery: Gallery, face: Face, finder: Cropper, size: int | None = None) -> Source:
    """A face of the gallery, cut out as it was when it was described. finder: cuts crops of others anew, as they were
    then. Raises UsageError, ImageError."""
    path = described_file(gallery, face)
    if face.place is None:
        return read_source(path, size, finder=None if gallery.crops.faces == ALIGNED else finder)
    known, photo = _landmarks(face.place.landmarks), face.photo
    own = max(photo.width, photo.height, 1)
    photograph = upright(path, photo, round(own * min(1.0, LARGEST / max(crop_side(known), 1.0))))
    points = _moved(known, photograph.width / max(photo.width, 1), photograph.height / max(photo.height, 1))
    try:
        large = align(photograph, points, larger_side(points))
        return Source(align(photograph, points, SIZE), path, large, size)
    except LandmarkError as error:
        raise ImageError(f"{face.name} cannot be cut out ({error}): run `facesearch index` again") from error


def described_file(gallery: Gallery, face: Face) -> Path:
    """The file of a face. Raises ImageError where it is not the one that was described: no other is for anybody's
    eyes."""
    path = gallery.config.image_root / face.path
    found = how_found(path, face.photo)
    if found != THERE:
        raise ImageError(f"the file of {face.path} is {found}: run `facesearch index` when it is back")
    return path


def _landmarks(numbers: tuple[float, ...]) -> Landmarks:
    """Of the numbers that a gallery keeps."""
    pairs: list[Point] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return Landmarks(**dict(zip((*POINTS, "chin"), pairs, strict=False)))


def _moved(points: Landmarks, across: float, down: float) -> Landmarks:
    """The same in a picture that has so many times the pixels in each direction."""
    return Landmarks(**{name: (x * across, y * down) for name, (x, y) in points.known().items()})
