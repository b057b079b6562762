"""Pictures that are no photographs of people, and what their owner is told of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from faceedit.cropping import Cropper
from faceedit.describes import Accepted, Usual
from faceedit.errors import NoFaceError
from retrieval.face_search import FaceSearch
from retrieval.one_file import read_by
from tests.stand_ins import HashEditor, KnowsPeople, ReadsHere

PERSON = Path(__file__).resolve().parent.parent / "sample_db" / "gallery" / "0113" / "0113_+00_00.png"
WALL = (170, 160, 140)


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    pytest.importorskip("cv2")
    return Cropper()


def wall(size: tuple[int, int] = (400, 300)) -> Image.Image:
    return Image.new("RGB", size, WALL)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(4).integers(0, 256, (480, 640, 3), dtype=np.uint8))


def animal() -> Image.Image:
    """Ears, eyes, a nose and whiskers, as one draws a cat."""
    made = wall((800, 600))
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
    return made.reduce(2)


def with_face(side: int, left: int, top: int, size: tuple[int, int] = (800, 600)) -> Image.Image:
    made = wall(size)
    made.paste(Image.open(PERSON).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return made


def cut_by_the_border() -> Image.Image:
    """Mouth and chin are below the picture."""
    return with_face(400, 200, 400)


class Holding(str):
    """Equals every text that it is part of."""

    def __eq__(self, other: object) -> bool:
        return str(self) in str(other)

    __hash__ = str.__hash__


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


def painting() -> Image.Image:
    """A portrait in oil, as one draws one."""
    made = Image.new("RGB", (600, 800), (70, 60, 45))
    pen = ImageDraw.Draw(made)
    pen.ellipse((140, 120, 460, 620), (60, 40, 25))
    pen.ellipse((180, 180, 420, 560), (222, 180, 150))
    pen.rectangle((260, 540, 340, 640), (205, 165, 135))
    for x in (240, 360):
        pen.ellipse((x - 34, 320, x + 34, 352), (245, 240, 235))
        pen.ellipse((x - 14, 320, x + 14, 350), (60, 40, 30))
        pen.arc((x - 44, 285, x + 44, 340), 190, 350, (80, 50, 30), 8)
    pen.polygon((300, 340, 275, 430, 325, 430), (205, 160, 130))
    pen.ellipse((250, 460, 350, 500), (170, 70, 70))
    return made.filter(ImageFilter.GaussianBlur(3))


NONE, CUT = "no face is found in", "cannot be cut out: it lies too near the border, or is too small"
UNSEEN, FEW, TINY = (
    "nobody is seen in",
    "are too few to know a face by",
    "under 30 pixels: what is found by them may be",
)
TOLD: dict[str, tuple[Callable[[], Image.Image], str | None, str | None, str | None, str | None]] = {
    # what index tells as the reason, and as a warning; what whoever asks is refused with, and warned of
    "a cat": (animal, NONE, None, NONE, None),
    "a wall": (wall, NONE, None, NONE, None),
    "a small square wall": (lambda: wall((120, 120)), UNSEEN, None, None, UNSEEN),
    "1 x 1": (lambda: wall((1, 1)), UNSEEN, None, None, FEW),
    "cut by the border": (cut_by_the_border, CUT, None, CUT, None),
    "20 pixels": (lambda: with_face(28, 300, 200, (400, 300)), None, TINY, None, TINY),
    "a painting": (painting, None, None, None, None),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_each_command_tells_of_it(cropper: Cropper, tmp_path: Path, name: str) -> None:
    make, reason, warned, refused, told = TOLD[name]
    make().save(tmp_path / "x.png")
    usual = Usual("people", "2026-11-26", 10, 0.1, 0.2, 0.4, (Accepted(0.001, 0.5, 0.9, 0.8, 1.0),))
    reader = ReadsHere(crops=partial(read_by, cropper))
    with FaceSearch(tmp_path / "db", describer=KnowsPeople(usual_who=usual), reader=reader, finder=cropper) as faces:
        report = faces.index(tmp_path)
        assert [text for _, text in report.faceless] == [reason and Holding(reason)] * (reason is not None)
        assert [text for _, text in report.warned] == [warned and Holding(warned)] * (warned is not None)
        assert (report.described, report.skipped) == (int(reason is None), [])
        if refused is not None:
            for ask in (faces.read, lambda path: faces.compare(path, PERSON)):
                with pytest.raises(NoFaceError, match=refused):
                    ask(tmp_path / "x.png")
            return
        source = faces.read(tmp_path / "x.png")  # which query and edit ask about
        assert list(source.warnings) == [told and Holding(told)] * (told is not None)
        if reason is None:
            assert faces.compare(source, source).same
        else:
            with pytest.raises(NoFaceError, match="nobody is seen in"):
                faces.compare(source, PERSON)
