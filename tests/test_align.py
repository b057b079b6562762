"""Alignment by eyes and chin, or eyes and mouth."""

from __future__ import annotations

import csv
import math
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from faceedit.align import CHIN, EYES, MOUTH, Landmarks, align, landmarks_of
from faceedit.decoding import read_photograph
from faceedit.errors import LandmarkError
from tests.conftest import REAL_FACES

MARKS = {"eye_left": (255, 0, 0), "eye_right": (0, 255, 0), "mouth": (0, 0, 255), "chin": (255, 255, 0)}


def photograph(
    width: int = 640,
    height: int = 480,
    at: tuple[float, float] = (320, 240),
    scale: float = 1.0,
    roll: float = 0.0,
    chin: bool = True,
) -> tuple[Image.Image, Landmarks]:
    """A grey photograph with coloured dots where eyes, mouth and chin are; roll in degrees, clockwise."""
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))

    def place(x: float, y: float) -> tuple[float, float]:
        return at[0] + scale * (c * x - s * y), at[1] + scale * (s * x + c * y)

    points = {"eye_left": place(-40, -40), "eye_right": place(40, -40), "mouth": place(0, 30), "chin": place(0, 70)}
    image = Image.new("RGB", (width, height), (90, 90, 90))
    pen = ImageDraw.Draw(image)
    for name, (x, y) in points.items():
        pen.ellipse((x - 6 * scale, y - 6 * scale, x + 6 * scale, y + 6 * scale), MARKS[name])
    left, right = place(-20, 30), place(20, 30)
    return image, Landmarks(points["eye_left"], points["eye_right"], left, right, points["chin"] if chin else None)


def dot(crop: np.ndarray, name: str) -> tuple[float, float]:
    """Middle (x, y) of a mark in the crop, as shares of its side."""
    near = (np.abs(crop.astype(int) - MARKS[name]).sum(-1) < 120).nonzero()
    assert len(near[0]), name
    return (near[1].mean() + 0.5) / len(crop), (near[0].mean() + 0.5) / len(crop)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9])
@pytest.mark.parametrize("at", [(320, 240), (210.5, 260.25)])
@pytest.mark.parametrize("size", [60, 128])
def test_eyes_and_chin_come_to_their_lines(scale: float, at: tuple[float, float], size: int) -> None:
    crop = align(*photograph(at=at, scale=scale), size)
    assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
    left, right, chin = (dot(crop, name) for name in ("eye_left", "eye_right", "chin"))
    assert left[1] == pytest.approx(EYES, abs=0.01) and right[1] == pytest.approx(EYES, abs=0.01)
    assert chin[1] == pytest.approx(CHIN, abs=0.01)
    assert (left[0] + right[0]) / 2 == pytest.approx(0.5, abs=0.01)


def test_without_a_chin_the_mouth_gives_the_scale() -> None:
    crop = align(*photograph(chin=False), 120)
    assert dot(crop, "mouth")[1] == pytest.approx(MOUTH, abs=0.01)
    assert dot(crop, "eye_left")[1] == pytest.approx(EYES, abs=0.01)


def test_a_tilted_face_stays_tilted_unless_it_is_to_be_upright() -> None:
    tilted = photograph(roll=20)
    as_it_is, upright = align(*tilted, 120), align(*tilted, 120, upright=True)
    assert abs(dot(as_it_is, "eye_left")[1] - dot(as_it_is, "eye_right")[1]) > 0.1
    assert dot(upright, "eye_left")[1] == pytest.approx(dot(upright, "eye_right")[1], abs=0.01)
    assert dot(upright, "chin") == pytest.approx((0.5, CHIN), abs=0.015)
    straight = align(*photograph(), 120)
    assert np.abs(straight.astype(int) - upright).mean() < 3


def test_beyond_the_border_the_photograph_s_edge_is_repeated() -> None:
    image, landmarks = photograph(at=(60, 60))
    crop = align(image, landmarks, 60)
    assert dot(crop, "eye_right")[1] == pytest.approx(EYES, abs=0.02)
    assert (crop[:3] == 90).all()  # the grey of the edge, not black


def test_fine_detail_is_averaged_not_skipped() -> None:
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 200
    landmarks = Landmarks((400, 400), (560, 400), (440, 680), (520, 680))
    crop = align(Image.fromarray(stripes), landmarks, 60)
    assert np.abs(crop.astype(int) - 100).max() < 12


def test_rows_of_a_table_become_landmarks() -> None:
    cells = {
        "eye_left_x": "1.5",
        "eye_left_y": "2",
        "eye_right_x": "3",
        "eye_right_y": "4",
        "mouth_left_x": "5",
        "mouth_left_y": "6",
        "mouth_right_x": "7",
        "mouth_right_y": "8",
        "chin_x": "",
        "chin_y": "",
    }
    assert landmarks_of(cells) == Landmarks((1.5, 2), (3, 4), (5, 6), (7, 8))
    assert landmarks_of({**cells, "chin_x": "9", "chin_y": "10"}).chin == (9, 10)
    with pytest.raises(LandmarkError, match="mouth_right_y is 'low', not a number"):
        landmarks_of({**cells, "mouth_right_y": "low"})
    with pytest.raises(LandmarkError, match="eye_left_x is 'nan'"):
        landmarks_of({**cells, "eye_left_x": "nan"})
    with pytest.raises(LandmarkError, match="there is no landmark eye_left_y"):
        landmarks_of({k: v for k, v in cells.items() if k != "eye_left_y"})


@pytest.mark.parametrize(
    "landmarks",
    [
        Landmarks((10, 50), (30, 50), (10, 20), (30, 20)),  # mouth above the eyes
        Landmarks((10, 50), (30, 50), (10, 51), (30, 51)),  # a face of three pixels
        Landmarks((9000, 50), (9020, 50), (9000, 90), (9020, 90)),  # far outside
        Landmarks((10, 0), (30, 0), (10, 90000), (30, 90000)),
        Landmarks((10, 20), (30, 20), (10, 50), (30, 50), (20, 45)),  # a chin above the mouth
        Landmarks((10, 20), (30, 20), (10, 50), (30, 50), (20, 5000)),  # and one far below
    ],
)
def test_points_that_are_no_face_are_refused(landmarks: Landmarks) -> None:
    with pytest.raises(LandmarkError, match=r"are no upright face|lies outside the photograph of 100 x 100 pixels"):
        align(Image.new("RGB", (100, 100)), landmarks)


def test_left_and_right_may_be_the_person_s_own() -> None:
    image, marks = photograph(roll=12)
    swapped = Landmarks(marks.eye_right, marks.eye_left, marks.mouth_right, marks.mouth_left, marks.chin)
    for upright in (False, True):
        np.testing.assert_array_equal(align(image, marks, upright=upright), align(image, swapped, upright=upright))


def test_a_large_photograph_takes_little_time_and_gives_the_same_crop() -> None:
    small, marks = photograph()
    large = small.resize((640 * 9, 480 * 9), Image.Resampling.BICUBIC)  # 25 megapixels
    points = [marks.eye_left, marks.eye_right, marks.mouth_left, marks.mouth_right, marks.chin]
    scaled = Landmarks(*((9 * x, 9 * y) for x, y in points if points is not None))  # type: ignore[misc]
    tracemalloc.start()
    started = time.perf_counter()
    crop = align(large, scaled)
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2 and peak < 100e6
    assert np.abs(crop.astype(int) - align(small, marks)).mean() < 1.5


@pytest.mark.skipif(not (REAL_FACES / "photos.csv").is_file(), reason=f"no photographs at {REAL_FACES}")
def test_real_photographs_are_aligned_like_their_published_crops() -> None:
    with (REAL_FACES / "photos.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 18
    for row in rows:
        crop = align(read_photograph(REAL_FACES / row["path"]), landmarks_of(row), 128)
        with Image.open(REAL_FACES / "aligned" / f"{row['identity']}_neutral_{int(row['pose']):+03d}.png") as image:
            published = np.asarray(image.convert("RGB"))
        assert np.corrcoef(crop.ravel(), published.ravel())[0, 1] > 0.999, row["path"]
        assert ((crop.astype(float) - published) ** 2).mean() < 10
        shifted = np.roll(published, 2, axis=1)
        assert ((crop.astype(float) - shifted) ** 2).mean() > 20  # the control: two pixels beside it is seen


def test_a_turned_photograph_is_aligned_upright(tmp_path: Path) -> None:
    image, landmarks = photograph()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    image.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    upright = read_photograph(tmp_path / "turned.png")
    assert upright.size == image.size
    np.testing.assert_array_equal(align(upright, landmarks), align(image, landmarks))
