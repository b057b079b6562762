"""Erase what is not to be there any more, once the rows say so: after each change, and what a crash left over."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from index.files import discard_descriptors, discard_indexes, exact_path
from index.pictures import discard_pictures
from index.truth import descriptor_slots, state, store
from index.truth.database import Database


def tidy(folder: Path, database: Database) -> None:
    """Zero the descriptors of removed faces, and delete files of descriptors, indexes and pictures that are not needed
    any more. The caller holds the writer's lock."""
    with database.reading() as session:
        erasures, now = descriptor_slots.erasures(session), state.state(session)
        files = descriptor_slots.files_in_use(session, folder)
    discard_descriptors(folder, keep=files.keys())
    if not erasures:
        return
    discard_pictures(folder, partial(_known, database))
    current = exact_path(folder, now.generation, now.stamp)
    discard_indexes(folder, before=now.generation, keep=current)
    for number, slots in erasures.items():
        files[number].zero(slots)
        with database.writing() as session:
            descriptor_slots.erased(session, number, slots)


def _known(database: Database, contents: Collection[str], faces: Collection[int]) -> tuple[set[str], set[int]]:
    """Those of these contents (sha256) and ids that the gallery has."""
    with database.reading() as session:
        return store.contents(session, contents), {face.id for face in store.present(session, list(faces))}
