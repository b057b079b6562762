"""Files whose pixels are sound and whose metadata are not, as generators make them from sound ones."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_ANCILLARY = [kind.encode() for kind in "tEXt zTXt iTXt pHYs gAMA cHRM sRGB iCCP eXIf tIME bKGD zzZz".split()]
_SEGMENTS = (
    b"JFIF\0",
    b"JFXX\0",
    b"Exif\0\0",
    b"http://ns.adobe.com/xap/1.0/\0",
    b"MPF\0",
    b"ICC_PROFILE\0\1\1",
    b"Photoshop 3.0\0",
)
_Rng = np.random.Generator


@dataclass(frozen=True)
class Faulty:
    """name: of the file; content: what it holds; sound: the file of which it shows the same."""

    name: str
    content: bytes
    sound: bytes


def faulty(picture: Image.Image, seed: int) -> Faulty:
    """One of the faults, in one of the formats, of this picture."""
    rng = np.random.default_rng(seed)
    fault = FAULTS[seed % len(FAULTS)]
    suffix, content, sound = fault(picture, rng)
    return Faulty(f"faulty-{seed:04d}-{fault.__name__}.{suffix}", content, sound)


_Fault = Callable[[Image.Image, _Rng], tuple[str, bytes, bytes]]


def png_chunk(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """A part of any size and content, whose check may be wrong, before the pixels or behind them."""
    sound = _saved(picture, "PNG")
    kind = _ANCILLARY[int(rng.integers(len(_ANCILLARY)))]
    data = _chunk_data(kind, rng)
    check = zlib.crc32(kind + data) ^ int(rng.integers(2))
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
    place = sound.index(b"IDAT") - 4 if rng.integers(2) else len(sound) - 12
    return "png", sound[:place] + chunk + sound[place:], sound


def _chunk_data(kind: bytes, rng: _Rng) -> bytes:
    size = int(rng.choice([0, 1, 9, 300, 70_000, 1_200_000, 2_500_000]))
    if kind in (b"zTXt", b"iCCP"):
        return b"name\0\0" + zlib.compress(bytes(size))
    if kind == b"iTXt":
        return b"name\0\1\0\0\0" + zlib.compress(b"a" * size)
    return b"name\0" + b"a" * size if kind == b"tEXt" else rng.bytes(size % 400)


def png_check(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """A wrong check of any part but the pixels, also of the size or the palette."""
    exif = Image.Exif()
    exif[0x010E] = "described"
    sound = _saved(picture.convert("P") if rng.integers(2) else picture, "PNG", dpi=(72, 72), exif=exif)
    kinds = [kind for kind in (b"IHDR", b"PLTE", b"pHYs", b"eXIf", b"IEND") if kind in sound]
    at = sound.index(kinds[int(rng.integers(len(kinds)))])
    end = at + 4 + struct.unpack(">I", sound[at - 4 : at])[0]
    return "png", sound[:end] + bytes(byte ^ 0xA5 for byte in sound[end : end + 4]) + sound[end + 4 :], sound


def odd_exif(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """EXIF data with bytes that mean something else, or nothing; never another orientation."""
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x011A] = "described", "maker", 72.0
    made = bytearray(exif.tobytes())
    for _ in range(int(rng.integers(1, 20))):
        made[int(rng.integers(6, len(made)))] = int(rng.integers(256))
    made = made[: int(rng.integers(8, len(made) + 1))]
    if b"\x01\x12" in made or b"\x12\x01" in made:
        made = made[:8]
    name = ("PNG", "JPEG", "WEBP")[int(rng.integers(3))]
    options = {"lossless": True} if name == "WEBP" else {"quality": 95} if name == "JPEG" else {}
    return name.lower(), _saved(picture, name, exif=bytes(made), **options), _saved(picture, name, **options)


def odd_profile(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """A profile that is none, of any size."""
    profile = rng.bytes(int(rng.choice([1, 127, 128, 600, 70_000, 1_300_000])))
    name = ("PNG", "JPEG", "WEBP", "TIFF")[int(rng.integers(4))]
    options = {"lossless": True} if name == "WEBP" else {}
    suffix = {"TIFF": "tif"}.get(name, name.lower())
    return suffix, _saved(picture, name, icc_profile=profile, **options), _saved(picture, name, **options)


def no_end(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """The last bytes are missing, which show nothing."""
    if rng.integers(2):
        sound = _saved(picture, "PNG")
        return "png", sound[: -int(rng.integers(1, 17))], sound
    options = {"quality": int(rng.integers(60, 96)), "progressive": bool(rng.integers(2))}
    sound = _saved(picture, "JPEG", **options)
    return "jpg", sound[: -int(rng.integers(1, 3))], sound


def odd_segment(picture: Image.Image, rng: _Rng) -> tuple[str, bytes, bytes]:
    """A segment of a JPEG that begins as one of a kind and goes on as nothing; perhaps without an end as well."""
    sound = _saved(picture, "JPEG", quality=90)
    start = _SEGMENTS[int(rng.integers(len(_SEGMENTS)))]
    data = start + rng.bytes(int(rng.choice([0, 1, 3, 40, 5_000])))
    number = {b"Exif": 1, b"http": 1, b"MPF\0": 2, b"ICC_": 2, b"Phot": 13}.get(start[:4], 0)
    segment = bytes((0xFF, 0xE0 + number)) + struct.pack(">H", 2 + len(data)) + data
    end = len(sound) - 2 * int(rng.integers(2))
    return "jpg", sound[:2] + segment + sound[2:end], sound


FAULTS: tuple[_Fault, ...] = (png_chunk, png_check, odd_exif, odd_profile, no_end, odd_segment)


def _saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, name, **options)
    return stream.getvalue()
