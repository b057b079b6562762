"""A picture's file without what is not the picture: for files whose pixels are sound and whose metadata are not.

PNG (W3C Portable Network Graphics, section 5), JPEG (ITU-T T.81, annex B), WebP (RFC 9649) and TIFF (TIFF 6.0, section
2) say where each part of a file begins and ends, so that what shows something can be told from what only says
something. What is kept of the rest is the colour profile and the EXIF data, which say how the picture is meant to be
shown.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PROFILE = 2**26  # bytes of a colour profile, unpacked
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_SHOWN = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}  # of a PNG
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
_CLEAR = {0: range(2, 3), 2: range(6, 7), 3: range(1, 257)}  # bytes that say what is transparent, by colour type
_END = b"\xff\xd9"  # of a JPEG
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
_ADOBE = 16  # bytes of a segment that says what colours are: what is shorter says nothing
_JPEG2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # of a TIFF's numbers
_FIELD_SIZES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8), 1))  # bytes of one value, by its type
_FIELDS_SHOWN = frozenset(
    (256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 301, 317, 320, 322, 323, 324, 325, 332, 338)
) | {339, 347, 529, 530, 531, 532}  # sizes, strips, tiles, colours and how they are packed
_FIELD_PROFILE = 34675
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


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
    if content[:4] in _ORDERS:
        return _tiff(content)
    if content.startswith(_JPEG2000) and not content.endswith(_END):  # each of its parts says how long it is
        return Bare(content + _END, lost=("the end is missing",))
    if content[4:8] == b"ftyp":  # AVIF and HEIC (ISO/IEC 23008-12): an item of another type is passed over
        return Bare(_EXIF_ITEM.sub(rb"\1none", content), lost=("its EXIF data cannot be read",))
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
    clear = _CLEAR.get(header.data[9], range(0))
    shown = (chunk for chunk in chunks if chunk.kind == b"PLTE" or (chunk.kind == b"tRNS" and len(chunk.data) in clear))
    before = [header, *shown]
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
    while 0 <= at <= len(content) - 4:
        kind = content[at + 1]
        if content[at] != 0xFF or kind in (0, 0xFF):  # between parts; it may be repeated
            at = content.find(b"\xff", at + 1)
            continue
        if kind == 0xDA:  # the pixels, to the end
            return _ended(b"".join(shown) + content[at:], b"".join(profiles), exif)
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        segment = content[at : at + length]
        if kind == 0xE2 and segment[4:].startswith(_PROFILE):
            profiles.append(segment[18:])
        elif kind == 0xE1 and segment[4:].startswith(_EXIF):
            exif += segment[10:] if exif else segment[4:]
        elif _shows(kind, segment):
            shown.append(segment)
        at += length
    return None


def _shows(kind: int, segment: bytes) -> bool:
    """Whether a segment of a JPEG is needed to show it; Adobe's says what the colours are."""
    return len(segment) >= _ADOBE if kind == 0xEE else not (0xE0 <= kind <= 0xEF or kind == 0xFE)


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
        if kind in (b"ICCP", b"EXIF", b"XMP ") and len(data) < length:  # from the next that shows something
            shows = re.compile(rb"VP8[ L]|ALPH|ANIM").search(content, at + 8)
            at = shows.start() if shows else len(content)
            continue
        if kind in (b"ICCP", b"EXIF", b"XMP "):
            said[kind] = data
        elif len(data) < length:
            return None
        else:
            data = bytes([data[0] & ~0x2C]) + data[1:] if kind == b"VP8X" else data  # it has no such parts any more
            shown.append(kind + length.to_bytes(4, "little") + data + b"\0" * (length % 2))
        at += 8 + length + length % 2
    body = b"WEBP" + b"".join(shown)
    exif = said.get(b"EXIF", b"")
    return Bare(b"RIFF" + len(body).to_bytes(4, "little") + body, said.get(b"ICCP", b""), exif)


# --- TIFF ---


def _tiff(content: bytes) -> Bare:
    """Of the first picture: with a list of only those fields that show something, behind all else. Raises struct.error
    for a file whose list is not in it."""
    order = _ORDERS[content[:4]]
    (first,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, first)
    kept, lost, profile = list[bytes](), list[str](), b""
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind, values, place = struct.unpack_from(f"{order}HHII", content, at)
        size = _FIELD_SIZES.get(kind, len(content)) * values
        if size > 4 and place + size > len(content):
            lost.append(f"field {tag} is not in the file")
        elif tag in _FIELDS_SHOWN:
            kept.append(content[at : at + 12])
        elif tag == _FIELD_PROFILE:
            profile = content[place : place + size]
    fields = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    body = content + bytes(len(content) % 2)  # a list begins at an even place
    return Bare(body[:4] + struct.pack(f"{order}I", len(body)) + body[8:] + fields, profile, lost=tuple(lost))
