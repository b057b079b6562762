"""TIFFs whose values have 9 to 15 bits, one behind the other (TIFF 6.0, section 3): Pillow knows only some of 12.

Their bytes are decoded as those of a grey picture, whatever their compression, and unpacked here.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WIDTH, _HEIGHT, _BITS, _MEANING, _TURN, _CHANNELS, _PLANES, _PREDICTOR, _TILED = (
    256, 257, 258, 262, 274, 277, 284, 317, 322
)  # fmt: skip
_SIZES = {3: "H", 4: "I"}  # of fields, as struct names them
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ROWS = 256  # that are unpacked at a time: each bit takes a byte


def unpacked(content: bytes, most: int) -> Image.Image | None:
    """The picture, in mode L or RGB, its values scaled to 8 bits, as it lies in the file; None for any other file, or
    one of more pixels than that. Raises what decoders raise for damaged files."""
    fields = _fields(content)
    bits, channels = fields.get(_BITS, ()), fields.get(_CHANNELS, (1,))[0]
    plain = fields.get(_PLANES, (1,))[0] == fields.get(_PREDICTOR, (1,))[0] == 1 and _TILED not in fields
    meaning = fields.get(_MEANING, (-1,))[0]
    right = (channels, meaning) in ((1, _WHITE_IS_ZERO), (1, _BLACK_IS_ZERO), (3, _RGB))
    if not plain or not right or len(bits) != channels or len(set(bits)) != 1 or not 8 < bits[0] < 16:
        return None
    width, height = fields[_WIDTH][0], fields[_HEIGHT][0]
    if width * height > most:
        return None
    row = -(-width * channels * bits[0] // 8)
    new = {_WIDTH: row, _BITS: 8, _MEANING: _BLACK_IS_ZERO, _CHANNELS: 1, _TURN: 1}
    with Image.open(io.BytesIO(_changed(content, new)), formats=("TIFF",)) as image:
        packed, profile = np.asarray(image), image.info.get("icc_profile")
    values = _values(packed, bits[0], width * channels).reshape((height, width, channels)[: 2 + (channels > 1)])
    made = Image.fromarray(255 - values if meaning == _WHITE_IS_ZERO else values)
    made.info["icc_profile"], made.getexif()[_TURN] = profile, fields.get(_TURN, (1,))[0]
    return made


def _values(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Of rows of bytes (H, row) the values (H, count), scaled to 8 bits."""
    out = np.empty((len(packed), count), np.uint8)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.float32) * (255 / (2**bits - 1))
    for start in range(0, len(packed), _ROWS):
        some = np.unpackbits(packed[start : start + _ROWS], axis=1, count=count * bits)
        out[start : start + _ROWS] = (some.reshape(-1, count, bits) @ weights).round()
    return out


def _order(content: bytes) -> str:
    return {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4], "")


def _fields(content: bytes) -> dict[int, tuple[int, ...]]:
    """Whole numbers of the first picture's fields; none for what is no TIFF."""
    found: dict[int, tuple[int, ...]] = {}
    order = _order(content)
    for at in _entries(content):
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, at)
        if kind in _SIZES and 0 < count <= 4:
            size = struct.calcsize(f"{order}{count}{_SIZES[kind]}")
            place = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", content, at + 8)[0]
            if place + size <= len(content):
                found[tag] = struct.unpack_from(f"{order}{count}{_SIZES[kind]}", content, place)
    return found


def _entries(content: bytes) -> range:
    """Where the first picture's fields lie."""
    order = _order(content)
    if not order:
        return range(0)
    first = struct.unpack_from(f"{order}I", content, 4)[0]
    return range(first + 2, first + 2 + 12 * struct.unpack_from(f"{order}H", content, first)[0], 12)


def _changed(content: bytes, new: dict[int, int]) -> bytes:
    """The file with these fields, each of one number."""
    order, changed = _order(content), bytearray(content)
    for at in _entries(content):
        tag = struct.unpack_from(f"{order}H", content, at)[0]
        if tag == _WIDTH:
            struct.pack_into(f"{order}HHII", changed, at, tag, 4, 1, new[tag])
        elif tag in new:
            struct.pack_into(f"{order}HHIHH", changed, at, tag, 3, 1, new[tag], 0)
    return bytes(changed)
