"""Pictures at the boundary: files to aligned crops, (60, 60, 3) uint8 RGB, and back."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from faceedit.errors import ImageError

Picture = NDArray[np.uint8]
SIZE = 60
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})
MOST_PIXELS = 100_000_000  # a decompression bomb, not a photograph
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limit is an error


def read_crop(path: Path, content: bytes | None = None) -> Picture:
    """The picture as a (60, 60, 3) uint8 RGB crop; one of another size is cut to its central square and resized.

    content: the file's, where it has been read already. Raises ImageError with the reason.
    """
    return as_crop(read_photograph(path, least=2 * SIZE, content=content))


def read_photograph(path: Path, least: int | None = None, content: bytes | None = None) -> Image.Image:
    """The picture, upright and in mode RGB.

    EXIF orientation is applied; grey, palette, CMYK, 16-bit and transparent pictures become RGB (transparent parts
    grey). least: a JPEG may be decoded smaller, to no less than this many pixels a side. content: the file's, where it
    has been read already. Raises ImageError.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(
                    f"{path} has {image.width} x {image.height} pixels, over {MOST_PIXELS:,}: make it smaller"
                )
            if least is not None:
                image.draft("RGB", (least, least))
            return _to_rgb(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist: give the path of an image") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder: give the path of an image") from error
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0 if content is None else not content
        what = "is empty (0 bytes)" if empty else "is not an image"
        raise ImageError(f"{path} {what}: give a PNG, JPEG or other picture") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read: check its permissions") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} has over {MOST_PIXELS:,} pixels: make it smaller") from error
    except Exception as error:  # decoders raise struct.error, RuntimeError, TypeError, ... for damaged files
        raise ImageError(f"{path} is damaged or truncated ({error}): give a whole picture") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits or more: scale to 8
        values = np.asarray(image, dtype=np.float64)
        highest = values.max(initial=0)
        top = 1.0 if image.mode == "F" and highest <= 1 else 65535.0 if highest > 255 else 255.0
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


def write_picture(picture: Picture, path: Path) -> None:
    """Write (H, W, 3) uint8 RGB; the file's suffix names the format. Raises ImageError when it cannot be written."""
    try:
        Image.fromarray(picture).save(path)
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot write {path} ({error}): give a writable .png or .jpg path") from error
