"""Pictures at the boundary: files to aligned crops, (60, 60, 3) uint8 RGB, and back."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from faceedit.errors import ImageError

Picture = NDArray[np.uint8]
SIZE = 60
LARGEST = 240  # side of a crop to look at: what the networks move at 60 pixels is too rough for more
NEUTRAL = 0.5  # the grey, 0..1, that a person stands on where nothing else is to be seen
SUFFIXES = frozenset(
    f".{name}" for name in "png apng jpg jpeg jpe jfif webp bmp dib tif tiff gif ppm pgm pbm jp2 j2k jpx".split()
)
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000")  # no other decoder ever sees a file
MOST_PIXELS = 100_000_000  # a decompression bomb, not a photograph
_MOST_PIXELS_OF = {"WEBP": 40_000_000, "JPEG2000": 30_000_000}  # whose decoders take several times the picture
_LARGE = 4_000_000  # pixels, from which on a picture is made smaller before anything else
_BAND = 2_000_000  # pixels that are made smaller at a time
_READERS = 4  # threads that read many pictures
_LONGEST = 65_535  # of a side: JPEG knows no longer one, and what is longer is no photograph
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limit is an error


def read_crop(path: Path, content: bytes | Image.Image | None = None) -> Picture:
    """The picture as a (60, 60, 3) uint8 RGB crop; one of another size is cut to its central square and resized.

    content: the file's, where it has been read or opened already. Raises ImageError with the reason.
    """
    return as_crop(read_photograph(path, least=2 * SIZE, content=content))


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


def read_photograph(path: Path, least: int | None = None, content: bytes | Image.Image | None = None) -> Image.Image:
    """The picture, upright and in mode RGB; of an animation the first.

    EXIF orientation is applied; grey, palette, CMYK, 16-bit and transparent pictures become RGB (transparent parts
    grey). least: the picture may come out smaller and, if it is large, cut to its central square, with no less than
    this many pixels a side where it has as many. content: the file's, where it has been read or opened already; an
    opened one is left as it is. Raises ImageError.
    """
    try:
        if content is None and path.exists() and not (path.is_file() or path.is_dir()):
            raise ImageError(f"{path} is no regular file: give the path of an image")  # a pipe would be waited for
        with _opened(path, content) as image:
            _require_pixels(path, image)
            if least is not None and image is not content:
                image.draft("RGB", (least, least))
            return _upright(image, least)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist: give the path of an image") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder: give the path of an image") from error
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0 if content is None else content == b""
        what = "is empty (0 bytes)" if empty else "is not an image"
        raise ImageError(f"{path} {what}: give a PNG, JPEG or other picture") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read: check its permissions") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} has over {MOST_PIXELS:,} pixels: make it smaller") from error
    except MemoryError as error:
        raise ImageError(f"{path} takes more memory than there is: make it smaller") from error
    except Exception as error:  # decoders raise struct.error, RuntimeError, TypeError, ... for damaged files
        raise ImageError(f"{path} is damaged or truncated ({error}): give a whole picture") from error


def _opened(path: Path, content: bytes | Image.Image | None) -> AbstractContextManager[Image.Image]:
    if isinstance(content, Image.Image):
        return nullcontext(content)
    return Image.open(path if content is None else io.BytesIO(content), formats=FORMATS)


def _require_pixels(path: Path, image: Image.Image) -> None:
    if 0 in image.size:
        raise ImageError(f"{path} has {image.width} x {image.height} pixels: give a whole picture")
    most = _MOST_PIXELS_OF.get(image.format or "", MOST_PIXELS)
    if image.width * image.height > most:
        raise ImageError(f"{path} has {image.width} x {image.height} pixels, over {most:,}: make it smaller")
    if max(image.size) > _LONGEST:
        raise ImageError(
            f"{path} has {image.width} x {image.height} pixels, over {_LONGEST:,} on a side: cut out the face"
        )


def _upright(image: Image.Image, least: int | None) -> Image.Image:
    image.load()  # which turns a TIFF upright
    highest = _highest(image) if _is_deep(image) else 0.0
    factor = 1 if least is None else min(image.size) // (2 * least)
    if image.width * image.height <= _LARGE or factor < 2:
        return _to_rgb(ImageOps.exif_transpose(image), highest)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    small = _shrunk(image, factor, highest)
    small.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(small)


def _shrunk(image: Image.Image, factor: int, highest: float) -> Image.Image:
    """The central square of a large picture in RGB, each side a factor smaller, made in bands: whole, in RGB or as
    floats, it would take several times the memory of the decoded picture."""
    side = min(image.size) // factor
    left, top = (image.width - side * factor) // 2, (image.height - side * factor) // 2
    small = Image.new("RGB", (side, side))
    rows = max(1, _BAND // (side * factor * factor))
    for start in range(0, side, rows):
        end = min(start + rows, side)
        band = image.crop((left, top + start * factor, left + side * factor, top + end * factor))
        small.paste(_to_rgb(band, highest).reduce(factor), (0, start))
    return small


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"  # 16 bits or more


def _highest(image: Image.Image) -> float:
    try:
        highest = float(image.getextrema()[1])  # type: ignore[arg-type]
    except ValueError:  # not of every mode
        highest = float(np.asarray(image).max(initial=0))
    if image.mode == "F" and not (math.isfinite(highest) and math.isfinite(float(np.asarray(image).sum()))):
        raise ValueError("it has values that are no numbers")
    return highest


def _to_rgb(image: Image.Image, highest: float) -> Image.Image:
    """highest: of all values of a picture of 16 bits or more, which is scaled to 8."""
    if _is_deep(image):
        top = 1.0 if image.mode == "F" and highest <= 1 else 65535.0 if highest > 255 else 255.0
        values = np.asarray(image, dtype=np.float64)
        return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        grey = Image.new("RGBA", rgba.size, (128, 128, 128, 255))
        return Image.alpha_composite(grey, rgba).convert("RGB")
    return image.convert("RGB")


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
    """Write (H, W, 3) uint8 RGB; the file's suffix names the format. Raises ImageError when it cannot be written."""
    try:
        Image.fromarray(picture).save(path)
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot write {path} ({error}): give a writable .png or .jpg path") from error
