"""Make an empty gallery: its files, or its tables on a server."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from index.checked import forget, look, note
from index.errors import GalleryExistsError, unfinished
from index.files import DATABASE, UNFINISHED, database_made_whole, discard_all
from index.truth import state
from index.truth.address import Server
from index.truth.database import Database, SQLite
from index.values import GalleryConfig


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


def create_tables(server: Server, config: GalleryConfig) -> None:
    """Make the tables of an empty gallery, all of them or none. Raises GalleryExistsError, GalleryUnfinishedError."""
    database = opened_server(server)
    try:
        with database.writing() as session:
            if session.scalar(text("SELECT to_regnamespace(:name)"), {"name": server.unfinished_schema}) is not None:
                raise unfinished(str(server))
            if session.scalar(text("SELECT to_regclass('gallery')")) is not None:
                raise GalleryExistsError(f"{server} is a gallery already; open it, or choose another name")
            state.create(session, config)
    finally:
        database.close()
    folder = server.made_folder()
    discard_all(folder)  # what was derived of an earlier one
    forget(folder)


def opened_server(server: Server) -> Database:
    """The database of a gallery on a server. Raises GalleryStorageError where the extra is not installed."""
    from index.truth.postgres import Postgres  # psycopg takes a moment, and only such galleries need it

    return Postgres(server)
