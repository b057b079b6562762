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
FAULTS: dict[str, tuple[bytes, str]] = {
    "a text of 3 MB, packed": (with_chunk(chunk(b"zTXt", b"prompt\0\0" + TEXT)), "too large"),
    "an international one": (with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TEXT)), "too large"),
    "more text than memory": (with_chunk(*[chunk(b"tEXt", b"a\0" + b"b" * 2_000_000)] * 40), "Too much memory"),
    "a text with a wrong check": (with_chunk(chunk(b"tEXt", b"a\0b", 7)), "tEXt has a wrong check"),
    "a wrong check of the size": (spoiled(encoded("PNG"), b"IHDR"), "IHDR has a wrong check"),
    "a wrong check of resolutions": (with_chunk(chunk(b"pHYs", bytes(9), 7)), "pHYs has a wrong check"),
    "a resolution cut short": (with_chunk(chunk(b"pHYs", b"\0")), "Truncated pHYs"),
    "an animation's frame that is none": (with_chunk(chunk(b"acTL", b"\0"), chunk(b"fcTL", b"\1")), "acTL"),
    "a length beyond the end": (with_chunk(struct.pack(">I", 2**31 - 1) + b"tEXt" + b"a\0b"), "tEXt has a wrong"),
    "a name that is none": (with_chunk(struct.pack(">I", 3) + b"\1\2\3\4" + b"abc"), "wrong check"),
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
    content, words = FAULTS[fault]
    found, told = of(content)
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
