"""Bring a data base of an earlier release to this one's schema, through Alembic, keeping a copy of what it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from index.errors import GalleryStorageError
from index.lock import WriterLock
from index.truth.database import Database

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
FIRST, NEWEST = "0001", "0003"


def upgrade(path: Path, lock: WriterLock, version: int) -> Path:
    """Upgrade the data base at `path` from this schema version, all of it or not at all; where its copy lies.

    Raises GalleryLockedError while somebody writes, GalleryStorageError where nothing can be written.
    """
    lock.acquire()
    copy = path.with_name(f"{path.name}.v{version}")
    try:
        database = Database(path)
        try:
            with database.reading() as session:
                found = session.execute(text("SELECT schema_version FROM gallery")).scalar()
            if found != version:  # somebody else has been at it
                return copy
            _copy(path, copy)
            with database.writing() as session:
                to_newest(session.connection())
        finally:
            database.close()
    except OSError as error:
        raise GalleryStorageError(
            f"{path} was written by an earlier release and cannot be upgraded ({error}): give it a folder that can "
            "be written to, or use that release"
        ) from error
    finally:
        lock.release()
    return copy


def to_newest(connection: Connection) -> None:
    """Run the migrations that are due, in the connection's transaction."""
    from alembic import command  # it takes a moment, and hardly anybody needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if not inspect(connection).has_table("alembic_version") and inspect(connection).has_table("gallery"):
        command.stamp(config, FIRST)  # from before Alembic
    command.upgrade(config, NEWEST)


def _copy(path: Path, copy: Path) -> None:
    """A copy of the data base with what its write-ahead log holds."""
    temporary = copy.with_name(f"{copy.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        source, target = sqlite3.connect(path), sqlite3.connect(temporary)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
    temporary.replace(copy)
