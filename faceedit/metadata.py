"""A picture's file without what is not the picture: for files whose pixels are sound and whose metadata are not.

PNG (W3C Portable Network Graphics, section 5), JPEG (ITU-T T.81, annex B) and WebP (RFC 9649) say where each part of a
file begins and ends, so that what shows something can be told from what only says something. What is kept of the rest
is the colour profile and the EXIF data, which say how the picture is meant to be shown.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PROFILE = 2**26  # bytes of a colour profile, unpacked
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_SHOWN = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}  # of a PNG
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
_END = b"\xff\xd9"  # of a JPEG
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"


@dataclass(frozen=True)
class Bare:
    """content: a file that shows the same, without metadata; profile, exif: of the file, empty where it has none that
    can be read. filled: where the end was missing, the content with other bytes where it was: whoever decodes both and
    sees the same has all pixels. lost: what was left out, and why."""

    content: bytes
    profile: bytes = b""
    exif: bytes = b""
    filled: bytes = b""
    lost: tuple[str, ...] = ()


def bare(content: bytes) -> Bare | None:
    """The picture of a file; None for one of another format, or that is no whole file but for its metadata."""
    if content.startswith(_PNG):
        return _png(content)
    if content.startswith(_JPEG):
        return _jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    return None


# --- PNG ---


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    data: bytes
    sound: bool  # whether its check fits


def _png(content: bytes) -> Bare | None:
    chunks = list(_chunks(content))
    header = next((chunk for chunk in chunks if chunk.kind == b"IHDR"), None)
    pixels = b"".join(chunk.data for chunk in chunks if chunk.kind == b"IDAT")
    if header is None or not pixels or not (header.sound or _fits(header.data, pixels)):
        return None
    before = [header, *(chunk for chunk in chunks if chunk.kind in (b"PLTE", b"tRNS"))]
    parts = [*((chunk.kind, chunk.data) for chunk in before), (b"IDAT", pixels), (b"IEND", b"")]
    said = {chunk.kind: chunk.data for chunk in chunks if chunk.sound and chunk.kind in (b"iCCP", b"eXIf")}
    lost = [f"{_name(chunk.kind)} has a wrong check" for chunk in chunks if not chunk.sound and chunk.kind != b"IDAT"]
    lost += [] if any(chunk.kind == b"IEND" for chunk in chunks) else ["the end is missing"]
    profile = _unpacked(said.get(b"iCCP", b"").partition(b"\0")[2][1:])
    return Bare(_PNG + b"".join(_chunk(*part) for part in parts), profile, said.get(b"eXIf", b""), lost=tuple(lost))


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Every part, the last one as far as it goes; after a length that cannot be, from the next that shows something."""
    at = len(_PNG)
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + length]
        if not kind.isalpha() or (len(data) < length and kind != b"IDAT"):
            found = re.compile(rb"PLTE|IDAT|IEND").search(content, at + 8)
            yield _Chunk(kind, b"", False)
            at = found.start() - 4 if found else len(content)
            continue
        check = content[at + 8 + length : at + 12 + length]
        yield _Chunk(kind, data, check == zlib.crc32(kind + data).to_bytes(4, "big"))
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _fits(header: bytes, pixels: bytes) -> bool:
    """Whether the pixels are as many as a header says whose own check is wrong; of an interlaced picture nobody can
    tell."""
    if len(header) != 13 or header[9] not in _CHANNELS or header[12]:
        return False
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    expected = height * (1 + -(-width * header[8] * _CHANNELS[header[9]] // 8))
    return expected <= 4 * MOST_PROFILE and len(_unpacked(pixels, expected + 1)) == expected


def _unpacked(packed: bytes, most: int = MOST_PROFILE) -> bytes:
    """What was packed, up to so many bytes; nothing where it is no such."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""


# --- JPEG ---


def _jpeg(content: bytes) -> Bare | None:
    shown, profiles = [_JPEG], list[bytes]()
    exif, at = b"", len(_JPEG)
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        kind = content[at + 1]
        if kind == 0xFF:  # it may be repeated
            at += 1
            continue
        if kind == 0xDA:  # the pixels, to the end
            return _ended(b"".join(shown) + content[at:], b"".join(profiles), exif)
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at : at + length]
        if kind == 0xE2 and segment[4:].startswith(_PROFILE):
            profiles.append(segment[18:])
        elif kind == 0xE1 and segment[4:].startswith(_EXIF):
            exif += segment[10:] if exif else segment[4:]
        elif kind == 0xEE or not (0xE0 <= kind <= 0xEF or kind == 0xFE):  # Adobe's says what the colours are
            shown.append(segment)
        at += length
    return None


def _ended(content: bytes, profile: bytes, exif: bytes) -> Bare:
    if content.rfind(_END) >= 0:
        return Bare(content, profile, exif)
    content = content.rstrip(b"\xff")
    other = bytes(random.Random(0).choices(range(255), k=256))  # no marker is in it
    return Bare(content + _END, profile, exif, content + other + _END, ("the end is missing",))


# --- WebP ---


def _webp(content: bytes) -> Bare | None:
    shown, said, at = list[bytes](), dict[bytes, bytes](), 12
    while at + 8 <= len(content):
        kind, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        data = content[at + 8 : at + 8 + length]
        if kind in (b"ICCP", b"EXIF", b"XMP "):
            said[kind] = data if len(data) == length else b""
        elif len(data) < length:
            return None
        else:
            data = bytes([data[0] & ~0x2C]) + data[1:] if kind == b"VP8X" else data  # it has no such parts any more
            shown.append(kind + length.to_bytes(4, "little") + data + b"\0" * (length % 2))
        at += 8 + length + length % 2
    body = b"WEBP" + b"".join(shown)
    exif = said.get(b"EXIF", b"")
    return Bare(b"RIFF" + len(body).to_bytes(4, "little") + body, said.get(b"ICCP", b""), exif)
