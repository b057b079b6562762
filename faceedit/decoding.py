"""Photographs decoded: files of any kind to pictures that are upright, RGB and sRGB, as finely as they are needed."""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from faceedit.colours import Colours, Told, is_dim, joined
from faceedit.errors import ImageError
from faceedit.formats import HEAD, formats_of
from faceedit.metadata import Bare, bare
from faceedit.packed import unpacked

MOST_PIXELS = 100_000_000  # a decompression bomb, not a photograph
_MOST_PIXELS_OF = {
    "WEBP": 40_000_000,
    "JPEG2000": 30_000_000,
    "AVIF": 60_000_000,
    "HEIF": 60_000_000,
}  # whose decoders take several times the picture
_LARGE = 4_000_000  # pixels, from which on a picture is made smaller before anything else
_KEPT = 2_560  # pixels of the longer side of what is made smaller as a whole: as finely as faces are looked for
_BAND = 2_000_000  # pixels that are made smaller at a time
_LONGEST = 65_535  # of a side: JPEG knows no longer one, and what is longer is no photograph
_MOST_BYTES = 500_000_000  # of a file that is looked at once more
_SEVERAL = ("RGB", "RGBA", "CMYK")  # channels
_OTHER_BYTE = {"B": "L", "L": "B", "N": "L" if sys.byteorder == "big" else "B"}
_TURNS = {  # by EXIF's orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limit is an error
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # what Pillow says of metadata


def read_photograph(
    path: Path,
    least: int | None = None,
    content: bytes | Image.Image | None = None,
    told: Told | None = None,
    longest: int | None = None,
) -> Image.Image:
    """The picture, upright and in mode RGB, as sRGB; of an animation the first.

    EXIF orientation and colour profiles are applied; grey, palette, CMYK, 16-bit and transparent pictures become RGB
    (transparent parts grey; 10, 12 and 16 bits by the range that they have). Metadata that are damaged or too large
    cost no picture. least: the picture may come out smaller and, if it is large, cut to its central square, with no
    less than this many pixels a side where it has as many. longest: instead, it may come out smaller as a whole, with
    no less than this many pixels on its longer side. content: the file's, where it has been read or opened
    already; an opened one is left as it is. told: what is wrong with the file and costs no pixel is added to it. Raises
    ImageError.
    """
    told, need = [] if told is None else told, _Need(least, longest)
    try:
        if content is None and path.exists() and not (path.is_file() or path.is_dir()):
            raise ImageError(f"{path} is no regular file: give the path of an image")  # a pipe would be waited for
        return _decoded(path, content, need, told)
    except ImageError:
        raise
    except Exception as error:  # decoders raise struct.error, RuntimeError, TypeError, ... for damaged files
        image = _at_a_second_look(path, content, need, error, told)
        if image is None:
            raise _named(path, content, error) from error
        return image


def _named(path: Path, content: bytes | Image.Image | None, error: Exception) -> ImageError:
    """Why there is no picture, for people."""
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path} does not exist: give the path of an image")
    if isinstance(error, IsADirectoryError):
        return ImageError(f"{path} is a folder: give the path of an image")
    if isinstance(error, UnidentifiedImageError):
        empty = path.stat().st_size == 0 if content is None else content == b""
        what = "is empty (0 bytes)" if empty else "is not an image"
        return ImageError(f"{path} {what}: give a PNG, JPEG or other picture")
    if isinstance(error, PermissionError):
        return ImageError(f"{path} may not be read: check its permissions")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"{path} has over {MOST_PIXELS:,} pixels: make it smaller")
    if isinstance(error, MemoryError):
        return ImageError(f"{path} takes more memory than there is: make it smaller")
    return ImageError(f"{path} is damaged or truncated ({error}): give a whole picture")


@dataclass(frozen=True)
class _Need:
    """How finely a picture is needed; see `read_photograph`."""

    least: int | None = None
    longest: int | None = None

    def draft(self, image: Image.Image) -> tuple[int, int] | None:
        """The size that a decoder which can make the picture smaller by itself has to reach."""
        if self.longest is not None:
            share = self.longest / max(image.size)
            return math.ceil(image.width * share), math.ceil(image.height * share)
        return None if self.least is None else (self.least, self.least)

    def factor(self, image: Image.Image) -> int:
        """How many times smaller a decoded picture may become in each direction. A whole one keeps what the next finer
        look at it needs, so that it is not decoded once more."""
        if self.longest is not None:
            return max(1, max(image.size) // max(self.longest, _KEPT))
        return 1 if self.least is None else max(1, min(image.size) // (2 * self.least))


def _decoded(
    path: Path, content: bytes | Image.Image | None, need: _Need, told: Told, known: Bare | None = None
) -> Image.Image:
    """known: what the file says of its colours and its orientation, where the content does not."""
    with _opened(path, content) as image:
        _require_pixels(path, image)
        if known is not None:
            image.info.update({"icc_profile": known.profile, "exif": known.exif})
        if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
            told.append("it does not say how its CMYK is meant: it is taken for inverted, as Adobe's is")
        if image is not content and (size := need.draft(image)):
            image.draft("RGB", size)
        raw = _wide_values(image)
        image.load()  # which turns a TIFF upright
        if image.format == "PNG" and isinstance(content, bytes) and content.rfind(b"IEND") < 0:
            told.append("the end is missing")
        if raw and image is not content and is_dim(image):
            image = _by_their_range(image, path, content, raw, told)
        upright = _upright(image, need, told)
        return upright.copy() if upright is content else upright


def _at_a_second_look(
    path: Path, content: bytes | Image.Image | None, need: _Need, error: Exception, told: Told
) -> Image.Image | None:
    """The picture of a file whose metadata may be all that is wrong with it, or whose values are of few bits; None
    where pixels are missing."""
    hopeless = (FileNotFoundError, IsADirectoryError, PermissionError, Image.DecompressionBombError, MemoryError)
    if isinstance(error, hopeless) or isinstance(content, Image.Image):
        return None
    try:
        if content is None:
            content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        packed = unpacked(content, MOST_PIXELS)
        if packed is not None:
            return _upright(packed, need, told)
        found, said = bare(content), Told()
        image = None if found is None else _decoded(path, found.content, need, said, found)
        if found is None or (found.filled and not _same(image, _decoded(path, found.filled, need, Told(), found))):
            return None
    except Exception:  # the first error says more
        return None
    told += [*(found.lost or (f"its metadata cannot be read ({error})",)), *said]
    return image


def _same(one: Image.Image | None, other: Image.Image) -> bool:
    return one is not None and one.tobytes() == other.tobytes()


@contextmanager
def _opened(path: Path, content: bytes | Image.Image | None) -> Iterator[Image.Image]:
    if isinstance(content, Image.Image):
        yield content
        return
    with path.open("rb") if content is None else io.BytesIO(content) as file:
        head = file.read(HEAD)
        file.seek(0)
        with Image.open(file, formats=formats_of(path, head)) as image:
            yield image


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


def _upright(image: Image.Image, need: _Need, told: Told) -> Image.Image:
    """Of a picture that is loaded."""
    colours, turn, factor = Colours.of(image, told), _turn(image, told), need.factor(image)
    if image.width * image.height <= _LARGE or (factor == 1 and colours.need_no_room(image)):
        rgb = colours.rgb(image)
    else:
        square = need.least is not None and factor > 1
        rgb = _in_bands(image, _central_square(image.size, factor) if square else (0, 0, *image.size), factor, colours)
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image, told: Told) -> Image.Transpose | None:
    """What turns a picture upright, by its EXIF or XMP."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return _TURNS.get(orientation)
    except Exception as error:  # whatever stands there
        told.append(f"its orientation cannot be read ({error}): it is taken for upright")
        return None


def _central_square(size: tuple[int, int], factor: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the largest whose side is a multiple of the factor."""
    side = min(size) // factor * factor
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def _in_bands(image: Image.Image, box: tuple[int, int, int, int], factor: int, colours: Colours) -> Image.Image:
    """A part of a large picture in RGB, each side a factor smaller, made in bands: whole, in RGB or as floats, it would
    take several times the memory of the decoded picture."""
    left, top, right, bottom = box
    made = Image.new("RGB", (-(-(right - left) // factor), -(-(bottom - top) // factor)))
    rows = max(1, _BAND // ((right - left) * factor))
    for start in range(0, made.height, rows):
        end = min(top + (start + rows) * factor, bottom)
        band = colours.rgb(image.crop((left, top + start * factor, right, end)))
        made.paste(band if factor == 1 else band.reduce(factor), (0, start))
    return made


def _wide_values(image: Image.Image) -> dict[str, str]:
    """How a picture's values of 16 bits in several channels are stored, which Pillow takes the upper bytes of: by that
    name the one by which it takes the lower ones."""
    parts: list[Any] = getattr(image, "tile", [])
    names = {str(part.args[0] if isinstance(part.args, tuple) else part.args) for part in parts}
    wide = [name for name in names if name.partition(";")[0] in _SEVERAL and ";16" in name]
    return {name: name[:-1] + _OTHER_BYTE.get(name[-1], "") for name in wide}


def _by_their_range(
    upper: Image.Image, path: Path, content: bytes | Image.Image | None, other: dict[str, str], told: Told
) -> Image.Image:
    """A picture whose upper bytes say next to nothing, since its values have fewer bits than there is room for."""
    with _opened(path, content) as lower:
        _rename(lower, other)
        lower.load()
        if lower.size != upper.size:  # a TIFF is turned
            return upper
        made = joined(upper, lower, told)
    made.info = dict(upper.info)
    return made


def _rename(image: Image.Image, names: dict[str, str]) -> None:
    """Let a picture that is not loaded take its values as these names say."""
    parts: list[Any] = image.tile  # type: ignore[attr-defined]
    for place, part in enumerate(parts):
        first = part.args[0] if isinstance(part.args, tuple) else part.args
        name = names.get(first, first)
        parts[place] = part._replace(args=(name, *part.args[1:]) if isinstance(part.args, tuple) else name)


def picture_size(content: bytes | Path | Image.Image) -> tuple[int, int] | None:
    """Width and height in pixels, as the file says them; None where that needs more than a look at its beginning."""
    if isinstance(content, Image.Image):
        return content.size
    try:
        if isinstance(content, Path):
            if not content.is_file():  # a pipe would be waited for
                return None
            path, known = content, None
        else:
            path, known = Path(), content
        with _opened(path, known) as opened:
            return opened.size
    except Exception:  # decoders raise what they like
        return None
