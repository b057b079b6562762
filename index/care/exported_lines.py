"""What one line of an export says, which may be a stranger's: what cannot be is an error.

All raise ImageRowError, ValueError, or what else reading nonsense ends in.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from index.checks import check_box, check_decision, check_hidden, check_photo, check_place
from index.labels import FOLDER, HAND, LABEL_KINDS, LABELS, LONGEST_LABEL, ORIGINS, Labels
from index.limits import LARGEST_ID, MOST_FACES
from index.stamps import FileStamp
from index.values import Box, Decision, Face, Hidden, Kept, Photo, Place, Placement
from index.where import LARGEST

if TYPE_CHECKING:
    from index.care.exported import Export


def face_of(given: Any, export: Export) -> tuple[Face, str]:
    """A face, and the hash of its descriptor."""
    if export.format == 1:
        given |= {"decided": export.config.values[number_of(given, "candidate", 0)]}
        given |= {"inode": 0, "ctime_ns": 0, "origins": _origins_before(given)}
    place, number, size = _place(given)
    photo = Photo(text_of(given, "path"), text_of(given, "sha256"), _stamp(given), *size)
    decision = Decision(number_of(given, "decided", -LARGEST), _errors(given))
    check_photo(photo)
    check_decision(photo.path, decision, export.config.values)
    person = None if given.get("person") is None else number_of(given, "person", 1, export.persons)
    face = Face(photo, _labels(given), decision, number_of(given, "id", 1, LARGEST_ID), number, place, person)
    check_place(face)
    return face, text_of(given, "record_sha256")


def _place(given: dict[str, Any]) -> tuple[Place | None, int, list[int]]:
    """Where a face lies, its number, and the size of its photo; of one that is its photo's crop nothing is said."""
    if "box" not in given:
        return None, 1, []
    size = [number_of(given, name, 0) for name in ("width", "height", "turn")]
    [score] = _floats([given["score"]])
    return Place(_box(given), _floats(given["landmarks"]), score), number_of(given, "number", 1), size


def _box(given: dict[str, Any]) -> Box:
    return _four(given["box"])


def _four(given: Any) -> Box:
    left, top, width, height = _floats(given)
    return left, top, width, height


def _floats(given: Any) -> tuple[float, ...]:
    if not isinstance(given, list) or not all(type(one) in (int, float) for one in given):
        raise ValueError(f"{given!r:.60} stands where a list of numbers belongs")
    return tuple(map(float, given))


def kept_of(given: Any) -> Kept:
    """What a hand said of an image that was pruned."""
    labels = _labels(given | {"origins": {name: HAND for name in LABELS if given[name] is not None}})
    photo = Photo(text_of(given, "path"), text_of(given, "sha256"))
    check_photo(photo)
    if not photo.sha256 or labels == Labels():
        raise ValueError("it says nothing of any content")
    if "box" not in given:
        return Kept(photo.path, photo.sha256, labels)
    check_box(photo.path, _box(given))
    return Kept(photo.path, photo.sha256, labels, number=number_of(given, "number", 1), box=_box(given))


def _stamp(given: dict[str, Any]) -> FileStamp:
    size, inode = (number_of(given, name, 0) for name in ("size", "inode"))
    mtime_ns, ctime_ns = (number_of(given, name, 1 - LARGEST) for name in ("mtime_ns", "ctime_ns"))
    return FileStamp(size, mtime_ns, inode, ctime_ns)


def _errors(given: dict[str, Any]) -> tuple[float | None, ...]:
    errors = given["errors"]
    if not isinstance(errors, list) or not all(error is None or type(error) in (int, float) for error in errors):
        raise ValueError(f"errors are {errors!r:.60}; expected a list of numbers or null")
    return tuple(None if error is None else float(error) for error in errors)


def placement_of(given: Any, persons: int) -> Placement:
    """What a hand said of which person a face is; persons: the last number of one."""
    number, person = number_of(given, "number", 1, MOST_FACES), number_of(given, "person", 1, persons)
    sha256 = text_of(given, "sha256")
    check_photo(Photo("x", sha256))
    if not sha256:
        raise ValueError("it says nothing of any content")
    box = _box(given) if "box" in given else None
    if box is not None:
        check_box("a face", box)
    return Placement(sha256, number, box, person)


def hidden_of(given: Any) -> Hidden:
    """A face that stays away."""
    share = None if "share" not in given else _four(given["share"])
    number, since = number_of(given, "number", 1, MOST_FACES), number_of(given, "since", 0)
    hidden = Hidden(text_of(given, "path"), text_of(given, "sha256"), number, share, since)
    check_hidden(hidden)
    return hidden


def _labels(given: dict[str, Any]) -> Labels:
    labels = {name: given[name] for name in LABELS}
    for name in LABELS:
        if labels[name] is not None and LABEL_KINDS[name] is int:
            number_of(labels, name, 1 - LARGEST)
        elif labels[name] is not None:
            text_of(labels, name, LONGEST_LABEL)
    origins = tuple(given["origins"].get(name, "") for name in LABELS)
    if not all(type(origin) is str and origin in ORIGINS for origin in origins) or set(given["origins"]) - set(LABELS):
        raise ValueError(f"origins are {given['origins']!r:.60}")
    return Labels(**labels, origins=origins)


def _origins_before(given: dict[str, Any]) -> dict[str, str]:
    """Where the labels of format 1 come from, which does not say it: a folder's name from the folder, others a file."""
    origins = {name: "file" for name in LABELS if given[name] is not None}
    if given["identity"] == PurePosixPath(given["path"]).parent.name:
        origins["identity"] = FOLDER
    return origins


def number_of(given: dict[str, Any], name: str, least: int, most: int = LARGEST - 1) -> int:
    """A whole number."""
    value = given[name]
    if type(value) is not int or not least <= value <= most:
        shown = value if type(value) is not int or value.bit_length() < 100 else "of many digits"
        raise ValueError(f"{name} is {shown!r:.60}, which is no whole number from {least} to {most}")
    return value


def text_of(given: dict[str, Any], name: str, most: int | None = None) -> str:
    """A text, of so many characters at most."""
    value = given[name]
    if type(value) is not str:
        raise ValueError(f"{name} is {value!r:.60}, which is no text")
    if most is not None and len(value) > most:
        raise ValueError(f"{name} is {value!r:.30}... of {len(value):,} characters; expected {most:,} at most")
    value.encode()  # half a character is none
    return value
