"""An exported gallery, read strictly: it may be a stranger's. No name in it leads out of its folder, no number is
believed unchecked, and nothing larger than it says is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from index.care.exported_lines import face_of, hidden_of, kept_of, number_of, placement_of, text_of
from index.config import IDENTITY_LEVEL, CropPolicy, GalleryConfig
from index.descriptors import RECORD_TYPE, first_unsound
from index.errors import GalleryCorruptError, GalleryError, GalleryNotFoundError, ImageRowError
from index.limits import LARGEST_ID, LARGEST_PERSON
from index.stamps import file_hash
from index.stored import place_of
from index.values import Face, HalfArray, Hidden, Kept, Photo, Placement

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
        root = image_root or (inside.resolve() if inside.is_dir() else place_of(text_of(about, "image_root")))
        if not root.is_absolute():
            raise ValueError("expected an absolute image_root")
        values = about["values"]
        if not isinstance(values, list):
            raise ValueError(f"values are {values!r:.60}; expected a list")
        attribute = text_of(about, "task" if format_ == 1 else "attribute")
        size = number_of(about, "descriptor_size", 1)
        config = GalleryConfig(
            text_of(about, "model_digest"), attribute, tuple(values), size, root, encoder=about.get("encoder")
        )
        shape = (number_of(about, "images", 0), size)
        last = number_of(about, "last_id", 0, LARGEST_ID)
        persons = 0 if format_ == 1 else number_of(about, "persons", 0, LARGEST_PERSON)
        sums = dict(about["sha256"])
        level = text_of(about, "identity_level") if "identity_level" in about else None
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
                face, sha256 = face_of(json.loads(line), export)
                if face.place and photographs.setdefault(face.path, face.photo) != face.photo:
                    raise ValueError(f"it says otherwise of {face.path:.100} than a line before")
                if inside:
                    _require_no_link(pictures, face.path)
            except (*_NONSENSE, ImageRowError) as error:
                raise damaged(export.lines, f"line {number}: {_said(error)}") from error
            yield face, sha256


def read_kept(export: Export) -> list[Kept]:
    """What a hand said of images that were pruned. Raises GalleryCorruptError."""
    return list({(one.sha256, one.path, one.number): one for one in _read(export, KEPT, kept_of)}.values())


def read_placements(export: Export) -> list[Placement]:
    """What a hand said of which person a face is. Raises GalleryCorruptError."""
    read = _read(export, PLACEMENTS, lambda given: placement_of(given, export.persons))
    return list({(one.sha256, one.number): one for one in read}.values())


def read_hidden(export: Export) -> list[Hidden]:
    """Which faces stay away. Raises GalleryCorruptError."""
    return list(_read(export, HIDDEN, hidden_of))


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
