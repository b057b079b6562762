"""A gallery as plain files that anything can read: gallery.json, faces.jsonl, kept.jsonl, placements.jsonl,
hidden.jsonl, descriptors.npy, pictures/. `index.care.restore` makes a gallery of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Any

import numpy as np

from index.care.exported import ABOUT, DESCRIPTORS, FACES, FORMAT, HIDDEN, KEPT, PICTURES, PLACEMENTS
from index.config import GalleryConfig
from index.descriptors import RECORD_TYPE
from index.errors import GalleryCorruptError, GalleryStorageError
from index.folders import make_folders, new_folder_whole, require_new_folder
from index.labels import LABELS
from index.progress import Steps
from index.stamps import file_hash
from index.stored import Stored
from index.truth import descriptor_slots, hidden, kept, pages, people, state, store
from index.truth.database import Database
from index.truth.ids import last_id
from index.values import Face, Photo
from index.whole import to_disk

_BATCH = 500


@dataclass(frozen=True)
class Exported:
    """images: how many; missing: paths of pictures that were to be copied, and are not there or not what was
    described."""

    images: int
    missing: list[str]


def export(folder: Path, database: Database, target: Path, pictures: bool, progress: Steps | None = None) -> Exported:
    """Write the gallery of `folder` into the new folder `target`, all of it or nothing; the caller keeps writers out.

    pictures: copy the photos' files as well. Raises GalleryExistsError, GalleryCorruptError for a descriptor that is
    not what was stored, GalleryStorageError.
    """
    require_new_folder(target)
    with database.reading() as session:
        config, last = state.config(session), last_id(session, "face")
        level, crops, persons = state.identity_level(session), state.crops(session), state.gallery(session).persons
    missing: list[str] = []
    with all_or_nothing(target) as made:
        count = _write_content(folder, database, made, config, progress)
        _write_kept(database, made / KEPT)
        _write_placements(database, made / PLACEMENTS)
        _write_hidden(database, made / HIDDEN)
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
            "persons": persons,
            **({} if config.encoder is None else {"encoder": config.encoder}),
            **({} if level is None else {"identity_level": level}),
            **{name: said for name, said in asdict(crops).items() if said is not None},
            "sha256": {name: file_hash(made / name) for name in (FACES, KEPT, PLACEMENTS, HIDDEN, DESCRIPTORS)},
        }
        (made / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Exported(count, missing)


@contextmanager
def all_or_nothing(target: Path) -> Iterator[Path]:
    """A new folder that is finished or not there. Raises GalleryStorageError where the disk, or a file that is read,
    refuses."""
    try:
        with new_folder_whole(target) as made:
            yield made
    except (OSError, GalleryStorageError) as error:
        reason = error.__cause__ if isinstance(error, GalleryStorageError) and error.__cause__ else error
        raise GalleryStorageError(
            f"{target} was not written, and nothing is left of it ({reason}): make room, check the permissions, or "
            "give another place"
        ) from error


def _write_content(folder: Path, database: Database, made: Path, config: GalleryConfig, progress: Steps | None) -> int:
    with database.reading() as session:
        total = store.count(session)
    done = 0
    with (made / DESCRIPTORS).open("wb") as descriptors, (made / FACES).open("w", encoding="utf-8") as lines:
        header = {"descr": RECORD_TYPE.str, "fortran_order": False, "shape": (total, config.descriptor_size)}
        np.lib.format.write_array_header_1_0(descriptors, header)
        for page in descriptor_slots.hashed_records(folder, database):
            with database.reading() as session:
                faces = store.get(session, page.ids)
            for face, noted, actual, record in zip(faces, page.noted, page.actual, page.records, strict=True):
                if noted != actual:
                    raise GalleryCorruptError(
                        f"the descriptor of {face.path} is not what was stored: run `facesearch gallery repair`, "
                        "and export again"
                    )
                descriptors.write(record.tobytes())
                content = _line(face) | {"record_sha256": actual}
                lines.write(json.dumps(content, ensure_ascii=False) + "\n")
            done += len(page.ids)
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


def _write_kept(database: Database, path: Path) -> None:
    """What a hand said of images that were pruned, one object a line."""
    with database.reading() as session, path.open("w", encoding="utf-8") as lines:
        for one in kept.all_kept(session):
            said = {name: getattr(one.labels, name) for name in LABELS}
            said |= {"number": one.number, "box": list(one.box)} if one.box else {}
            lines.write(json.dumps({"path": one.path, "sha256": one.sha256, **said}, ensure_ascii=False) + "\n")
        to_disk(lines)


def _write_placements(database: Database, path: Path) -> None:
    """What a hand said of who is which person, one object a line."""
    with database.reading() as session, path.open("w", encoding="utf-8") as lines:
        for one in people.placements(session):
            said = {"sha256": one.sha256, "number": one.number, "person": one.person}
            lines.write(json.dumps(said | ({"box": list(one.box)} if one.box else {})) + "\n")
        to_disk(lines)


def _write_hidden(database: Database, path: Path) -> None:
    """Which faces stay away, one object a line."""
    with database.reading() as session, path.open("w", encoding="utf-8") as lines:
        for one in hidden.every(session):
            said = {"path": one.path, "sha256": one.sha256, "number": one.number, "since": one.since}
            said |= {"share": list(one.share)} if one.share else {}
            lines.write(json.dumps(said, ensure_ascii=False) + "\n")
        to_disk(lines)


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
        **({} if face.person is None else {"person": face.person}),
        **_place(face),
    }


def _place(face: Face) -> dict[str, Any]:
    """Of a face that is a part of its photo."""
    if face.place is None:
        return {}
    photo = {name: getattr(face.photo, name) for name in ("width", "height", "turn")}
    return {**photo, "number": face.number, **asdict(face.place)}


def _copy_pictures(database: Database, root: Path, target: Path) -> list[str]:
    """Copy the photos' files; the paths of those that are not there, or not what was described: whoever made the
    gallery said where its pictures lie, and no other file must go with them."""
    target.mkdir()
    return [photo.path for photo in _photos(database) if not _copied(root / photo.path, target / photo.path, photo)]


def _photos(database: Database) -> Iterator[Photo]:
    return (face.photo for face in pages.faces(database, store.first_of_photos))


def _copied(source: Path, target: Path, photo: Photo) -> bool:
    if not photo.sha256 or not _is_file(source) or source.stat().st_size != photo.stamp.size:
        return False  # what is of another size is not copied to be hashed: it may be larger than the disk
    make_folders(target.parent)
    if isinstance(source, Stored):
        target.write_bytes(source.read_bytes())
    else:
        shutil.copy2(source, target)
    if file_hash(target) == photo.sha256:
        return True
    target.unlink()
    return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            return False
        raise  # nobody knows
