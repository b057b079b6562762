"""The files of a gallery's folder."""

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from index.descriptors import sync_folder
from index.errors import GalleryExistsError
from index.search import projection
from index.truth import store
from index.truth.database import Database
from index.values import GalleryConfig

DATABASE_NAME = "gallery.db"
_OWN = re.compile(r"descriptors(-[0-9a-f]{8})?\.f16")
_NEW = f"{DATABASE_NAME}.new"
DESCRIPTORS = "descriptors*.f16"
LOCK_NAME = "gallery.lock"


def create_files(folder: Path, config: GalleryConfig) -> None:
    """Write the database of an empty gallery; the caller holds the writer's lock.

    Raises GalleryExistsError when there is a database already.
    """
    if (folder / DATABASE_NAME).exists():
        raise GalleryExistsError(f"{folder} holds a gallery already; open it, or choose another folder")
    _delete_files(folder)  # what an earlier gallery left, whose database was deleted
    try:
        _write_database(folder / DATABASE_NAME, config)
    except BaseException:
        _delete_files(folder)
        raise


def _write_database(path: Path, config: GalleryConfig) -> None:
    """Under another name first: a data base is there with all its tables, or not at all."""
    new = path.with_name(_NEW)
    database = Database(new)
    try:
        with database.writing() as session:
            store.create(session, config)
    finally:
        database.close()
    new.replace(path)
    sync_folder(path.parent)


def _delete_files(folder: Path) -> None:
    projection.discard(folder)
    discard_descriptors(folder, keep=set())
    for name in (DATABASE_NAME, _NEW):
        for suffix in ("", "-wal", "-shm"):
            (folder / (name + suffix)).unlink(missing_ok=True)


def discard_descriptors(folder: Path, keep: Collection[str]) -> None:
    """Delete descriptor files of other names: what a compaction or a migration replaced, or a crash left of one."""
    for path in folder.glob(DESCRIPTORS):
        if path.name not in keep and _OWN.fullmatch(path.name):
            with suppress(OSError):  # Windows keeps a file that another process has open; the next writer deletes it
                path.unlink()
