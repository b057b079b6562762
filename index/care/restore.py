"""A gallery of what was exported. Format 2; exports of format 1 (releases up to 0.3: images.jsonl, the decided value as
a position) are still read."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy.exc import IntegrityError

from index.care.exchange import all_or_nothing
from index.care.exported import (
    Export,
    damaged,
    read_export,
    read_faces,
    read_hidden,
    read_kept,
    read_placements,
    require_sound,
)
from index.descriptors import record_hashes
from index.files import DATABASE
from index.folders import require_new_folder
from index.progress import Steps
from index.truth import descriptor_slots, hidden, kept, people, state, store
from index.truth.creating import create_files
from index.truth.database import Database, SQLite
from index.truth.ids import reserve_ids

_BATCH = 500


def restore(source: Path, folder: Path, image_root: Path | None, progress: Steps | None = None) -> None:
    """Make the gallery `folder` of what `export` wrote, all of it or nothing; ids stay.

    image_root: where the images lie, absolute; None: in the export where it holds them, else where they lay. Raises
    GalleryExistsError, GalleryNotFoundError, GalleryCorruptError, GalleryStorageError.
    """
    require_new_folder(folder)
    given = read_export(source, image_root)
    with all_or_nothing(folder) as made:
        create_files(made, given.config)
        database = SQLite(made / DATABASE)
        try:
            _fill(database, made, given, progress)
            with database.writing() as session:
                state.change(session, persons=given.persons)
                kept.insert(session, read_kept(given))
                people.insert_placements(session, read_placements(given))
                hidden.insert(session, read_hidden(given))
                reserve_ids(session, given.last_id)
                if given.identity_level is not None:
                    state.set_identity_level(session, given.identity_level)
                state.set_crops(session, given.crops)
        finally:
            database.close()


def _fill(database: Database, folder: Path, given: Export, progress: Steps | None) -> None:
    """Put the faces and descriptors of an export into the empty gallery of a folder."""
    faces, content = read_faces(given), given.content
    for start in range(0, len(content), _BATCH):
        some, described = np.array(content[start : start + _BATCH]), list(islice(faces, _BATCH))
        require_sound(given, start, some)
        hashes = record_hashes(some)
        if hashes != [sha256 for _, sha256 in described[: len(some)]]:
            raise damaged(given.lines, "its images are not those of the descriptors")
        if len(described) > len(some):
            raise damaged(given.lines, "it has more images than there are descriptors")
        with database.writing() as session:
            number = state.gallery(session).file
            file = descriptor_slots.descriptor_file(session, folder)
            first = file.append(some, committed=descriptor_slots.slots_in_use(session, number))
            try:
                ids = store.insert_faces(session, [face for face, _ in described], keep_ids=True)
                descriptor_slots.insert_records(session, number, first, ids, hashes)
                people.write(session, {face.id: face.person for face, _ in described if face.person is not None})
            except IntegrityError as error:
                raise damaged(given.lines, f"an id or a path stands there twice: {error.orig}") from error
            state.advance(session, removed=False)
        if progress:
            progress(start + len(some), len(content))
    if next(faces, None) is not None:
        raise damaged(given.lines, "it has more images than there are descriptors")
