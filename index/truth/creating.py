"""Make the files of an empty gallery."""

from __future__ import annotations

from pathlib import Path

from index.checked import forget, look, note
from index.config import GalleryConfig
from index.errors import GalleryExistsError, unfinished
from index.files import DATABASE, UNFINISHED, database_made_whole, discard_all
from index.truth import state
from index.truth.database import SQLite


def require_finished(folder: Path) -> None:
    """Raise GalleryUnfinishedError where a copy into this folder was not finished."""
    if (folder / UNFINISHED).exists():
        raise unfinished(str(folder))


def create_files(folder: Path, config: GalleryConfig) -> None:
    """Write the database of an empty gallery; the caller holds the writer's lock.

    Raises GalleryExistsError when there is a database already, GalleryUnfinishedError when there is half of one.
    """
    require_finished(folder)
    if (folder / DATABASE).exists():
        raise GalleryExistsError(f"{folder} holds a gallery already; open it, or choose another folder")
    discard_all(folder)  # what an earlier gallery left, whose database was deleted
    forget(folder)
    try:
        with database_made_whole(folder) as new:
            database = SQLite(new)
            try:
                with database.writing() as session:
                    state.create(session, config)
            finally:
                database.close()
        note(folder, folder / DATABASE, look(folder / DATABASE))  # or who opens it would wait for that, and look at all
    except BaseException:
        discard_all(folder)
        raise
