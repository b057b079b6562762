"""benchmarks/imagined.py: whom an outside judge takes an imagined face for, and how far it is turned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from benchmarks.imagined import Judge, _framed, by_editor, measure, noses, other_faces, table, turns, yaws  # noqa: E402
from faceedit.describes import Edit  # noqa: E402
from faceedit.editor import Editor  # noqa: E402
from faceedit.manifest import Manifest  # noqa: E402

POSES = (-45, -30, -15, 0, 15, 30, 45)
SHOWN = (-45, 0, 45)
PEOPLE = ("a", "b", "c", "d")


class Seer:
    """A judge who knows: the first pixel says who it is, and how far the nose is from between the eyes."""

    def faces(self, pictures: list[np.ndarray]) -> np.ndarray:
        found = np.zeros((len(pictures), 15))
        for face, picture in zip(found, pictures, strict=True):
            face[4:10] = (40, 40, 20, 40, 30 + 10 * np.tan(np.radians(float(picture[0, 0, 1]) - 90)), 60)
        return found

    def names(self, pictures: list[np.ndarray], faces: np.ndarray) -> np.ndarray:
        return np.eye(128)[[int(picture[0, 0, 0]) for picture in pictures]]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Pictures of four people in three poses with two expressions, whose first pixel says who and how turned."""
    columns: dict[str, list[str]] = {"path": [], "identity": [], "pose": [], "expression": []}
    rng = np.random.default_rng(0)
    for n, person in enumerate(PEOPLE):
        for pose in SHOWN:
            for expression in ("calm", "smiling"):
                picture = rng.integers(0, 256, (60, 60, 3), np.uint8)
                picture[0, [0, -1]] = (n, pose + 90, 0)
                path = f"{person}{pose}{expression}.png"
                cv2.imwrite(str(tmp_path / path), picture[..., ::-1])
                for name, text in zip(columns, (path, person, str(pose), expression), strict=True):
                    columns[name].append(text)
    return Manifest(tmp_path, {name: tuple(texts) for name, texts in columns.items()})


def judged(manifest: Manifest, change: Any) -> dict[str, Any]:
    """What is measured of pictures that `change` makes of the right (who, yaw, noise)."""

    def imagine(pictures: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
        made = pictures.copy()
        made[:, 0, 0, 1] = np.array(POSES)[values] + 90
        return {"imagined": change(made)}

    return measure(imagine, cast(Judge, Seer()), manifest, POSES)


def test_every_picture_is_turned_to_its_own_other_poses(manifest: Manifest) -> None:
    turned = turns(manifest, POSES)
    assert len(turned.sources) == len(PEOPLE) * 2 * 3 * 2
    for source, truth, target in zip(turned.sources, turned.truths, turned.targets, strict=True):
        for same in ("identity", "expression"):
            assert manifest.columns[same][source] == manifest.columns[same][truth]
        assert int(manifest.columns["pose"][truth]) == POSES[target] != int(manifest.columns["pose"][source])


def test_the_right_person_at_the_right_pose_is_seen_to_be_that(manifest: Manifest) -> None:
    figures = judged(manifest, lambda made: made)
    assert figures["imagined"]["first"] == figures["imagined"]["cosine"] == figures["imagined"]["pose_right"] == 1
    assert figures["source"]["first"] == 1 and figures["source"]["pose_right"] == 0
    assert figures["source"]["sharpness"] == pytest.approx(1, abs=0.1)
    assert set(figures["imagined"]["by_turn"]) == {f"{a} to {b}" for a in SHOWN for b in SHOWN if a != b}
    assert table(figures).count("\n") == 2 + 5


def test_a_photograph_with_another_expression_says_what_the_judges_are_worth(manifest: Manifest) -> None:
    columns = manifest.columns
    for row, other in enumerate(other_faces(manifest)):
        assert all(columns[name][row] == columns[name][other] for name in ("identity", "pose"))
        assert columns["expression"][row] != columns["expression"][other]
    another = judged(manifest, lambda made: made)["another photograph"]
    assert another["first"] == another["pose_right"] == 1 and another["ssim"] < 0.2, "two pictures of noise"
    calm = manifest.where("expression", "calm")
    assert (other_faces(calm) == -1).all() and "another photograph" not in judged(calm, lambda made: made)


def test_a_face_at_the_mean_pose_is_right_as_often_as_people_stand_near_it(manifest: Manifest) -> None:
    """Three of four look ahead, the fourth 24 degrees aside, so that the mean is 6 from three and 18 from one."""
    assert judged(manifest, lambda made: made)["the mean pose"] == {"pose_right": 1}
    for expression in ("calm", "smiling"):
        path = manifest.root / f"d0{expression}.png"
        picture = cv2.imread(str(path))
        picture[0, 0, 1] += 24
        cv2.imwrite(str(path), picture)
    right = judged(manifest, lambda made: made)["the mean pose"]["pose_right"]
    assert right == pytest.approx((1 + 1 + 0.75) / 3, abs=1e-3)


@pytest.mark.slow
def test_another_person_or_pose_is_seen_to_be_wrong(manifest: Manifest) -> None:
    def other(made: np.ndarray) -> np.ndarray:
        made[:, 0, 0, 0] = (made[:, 0, 0, 0] + 1) % len(PEOPLE)
        return made

    def askew(made: np.ndarray) -> np.ndarray:
        made[::2, 0, 0, 1] += 12
        return made

    assert judged(manifest, other)["imagined"]["first"] == judged(manifest, other)["imagined"]["cosine"] == 0
    figures = judged(manifest, askew)["imagined"]
    assert figures["first"] == 1 and figures["pose_right"] == 0.5 and 5 < figures["pose_off"] < 7


def test_a_flat_picture_is_not_sharp(manifest: Manifest) -> None:
    def flat(made: np.ndarray) -> np.ndarray:
        made[:, 1:] = 128
        return made

    own = judged(manifest, flat)["imagined"]
    assert own["sharpness"] < 0.05 and own["ssim"] < 0.1 < own["cosine"]


def test_a_model_is_judged_by_its_portraits() -> None:
    class Portraitist:
        def portraits(self, pictures: np.ndarray, values: np.ndarray) -> list[Edit]:
            unit = np.ones(1, np.float32)
            return [
                Edit(picture + np.uint8(1), picture + np.uint8(value), unit)
                for picture, value in zip(pictures, values, strict=True)
            ]

        def backdrop(self, picture: np.ndarray) -> None:
            """Nothing is left out."""

    made = by_editor(cast(Editor, Portraitist()))(np.full((2, 60, 60, 3), 7, np.uint8), np.array([3, 5]))
    levels = {name: pictures[:, 0, 0, 0].tolist() for name, pictures in made.items()}
    assert levels == {"stage one": [8, 8], "stage two": [10, 12], "shown": [10, 12]}


def test_noses_are_measured_along_the_eyes_whatever_the_roll() -> None:
    face = np.zeros((2, 15))
    face[0, 4:10] = (40, 40, 20, 40, 33, 60)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    face[1, 4:10] = (face[0, 4:10].reshape(3, 2) @ turn.T).ravel()
    assert noses(face) == pytest.approx([-0.15, -0.15])


def test_degrees_are_those_of_the_photographs() -> None:
    poses = np.array([-45.0, -45, 0, 0, 45, 45])
    known = np.tan(np.radians(poses)) * 0.4 + 0.03
    assert yaws(known, known, poses) == pytest.approx(poses)
    between = np.tan(np.radians([-20.0, 30.0])) * 0.4 + 0.03
    assert yaws(between, np.append(known, np.nan), np.append(poses, 9.0)) == pytest.approx([-20, 30])


def test_a_detector_gets_the_crop_in_a_grey_frame() -> None:
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[..., 0] = 200
    framed = _framed(picture)
    assert framed.shape == (320, 320, 3) and (framed[0, 0] == 128).all() and framed[160, 160].tolist() == [0, 0, 200]


def test_a_photograph_that_the_detector_misses_ends_it(manifest: Manifest) -> None:
    class Blind(Seer):
        def faces(self, pictures: list[np.ndarray]) -> np.ndarray:
            found = super().faces(pictures)
            found[0] = np.nan
            return found

    with pytest.raises(SystemExit, match="misses a photograph"):
        measure(lambda pictures, values: {}, cast(Judge, Blind()), manifest, POSES)
