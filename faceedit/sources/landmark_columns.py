"""Which columns of a table are landmarks, whatever a detector's wrapper calls them: eyes and corners of the mouth by
name, five points by number (MTCNN, InsightFace, YuNet), or the 68 of dlib and OpenFace (Sagonas et al., ICCVW 2013).

Left and right may be the picture's or the person's own: the crop is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from faceedit.align import POINTS, Landmarks, landmarks_of
from faceedit.errors import ImportSourceError, LandmarkError

_SIDE = {"left": "left", "l": "left", "right": "right", "r": "right"}
_EYE, _MOUTH = "(?:eye|pupil|iris)(?:center|centre)?", "(?:mouth|lip|lips)(?:corner)?"
_PLACE = {**dict.fromkeys(("le", "re"), "eye"), **dict.fromkeys(("lcm", "rcm"), "mouth")}  # of OpenCV
_PREFIX = re.compile(
    "(?:(?:face|facial|landmarks?|lms?|keypoints?|kps?|points?|pts?|parts?|[a-z]*(?:cnn|face|lib|net))_)+"
)
_NUMBER = re.compile(r"(?:p|pts?|lms?|kps?|points?|landmarks?|keypoints?|parts?)?(\d{1,3})")
_WORDS = re.compile("eye|pupil|iris|mouth|lip(?!st)|nose|chin|jaw|brow|landmark|keypoint|kps")
_WHOLE = re.compile("(?:face_?|facial_?)?(?:landmarks?|keypoints|kps)(?:_?\\dd)?")  # all points in one cell
_FIVE = (("eye_left", (0,)), ("eye_right", (1,)), ("nose", (2,)), ("mouth_left", (3,)), ("mouth_right", (4,)))
_SIXTY_EIGHT = (
    ("eye_left", tuple(range(36, 42))),
    ("eye_right", tuple(range(42, 48))),
    ("mouth_left", (48,)),
    ("mouth_right", (54,)),
    ("chin", (8,)),
)
_NUMBERED = {5: _FIVE, 68: _SIXTY_EIGHT}
_ABOVE = 0.15  # of the way from the eyes to the mouth: no nose is higher


@dataclass(frozen=True)
class LandmarkColumns:
    """columns: for each of our names, such as eye_left_x, those that it is the mean of; all: every column that says
    where something of a face is; numbered: whether points have no names."""

    columns: Mapping[str, tuple[str, ...]]
    all: frozenset[str]
    numbered: bool = False

    def of(self, cells: Mapping[str, str]) -> Landmarks:
        """The landmarks of a row. Raises LandmarkError for a missing point or one that is no number, and for numbered
        points in another order."""
        said = {name: _mean([cells[source] for source in sources]) for name, sources in self.columns.items()}
        found = landmarks_of(said)
        if self.numbered and "nose_y" in said and not _is_nose(said["nose_y"], found):
            raise LandmarkError("the five points are not two eyes, a nose and two corners of a mouth, in this order")
        return found


def landmark_columns(file: Path, header: Sequence[str]) -> LandmarkColumns | None:
    """The landmarks of a table; None where no column looks like one. Raises ImportSourceError for columns that do, and
    do not say where both eyes and both corners of the mouth are."""
    points = _points(header)
    found = _named(points)
    if all(point in found for point in POINTS):
        return LandmarkColumns(_by_axis(found), frozenset(_looking(header, points)))
    found = _numbered(points, header)
    if found:
        return LandmarkColumns(_by_axis(found), frozenset(_looking(header, points)), True)
    looking = _looking(header, points)
    if looking:
        shown = ", ".join(looking[:4]) + (", ..." if len(looking) > 4 else "")
        wanted = ", ".join(f"{point}_x" for point in POINTS)
        raise ImportSourceError(
            f"{file}: the columns {shown} look like landmarks, and do not say where eyes and mouth are: call them "
            f"{wanted}, each with its _y, and perhaps chin_x; or leave them out, where these are aligned crops already"
        )
    return None


_Point = dict[str, str]  # columns by axis


def _points(header: Sequence[str]) -> dict[str, _Point]:
    """Everything that has an x and a y, by what it is called without."""
    found: dict[str, _Point] = {}
    for column in header:
        name = re.sub("[^a-z0-9]+", "_", re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()).strip("_")
        parts = re.fullmatch("(?P<point>.+?)_?(?P<axis>[xy])|(?P<first>[xy])_?(?P<rest>.+)", name)
        pair = re.fullmatch("(.+)_([01])", name)
        if parts:
            point, axis = parts["point"] or parts["rest"], parts["axis"] or parts["first"]
        elif pair:
            point, axis = pair[1], "xy"[int(pair[2])]
        else:
            continue
        found.setdefault(_PREFIX.sub("", f"{point}_").strip("_") or point, {}).setdefault(axis, column)
    return {point: columns for point, columns in found.items() if len(columns) == 2}


def _named(points: Mapping[str, _Point]) -> dict[str, list[_Point]]:
    found: dict[str, list[_Point]] = {}
    for point, columns in points.items():
        name = _our_name(point.replace("_", ""))
        if name and (name not in found or point == name):
            found[name] = [columns]
    return found


def _our_name(point: str) -> str | None:
    """Of 'lefteye', 'eyeleft', 'leyecenter', 'mouthcornerl', ..."""
    if point in ("chin", "chintip", "menton"):
        return "chin"
    if point in _PLACE:
        return f"{_PLACE[point]}_{_SIDE[point[0]]}"
    for what, place in ((_EYE, "eye"), (_MOUTH, "mouth")):
        found = re.fullmatch(f"(left|right|l|r){what}|{what}(left|right|l|r)(?:corner)?", point)
        if found:
            return f"{place}_{_SIDE[found[1] or found[2]]}"
    return None


def _numbered(points: Mapping[str, _Point], header: Sequence[str]) -> dict[str, list[_Point]]:
    called = {point: _NUMBER.fullmatch(point) for point in points}
    numbers = {int(number[1]): points[point] for point, number in called.items() if number}
    first = min(numbers, default=0)
    meaning = _NUMBERED.get(len(numbers), ())
    if first > 1 or set(numbers) != set(range(first, first + len(numbers))):
        return {}
    if meaning is _FIVE and any("dlib" in column.lower() for column in header):  # whose five have no mouth
        return {}
    return {name: [numbers[first + n] for n in some] for name, some in meaning}


def _looking(header: Sequence[str], points: Mapping[str, _Point]) -> list[str]:
    """The columns that look like landmarks, in order."""
    many = sum(_NUMBER.fullmatch(point) is not None for point in points) >= len(POINTS)
    found = {
        column
        for point, columns in points.items()
        for column in columns.values()
        if _WORDS.search(column.lower()) or (many and _NUMBER.fullmatch(point)) or point in (*_PLACE, "nt")
    }
    found |= _in_a_cell(header)
    return [column for column in header if column in found or _WHOLE.fullmatch(column.lower())]


def _in_a_cell(header: Sequence[str]) -> set[str]:
    """Columns of points whose x and y stand in one cell, as of a detector's words written as a table; none where they
    do not say where eyes and mouth are: then it is something else that they say of eyes."""
    named = {column: _our_name(re.sub("[^a-z0-9]+", "", column.lower())) for column in header}
    return {column for column, name in named.items() if name in POINTS} if {*POINTS} <= {*named.values()} else set()


def _by_axis(found: Mapping[str, list[_Point]]) -> dict[str, tuple[str, ...]]:
    return {f"{name}_{axis}": tuple(one[axis] for one in some) for name, some in found.items() for axis in "xy"}


def _is_nose(text: str, face: Landmarks) -> bool:
    """Whether a point lies as high as a nose does; dlib's five points, two corners of each eye, have no other order."""
    try:
        share = (float(text) - face.eyes[1]) / (face.mouth[1] - face.eyes[1])
    except (ValueError, ZeroDivisionError):
        return False
    return _ABOVE < share < 1


def _mean(cells: Sequence[str]) -> str:
    """Of several cells the mean; what is no number comes out as it is."""
    if len(cells) == 1:
        return cells[0]
    try:
        return str(fmean(float(cell) for cell in cells))
    except ValueError:
        return next(cell for cell in cells if not re.fullmatch(r"[-+0-9.eE]+", cell))
