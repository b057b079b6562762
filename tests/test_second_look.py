"""What is believed of a face that a detector is not sure of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import CHIN, EYES, MOUTH, Landmarks
from faceedit.face_detector import Face
from faceedit.images import Picture
from faceedit.landmarks import CELLS, FOUND, spread

pytest.importorskip("cv2")
from faceedit.second_look import is_believed

PERSON = Path(__file__).resolve().parent.parent / "sample_db" / "gallery" / "0101" / "0101_+00_00.png"
SIZE = 200


def face_at(side: int) -> Face:
    """A crop's face of so many pixels in the middle of the picture, as a detector that is not sure says it."""
    corner = (SIZE - side) / 2
    eyes, mouth, chin = (corner + share * side for share in (EYES, MOUTH, CHIN))
    middle, apart = SIZE / 2, 0.2 * side
    points = Landmarks((middle - apart, eyes), (middle + apart, eyes), (middle - apart, mouth), (middle + apart, mouth))
    return Face((middle - 0.35 * side, eyes - 0.25 * side, 0.7 * side, chin - eyes + 0.25 * side), points, 0.7)


def picture(side: int) -> Picture:
    """BGR: a rendered person before a sky."""
    made = Image.new("RGB", (SIZE, SIZE), (120, 150, 180))
    made.paste(Image.open(PERSON).convert("RGB").resize((side, side)), ((SIZE - side) // 2,) * 2)
    return np.ascontiguousarray(np.asarray(made)[:, :, ::-1])


def seeing(scores: Callable[[Picture], float], aside: float = 0.0) -> Callable[[Picture], list[Face]]:
    """A detector that sees a face in the middle of whatever it is shown, or so many of its sides aside of that."""

    def detected(pixels: Picture) -> list[Face]:
        side, score = len(pixels), scores(pixels)
        box = (side / 4 + aside * side, side / 4, side / 2, side / 2)
        return [Face(box, face_at(60).landmarks, score)] if score else []

    return detected


@pytest.mark.parametrize("side", [16, 24, 60, 150])
def test_a_face_that_is_seen_again_is_believed_also_in_few_pixels(side: int) -> None:
    assert is_believed(face_at(side), picture(side), seeing(lambda pixels: 0.8))


def test_what_is_not_seen_again_is_not_believed() -> None:
    assert not is_believed(face_at(60), picture(60), seeing(lambda pixels: 0.0))


def test_what_is_seen_again_elsewhere_is_another() -> None:
    assert not is_believed(face_at(60), picture(60), seeing(lambda pixels: 0.8, aside=0.3))


def test_it_is_looked_at_in_two_sizes_as_it_is_and_mirrored() -> None:
    shown: list[Picture] = []

    def score(pixels: Picture) -> float:
        shown.append(pixels)
        return 0.8

    assert is_believed(face_at(60), picture(60), seeing(score))
    assert [len(one) for one in shown] == [64, 64, 160, 160]
    assert all(np.array_equal(shown[i], shown[i + 1][:, ::-1]) for i in (0, 2))


def test_what_the_landmark_network_does_not_know_is_not_believed() -> None:
    wall = np.full((SIZE, SIZE, 3), 130, np.uint8)
    assert not is_believed(face_at(60), wall, seeing(lambda pixels: 0.8))


def test_a_face_at_the_border_is_looked_at_too() -> None:
    cut = picture(60)[: SIZE // 2 + 20]
    assert is_believed(face_at(60), cut, seeing(lambda pixels: 0.8))


def test_points_at_one_place_are_not_spread_and_those_anywhere_are() -> None:
    heat = np.zeros((1, len(FOUND), CELLS, CELLS), np.float32)
    assert spread(heat) == pytest.approx(np.log(CELLS**2), abs=1e-3)
    heat[:, :, 3, 4] = 50
    assert spread(heat) == pytest.approx(0, abs=1e-3)
