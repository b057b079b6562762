"""What a file says beside its pixels never costs the picture: it is left out, and told."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import ImageError
from faceedit.images import read_crop
from tests.conftest import blob_face
from tests.metadata_faults import faulty

FACE = blob_face(1, 15, 0)
UPRIGHT, TURNED = 1, 6  # EXIF's orientation


def encoded(name: str, exif: int = 0, **options: Any) -> bytes:
    stream, image = io.BytesIO(), Image.fromarray(FACE)
    if exif:
        said = Image.Exif()
        said[0x0112], said[0x010E] = exif, "a description " * 20
        options["exif"] = said
        image = image.rotate(90) if exif == TURNED else image
    image.save(stream, name, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes, check: int | None = None) -> bytes:
    check = zlib.crc32(kind + data) if check is None else check
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def with_chunk(*chunks: bytes) -> bytes:
    """The face as a PNG, with these before its pixels."""
    content = encoded("PNG")
    place = content.index(b"IDAT") - 4
    return content[:place] + b"".join(chunks) + content[place:]


def spoiled(content: bytes, kind: bytes) -> bytes:
    """A PNG in which this chunk has a wrong check."""
    at = content.index(kind)
    end = at + 4 + struct.unpack(">I", content[at - 4 : at])[0]
    return content[:end] + bytes(byte ^ 0xFF for byte in content[end : end + 4]) + content[end + 4 :]


def of(content: bytes) -> tuple[np.ndarray, list[str]]:
    told: list[str] = []
    return read_crop(Path("face.png"), content, told), told


TEXT = zlib.compress(b"a" * 3_000_000)
FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {  # made when asked for: one is of 80 MB
    "a text of 3 MB, packed": (lambda: with_chunk(chunk(b"zTXt", b"prompt\0\0" + TEXT)), "too large"),
    "an international one": (lambda: with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TEXT)), "too large"),
    "more text than memory": (lambda: with_chunk(*[chunk(b"tEXt", b"a\0" + b"b" * 2_000_000)] * 40), "Too much memory"),
    "a text with a wrong check": (lambda: with_chunk(chunk(b"tEXt", b"a\0b", 7)), "tEXt has a wrong check"),
    "a wrong check of the size": (lambda: spoiled(encoded("PNG"), b"IHDR"), "IHDR has a wrong check"),
    "a wrong check of resolutions": (lambda: with_chunk(chunk(b"pHYs", bytes(9), 7)), "pHYs has a wrong check"),
    "a resolution cut short": (lambda: with_chunk(chunk(b"pHYs", b"\0")), "Truncated pHYs"),
    "an animation's frame that is none": (lambda: with_chunk(chunk(b"acTL", b"\0"), chunk(b"fcTL", b"\1")), "acTL"),
    "a length beyond the end": (
        lambda: with_chunk(struct.pack(">I", 2**31 - 1) + b"tEXt" + b"a\0b"),
        "tEXt has a wrong",
    ),
    "a name that is none": (lambda: with_chunk(struct.pack(">I", 3) + b"\1\2\3\4" + b"abc"), "wrong check"),
}


ITSELF = b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"  # a directory that lies in itself
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"ha") for n in range(10))
XMP = (
    b"http://ns.adobe.com/xap/1.0/\0<!DOCTYPE x [" + LAUGHS + b"]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&l9;</x:xmpmeta>"
)


def segment(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", 2 + len(data)) + data


def of_several(name: str, **options: Any) -> bytes:
    """The face, then others."""
    stream = io.BytesIO()
    others = [Image.fromarray(blob_face(2, 15, n)) for n in range(2)]
    Image.fromarray(FACE).save(stream, name, save_all=True, append_images=others, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(of_several("PNG", duration=100), id="an animated PNG"),
        pytest.param(of_several("WEBP", lossless=True), id="an animated WebP"),
        pytest.param(of_several("TIFF"), id="a TIFF of several pages"),
        pytest.param(with_chunk(chunk(b"eXIf", ITSELF)), id="EXIF that lies in itself"),
        pytest.param(encoded("PNG") + b"GIF89a" * 50_000, id="another file behind it"),
        pytest.param(with_chunk(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))] * 90), id="many texts"),
    ],
)
def test_what_is_in_a_file_beside_its_first_picture_changes_nothing(content: bytes) -> None:
    np.testing.assert_array_equal(of(content)[0], FACE)


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(segment(0xE1, XMP), id="XMP that would be 2 GB"),
        pytest.param(segment(0xE1, b"Exif\0\0" + b"\xff" * 65_000) * 50, id="much EXIF that is none"),
        pytest.param(segment(0xE2, b"ICC_PROFILE\0\x01\xff" + b"x" * 100), id="one part of 255 of a profile"),
        pytest.param(b"\xff" * 9, id="padding"),
    ],
)
def test_what_a_jpeg_says_before_its_pixels_changes_nothing(beside: bytes) -> None:
    jpeg = encoded("JPEG", quality=95)
    np.testing.assert_array_equal(of(jpeg[:2] + beside + jpeg[2:])[0], of(jpeg)[0])


@pytest.mark.slow
def test_a_profile_that_unpacks_without_end_takes_no_memory() -> None:
    """400 MB of it; what is unpacked is bounded, whatever the file says."""
    tracemalloc = pytest.importorskip("tracemalloc")
    bomb = with_chunk(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(400_000_000), 9)))
    tracemalloc.start()
    try:
        found, told = of(bomb)
        assert tracemalloc.get_traced_memory()[1] < 250_000_000
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, FACE)
    assert any("profile cannot be used" in line for line in told)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_png_with_faulty_metadata_shows_the_same(fault: str) -> None:
    made, words = FAULTS[fault]
    found, told = of(made())
    np.testing.assert_array_equal(found, FACE)
    assert len(told) == 1 and words in told[0]


def test_a_png_without_its_end_shows_the_same() -> None:
    whole = encoded("PNG")
    for cut in (4, 8, 12, 16):
        found, told = of(whole[:-cut])
        np.testing.assert_array_equal(found, FACE)
        assert told == ["the end is missing"] * (cut > 4)


def test_what_a_sound_part_says_is_kept_beside_a_faulty_one() -> None:
    content = encoded("PNG", TURNED)
    place = content.index(b"IDAT") - 4
    found, told = of(content[:place] + chunk(b"tEXt", b"a\0b", 7) + content[place:])
    np.testing.assert_array_equal(found, FACE)
    assert told == ["tEXt has a wrong check"]


@pytest.mark.parametrize("garbage", [b"\0\x08\0\2\1\x12\0\3", b"MM\0*\0\0\0\x08" + b"\xff" * 60, b"II", b""])
def test_an_orientation_that_cannot_be_read_is_upright(garbage: bytes) -> None:
    found, _ = of(with_chunk(chunk(b"eXIf", garbage)))
    np.testing.assert_array_equal(found, FACE)
    segment = b"\xff\xe1" + struct.pack(">H", 8 + len(garbage)) + b"Exif\0\0" + garbage
    jpeg = encoded("JPEG", quality=95)
    np.testing.assert_array_equal(of(jpeg[:2] + segment + jpeg[2:])[0], of(jpeg)[0])


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_none_of_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(FACE).save(stream, "PNG", exif=exif)
    np.testing.assert_array_equal(of(stream.getvalue())[0], FACE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "subsampling": 2}])
def test_a_jpeg_without_its_end_shows_the_same(options: dict[str, Any]) -> None:
    whole = encoded("JPEG", quality=95, **options)
    for cut in (2, 1):
        found, told = of(whole[:-cut])
        np.testing.assert_array_equal(found, of(whole)[0])
        assert told == ["the end is missing"]


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("cut", [60, 200, 700])
def test_a_jpeg_without_some_of_its_pixels_is_damaged(options: dict[str, Any], cut: int) -> None:
    with pytest.raises(ImageError, match="damaged or truncated"):
        of(encoded("JPEG", quality=95, **options)[:-cut])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_png_without_some_of_its_pixels_is_no_picture(share: float) -> None:
    for content in (encoded("PNG"), spoiled(with_chunk(chunk(b"tEXt", b"a\0b")), b"tEXt")):
        with pytest.raises(ImageError, match=r"damaged or truncated|is not an image"):
            of(content[: int(share * len(content))])


def test_a_size_that_was_changed_is_no_picture() -> None:
    content = bytearray(encoded("PNG"))
    content[content.index(b"IHDR") + 7] ^= 1  # another width, and a check that does not fit
    with pytest.raises(ImageError, match=r"face\.png"):
        of(bytes(content))


def app(number: int, data: bytes) -> Callable[[bytes], bytes]:
    """Puts a segment at the beginning of a JPEG."""
    return lambda jpeg: jpeg[:2] + bytes((0xFF, 0xE0 + number)) + struct.pack(">H", 2 + len(data)) + data + jpeg[2:]


@pytest.mark.parametrize(
    "put",
    [
        app(0, b"JFIF\0"),
        app(2, b"MPF\0II*\0\xff\xff\xff\xff"),
        app(13, b"Photoshop 3.0\x008BIM"),
        app(1, b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 60_000),
        app(2, b"ICC_PROFILE\0\1"),
    ],
)
def test_a_jpeg_with_faulty_segments_shows_the_same(put: Callable[[bytes], bytes]) -> None:
    jpeg = encoded("JPEG", quality=95)
    np.testing.assert_array_equal(of(put(jpeg))[0], of(jpeg)[0])


def test_a_cmyk_jpeg_of_adobe_keeps_its_colours_without_its_end() -> None:
    stream = io.BytesIO()
    Image.fromarray(FACE).convert("CMYK").save(stream, "JPEG", quality=95)
    np.testing.assert_array_equal(of(stream.getvalue()[:-2])[0], of(stream.getvalue())[0])


def without_segment(jpeg: bytes, kind: int) -> bytes:
    """A JPEG without its segments of one kind."""
    found, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found += b"" if jpeg[at + 1] == kind else jpeg[at : at + length]
        at += length
    return found + jpeg[at:]


def test_a_cmyk_jpeg_that_does_not_say_so_is_taken_for_one_of_adobe() -> None:
    """As Pillow, OpenCV and browsers take it."""
    stream = io.BytesIO()
    Image.fromarray(FACE).convert("CMYK").save(stream, "JPEG", quality=95)
    said, silent = stream.getvalue(), without_segment(stream.getvalue(), 0xEE)
    assert len(silent) < len(said) and of(said)[1] == []
    for content in (silent, silent[:-2]):
        found, told = of(content)
        assert np.abs(found.astype(int) - FACE).mean() < 3
        np.testing.assert_array_equal(found, of(said)[0])
        assert "how its CMYK is meant" in told[-1]


@pytest.mark.parametrize("cut", [1, 50, 200])
def test_a_webp_that_ends_within_its_metadata_shows_the_same(cut: int) -> None:
    found, told = of(encoded("WEBP", UPRIGHT, lossless=True)[:-cut])
    np.testing.assert_array_equal(found, FACE)
    assert len(told) >= 1


def test_a_sound_file_tells_nothing() -> None:
    for name in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000"):
        assert of(encoded(name))[1] == [], name
    assert of(encoded("JPEG", TURNED))[1] == of(encoded("PNG", TURNED))[1] == []


@pytest.mark.parametrize("seed", range(180))
def test_whatever_is_wrong_beside_the_pixels_the_picture_is_the_same(seed: int) -> None:
    made = faulty(Image.fromarray(FACE).resize((90, 80)), seed)
    np.testing.assert_array_equal(of(made.content)[0], of(made.sound)[0], err_msg=made.name)


# --- what other formats say beside their pixels ---


def tiff_with(change: Callable[[bytearray, dict[int, int]], None], compression: str | None) -> bytes:
    """The face as a TIFF with many fields. change: is given its bytes, and where the field of each number lies."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0131], exif[0x8298] = "a description " * 20, "a program", "nobody's"
    stream = io.BytesIO()
    Image.fromarray(FACE).save(stream, "TIFF", compression=compression, exif=exif, dpi=(72, 72))
    content = bytearray(stream.getvalue())
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    at = {struct.unpack_from("<H", content, first + 2 + 12 * n)[0]: first + 2 + 12 * n for n in range(count)}
    change(content, at)
    return bytes(content)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("field", [0x010E, 0x0131, 0x8298, 282])
@pytest.mark.parametrize("fault", ["longer than the file", "elsewhere", "of no type"])
def test_a_tiff_with_a_faulty_field_shows_the_same(compression: str | None, field: int, fault: str) -> None:
    def change(content: bytearray, at: dict[int, int]) -> None:
        count, place = struct.unpack_from("<II", content, at[field] + 4)
        kind = struct.unpack_from("<H", content, at[field] + 2)[0]
        kind = 99 if fault == "of no type" else kind
        count = 2**31 - 1 if fault == "longer than the file" else max(count, 20)
        place = 2**31 - 16 if fault == "elsewhere" else place
        struct.pack_into("<HHII", content, at[field], field, kind, count, place)

    sound = of(encoded("TIFF", compression=compression))[0]
    np.testing.assert_array_equal(of(tiff_with(change, compression))[0], sound)


@pytest.mark.parametrize("field", [256, 258, 273])
def test_a_tiff_whose_pixels_cannot_be_found_is_no_picture(field: int) -> None:
    def change(content: bytearray, at: dict[int, int]) -> None:
        struct.pack_into("<HHII", content, at[field], field, 4, 9, 2**31 - 16)

    with pytest.raises(ImageError):
        of(tiff_with(change, "tiff_lzw"))


def test_a_jpeg2000_without_its_end_shows_the_same_and_one_without_pixels_is_none() -> None:
    sound = encoded("JPEG2000")
    found, told = of(sound[:-2])
    np.testing.assert_array_equal(found, of(sound)[0])
    assert told == ["the end is missing"]
    for cut in (3, 50, len(sound) // 2):
        with pytest.raises(ImageError, match="damaged or truncated"):
            of(sound[:-cut])


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
@pytest.mark.parametrize("garbage", [bytes(range(7, 250)), b"Exif\0\0" + b"\xff" * 200])
def test_exif_of_phones_that_is_garbage_costs_no_picture(name: str, garbage: bytes) -> None:
    if name == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    made = Image.Exif()
    made[0x010E] = "a description " * 20
    stream, said = io.BytesIO(), made.tobytes().removeprefix(b"Exif\0\0")
    Image.fromarray(FACE).save(stream, name, exif=made, quality=90)
    content = stream.getvalue()
    at = content.index(said[:100])
    faulty_one = content[:at] + garbage[:100].ljust(100, b"\0") + content[at + 100 :]
    found, told = of(faulty_one)
    np.testing.assert_array_equal(found, of(content)[0])
    assert len(told) == 1


@pytest.mark.parametrize(("mode", "clear"), [("RGB", b"\0"), ("L", b"\0" * 5), ("P", b"")])
def test_what_a_png_says_is_transparent_and_cannot_be_costs_nothing(mode: str, clear: bytes) -> None:
    stream = io.BytesIO()
    Image.fromarray(FACE).convert(mode).save(stream, "PNG")
    sound = stream.getvalue()
    place = sound.index(b"IDAT") - 4
    faulty_one = sound[:place] + chunk(b"tRNS", clear) + sound[place:]
    np.testing.assert_array_equal(of(faulty_one)[0], of(sound)[0])


@pytest.mark.parametrize("part", [b"ICCP", b"EXIF", b"XMP "])
def test_a_webp_whose_part_says_too_great_a_length_shows_the_same(part: bytes) -> None:
    content = encoded("WEBP", UPRIGHT, lossless=True, icc_profile=b"\1" * 300, xmp=b"<x/>")
    at = content.index(part) + 4
    found, _ = of(content[:at] + struct.pack("<I", 10**8) + content[at + 4 :])
    np.testing.assert_array_equal(found, FACE)


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(b"\xff\xee\0\x07Adobe", id="what Adobe says, cut off"),
        pytest.param(b"\0" * 7, id="zeros between two parts"),
        pytest.param(b"between\xff\0", id="text between two parts"),
    ],
)
def test_what_is_between_the_parts_of_a_jpeg_costs_nothing(put: bytes) -> None:
    jpeg = encoded("JPEG", quality=95)
    np.testing.assert_array_equal(of(jpeg[:2] + put + jpeg[2:])[0], of(jpeg)[0])
