"""What stands behind an imagined face: a plain colour of what stood behind the person."""

from __future__ import annotations

import numpy as np
import pytest

from faceedit.backdrop import behind, person
from faceedit.describes import Edit, Moves
from faceedit.editor import Editor
from faceedit.enlarging import enlarged
from faceedit.images import Picture, read_crop
from tests.conftest import ROOT

UNIT = np.ones(1, np.float32)
WALL = (30, 90, 200)
DISC = (np.mgrid[0:60, 0:60] - 29.5).__pow__(2).sum(0) < 20**2


def moves(colour: int = 127) -> Moves:
    """Of a disc that stays where it is, before what is painted in this grey."""
    said = np.zeros((13, 60, 60), np.float16)
    said[4], said[6] = np.where(DISC, 20, 0), np.where(DISC, 0, 20)
    said[7:10] = colour
    return Moves(said, np.zeros(3, np.float32))


def before_wall() -> Picture:
    picture = np.empty((60, 60, 3), np.uint8)
    picture[:] = WALL
    picture[DISC] = np.random.default_rng(0).integers(0, 256, (DISC.sum(), 3))
    return picture


def on_grey(side: int = 60) -> Edit:
    made = np.where(DISC[..., None], before_wall(), 127).astype(np.uint8)
    return Edit(made, made, UNIT, moves())


def test_what_is_moved_is_the_person_and_of_what_is_painted_all_but_the_grey() -> None:
    painted = np.array([[0.0, 0.0, 1.0, 1.0, 0.5]], np.float32)
    colour = np.array([[[127.5, 20.0, 127.5, 20.0, 127.5]]] * 3, np.float32)
    np.testing.assert_allclose(person(painted, colour), [[1, 1, 0, 1, 0.5]], atol=0.01)


def test_the_colour_behind_a_person_is_the_median_of_what_is_not_the_person() -> None:
    picture = before_wall()
    picture[:2] = 255  # a lamp
    np.testing.assert_array_equal(behind(picture, moves()), WALL)


def test_where_hardly_anything_is_behind_the_likeliest_pixels_count() -> None:
    said = moves().said.copy()
    said[4:7] = np.array([20, 0, 0])[:, None, None]
    said[4, :, 57:] = 1.0  # surer to be the person than not
    picture = np.full((60, 60, 3), 10, np.uint8)
    picture[:, 57:] = 77
    np.testing.assert_array_equal(behind(picture, Moves(said, np.zeros(3, np.float32))), [77, 77, 77])


@pytest.mark.parametrize("side", [60, 150, 240])
def test_a_face_imagined_on_grey_gets_the_wall_back_and_stays_itself(side: int) -> None:
    crop = (
        np.asarray(np.kron(before_wall(), np.ones((4, 4, 1), np.uint8)))[:side, :side] if side > 60 else before_wall()
    )
    crop = np.ascontiguousarray(crop)
    plain, made = enlarged(on_grey(), crop), enlarged(on_grey(), crop, np.array(WALL, np.float32))
    corner, middle = np.s_[: side // 8, : side // 8], np.s_[side // 3 : -side // 3, side // 3 : -side // 3]
    assert np.abs(plain[corner].astype(int) - 127).max() <= 1
    assert np.abs(made[corner].astype(int) - WALL).max() <= 2
    np.testing.assert_array_equal(made[middle], plain[middle])


def test_what_is_painted_in_another_colour_stays() -> None:
    """Dark hair that no picture shows is painted, too."""
    hair = Edit(np.full((60, 60, 3), 20, np.uint8), np.full((60, 60, 3), 20, np.uint8), UNIT, moves(colour=20))
    made = enlarged(hair, before_wall(), np.array(WALL, np.float32))
    assert np.abs(made[~DISC].astype(int) - 20).max() <= 5


def shipped() -> Editor:
    return Editor.load(ROOT / "sample_db" / "models" / "pose", "cpu")


def test_the_shipped_model_tells_what_is_behind_rendered_people() -> None:
    """Seen from the side they leave a wide strip free."""
    editor = shipped()
    files = sorted((ROOT / "sample_db" / "gallery").glob("*/*_-45_0*.png"))[::12]
    assert len(files) >= 8
    for file in files:
        picture = read_crop(file)
        strips = [np.median(picture[:20, :6].reshape(-1, 3), 0), np.median(picture[:20, -6:].reshape(-1, 3), 0)]
        found = editor.backdrop(picture)
        assert found is not None and min(np.abs(found - strip).max() for strip in strips) <= 24, file


def test_a_face_that_is_not_on_grey_has_no_backdrop() -> None:
    assert Editor.load(ROOT / "sample_db" / "models" / "inpainting", "cpu").backdrop(before_wall()) is None
