"""Pictures at the boundary: files to aligned crops, (60, 60, 3) uint8 RGB, and back; `faceedit.decoding` reads them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.colours import Told
from faceedit.decoding import read_photograph
from faceedit.errors import ImageError
from faceedit.files import write_whole

Picture = NDArray[np.uint8]
SIZE = 60
LARGEST = 240  # side of a crop to look at: what the networks move at 60 pixels is too rough for more
NEUTRAL = 0.5  # the grey, 0..1, that a person stands on where nothing else is to be seen
_READERS = 4  # threads that read many pictures


def require_crops(images: NDArray[np.uint8]) -> None:
    """Raise ImageError unless these are pictures (N, 60, 60, 3) uint8."""
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
        raise ImageError(
            f"pictures of shape {images.shape[1:]} {images.dtype}: give ({SIZE}, {SIZE}, 3) uint8 RGB crops"
        )


def read_crop(path: Path, content: bytes | Image.Image | None = None, told: Told | None = None) -> Picture:
    """The picture as a (60, 60, 3) uint8 RGB crop; one of another size is cut to its central square and resized.

    content: the file's, where it has been read or opened already; told: what is wrong with its metadata is added to
    it. Raises ImageError with the reason.
    """
    return as_crop(read_photograph(path, 2 * SIZE, content, told))


def read_large(path: Path, content: bytes | None = None) -> Picture:
    """The square that `read_crop` has, to look at: (S, S, 3) uint8 RGB, S as the picture has it, but 60 to 240. Raises
    ImageError with the reason."""
    return as_large(read_photograph(path, least=2 * LARGEST, content=content))


def read_crops(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """All pictures as one array (N, 60, 60, 3) uint8. Raises ImageError for one that cannot be read."""
    out = np.empty((len(paths), SIZE, SIZE, 3), np.uint8)

    def read(i: int) -> None:
        out[i] = read_crop(paths[i])

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return out


def as_crop(image: Image.Image, size: int = SIZE) -> Picture:
    """The central square of an RGB picture, resized to (size, size, 3) uint8."""
    side = min(image.size)
    if image.size != (size, size):
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        image = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.array(image, dtype=np.uint8)


def as_large(image: Image.Image) -> Picture:
    """The central square of an RGB picture, (S, S, 3) uint8: as large as it is, but 60 to 240."""
    return as_crop(image, min(max(min(image.size), SIZE), LARGEST))


def resized(picture: Picture, size: int) -> Picture:
    """A square picture (S, S, 3) as (size, size, 3)."""
    return as_crop(Image.fromarray(picture), size)


def write_picture(picture: Picture, path: Path) -> None:
    """Write (H, W, 3) uint8 RGB, whole or not at all; the file's suffix names the format. Raises ImageError when it
    cannot be written."""
    try:
        content = io.BytesIO()
        Image.fromarray(picture).save(content, _format_of(path))
        write_whole(path.resolve(), content.getvalue())  # where it is a link, what that leads to
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot write {path} ({error}): give a writable .png or .jpg path") from error


def _format_of(path: Path) -> str:
    """Raises ValueError for a suffix of no pictures."""
    found = Image.registered_extensions().get(path.suffix.lower())
    if found is None:
        raise ValueError(f"{path.suffix or 'no suffix'} names no kind of pictures")
    return found
