"""A picture that was read: what the networks see of it, and what people do."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.decoding import read_photograph
from faceedit.errors import UsageError
from faceedit.images import SIZE, as_crop, read_crop
from retrieval.source import AnyPicture, read_source
from tests.conftest import blob_face


@cache
def waves(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y + 0.5 - height / 2) / min(width, height), (x + 0.5 - width / 2) / min(width, height)
    channels = [128 + 90 * np.sin(9 * x + 7 * y + i) + 30 * np.sin(200 * x) for i in range(3)]
    return Image.fromarray(np.stack(channels, 2).clip(0, 255).astype(np.uint8))


def exif() -> Image.Exif:
    turned = Image.Exif()
    turned[0x0112] = 6
    return turned


SAVED: dict[str, Callable[[Path], None]] = {
    "small.png": lambda path: waves(60, 60).save(path),
    "wide.png": lambda path: waves(500, 300).save(path),
    "middle.jpg": lambda path: waves(300, 340).save(path, quality=95),
    "large.jpg": lambda path: waves(2300, 1900).save(path, quality=90),
    "turned.jpg": lambda path: waves(1000, 900).save(path, exif=exif()),
    "large.png": lambda path: waves(2300, 1900).save(path, compress_level=1),
    "grey.png": lambda path: waves(400, 400).convert("L").save(path),
    "clear.webp": lambda path: waves(250, 250).convert("RGBA").save(path),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_the_networks_see_is_what_they_always_saw(tmp_path: Path, name: str) -> None:
    """Byte for byte, whether the picture is looked at or not: galleries are described of it."""
    path = tmp_path / name
    SAVED[name](path)
    expected = as_crop(read_photograph(path, least=2 * SIZE))
    with Image.open(path) as opened:
        opened.load()
        whole = as_crop(read_photograph(path, least=2 * SIZE, content=opened))  # which knows no draft
        for given, crop in ((path, expected), (path.read_bytes(), expected), (opened, whole)):
            source = read_source(given)
            np.testing.assert_array_equal(source.crop, crop)
            assert source.picture.dtype == np.uint8 and read_source(given, 100).picture.shape == (100, 100, 3)
            np.testing.assert_array_equal(source.crop, crop)
    np.testing.assert_array_equal(read_crop(path), expected)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("small.png", 60),
        ("wide.png", 240),
        ("middle.jpg", 240),
        ("large.jpg", 240),
        ("turned.jpg", 240),
        ("large.png", 240),
    ],
)
def test_a_picture_is_looked_at_as_large_as_it_is(tmp_path: Path, name: str, side: int) -> None:
    SAVED[name](tmp_path / name)
    picture = read_source(tmp_path / name).picture
    assert picture.shape == (side, side, 3)
    turned = waves(1000, 900).rotate(-90, expand=True) if name == "turned.jpg" else None
    with Image.open(tmp_path / name) as saved:
        whole = as_crop(turned or saved.convert("RGB"), side)
    assert np.abs(picture.astype(int) - whole).mean() < 4  # the same square, with all that is fine in it


@pytest.mark.parametrize(("side", "seen"), [(40, 60), (60, 60), (61, 61), (128, 128), (240, 240), (241, 240)])
def test_it_is_60_to_240_pixels_large(side: int, seen: int) -> None:
    for picture in (waves(side, side), np.asarray(waves(side, side)), _png(waves(side, side))):
        assert read_source(picture).picture.shape == (seen, seen, 3)


def test_a_size_that_is_asked_for_is_kept_to() -> None:
    for side in (60, 90, 240):
        for picture in (waves(300, 200), waves(30, 30)):
            assert read_source(picture, side).picture.shape == (side, side, 3)
            assert read_source(read_source(picture), side).picture.shape == (side, side, 3)


@pytest.mark.parametrize("size", [0, -1, 59, 241, 100_000, 120.0, "120", True])
def test_a_size_that_makes_no_sense_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=r"size is .*: give the side of the picture in pixels, 60 to 240"):
        read_source(blob_face(0, 0, 0), size)


def test_a_file_is_not_read_again_until_somebody_looks(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    waves(300, 300).save(path)
    opened: list[str] = []
    watching = True

    def note(event: str, given: tuple[object, ...]) -> None:
        if watching and event == "open" and str(given[0]) == str(path):
            opened.append(event)

    sys.addaudithook(note)
    source = read_source(path)
    assert len(opened) == 1
    assert source.picture is source.picture and len(opened) == 2
    watching = False


def test_a_file_that_was_changed_or_has_gone_is_shown_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    waves(300, 300).save(path)
    changed, gone = read_source(path), read_source(path, 90)
    Image.new("RGB", (300, 300)).save(path)
    np.testing.assert_array_equal(changed.picture, changed.crop)
    path.unlink()
    np.testing.assert_array_equal(gone.picture, as_crop(Image.fromarray(gone.crop), 90))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    waves(300, 300).save(tmp_path / "face.png")
    source = read_source(tmp_path / "face.png")
    (tmp_path / "face.png").unlink()
    os.mkfifo(tmp_path / "face.png")
    np.testing.assert_array_equal(source.picture, source.crop)


def test_pixels_that_their_owner_paints_over_are_shown_as_they_were() -> None:
    pixels: NDArray[np.uint8] = np.array(waves(100, 100))
    before = pixels.copy()
    image = Image.fromarray(before)
    given: list[AnyPicture] = [pixels, image]
    sources = [read_source(each) for each in given]
    pixels[:] = 0
    image.paste((0, 0, 0), (0, 0, 100, 100))
    for source in sources:
        np.testing.assert_array_equal(source.picture, np.array(waves(100, 100)))


def test_it_can_be_sent_on(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    waves(300, 300).save(path)
    for picture in (path, path.read_bytes(), waves(300, 300)):
        sent = pickle.loads(pickle.dumps(read_source(picture)))
        np.testing.assert_array_equal(sent.picture, read_source(picture).picture)


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
