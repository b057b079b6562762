"""What no row may say, of values that come from elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from index.errors import ImageRowError
from index.limits import MOST_FACES
from index.paths import check_path
from index.values import Box, Decision, Face, Hidden, Photo

_HASH = re.compile("[0-9a-f]{64}")
_FARTHEST = 1e6  # pixels
_MOST_OF_PHOTO = 3  # a face's box is at most so many times as large
_POINTS = (8, 10)  # numbers of landmarks


def check_decision(name: str, decision: Decision, values: Sequence[int]) -> None:
    """Raise ImageRowError for a value that is none of the gallery's, or errors that are not a finite number or None for
    each of them."""
    if decision.decided not in values:
        raise ImageRowError(f"{name}: decided is {decision.decided}; expected one of {', '.join(map(str, values))}")
    errors = decision.errors
    if len(errors) != len(values) or not all([error is None or math.isfinite(error) for error in errors]):
        raise ImageRowError(
            f"{name}: errors are {list(errors)}; expected {len(values)} finite numbers or None, one for each of "
            "the gallery's values"
        )


def check_place(face: Face) -> None:
    """Raise ImageRowError for a number that is none, or a place that is not in numbers."""
    if not 1 <= face.number <= MOST_FACES:
        raise ImageRowError(f"{face.path}: face is {face.number}; expected a number from 1")
    if face.place is not None:
        check_box(face.path, face.place.box)
        _check_inside(face.photo, face.place.box)
        points, score = face.place.landmarks, face.place.score
        if len(points) not in _POINTS or not all(abs(one) < _FARTHEST for one in points) or not 0 <= score <= 1:
            raise ImageRowError(
                f"{face.path}: landmarks are {points!r:.80}, score {score!r:.20}; expected 8 or 10 numbers of pixels, "
                "and one from 0 to 1"
            )


def _check_inside(photo: Photo, box: Box) -> None:
    """Raise ImageRowError for a box that lies nowhere in its photo, or is far larger than that."""
    left, top, width, height = box
    meets = left < photo.width and top < photo.height and left + width > 0 and top + height > 0
    if not meets or width > _MOST_OF_PHOTO * photo.width or height > _MOST_OF_PHOTO * photo.height:
        raise ImageRowError(
            f"{photo.path}: box is {box!r:.80} in a photo of {photo.width} x {photo.height} pixels; expected one in it"
        )


def check_box(name: str, box: Box) -> None:
    """Raise ImageRowError for what is no box."""
    if len(box) != 4 or not all(abs(one) < _FARTHEST for one in box) or min(box[2:]) < 1:
        raise ImageRowError(f"{name}: box is {box!r:.80}; expected left, top, width and height in pixels")


def check_hidden(hidden: Hidden) -> None:
    """Raise ImageRowError for what says of no content which face is meant."""
    check_photo(Photo(hidden.path, hidden.sha256))
    share = hidden.share or (0.0, 0.0, 1.0, 1.0)
    near = len(share) == 4 and all(abs(one) <= _MOST_OF_PHOTO for one in share)
    if not near or min(share[2:]) <= 0 or not hidden.sha256 or not 1 <= hidden.number <= MOST_FACES:
        raise ImageRowError(
            f"{hidden.path}: face {hidden.number} of {hidden.sha256!r:.20} at {share!r:.80} is none; expected a "
            "sha256, a number from 1, and left, top, width and height in shares of the photo's sides"
        )


def check_photo(photo: Photo) -> None:
    """Raise ImageRowError for a path that is not plain and relative, a hash that is none, or a size that is none."""
    check_path(photo.path)
    size = (photo.width, photo.height)
    if not all(0 <= one < _FARTHEST for one in size) or (0 in size and any(size)) or not 0 <= photo.turn < 4:
        raise ImageRowError(f"{photo.path}: {size} pixels turned {photo.turn} times; expected two sizes and 0 to 3")
    if photo.sha256 and not _HASH.fullmatch(photo.sha256):
        raise ImageRowError(f"{photo.path}: sha256 is {photo.sha256!r:.70}; expected 64 lower-case hexadecimal digits")
