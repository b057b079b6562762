"""The colours of a decoded picture as they are meant: 8 bits of sRGB, whatever range and profile the file has."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

Told = list[str]
"""What is wrong with a file and costs no pixel of it."""

_GREY = (128, 128, 128, 255)  # what lies behind transparent parts
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # modes by the colour space that a profile is for
_DEPTHS = (8, 10, 12, 16)  # bits that sensors and files have
_NEAR = 2  # of 255: profiles that change no colour by more are sRGB by another name
_OVERSHOOT = 2.0  # above 1, of a picture of floats whose white is 1
_BITS, _FORMAT = 258, 339  # TIFF's BitsPerSample and SampleFormat


@dataclass(frozen=True)
class Colours:
    """How the values of one picture become 8-bit sRGB. top: the value of its white, where it has more than 8 bits in
    one channel; transform: from its profile, where it has one that is not sRGB's."""

    top: float = 255.0
    transform: ImageCms.ImageCmsTransform | None = None

    @classmethod
    def of(cls, image: Image.Image, told: Told | None = None) -> Colours:
        """Of a picture that is loaded. told: what cannot be read is added to it. Raises ValueError for values that are
        no numbers."""
        told = [] if told is None else told
        return cls(_top(image, told) if is_deep(image) else 255.0, _transform_of(image, told))

    def need_no_room(self, image: Image.Image) -> bool:
        """Whether the picture is in sRGB as it is, and nothing shows through."""
        return self.transform is None and image.mode == "RGB" and not _is_transparent(image)

    def rgb(self, part: Image.Image) -> Image.Image:
        """A part of the picture, or all of it, in mode RGB, which may be itself; transparent parts become grey."""
        if is_deep(part):
            values = np.asarray(part, dtype=np.float64)
            part = Image.fromarray((values.clip(0, self.top) * (255 / self.top)).astype(np.uint8))
        if not _is_transparent(part):
            return self._meant(part)
        clear = part.convert("RGBA")
        shown = (
            self._meant(part.convert("L") if part.mode == "LA" else clear.convert("RGB")) if self.transform else None
        )
        if shown is not None:
            shown.putalpha(clear.getchannel("A"))
        return Image.alpha_composite(Image.new("RGBA", clear.size, _GREY), shown or clear).convert("RGB")

    def _meant(self, part: Image.Image) -> Image.Image:
        if self.transform is None:
            return part if part.mode == "RGB" else part.convert("RGB")
        mode = self.transform.input_mode
        return ImageCms.applyTransform(part if part.mode == mode else part.convert(mode), self.transform) or part


def is_deep(image: Image.Image) -> bool:
    """Whether a value of its one channel has 16 bits or more."""
    return image.mode.startswith("I") or image.mode == "F"


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


# --- range ---


def _top(image: Image.Image, told: Told) -> float:
    """The value of white: as the file says it, else of the fewest bits that hold the highest value."""
    highest, tags = _highest(image), getattr(image, "tag_v2", {})
    bits, signed = _first(tags.get(_BITS)), _first(tags.get(_FORMAT)) == 2
    if image.mode == "F" and highest <= _OVERSHOOT:
        return 1.0
    if image.format == "PPM":  # whose range Pillow makes so
        return 65535.0
    if 8 < bits < 16 and highest < 2**bits:
        return 2.0**bits - 1
    top = _fewest(highest, told)
    return 32767.0 if signed and top == 65535 >= 2 * highest else top


def _first(tag: object) -> int:
    """Of a TIFF's field of whole numbers; 0 where there is none."""
    found = tag[0] if isinstance(tag, tuple) and tag else tag
    return found if isinstance(found, int) else 0


def _fewest(highest: float, told: Told) -> float:
    for bits in _DEPTHS:
        if highest < 2**bits:
            if bits in (10, 12):
                told.append(f"its values need {bits} of the bits that they have: it is taken for one of {bits} bits")
            return 2.0**bits - 1
    return highest


def _highest(image: Image.Image) -> float:
    try:
        highest = float(image.getextrema()[1])  # type: ignore[arg-type]
    except ValueError:  # not of every mode
        highest = float(np.asarray(image).max(initial=0))
    if image.mode == "F" and not (math.isfinite(highest) and math.isfinite(float(np.asarray(image).sum()))):
        raise ValueError("it has values that are no numbers")
    return highest


def is_dim(image: Image.Image) -> bool:
    """Whether the upper bytes of a picture with 16 bits in each of several channels leave the four highest bits
    empty."""
    extrema = image.getextrema()
    return all(isinstance(pair, tuple) and pair[1] < 16 for pair in extrema)


def joined(upper: Image.Image, lower: Image.Image, told: Told | None) -> Image.Image:
    """Of a picture with 16 bits in each of several channels, its upper and lower bytes: its 8 bits by the range that it
    has."""
    most = max(pair[1] for pair in upper.getextrema()), max(pair[1] for pair in lower.getextrema())  # type: ignore[index]
    top = _fewest(most[0] * 256 + (most[1] if most[0] == 0 else 255), [] if told is None else told)
    channels = len(upper.getbands())
    above = [min(round(value * 256 * 255 / top), 255) for value in range(256)] * channels
    below = [min(round(value * 255 / top), 255) for value in range(256)] * channels
    return ImageChops.add(upper.point(above), lower.point(below))


# --- profiles ---


def _transform_of(image: Image.Image, told: Told) -> ImageCms.ImageCmsTransform | None:
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    mode = "CMYK" if image.mode == "CMYK" else "L" if is_deep(image) or image.mode in ("1", "L", "LA") else "RGB"
    try:
        return _to_srgb(bytes(profile), mode)
    except (ImageCms.PyCMSError, ValueError, TypeError, OSError, ImportError) as error:
        told.append(f"its colour profile cannot be used ({error}): its colours are taken for sRGB")
        return None


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where they are the same. Raises ValueError for a profile of other colours than the
    mode's, PyCMSError for one that is none."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = str(source.profile.xcolor_space).strip()
    if _SPACES.get(space) != mode and (space, mode) != ("RGB", "L"):
        raise ValueError(f"it is for {space}, and the picture is {mode}")
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), _SPACES[space], "RGB")
    return transform if space == "CMYK" or _changes(transform) else None


def _changes(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether it makes another colour of any of some."""
    steps = range(0, 256, 17)
    if transform.input_mode == "L":
        before = np.arange(256, dtype=np.uint8)[None]
    else:
        before = np.array([[(r, g, b) for r in steps for g in steps for b in steps]], np.uint8)
    after = ImageCms.applyTransform(Image.fromarray(before), transform)
    expected = before if before.ndim == 3 else before[..., None]
    return bool(np.abs(np.asarray(after).astype(int) - expected).max() > _NEAR)
