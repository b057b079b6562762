"""An exported gallery, read strictly: it may be a stranger's. No name in it leads out of its folder, no number is
believed unchecked, and nothing larger than it says is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

import numpy as np

from index.descriptors import RECORD_TYPE, first_unsound
from index.errors import GalleryCorruptError, GalleryError, GalleryNotFoundError, ImageRowError
from index.labels import FOLDER, HAND, LABEL_KINDS, LABELS, LONGEST_LABEL, ORIGINS, Labels
from index.stamps import FileStamp, file_hash
from index.stored import place_of
from index.values import (
    IDENTITY_LEVEL,
    LARGEST_ID,
    LARGEST_PERSON,
    MOST_FACES,
    Box,
    CropPolicy,
    Decision,
    Face,
    GalleryConfig,
    HalfArray,
    Hidden,
    Kept,
    Photo,
    Place,
    Placement,
    check_box,
    check_decision,
    check_hidden,
    check_photo,
    check_place,
)
from index.where import LARGEST

FORMAT = 2
ABOUT, FACES, DESCRIPTORS, PICTURES = "gallery.json", "faces.jsonl", "descriptors.npy", "pictures"
KEPT, PLACEMENTS, HIDDEN = "kept.jsonl", "placements.jsonl", "hidden.jsonl"
FACES_OF = {1: "images.jsonl", 2: FACES}  # by format
_T = TypeVar("_T")
LONGEST = 2**20  # bytes of gallery.json, and of a line
# what reading numbers and texts of a stranger may end in
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Export:
    """What an export holds. lines: the file of its faces; content: their descriptors (n, size), mapped into memory;
    last_id: ids up to it are never given again, nor are persons' numbers up to `persons`; identity_level: which folder
    names a person, where somebody said so; crops: what is done with pictures."""

    format: int
    config: GalleryConfig
    lines: Path
    content: HalfArray
    last_id: int
    persons: int
    identity_level: str | None
    crops: CropPolicy


def read_export(source: Path, image_root: Path | None) -> Export:
    """The export in a folder, but for its faces. image_root: where the images lie, absolute; None: in the export where
    it holds them, else where they lay.

    Raises GalleryNotFoundError, GalleryCorruptError for one that is not what was written, or says what none can be.
    """
    about = _about(source)
    inside = source / PICTURES
    if inside.is_symlink():
        raise damaged(inside, "it is a link to another place")
    try:
        format_ = about["format"]
        root = image_root or (inside.resolve() if inside.is_dir() else place_of(_text(about, "image_root")))
        if not root.is_absolute():
            raise ValueError("expected an absolute image_root")
        values = about["values"]
        if not isinstance(values, list):
            raise ValueError(f"values are {values!r:.60}; expected a list")
        attribute = _text(about, "task" if format_ == 1 else "attribute")
        size = _number(about, "descriptor_size", 1)
        config = GalleryConfig(
            _text(about, "model_digest"), attribute, tuple(values), size, root, encoder=about.get("encoder")
        )
        shape = (_number(about, "images", 0), size)
        last = _number(about, "last_id", 0, LARGEST_ID)
        persons = 0 if format_ == 1 else _number(about, "persons", 0, LARGEST_PERSON)
        sums = dict(about["sha256"])
        level = _text(about, "identity_level") if "identity_level" in about else None
        if level is not None and not IDENTITY_LEVEL.fullmatch(level):
            raise ValueError(f"identity_level is {level!r:.60}; expected first, last or a number from 1 to 999")
        crops = CropPolicy(*(about.get(name) for name in ("faces", "detector", "identity_of")))
    except _NONSENSE as error:
        raise damaged(source / ABOUT, _said(error)) from error
    for name in (FACES_OF[format_], DESCRIPTORS, *((KEPT, PLACEMENTS, HIDDEN) if format_ >= 2 else ())):
        if not _is_plain(source / name) or file_hash(source / name) != sums.get(name):
            raise damaged(source / name, f"it is not there or its hash is not what {ABOUT} says")
    content = _descriptors(source / DESCRIPTORS, shape)
    return Export(format_, config, source / FACES_OF[format_], content, last, persons, level, crops)


def read_faces(export: Export) -> Iterator[tuple[Face, str]]:
    """The face on each line, with its id, and the hash of its descriptor. Raises GalleryCorruptError."""
    pictures = export.lines.parent / PICTURES
    inside = pictures.resolve() == export.config.image_root and pictures.is_dir()
    photographs = dict[str, Photo]()
    with export.lines.open("rb") as lines:
        for number in count(1):
            try:
                line = _line(lines)
                if line is None:
                    return
                face, sha256 = _face(json.loads(line), export)
                if face.place and photographs.setdefault(face.path, face.photo) != face.photo:
                    raise ValueError(f"it says otherwise of {face.path:.100} than a line before")
                if inside:
                    _require_no_link(pictures, face.path)
            except (*_NONSENSE, ImageRowError) as error:
                raise damaged(export.lines, f"line {number}: {_said(error)}") from error
            yield face, sha256


def read_kept(export: Export) -> list[Kept]:
    """What a hand said of images that were pruned. Raises GalleryCorruptError."""
    return list({(one.sha256, one.path, one.number): one for one in _read(export, KEPT, _kept)}.values())


def read_placements(export: Export) -> list[Placement]:
    """What a hand said of which person a face is. Raises GalleryCorruptError."""
    read = _read(export, PLACEMENTS, lambda given: _placement(given, export.persons))
    return list({(one.sha256, one.number): one for one in read}.values())


def read_hidden(export: Export) -> list[Hidden]:
    """Which faces stay away. Raises GalleryCorruptError."""
    return list(_read(export, HIDDEN, _hidden))


def _read(export: Export, name: str, one_of: Callable[[Any], _T]) -> Iterator[_T]:
    """What stands on each line of a file; nothing in formats that have none. Raises GalleryCorruptError."""
    if export.format == 1:
        return
    path = export.lines.parent / name
    with path.open("rb") as lines:
        for number in count(1):
            try:
                line = _line(lines)
                if line is None:
                    return
                one = one_of(json.loads(line))
            except (*_NONSENSE, ImageRowError) as error:
                raise damaged(path, f"line {number}: {_said(error)}") from error
            yield one


def require_sound(export: Export, first: int, records: HalfArray) -> None:
    """Raise GalleryCorruptError unless these descriptors (n, size), of which the first is that of face `first`, are
    numbers and of length 1."""
    found = first_unsound(records)
    if found is not None:
        raise damaged(
            export.lines.parent / DESCRIPTORS,
            f"descriptor {first + found[0] + 1} has the length {found[1]:.3g}; expected 1, as every model makes them",
        )


def damaged(path: Path, reason: str) -> GalleryCorruptError:
    """The error for a file of an export."""
    return GalleryCorruptError(f"{path} is damaged ({reason}): export the gallery again")


def _about(source: Path) -> dict[str, Any]:
    path = source / ABOUT
    if not path.is_symlink() and not path.is_file():
        raise GalleryNotFoundError(
            f"{source} is no exported gallery (no {ABOUT} in it): give a folder that `facesearch gallery export` wrote"
        )
    if not _is_plain(path) or path.stat().st_size > LONGEST:
        raise damaged(path, f"it is a link, or has over {LONGEST:,} bytes")
    try:
        about = json.loads(path.read_bytes())
        if type(about) is not dict:
            raise ValueError("it is no object")
        format_ = about["format"]
    except _NONSENSE as error:
        raise damaged(path, _said(error)) from error
    if type(format_) is not int or format_ not in FACES_OF:
        raise GalleryError(f"{path} has format {format_!r:.40}; this release reads formats 1 and {FORMAT}")
    return about


def _descriptors(path: Path, shape: tuple[int, int]) -> HalfArray:
    try:
        content = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except Exception as error:  # a header of NumPy's is read as Python, which may end in anything
        raise damaged(path, _said(error)) from error
    if not isinstance(content, np.ndarray) or content.shape != shape or content.dtype != RECORD_TYPE:
        found = f"{content.shape} {content.dtype}" if isinstance(content, np.ndarray) else "several arrays"
        raise damaged(path, f"it holds {found:.100}, not {shape} {RECORD_TYPE}")
    return content


def _line(lines: BinaryIO) -> str | None:
    """The next one; None at the end."""
    line = lines.readline(LONGEST + 1)
    if len(line) > LONGEST:
        raise ValueError(f"it has over {LONGEST:,} bytes")
    return line.decode() if line else None


def _face(given: Any, export: Export) -> tuple[Face, str]:
    if export.format == 1:
        given |= {"decided": export.config.values[_number(given, "candidate", 0)]}
        given |= {"inode": 0, "ctime_ns": 0, "origins": _origins_before(given)}
    place, number, size = _place(given)
    photo = Photo(_text(given, "path"), _text(given, "sha256"), _stamp(given), *size)
    decision = Decision(_number(given, "decided", -LARGEST), _errors(given))
    check_photo(photo)
    check_decision(photo.path, decision, export.config.values)
    person = None if given.get("person") is None else _number(given, "person", 1, export.persons)
    face = Face(photo, _labels(given), decision, _number(given, "id", 1, LARGEST_ID), number, place, person)
    check_place(face)
    return face, _text(given, "record_sha256")


def _place(given: dict[str, Any]) -> tuple[Place | None, int, list[int]]:
    """Where a face lies, its number, and the size of its photo; of one that is its photo's crop nothing is said."""
    if "box" not in given:
        return None, 1, []
    size = [_number(given, name, 0) for name in ("width", "height", "turn")]
    [score] = _floats([given["score"]])
    return Place(_box(given), _floats(given["landmarks"]), score), _number(given, "number", 1), size


def _box(given: dict[str, Any]) -> Box:
    return _four(given["box"])


def _four(given: Any) -> Box:
    left, top, width, height = _floats(given)
    return left, top, width, height


def _floats(given: Any) -> tuple[float, ...]:
    if not isinstance(given, list) or not all(type(one) in (int, float) for one in given):
        raise ValueError(f"{given!r:.60} stands where a list of numbers belongs")
    return tuple(map(float, given))


def _kept(given: Any) -> Kept:
    labels = _labels(given | {"origins": {name: HAND for name in LABELS if given[name] is not None}})
    photo = Photo(_text(given, "path"), _text(given, "sha256"))
    check_photo(photo)
    if not photo.sha256 or labels == Labels():
        raise ValueError("it says nothing of any content")
    if "box" not in given:
        return Kept(photo.path, photo.sha256, labels)
    check_box(photo.path, _box(given))
    return Kept(photo.path, photo.sha256, labels, number=_number(given, "number", 1), box=_box(given))


def _stamp(given: dict[str, Any]) -> FileStamp:
    size, inode = (_number(given, name, 0) for name in ("size", "inode"))
    mtime_ns, ctime_ns = (_number(given, name, 1 - LARGEST) for name in ("mtime_ns", "ctime_ns"))
    return FileStamp(size, mtime_ns, inode, ctime_ns)


def _errors(given: dict[str, Any]) -> tuple[float | None, ...]:
    errors = given["errors"]
    if not isinstance(errors, list) or not all(error is None or type(error) in (int, float) for error in errors):
        raise ValueError(f"errors are {errors!r:.60}; expected a list of numbers or null")
    return tuple(None if error is None else float(error) for error in errors)


def _placement(given: Any, persons: int) -> Placement:
    number, person = _number(given, "number", 1, MOST_FACES), _number(given, "person", 1, persons)
    sha256 = _text(given, "sha256")
    check_photo(Photo("x", sha256))
    if not sha256:
        raise ValueError("it says nothing of any content")
    box = _box(given) if "box" in given else None
    if box is not None:
        check_box("a face", box)
    return Placement(sha256, number, box, person)


def _hidden(given: Any) -> Hidden:
    share = None if "share" not in given else _four(given["share"])
    number, since = _number(given, "number", 1, MOST_FACES), _number(given, "since", 0)
    hidden = Hidden(_text(given, "path"), _text(given, "sha256"), number, share, since)
    check_hidden(hidden)
    return hidden


def _labels(given: dict[str, Any]) -> Labels:
    labels = {name: given[name] for name in LABELS}
    for name in LABELS:
        if labels[name] is not None and LABEL_KINDS[name] is int:
            _number(labels, name, 1 - LARGEST)
        elif labels[name] is not None:
            _text(labels, name, LONGEST_LABEL)
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


def _number(given: dict[str, Any], name: str, least: int, most: int = LARGEST - 1) -> int:
    value = given[name]
    if type(value) is not int or not least <= value <= most:
        shown = value if type(value) is not int or value.bit_length() < 100 else "of many digits"
        raise ValueError(f"{name} is {shown!r:.60}, which is no whole number from {least} to {most}")
    return value


def _text(given: dict[str, Any], name: str, most: int | None = None) -> str:
    value = given[name]
    if type(value) is not str:
        raise ValueError(f"{name} is {value!r:.60}, which is no text")
    if most is not None and len(value) > most:
        raise ValueError(f"{name} is {value!r:.30}... of {len(value):,} characters; expected {most:,} at most")
    value.encode()  # half a character is none
    return value


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _require_no_link(pictures: Path, path: str) -> None:
    """Raise ValueError where the picture of a path in the export is a link, or lies behind one."""
    place = pictures
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            raise ValueError(f"{place} is a link to another place")


def _said(error: BaseException) -> str:
    """What an error says, as one short line of a longer one."""
    if isinstance(error, KeyError):
        return f"it does not say {error}"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return f"{error!s:.300}" or type(error).__name__
