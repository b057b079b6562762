"""Mend what can be mended without the pictures. No image goes: one whose descriptor or row is damaged keeps its id and
its labels, and waits to be described again by the next `facesearch index`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, text

from index.care.mending import mend_rows, restore_rows
from index.care.row_checks import damaged_rows, require_sound_rows
from index.care.soundness import damaged_descriptors
from index.checked import forget
from index.errors import GalleryCorruptError
from index.files import discard_indexes
from index.search.plan import SETTINGS, read_requirements
from index.truth import descriptor_slots, hidden, problems, redescribing, state, store
from index.truth.database import Database


@dataclass
class Repair:
    """waiting: paths of images that wait to be described again; doubtful: paths of those whose row was damaged, so that
    their labels may be wrong; staged: damaged descriptions of a redescription under way, which will be made anew;
    unhidden: how
    many hidden faces are not known any more; settings: whether search.json was damaged and is deleted."""

    waiting: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    staged: int = 0
    unhidden: int = 0
    settings: bool = False


def repair(folder: Path, database: Database) -> Repair:
    """The caller holds the writer's lock, and erases the bytes of what no face has any more. Raises GalleryCorruptError
    with what cannot be mended."""
    forget(folder)
    discard_indexes(folder)
    done = Repair(settings=_discard_settings(folder))
    database.rebuild_indexes()
    with database.writing() as session:
        hidden_before = hidden.count(session)
        doubtful = _mended(session, folder)
        done.unhidden = hidden_before - hidden.count(session)
    damaged = damaged_descriptors(folder, database)
    with database.writing() as session:
        done.staged = redescribing.drop_damaged(session, folder)
        descriptor_slots.give_up(session, damaged)
        waiting = descriptor_slots.without_record(session)
        problems.wait(session, waiting)
        descriptor_slots.erase_leftovers(session, folder)
        if waiting or doubtful:
            state.advance(session, removed=True)
        done.waiting = [face.path for face in store.present(session, waiting)]
        done.doubtful = [face.path for face in store.present(session, sorted(doubtful))]
    require_sound_rows(database)
    return done


def _mended(session: Connection, folder: Path) -> set[int]:
    """Mend the rows of a file; a server keeps rows as they were written, and its backups have them."""
    if session.dialect.name != "sqlite":
        return set()
    session.execute(text("PRAGMA defer_foreign_keys = ON"))
    restore_rows(session, folder)
    if damaged_rows(session, "redescription"):
        redescribing.give_up(session)
    return mend_rows(session)


def _discard_settings(folder: Path) -> bool:
    try:
        read_requirements(folder)
    except GalleryCorruptError:
        with suppress(OSError):
            (folder / SETTINGS).unlink()
        return True
    return False
