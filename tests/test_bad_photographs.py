"""Pictures that are no photographs of people, and what their owner is told of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from faceedit.cropping import Cropper
from faceedit.errors import NoFaceError
from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor, ReadsHere

PERSON = Path(__file__).resolve().parent.parent / "sample_db" / "gallery" / "0113" / "0113_+00_00.png"
WALL = (170, 160, 140)


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    pytest.importorskip("cv2")
    return Cropper()


def wall(size: tuple[int, int] = (800, 600)) -> Image.Image:
    return Image.new("RGB", size, WALL)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(4).integers(0, 256, (480, 640, 3), dtype=np.uint8))


def animal() -> Image.Image:
    """Ears, eyes, a nose and whiskers, as one draws a cat."""
    made = wall()
    pen = ImageDraw.Draw(made)
    pen.ellipse((250, 150, 550, 430), (120, 100, 80))
    for left in (260, 450):
        pen.polygon((left, 200, left + 40, 60, left + 90, 170), (110, 90, 70))
        pen.ellipse((left + 50, 240, left + 90, 285), (190, 200, 60))
        pen.ellipse((left + 65, 245, left + 76, 282), (10, 10, 10))
    pen.polygon((385, 320, 415, 320, 400, 340), (200, 120, 120))
    for height in (330, 345, 360):
        pen.line((280, height, 370, 345), (230, 230, 230), 2)
        pen.line((430, 345, 520, height), (230, 230, 230), 2)
    return made


def with_face(side: int, left: int, top: int, size: tuple[int, int] = (800, 600)) -> Image.Image:
    made = wall(size)
    made.paste(Image.open(PERSON).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return made


def cut_by_the_border() -> Image.Image:
    """Mouth and chin are below the picture."""
    return with_face(400, 200, 400)


NOBODY: dict[str, Callable[[], Image.Image]] = {
    "a wall": wall,
    "noise": noise,
    "an animal": animal,
    "a line": lambda: wall((2000, 1)),
    "a face cut by the border": cut_by_the_border,
}


@pytest.mark.parametrize("name", NOBODY)
def test_where_nobody_is_that_is_said(cropper: Cropper, name: str) -> None:
    with pytest.raises(NoFaceError, match=r"the face in x\.png cannot be cut out|no face is found in x\.png: give"):
        cropper.cut(Path("x.png"), NOBODY[name]())


def test_a_face_of_twenty_pixels_is_told(cropper: Cropper) -> None:
    told: list[str] = []
    cuts = cropper.cut(Path("x.png"), with_face(28, 300, 200, (400, 300)), told)
    assert len(cuts.faces) == 1
    assert told == ["1 of 1 faces under 30 pixels: what is found by them may be others"]


def test_a_picture_of_one_pixel_is_told(cropper: Cropper) -> None:
    told: list[str] = []
    assert cropper.cut(Path("x.png"), wall((1, 1)), told).size is None
    assert told == ["1 x 1 pixels are too few to know a face by"]


def test_a_folder_of_them_is_told_and_costs_no_exit_code(cropper: Cropper, tmp_path: Path) -> None:
    for name in ("a wall", "an animal"):
        NOBODY[name]().save(tmp_path / f"{name}.png")
    with_face(300, 200, 150).save(tmp_path / "somebody.png")
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        report = faces.index(tmp_path)
        assert [path.name for path, _ in report.faceless] == ["a wall.png", "an animal.png"]
        assert (report.skipped, [face.name for face in faces.gallery.faces()]) == ([], ["somebody.png#1"])
