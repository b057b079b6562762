"""Give back the space of removed images."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.descriptors import HalfArray, IdArray, sync_folder
from index.errors import GalleryStorageError
from index.truth import store
from index.truth.database import Database
from index.truth.redescribing import new_name

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Compaction:
    """Bytes of the data base and of the descriptors, before and after."""

    before: int
    after: int


def compact(folder: Path, database: Database) -> bool:
    """Write the descriptors anew, one behind the other, and let the gallery mean that file; whether there was need to.
    The caller holds the writer's lock, and deletes what is not needed any more.

    Raises GalleryStorageError when the disk is too full; then nothing has changed.
    """
    with database.reading() as session:
        slots, records = store.ordered_slots(session), store.records(session, folder)
        file = store.descriptor_file(session, folder).path
    if len(slots) == len(records) and (not file.exists() or file.stat().st_size == records.nbytes):
        return False
    name = new_name()
    _require_space(folder, len(slots) * records.shape[1] * records.itemsize)
    try:
        _copy(records, slots, folder / name)
        with database.writing() as session:
            store.renumber(session, name, slots)
    except OSError as error:
        raise GalleryStorageError(
            f"the descriptors of {folder} cannot be written anew ({error.strerror}); the gallery is as it was"
        ) from error
    return True


def _copy(records: HalfArray, slots: IdArray, path: Path) -> None:
    step = max(1, _CHUNK_BYTES // (records.shape[1] * records.itemsize))
    with path.open("xb") as file:
        for start in range(0, len(slots), step):
            file.write(np.ascontiguousarray(records[slots[start : start + step]]).tobytes())
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise GalleryStorageError(
            f"compacting {folder} needs {needed / 1e9:.1f} GB on its disk for a moment, and {free / 1e9:.1f} GB are "
            "free: make room and try again"
        )
