"""A gallery as plain files that anything can read, and back: gallery.json, images.jsonl, descriptors.npy, pictures/."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from sqlalchemy.exc import IntegrityError

from index.care.verify import hashed_records
from index.descriptors import RECORD_TYPE, HalfArray, record_hash, sync_folder
from index.errors import GalleryCorruptError, GalleryError, GalleryExistsError, GalleryNotFoundError, ImageRowError
from index.hashing import file_hash
from index.layout import DATABASE_NAME, create_files
from index.lock import WriterLock
from index.truth import store
from index.truth.database import Database
from index.values import GalleryConfig, ImageRow, checked_columns
from index.where import LARGEST

FORMAT = 1
ABOUT, IMAGES, DESCRIPTORS, PICTURES = "gallery.json", "images.jsonl", "descriptors.npy", "pictures"
_ROW = tuple(field.name for field in fields(ImageRow))
_BATCH = 500
_MARK = ".facesearch-partial"  # in a folder that is being written, locked

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

    pictures: copy the images' files as well. Raises GalleryExistsError, GalleryCorruptError for a descriptor that is
    not what was stored, OSError.
    """
    _require_new(target)
    with database.reading() as session:
        config, last = store.config(session), store.last_id(session)
    missing: list[str] = []
    with _whole(target) as made:
        count = _write_content(folder, database, made, config, progress)
        if pictures:
            missing = _copy_pictures(database, config.image_root, made / PICTURES)
        about = {
            "format": FORMAT, "model_digest": config.model_digest, "task": config.task, "values": list(config.values),
            "descriptor_size": config.descriptor_size, "image_root": config.image_root.as_posix(),
            "images": count, "last_id": last,
            "sha256": {name: file_hash(made / name) for name in (IMAGES, DESCRIPTORS)},
        }  # fmt: skip
        (made / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Exported(count, missing)


def restore(source: Path, folder: Path, image_root: Path | None, progress: Progress | None = None) -> None:
    """Make the gallery `folder` of what `export` wrote, all of it or nothing; ids stay.

    image_root: where the images lie, absolute; None: in the export where it holds them, else where they lay. Raises
    GalleryExistsError, GalleryNotFoundError, GalleryCorruptError, OSError.
    """
    _require_new(folder)
    about, records = _read(source)
    inside = source / PICTURES
    try:
        if image_root is None:
            image_root = inside.resolve() if inside.is_dir() else Path(about["image_root"])
        values = tuple(about["values"])
        if not image_root.is_absolute() or not all(isinstance(value, int) for value in values):
            raise ValueError("expected an absolute image_root, and whole numbers as values")
        config = GalleryConfig(
            str(about["model_digest"]), str(about["task"]), values, int(about["descriptor_size"]), image_root
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(source / ABOUT, str(error)) from error
    with _whole(folder) as made:
        create_files(made, config)
        database = Database(made / DATABASE_NAME)
        try:
            _fill(database, made, source / IMAGES, _rows(source / IMAGES, len(config.values)), records, progress)
            with database.writing() as session:
                store.reserve_ids(session, int(about["last_id"]))
        finally:
            database.close()


def _write_content(
    folder: Path, database: Database, made: Path, config: GalleryConfig, progress: Progress | None
) -> int:  # fmt: skip
    with database.reading() as session:
        total = store.count(session)
    done = 0
    with (made / DESCRIPTORS).open("wb") as descriptors, (made / IMAGES).open("w", encoding="utf-8") as images:
        header = {"descr": RECORD_TYPE.str, "fortran_order": False, "shape": (total, config.descriptor_size)}
        np.lib.format.write_array_header_1_0(descriptors, header)
        for page in hashed_records(folder, database):
            with database.reading() as session:
                rows = store.get(session, [one.id for one in page])
            for one, row in zip(page, rows, strict=True):
                if one.noted not in (None, one.actual):
                    raise GalleryCorruptError(
                        f"the descriptor of {one.path} is not what was stored: run `facesearch gallery repair`, "
                        "and export again"
                    )
                descriptors.write(one.record.tobytes())
                content = {"id": row.id, **{name: getattr(row, name) for name in _ROW}, "record_sha256": one.actual}
                images.write(json.dumps(content, ensure_ascii=False) + "\n")
            done += len(page)
            if progress:
                progress(done, total)
        for file in (descriptors, images):
            _sync(file)
    return done


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
        if about["format"] != FORMAT:
            raise GalleryError(f"{path} has format {about['format']}; this release reads format {FORMAT}")
        sums, shape = dict(about["sha256"]), (int(about["images"]), int(about["descriptor_size"]))
        if not 0 <= int(about["last_id"]) < LARGEST:
            raise ValueError(f"last_id is {about['last_id']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    for name in (IMAGES, DESCRIPTORS):
        if not (source / name).is_file() or file_hash(source / name) != sums.get(name):
            raise _damaged(source / name, f"it is not there or its hash is not what {ABOUT} says")
    try:
        records = np.load(source / DESCRIPTORS, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise _damaged(source / DESCRIPTORS, str(error)) from error
    if records.shape != shape or records.dtype != RECORD_TYPE:
        raise _damaged(source / DESCRIPTORS, f"it holds {records.shape} {records.dtype}, not {shape} {RECORD_TYPE}")
    return about, records


def _rows(path: Path, values: int) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                given = json.loads(line)
                row = ImageRow(**{name: given[name] for name in _ROW})
                columns = checked_columns(row, values)
                id_ = int(given["id"])
                if not 0 < id_ < LARGEST or abs(row.size) >= LARGEST or abs(row.mtime_ns) >= LARGEST:
                    raise ValueError("expected an id above 0, and numbers of 63 bits")
                _require_labels(row)
                yield {**columns, "id": id_, "record_sha256": str(given["record_sha256"])}
            except (ValueError, KeyError, TypeError, ImageRowError) as error:
                raise _damaged(path, f"line {number}: {error}") from error


def _require_labels(row: ImageRow) -> None:
    for name, kind in (("identity", str), ("expression", str), ("pose", int), ("illumination", int)):
        value = getattr(row, name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, int) and abs(value) >= LARGEST)):
            raise ValueError(f"{name} is {value!r}")


def _fill(
    database: Database,
    folder: Path,
    source: Path,
    rows: Iterator[dict[str, Any]],
    records: HalfArray,
    progress: Progress | None,
) -> None:
    for start in range(0, len(records), _BATCH):
        some = np.array(records[start : start + _BATCH])
        columns = list(islice(rows, len(some)))
        hashes = [record_hash(record) for record in some]
        if len(columns) != len(some) or hashes != [row.pop("record_sha256") for row in columns]:
            raise _damaged(source, "its images are not those of the descriptors")
        with database.writing() as session:
            first = store.descriptor_file(session, folder).append(some, committed=store.slots_in_use(session))
            try:
                store.insert_images(session, columns, first, hashes)
            except IntegrityError as error:
                raise _damaged(source, f"an id or a path stands there twice: {error.orig}") from error
            store.advance(session, removed=False)
        if progress:
            progress(start + len(some), len(records))
    if next(rows, None) is not None:
        raise _damaged(source, "it has more images than there are descriptors")


def _require_new(folder: Path) -> None:
    there = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    if there or folder.resolve() == Path.cwd():
        raise GalleryExistsError(f"{folder} is there already: give a folder that does not exist yet, or is empty")


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder that gets its name when the block ends well. What a killed run of ours left is deleted, nothing else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        _discard_left(left)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    made.chmod(0o777 & ~_umask())
    lock = WriterLock(made / _MARK)
    try:
        lock.acquire()
    except GalleryError:  # another run took it for a leftover
        with _whole(target) as another:
            yield another
        return
    try:
        yield made
        if target.exists():
            target.rmdir()
        made.rename(target)
        (target / _MARK).unlink()
        sync_folder(target.parent)
    except BaseException as error:
        shutil.rmtree(made, ignore_errors=True)
        if isinstance(error, OSError) and target.is_dir() and any(target.iterdir()):
            raise GalleryExistsError(f"{target} came into being meanwhile: give another folder") from error
        raise
    finally:
        lock.release()


def _discard_left(folder: Path) -> None:
    """Delete a folder that a killed run has left: one with our mark, which nobody holds."""
    if not (folder / _MARK).is_file():
        with suppress(OSError):
            folder.rmdir()  # if it is empty
        return
    lock = WriterLock(folder / _MARK)
    try:
        lock.acquire()
    except GalleryError:
        return  # somebody is at it
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _damaged(path: Path, reason: str) -> GalleryCorruptError:
    return GalleryCorruptError(f"{path} is damaged ({reason}): export the gallery again")
