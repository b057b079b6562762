"""Landmarks under the names that detectors' wrappers give them: understood or refused, never taken for nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import POINTS, Landmarks
from faceedit.errors import ImportSourceError, LandmarkError, NothingImportedError
from faceedit.sources.importing import LandmarkFile, import_photographs
from faceedit.sources.landmark_columns import landmark_columns
from faceedit.sources.table import list_table

OURS = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
PLACES = {
    "eye_left": (60, 50),
    "eye_right": (100, 50),
    "nose": (80, 66),
    "mouth_left": (68, 80),
    "mouth_right": (92, 80),
}
GOOD = [60, 50, 100, 50, 68, 80, 92, 80]
POINT = Landmarks((60, 50), (100, 50), (68, 80), (92, 80))


def found(columns: Mapping[str, float]) -> Landmarks:
    made = landmark_columns(Path("p.csv"), ["path", "identity", *columns, "glasses"])
    assert made is not None and made.all >= {name for name in columns if "glasses" not in name}
    return made.of({"path": "", **{name: str(value) for name, value in columns.items()}})


def named(pattern: str, names: str) -> dict[str, float]:
    """Columns by a pattern with {} for the point and # for the axis. names: of the five points, in their order."""
    called = zip(names.split(), PLACES.values(), strict=True)
    return {pattern.format(name).replace("#", "xy"[axis]): place[axis] for name, place in called for axis in (0, 1)}


SNAKE = "left_eye right_eye nose left_mouth right_mouth"
NAMES = {
    "left_eye_x": named("{}_#", SNAKE),
    "leftEyeX": {re.sub("_(.)", lambda m: m[1].upper(), name): v for name, v in named("{}_#", SNAKE).items()},
    "Left Eye X": {name.replace("_", " ").title(): v for name, v in named("{}_#", SNAKE).items()},
    "CelebA": named("{}_#", "lefteye righteye nose leftmouth rightmouth"),
    "MTCNN": named("keypoints.{}.#", "left_eye right_eye nose mouth_left mouth_right"),
    "Kaggle": named("{}_#", "left_eye_center right_eye_center nose_tip mouth_left_corner mouth_right_corner"),
    "OpenCV": named("#_{}", "re le nt rcm lcm"),
    "the person's own sides": named("retinaface_{}_#", "right_eye left_eye nose mouth_right mouth_left"),
    "tuples of pandas": {name.replace("_x", "_0").replace("_y", "_1"): v for name, v in named("{}_#", SNAKE).items()},
}


@pytest.mark.parametrize("names", NAMES)
def test_points_under_other_names_are_understood(names: str) -> None:
    given = found(NAMES[names])
    assert {given.eye_left, given.eye_right} == {POINT.eye_left, POINT.eye_right}
    assert {given.mouth_left, given.mouth_right} == {POINT.mouth_left, POINT.mouth_right}


FIVE = ["kps_{}_#", "landmark_{}_#", "insightface_kps_{}_#", "#_{}", "p{}_#", "lm{}#", "pt_{}_#"]


@pytest.mark.parametrize("pattern", FIVE)
@pytest.mark.parametrize("first", [0, 1])
def test_five_numbered_points_are_eyes_nose_and_mouth(pattern: str, first: int) -> None:
    columns = {
        pattern.format(n).replace("#", "xy"[axis]): place[axis]
        for n, place in enumerate(PLACES.values(), first)
        for axis in (0, 1)
    }
    assert found(columns) == POINT


def test_pairs_of_a_number_each_are_understood() -> None:
    columns = {f"kps_{n}_{axis}": place[axis] for n, place in enumerate(PLACES.values()) for axis in (0, 1)}
    assert found(columns) == POINT


def shape68() -> np.ndarray:
    """68 points (x, y) as dlib numbers them: only those that matter lie where a face has them."""
    points = np.full((68, 2), 7.0)
    for first, place in ((36, PLACES["eye_left"]), (42, PLACES["eye_right"])):
        turns = np.arange(6) * np.pi / 3
        points[first : first + 6] = np.array(place) + 5 * np.stack([np.cos(turns), np.sin(turns)], 1)
    points[48], points[54], points[8] = PLACES["mouth_left"], PLACES["mouth_right"], (80, 100)
    return points


@pytest.mark.parametrize("pattern", ["#_{}", "part_{}_#", "dlib_{}_#", "landmark_{}_#", "#{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_the_68_points_of_dlib_are_understood(pattern: str, first: int) -> None:
    columns = {
        pattern.format(n).replace("#", "xy"[axis]): point[axis]
        for n, point in enumerate(shape68(), first)
        for axis in (0, 1)
    }
    given = found(columns)
    assert given.eye_left == pytest.approx(POINT.eye_left) and given.eye_right == pytest.approx(POINT.eye_right)
    assert (given.mouth_left, given.mouth_right, given.chin) == (POINT.mouth_left, POINT.mouth_right, (80, 100))


def test_the_chin_is_taken_and_our_own_name_before_another() -> None:
    columns = named("{}_#", SNAKE) | {"chin_x": 80.0, "chin_y": 100.0}
    assert found(columns).chin == (80, 100)
    both = columns | dict(zip(OURS, GOOD, strict=True)) | {"eye_left_x": 61.0}
    assert found(both).eye_left == (61, 50)


LOOKING = {
    "one eye": ["left_eye_x", "left_eye_y"],
    "eyes alone": ["eye_left_x", "eye_left_y", "eye_right_x", "eye_right_y"],
    "a nose": ["nose_x", "nose_y"],
    "four corners": [f"{axis}{n}" for n in range(4) for axis in "xy"],
    "106 points": [f"landmark_{n}_{axis}" for n in range(106) for axis in "xy"],
    "dlib's five, which have no mouth": [f"dlib_{n}_{axis}" for n in range(5) for axis in "xy"],
    "all in one cell": ["keypoints"],
    "another one": ["landmarks"],
    "InsightFace's array": ["landmark_2d_106", "kps"],
    "each in one cell": ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"],
    "each in one cell, as others call them": ["lefteye", "righteye", "leftmouth", "rightmouth"],
    "a number too many": [f"kps_{n}_{axis}" for n in (0, 1, 2, 3, 5) for axis in "xy"],
}


@pytest.mark.parametrize("names", LOOKING)
def test_what_looks_like_landmarks_and_says_too_little_is_refused(names: str, tmp_path: Path) -> None:
    columns = LOOKING[names]
    Image.new("RGB", (160, 120)).save(tmp_path / "a.png")
    (tmp_path / "p.csv").write_text(",".join(["path", "identity", *columns]) + "\na.png,x" + ",1" * len(columns) + "\n")
    for read in (list_table, LandmarkFile):
        with pytest.raises(ImportSourceError, match="look like landmarks, and do not say where eyes and mouth are"):
            read(tmp_path / "p.csv")


LABELS = ["left_eye right_eye", "pose glasses age", "x y w h", "box_x box_y x1 y1 x2 y2", "lipstick family eyes"]


@pytest.mark.parametrize("columns", [[], *(names.split() for names in LABELS)])
def test_what_is_no_landmark_is_a_label(columns: list[str]) -> None:
    assert landmark_columns(Path("p.csv"), ["path", "identity", *columns]) is None


def test_five_points_in_another_order_are_refused() -> None:
    """dlib's: two corners of one eye, two of the other, the nose."""
    places = [(110, 50), (95, 51), (50, 50), (65, 51), (80, 75)]
    columns = {f"p{n}_{axis}": str(place["xy".index(axis)]) for n, place in enumerate(places) for axis in "xy"}
    made = landmark_columns(Path("p.csv"), list(columns))
    assert made is not None
    with pytest.raises(LandmarkError, match="are not two eyes, a nose and two corners of a mouth"):
        made.of(columns)


# --- through an import ---


def rows(file: Path, header: list[str], *lines: list[object]) -> Path:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *lines])
    file.write_text(stream.getvalue())
    return file


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    image = Image.new("RGB", (160, 120), (10, 10, 10))
    image.paste((200, 90, 40), (50, 30, 110, 110))
    image.save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_other_names_make_the_same_crop(photograph: Path, tmp_path: Path) -> None:
    crops = []
    ours: dict[str, float] = dict(zip(OURS, GOOD, strict=True))
    for number, columns in enumerate((ours, NAMES["left_eye_x"])):
        header = ["path", "identity", "pose", *columns]
        table = rows(tmp_path / f"{number}.csv", header, ["a.png", "x", "15.0", *columns.values()])
        made = import_photographs(list_table(table), tmp_path / f"out{number}")
        assert made.manifest.read_text().splitlines() == ["path,identity,pose", "images/x/a.png,x,15"]
        crops.append((tmp_path / f"out{number}/images/x/a.png").read_bytes())
        points = LandmarkFile(table)
        listing = list_table(rows(tmp_path / "p.csv", ["path", "identity"], ["a.png", "x"]))
        again = import_photographs(listing, tmp_path / f"marks{number}", points)
        crops.append((again.manifest.parent / "images/x/a.png").read_bytes())
    assert len(set(crops)) == 1


FAULTS: dict[str, tuple[list[object], str]] = {
    "far left": ([-500, 50, *GOOD[2:]], "the landmark eye_left at (-500, 50) lies outside the photograph of 160 x 120"),
    "a little below": ([*GOOD[:7], 125], "the landmark mouth_right at (92, 125) lies outside"),
    "one spot for both eyes": ([100, 50, *GOOD[2:]], "the landmarks eye_left and eye_right lie on one spot, (100, 50)"),
    "nearly one": ([99.4, 50.2, *GOOD[2:]], "lie on one spot"),
    "one spot for the mouth": ([*GOOD[:4], 68, 80, 68, 80], "the landmarks mouth_left and mouth_right lie on one spot"),
    "zeros": ([0] * 8, "lie on one spot, (0, 0)"),
    "an eye in the mouth": ([68, 80, *GOOD[2:]], "the landmarks eye_left and mouth_left lie on one spot"),
    "shares instead of pixels": ([x / 160 for x in GOOD], "lie on one spot"),
    "no number": (["?", *GOOD[1:]], "the landmark eye_left_x is '?', not a number"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_that_cannot_be_a_face_is_skipped_with_its_line(fault: str, photograph: Path, tmp_path: Path) -> None:
    points, words = FAULTS[fault]
    header = ["path", "identity", *OURS]
    table = rows(tmp_path / "p.csv", header, ["a.png", "x", *GOOD], ["a.png", "y", *points])
    made = import_photographs(list_table(table), tmp_path / "out")
    [skipped] = made.problems
    assert made.crops == 1 and skipped.path == "p.csv line 3: a.png" and words in skipped.reason
    alone = rows(tmp_path / "alone.csv", header, ["a.png", "y", *points])
    with pytest.raises(ImportSourceError, match=re.escape(words)) as error:
        import_photographs(list_table(alone), tmp_path / "none")
    if isinstance(error.value, NothingImportedError):
        assert error.value.exit_code == 3 and "alone.csv line 2: a.png" in str(error.value)


def test_a_landmark_file_s_row_is_named_by_its_line(photograph: Path, tmp_path: Path) -> None:
    marks = rows(tmp_path / "m.csv", ["path", *OURS], ["b.png", *GOOD], ["a.png", "?", *GOOD[1:]])
    listing = list_table(rows(tmp_path / "p.csv", ["path", "identity"], ["a.png", "x"]))
    with pytest.raises(NothingImportedError, match=r"m\.csv line 3: the landmark eye_left_x is '\?'"):
        import_photographs(listing, tmp_path / "out", LandmarkFile(marks))


def test_a_profile_s_eyes_may_be_near_one_another(photograph: Path, tmp_path: Path) -> None:
    table = rows(tmp_path / "p.csv", ["path", "identity", *OURS], ["a.png", "x", 60, 50, 64, 50, 62, 80, 65, 80])
    assert import_photographs(list_table(table), tmp_path / "out").problems == []
