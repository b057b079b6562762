"""A picture in any form that somebody has it in, read once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import ImageError
from faceedit.images import Picture, read_crop

AnyPicture = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]
"""A file's path, a file's content, an opened picture, or (H, W, 3) uint8 RGB."""
_GIVEN = Path("the given picture")  # where there is no name to tell


@dataclass(frozen=True)
class Source:
    """A picture that was read. crop: (60, 60, 3) uint8 RGB; path: of its file, as it was named, where it has one."""

    crop: Picture = field(repr=False)
    path: Path | None = None

    @property
    def name(self) -> str:
        return str(self.path or "")


def read_source(picture: AnyPicture | Source) -> Source:
    """The picture, decoded once. Raises ImageError with the reason."""
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        if _would_be_waited_for(path):
            raise ImageError(f"{path} is no regular file: give the path of an image")
        return Source(read_crop(path), path)
    if isinstance(picture, np.ndarray):
        return Source(read_crop(_GIVEN, Image.fromarray(_checked(picture))))
    if isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    if isinstance(picture, bytes | Image.Image):
        return Source(read_crop(_GIVEN, picture))
    raise ImageError(
        f"a picture of type {type(picture).__name__}: give a path, bytes, a PIL image or an (H, W, 3) uint8 array"
    )


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
