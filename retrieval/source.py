"""A picture in any form that somebody has it in, read once; and once more if it is to be looked at larger."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.cropping import Cropper
from faceedit.decoding import read_photograph
from faceedit.errors import ImageError, UsageError
from faceedit.images import LARGEST, SIZE, Picture, as_crop, as_large, read_crop, read_large, resized
from index.stamps import FileStamp
from index.stored import place_of
from retrieval.folder import stamp_of
from retrieval.photographs import meant

AnyPicture = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]
"""A file's path, a file's content, an opened picture, or (H, W, 3) uint8 RGB."""
_MOST_BYTES = 2**29  # of a file that is read whole
GIVEN = Path("the given picture")  # where there is no name to tell


@dataclass(frozen=True)
class Source:
    """A picture that was read. crop: (60, 60, 3) uint8 RGB, what the networks see; path: of its file, as it was named,
    where it has one; kept: what tells whether that file changes; or what `picture` is made of, a file's content or a
    larger crop; size: the side that `picture` is to have, None for as many pixels as there are; warnings: what is
    wrong with its file, and costs no pixel; seen: whether somebody is to be seen in it, as far as anybody looked."""

    crop: Picture = field(repr=False)
    path: Path | None = None
    kept: FileStamp | bytes | Picture | None = field(default=None, repr=False)
    size: int | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    seen: bool = True

    @property
    def name(self) -> str:
        return str(self.path or "")

    @cached_property
    def picture(self) -> Picture:
        """(S, S, 3) uint8 RGB to look at: as large as the picture is, but 60 to 240; or `size`. A file is read for it
        when it is first asked for; where that has changed since, or gone, it is the crop that was read then."""
        larger = self._larger()
        return resized(larger, self.size or len(larger))

    def _larger(self) -> Picture:
        if isinstance(self.kept, np.ndarray):
            return self.kept
        if isinstance(self.kept, bytes):
            return read_large(GIVEN, self.kept)
        if self.path is not None and stamp_of(self.path) == self.kept:  # it may be a pipe by now
            with suppress(ImageError):
                larger = read_large(self.path)
                if stamp_of(self.path) == self.kept:
                    return larger
        return self.crop


def read_source(
    picture: AnyPicture | Source, size: int | None = None, *, finder: Cropper | None = None, face: int | None = None
) -> Source:
    """The picture, read once. size: side of what is to be looked at, where that is asked for. finder: finds the face in
    a photograph; None: every picture is a crop. face: which of several, see `retrieval.photographs.meant`. Raises
    UsageError for a size outside 60 to 240 or a face that is not there, NoFaceError, MissingPackageError, ImageError
    with the reason."""
    _require_size(size)
    _require_face(face)
    if isinstance(picture, Source):
        if face is not None:
            raise UsageError(f"face {face} of a picture that was read already: say which when it is read")
        return picture if size is None else replace(picture, size=size)
    if isinstance(picture, str | os.PathLike):
        return _of_file(place_of(picture), size, finder, face)
    if isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_checked(picture))
    if not isinstance(picture, bytes | Image.Image):
        raise ImageError(
            f"a picture of type {type(picture).__name__}: give a path, bytes, a PIL image or an (H, W, 3) uint8 array"
        )
    told: list[str] = []
    cut = None if finder is None else meant(finder, GIVEN, picture, face, told)
    if cut is not None and cut.larger is not None:
        return Source(cut.crop, None, cut.larger, size, tuple(told))
    if isinstance(picture, bytes):
        crop = read_crop(GIVEN, picture, told) if cut is None else cut.crop
        return Source(crop, None, picture, size, tuple(told), cut is None or cut.seen)
    image = read_photograph(GIVEN, least=2 * SIZE, content=picture, told=told if cut is None else None)
    # now, since its owner may change or close it; coarsely first, since few queries are looked at
    larger = as_large(image.reduce(max(1, min(image.size) // LARGEST)))
    return Source(as_crop(image), None, larger, size, tuple(told), cut is None or cut.seen)


def _of_file(path: Path, size: int | None, finder: Cropper | None, face: int | None) -> Source:
    if _would_be_waited_for(path):
        raise ImageError(f"{path} is no regular file: give the path of an image")
    stamp = stamp_of(path)  # before the content, so that a change from here on is seen
    told: list[str] = []
    content = None if finder is None else _content(path)
    if finder is not None and content:
        cut = meant(finder, path, content, face, told)
        kept = stamp if cut.larger is None else cut.larger
        return Source(cut.crop, path, kept, size, tuple(told), cut.seen)
    return Source(read_crop(path, content, told), path, stamp, size, tuple(told))


def _content(path: Path) -> bytes | None:
    """None for what is no file, or too large for one that is read whole."""
    try:
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_bytes()
    except (OSError, ValueError):  # reading it will say why
        pass
    return None


def _require_face(face: int | None) -> None:
    whole = isinstance(face, Integral) and not isinstance(face, bool)
    if face is not None and not (whole and face >= 1):
        raise UsageError(f"face is {face!r}: give its number, 1 for the largest")


def _require_size(size: int | None) -> None:
    whole = isinstance(size, Integral) and not isinstance(size, bool)
    if size is not None and not (whole and SIZE <= size <= LARGEST):
        raise UsageError(f"size is {size!r}: give the side of the picture in pixels, {SIZE} to {LARGEST}")


def _would_be_waited_for(path: Path) -> bool:
    """Whether it is a pipe or a device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # reading it will say why
        return False
    return not S_ISREG(mode) and not S_ISDIR(mode)


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ImageError(f"a picture of shape {pixels.shape} {pixels.dtype}: give (H, W, 3) uint8 RGB")
    return np.ascontiguousarray(pixels)
