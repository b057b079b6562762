"""A gallery as plain files that anything can read, and back: gallery.json, faces.jsonl, descriptors.npy, pictures/.

Format 2. Exports of format 1 (releases up to 0.3: images.jsonl, the decided value as a position) are still read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from sqlalchemy.exc import IntegrityError

from index.descriptors import RECORD_TYPE, record_hash
from index.errors import GalleryCorruptError, GalleryError, GalleryNotFoundError, ImageRowError
from index.files import DATABASE, file_hash, new_folder_whole, require_new_folder, to_disk
from index.truth import records, state, store
from index.truth.creating import create_files
from index.truth.database import Database, SQLite
from index.values import (
    FOLDER,
    LABELS,
    ORIGINS,
    Decision,
    Face,
    FileStamp,
    GalleryConfig,
    HalfArray,
    Labels,
    Photo,
    check_decision,
    check_photo,
)
from index.where import LARGEST

FORMAT = 2
ABOUT, FACES, DESCRIPTORS, PICTURES = "gallery.json", "faces.jsonl", "descriptors.npy", "pictures"
_FACES_OF = {1: "images.jsonl", 2: FACES}  # by format
# what reading numbers and texts of a stranger may end in
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
_BATCH = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """images: how many; missing: paths of pictures that were to be copied and are not there."""

    images: int
    missing: list[str]


def export(
    folder: Path, database: Database, target: Path, pictures: bool, progress: Progress | None = None
) -> Exported:
    """Write the gallery of `folder` into the new folder `target`, all of it or nothing; the caller keeps writers out.

    pictures: copy the photos' files as well. Raises GalleryExistsError, GalleryCorruptError for a descriptor that is
    not what was stored, OSError.
    """
    require_new_folder(target)
    with database.reading() as session:
        config, last = state.config(session), store.last_id(session, "face")
    missing: list[str] = []
    with new_folder_whole(target) as made:
        count = _write_content(folder, database, made, config, progress)
        if pictures:
            missing = _copy_pictures(database, config.image_root, made / PICTURES)
        about = {
            "format": FORMAT,
            "model_digest": config.model_digest,
            "attribute": config.attribute,
            "values": list(config.values),
            "descriptor_size": config.descriptor_size,
            "image_root": config.image_root.as_posix(),
            "images": count,
            "last_id": last,
            "sha256": {name: file_hash(made / name) for name in (FACES, DESCRIPTORS)},
        }
        (made / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Exported(count, missing)


def restore(source: Path, folder: Path, image_root: Path | None, progress: Progress | None = None) -> None:
    """Make the gallery `folder` of what `export` wrote, all of it or nothing; ids stay.

    image_root: where the images lie, absolute; None: in the export where it holds them, else where they lay. Raises
    GalleryExistsError, GalleryNotFoundError, GalleryCorruptError, OSError.
    """
    require_new_folder(folder)
    about, content = _read(source)
    inside = source / PICTURES
    try:
        if image_root is None:
            image_root = inside.resolve() if inside.is_dir() else Path(about["image_root"])
        values = tuple(about["values"])
        if not image_root.is_absolute() or not all(isinstance(value, int) for value in values):
            raise ValueError("expected an absolute image_root, and whole numbers as values")
        attribute = str(about["task" if about["format"] == 1 else "attribute"])
        config = GalleryConfig(str(about["model_digest"]), attribute, values, int(about["descriptor_size"]), image_root)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(source / ABOUT, str(error)) from error
    with new_folder_whole(folder) as made:
        create_files(made, config)
        database = SQLite(made / DATABASE)
        lines = source / _FACES_OF[about["format"]]
        try:
            _fill(database, made, lines, _faces(lines, config, about["format"]), content, progress)
            with database.writing() as session:
                store.reserve_ids(session, int(about["last_id"]))
        finally:
            database.close()


def _write_content(
    folder: Path, database: Database, made: Path, config: GalleryConfig, progress: Progress | None
) -> int:
    with database.reading() as session:
        total = store.count(session)
    done = 0
    with (made / DESCRIPTORS).open("wb") as descriptors, (made / FACES).open("w", encoding="utf-8") as lines:
        header = {"descr": RECORD_TYPE.str, "fortran_order": False, "shape": (total, config.descriptor_size)}
        np.lib.format.write_array_header_1_0(descriptors, header)
        for page in records.hashed_records(folder, database):
            with database.reading() as session:
                faces = store.get(session, [one.id for one in page])
            for one, face in zip(page, faces, strict=True):
                if one.noted != one.actual:
                    raise GalleryCorruptError(
                        f"the descriptor of {face.path} is not what was stored: run `facesearch gallery repair`, "
                        "and export again"
                    )
                descriptors.write(one.record.tobytes())
                content = _line(face) | {"record_sha256": one.actual}
                lines.write(json.dumps(content, ensure_ascii=False) + "\n")
            done += len(page)
            if progress:
                progress(done, total)
        for file in (descriptors, lines):
            to_disk(file)
    if done != total:
        raise GalleryCorruptError(
            f"{total - done:,} of {total:,} images have no descriptor: run `facesearch index`, which describes them, "
            "and export again"
        )
    return done


def _line(face: Face) -> dict[str, Any]:
    """What an export says of a face."""
    photo, labels = face.photo, face.labels
    origins = {name: labels.origin(name) for name in LABELS if labels.origin(name)}
    return {
        "id": face.id,
        "path": photo.path,
        "sha256": photo.sha256,
        **asdict(photo.stamp),
        **{name: getattr(labels, name) for name in LABELS},
        "origins": origins,
        **asdict(face.decision),
    }


def _copy_pictures(database: Database, root: Path, target: Path) -> list[str]:
    target.mkdir()
    with database.reading() as session:
        paths = sorted(store.paths(session))
    missing = []
    for path in paths:
        if not (root / path).is_file():
            missing.append(path)
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target / path)
    return missing


def _read(source: Path) -> tuple[dict[str, Any], HalfArray]:
    """What an export says of itself, and its descriptors (n, size), mapped into memory."""
    path = source / ABOUT
    if not path.is_file():
        raise GalleryNotFoundError(
            f"{source} is no exported gallery (no {ABOUT} in it): give a folder that `facesearch gallery export` wrote"
        )
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] not in _FACES_OF:
            raise GalleryError(f"{path} has format {about['format']}; this release reads formats 1 and {FORMAT}")
        sums, shape = dict(about["sha256"]), tuple(_count(about, name) for name in ("images", "descriptor_size"))
        _count(about, "last_id")
    except _NONSENSE as error:
        raise _damaged(path, str(error)) from error
    for name in (_FACES_OF[about["format"]], DESCRIPTORS):
        if not (source / name).is_file() or file_hash(source / name) != sums.get(name):
            raise _damaged(source / name, f"it is not there or its hash is not what {ABOUT} says")
    try:
        content = np.load(source / DESCRIPTORS, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise _damaged(source / DESCRIPTORS, str(error)) from error
    if content.shape != shape or content.dtype != RECORD_TYPE:
        raise _damaged(source / DESCRIPTORS, f"it holds {content.shape} {content.dtype}, not {shape} {RECORD_TYPE}")
    return about, content


def _faces(path: Path, config: GalleryConfig, format_: int) -> Iterator[tuple[Face, str]]:
    """The face on each line, with its id, and the hash of its descriptor."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                given = json.loads(line)
                if format_ == 1:
                    given |= {"decided": config.values[_whole_number(given["candidate"], 0)]}
                    given |= {"inode": 0, "ctime_ns": 0, "origins": _origins_before(given)}
                face = _face(given)
                check_photo(face.photo)
                check_decision(face.photo.path, face.decision, config.values)
                yield face, str(given["record_sha256"])
            except (*_NONSENSE, ImageRowError) as error:
                raise _damaged(path, f"line {number}: {error}") from error


def _face(given: dict[str, Any]) -> Face:
    stamp = FileStamp(*(_whole_number(given[name], -LARGEST) for name in ("size", "mtime_ns", "inode", "ctime_ns")))
    origins = tuple(str(given["origins"].get(name, "")) for name in LABELS)
    if not set(origins) <= set(ORIGINS):
        raise ValueError(f"origins are {given['origins']}")
    labels = {name: given[name] for name in LABELS}
    _require_labels(labels)
    decision = Decision(_whole_number(given["decided"], -LARGEST), tuple(given["errors"]))
    photo = Photo(str(given["path"]), str(given["sha256"]), stamp)
    return Face(photo, Labels(**labels, origins=origins), decision, _whole_number(given["id"], 1))


def _origins_before(given: dict[str, Any]) -> dict[str, str]:
    """Where the labels of format 1 come from, which does not say it: a folder's name from the folder, others a file."""
    origins = {name: "file" for name in LABELS if given[name] is not None}
    if given["identity"] == PurePosixPath(given["path"]).parent.name:
        origins["identity"] = FOLDER
    return origins


def _count(about: dict[str, Any], name: str) -> int:
    try:
        return _whole_number(about[name], 0)
    except ValueError as error:
        raise ValueError(f"{name} is {error}") from error


def _whole_number(value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < LARGEST:
        raise ValueError(f"{value!r} is no whole number from {least} on, of 63 bits")
    return value


def _require_labels(labels: dict[str, Any]) -> None:
    for name, kind in (("identity", str), ("expression", str), ("pose", int), ("illumination", int)):
        value = labels[name]
        if value is not None and (type(value) is not kind or (isinstance(value, int) and abs(value) >= LARGEST)):
            raise ValueError(f"{name} is {value!r}")
        if isinstance(value, str):
            value.encode()  # half a character is none


def _fill(
    database: Database,
    folder: Path,
    source: Path,
    faces: Iterator[tuple[Face, str]],
    content: HalfArray,
    progress: Progress | None,
) -> None:
    for start in range(0, len(content), _BATCH):
        some = np.array(content[start : start + _BATCH])
        given = list(islice(faces, len(some)))
        hashes = [record_hash(record) for record in some]
        if len(given) != len(some) or hashes != [sha256 for _, sha256 in given]:
            raise _damaged(source, "its images are not those of the descriptors")
        with database.writing() as session:
            number = state.gallery(session).file
            file = records.descriptor_file(session, folder)
            first = file.append(some, committed=records.slots_in_use(session, number))
            try:
                ids = store.insert_faces(session, [face for face, _ in given], keep_ids=True)
                records.insert_records(session, number, first, ids, hashes)
            except IntegrityError as error:
                raise _damaged(source, f"an id or a path stands there twice: {error.orig}") from error
            state.advance(session, removed=False)
        if progress:
            progress(start + len(some), len(content))
    if next(faces, None) is not None:
        raise _damaged(source, "it has more images than there are descriptors")


def _damaged(path: Path, reason: str) -> GalleryCorruptError:
    return GalleryCorruptError(f"{path} is damaged ({reason}): export the gallery again")
