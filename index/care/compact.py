"""Give back the space of removed images."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.checked import is_noted, look, note
from index.errors import GalleryStorageError
from index.files import descriptor_path
from index.truth import descriptor_slots
from index.truth.database import Database
from index.values import HalfArray, IdArray
from index.whole import sync_folder, to_disk

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Compaction:
    """Bytes of the database and of the descriptors, before and after."""

    before: int
    after: int


def compact(folder: Path, database: Database) -> bool:
    """Write the descriptors anew, one behind the other, and let the gallery mean that file; whether there was need to.
    The caller holds the writer's lock, and deletes what is not needed any more.

    Raises GalleryStorageError when the disk is too full; then nothing has changed.
    """
    with database.reading() as session:
        slots, content = descriptor_slots.ordered_slots(session), descriptor_slots.records(session, folder)
        file = descriptor_slots.descriptor_file(session, folder).path
        number = descriptor_slots.next_file(session, folder)
    if len(slots) == len(content) and (not file.exists() or file.stat().st_size == content.nbytes):
        return False
    _require_space(folder, len(slots) * content.shape[1] * content.itemsize)
    try:
        _copy(content, slots, descriptor_path(folder, number))
        if is_noted(folder, file, look(file)):  # what was copied is as sound as it was
            note(folder, descriptor_path(folder, number), look(descriptor_path(folder, number)))
        with database.writing() as session:
            descriptor_slots.use_file(session, folder, number)
    except OSError as error:
        raise GalleryStorageError(
            f"the descriptors of {folder} cannot be written anew ({error.strerror}); the gallery is as it was"
        ) from error
    return True


def _copy(content: HalfArray, slots: IdArray, path: Path) -> None:
    step = max(1, _CHUNK_BYTES // (content.shape[1] * content.itemsize))
    with path.open("xb") as file:
        for start in range(0, len(slots), step):
            file.write(np.ascontiguousarray(content[slots[start : start + step]]).tobytes())
        to_disk(file)
    sync_folder(path.parent)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise GalleryStorageError(
            f"compacting {folder} needs {needed / 1e9:.1f} GB on its disk for a moment, and {free / 1e9:.1f} GB are "
            "free: make room and try again"
        )
