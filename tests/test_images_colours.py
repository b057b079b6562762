"""Colours as they are meant: profiles become sRGB, values of any number of bits 8 of them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceedit.decoding import read_photograph
from faceedit.images import read_crop
from tests.conftest import blob_face
from tests.test_images_metadata import chunk

FACE = blob_face(1, 15, 0)
GREY = np.asarray(Image.fromarray(FACE).convert("L"))


def of(content: bytes) -> tuple[np.ndarray, list[str]]:
    told: list[str] = []
    return read_crop(Path("face"), content, told), told


def saved(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


# --- profiles: a matrix and gammas as ICC.1:2010 has them, since Pillow makes none but sRGB's ---

D50_ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))  # columns r, g, b
D50_SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def profile(
    space: bytes, gamma: float, colours: tuple[tuple[float, ...], ...] = (), padding: int = 0, kind: bytes = b"mntr"
) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)}
    tags |= {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"x\0",
    }
    if colours:
        tags |= {
            name: b"XYZ " + bytes(4) + fixed(*xyz)
            for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours, strict=True)
        }
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    else:
        tags[b"kTRC"] = curve
    if padding:
        tags[b"priv"] = b"data" + bytes(padding)
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, kind, space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


def expected(image: np.ndarray, gamma: float, colours: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """The formula: to linear light, to XYZ, to linear sRGB, to its curve (IEC 61966-2-1)."""
    light = (image / 255) ** gamma @ np.array(colours) @ np.linalg.inv(np.array(D50_SRGB))
    light = light.clip(0, 1)
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255)


ADOBE = profile(b"RGB ", 2.2, D50_ADOBE)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_a_profile_is_applied(name: str) -> None:
    options = {"lossless": True} if name == "WEBP" else {}
    found, told = of(saved(Image.fromarray(FACE), name, icc_profile=ADOBE, **options))
    assert told == []
    assert np.abs(found - expected(FACE, 2.2, D50_ADOBE)).max() < 3
    assert np.abs(found.astype(int) - FACE).max() > 10


def test_a_profile_of_a_jpeg_is_applied_also_where_it_takes_several_segments() -> None:
    plain = of(saved(Image.fromarray(FACE), "JPEG", quality=100, subsampling=0))[0]
    for padding in (0, 200_000):
        content = saved(
            Image.fromarray(FACE),
            "JPEG",
            quality=100,
            subsampling=0,
            icc_profile=profile(b"RGB ", 2.2, D50_ADOBE, padding),
        )
        found, told = of(content)
        assert told == [] and np.abs(found - expected(plain, 2.2, D50_ADOBE)).max() < 3


def test_a_profile_of_any_size_is_applied() -> None:
    content = saved(Image.fromarray(FACE), icc_profile=profile(b"RGB ", 2.2, D50_ADOBE, 3_000_000))
    found, told = of(content)
    assert np.abs(found - expected(FACE, 2.2, D50_ADOBE)).max() < 3
    assert len(told) == 1 and "too large" in told[0]


def test_a_profile_that_says_srgb_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mine in (srgb, profile(b"RGB ", 2.2, D50_SRGB)):  # the second within 2 of 255 but for the darkest
        found = of(saved(Image.fromarray(FACE), icc_profile=mine))[0]
        assert np.abs(found.astype(int) - FACE).max() <= (0 if mine == srgb else 9)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "P", "RGBA"])
def test_a_profile_is_applied_in_every_mode(mode: str) -> None:
    image = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(FACE)
    image = image if mode == "I;16" else image.convert(mode)
    grey = mode in ("L", "LA", "I;16")
    mine = profile(b"GRAY", 1.0) if grey else profile(b"RGB ", 1.0, D50_SRGB)
    found, told = of(saved(image, icc_profile=mine))
    plain = of(saved(image))[0]
    assert told == [] and np.abs(found - expected(plain, 1.0, D50_SRGB)).max() < 4


def test_a_profile_for_colours_in_a_grey_picture_is_applied() -> None:
    found, told = of(saved(Image.fromarray(GREY), icc_profile=profile(b"RGB ", 1.0, D50_SRGB)))
    assert told == [] and np.abs(found - expected(GREY[..., None].repeat(3, 2), 1.0, D50_SRGB)).max() < 4


def test_transparent_parts_stay_grey_under_a_profile() -> None:
    image = Image.fromarray(FACE).convert("RGBA")
    image.putalpha(0)
    assert (of(saved(image, icc_profile=ADOBE))[0] == 128).all()


def test_a_large_picture_and_a_small_one_get_the_same_colours(tmp_path: Path) -> None:
    large = Image.fromarray(FACE).resize((2200, 2200), Image.Resampling.BICUBIC)
    content = saved(large, compress_level=1, icc_profile=ADOBE)
    whole = read_photograph(tmp_path, content=content).resize((60, 60), Image.Resampling.BOX)
    assert np.abs(of(content)[0].astype(int) - np.asarray(whole)).mean() < 3


@pytest.mark.parametrize(
    "broken",
    [b"no profile at all", ADOBE[:300], ADOBE[:132], b"\0" * 200, profile(b"CMYK", 1.0), profile(b"GRAY", 1.0)],
)
@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_a_broken_profile_is_told_and_costs_nothing(broken: bytes, name: str) -> None:
    found, told = of(saved(Image.fromarray(FACE), name, icc_profile=broken))
    np.testing.assert_array_equal(found, of(saved(Image.fromarray(FACE), name))[0])
    assert len(told) == 1 and "its colour profile cannot be used" in told[0]


# --- bits ---


def png(values: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3 or 4) uint16 as a PNG of 16 bits."""
    height, width, *channels = values.shape
    colour = {(): 0, (3,): 2, (4,): 6}[tuple(channels)]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, bits: int = 16, order: str = "<") -> bytes:
    """(H, W) or (H, W, 3) as an uncompressed TIFF of so many bits a value, packed as section 3 of TIFF 6.0 says."""
    height, width, *channels = values.shape
    count = channels[0] if channels else 1
    if bits == 16:
        rows = values.astype(f"{order}u2").tobytes()
    else:
        flat = values.reshape(height, width * count, 1) >> np.arange(bits - 1, -1, -1) & 1
        rows = np.packbits(flat.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, count, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 2 if channels else 1),
    ]
    tags += [(273, 4, 1, 0), (277, 3, 1, count), (278, 4, 1, height), (279, 4, 1, len(rows))]
    end = 8 + 2 + 12 * len(tags) + 4
    extra = b"" if count == 1 else struct.pack(f"{order}{count}H", *[bits] * count)
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, kind, number, value in tags:
        value = {273: end + len(extra), 258: end if count > 1 else bits}.get(tag, value)
        short = kind == 3 and number == 1
        out += struct.pack(f"{order}HHI", tag, kind, number) + struct.pack(
            f"{order}{'HH' if short else 'I'}", *((value, 0) if short else (value,))
        )
    return out + bytes(4) + extra + rows


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_grey_values_of_so_many_bits_in_16_are_scaled_by_their_range(bits: int) -> None:
    values = np.round(GREY / 255 * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    for content in (png(values), tiff(values), tiff(values, order=">")):
        found, told = of(content)
        assert np.abs(found[..., 0].astype(int) - GREY)[1:].max() <= 1
        assert [f"taken for one of {bits} bits" in one for one in told] == [True] * (bits in (10, 12))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_so_many_bits_in_16_are_scaled_by_their_range(bits: int, channels: int) -> None:
    values = np.round(FACE / 255 * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    if channels == 4:
        values = np.dstack([values, np.full((60, 60), 2**bits - 1, np.uint16)])
    contents = [png(values)] if channels == 4 else [png(values), tiff(values), tiff(values, order=">")]
    for content in contents:
        found, told = of(content)
        assert np.abs(found.astype(int) - FACE)[1:].max() <= 1
        assert [f"taken for one of {bits} bits" in one for one in told] == [True] * (bits in (10, 12))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("dim", [1, 8])
def test_a_tiff_that_says_its_bits_is_believed(bits: int, dim: int) -> None:
    """Also where no value comes near the highest."""
    values = np.round(GREY / 255 * (2**bits - 1) / dim).astype(np.uint16)
    found, told = of(tiff(values, bits))
    assert np.abs(found[..., 0] - GREY / dim).max() <= 1 and told == []


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_colours_in_few_bits_is_read(bits: int, order: str) -> None:
    values = np.round(FACE / 255 * (2**bits - 1)).astype(np.uint16)[:, :59]  # rows that end within a byte
    told: list[str] = []
    found = np.asarray(read_photograph(Path("face"), content=tiff(values, bits, order), told=told))
    assert np.abs(found.astype(int) - FACE[:, :59]).max() <= 1 and told == []


@pytest.mark.parametrize("most", [1023, 4095, 65535])
def test_a_pgm_is_scaled_by_what_it_says(most: int) -> None:
    values = np.round(GREY / 255 * most / 4)  # dim, and meant so
    content = b"P5 60 60 %d\n" % most + values.astype(">u2").tobytes()
    assert np.abs(of(content)[0][..., 0] - GREY / 4).max() <= 1


def test_floats_that_overshoot_white_are_not_black() -> None:
    found = of(saved(Image.fromarray((GREY / 255 * 1.2).astype(np.float32)), "TIFF"))[0]
    assert np.abs(found[..., 0] - (GREY * 1.2).clip(0, 255)).max() <= 1
