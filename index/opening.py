"""Where a gallery is, made or opened: a folder with a database in it, or a schema on a server."""

from __future__ import annotations

from pathlib import Path

from index.care.row_checks import require_sound_rows
from index.checked import forget
from index.config import GalleryConfig
from index.errors import GalleryNotFoundError
from index.files import DATABASE
from index.folders import WriterLock
from index.plain import require_plain
from index.truth import state
from index.truth.address import Address, Server
from index.truth.creating import create_files, require_finished
from index.truth.database import PATIENCE, Database, SQLite
from index.truth.own_tables import require_own_tables

Opened = tuple[Path, Database, GalleryConfig]
"""The gallery's folder (of one on a server, where this machine derives of it), its rows, and what it was made for."""


def make(place: Address, config: GalleryConfig) -> None:
    """Make an empty gallery. Raises GalleryExistsError when there is one already."""
    if isinstance(place, Server):
        from index.truth.postgres import create_tables

        create_tables(place, config)
        return
    place.mkdir(parents=True, exist_ok=True)
    require_plain(place)
    lock = WriterLock(place)
    lock.acquire(PATIENCE)  # another process may be making it
    try:
        create_files(place, config)
    finally:
        lock.release()


def opened(place: Address, damaged: bool) -> Opened:
    """See `Gallery.open`."""
    return _on_server(place) if isinstance(place, Server) else _in_folder(place, damaged)


def _in_folder(folder: Path, damaged: bool) -> Opened:
    path = folder / DATABASE
    if not path.is_file():
        require_finished(folder)
        raise GalleryNotFoundError(
            f"{folder} holds no gallery (no {DATABASE} in it); check the folder, or index images into it first"
        )
    require_plain(folder)
    database = SQLite(path)
    try:
        believed = not damaged and database.believed
        with database.reading() as session:
            if not believed:
                require_own_tables(session)
            config = state.config(session)
        if not believed and not damaged:
            require_sound_rows(database)
            forget(folder)  # the descriptors were compared with another database: one from a copy may be older
        if not damaged:
            database.believe()
    except BaseException:
        database.close()
        raise
    return folder, database, config


def _on_server(server: Server) -> Opened:
    from index.truth.postgres import Postgres  # psycopg takes a moment, and only such galleries need it

    folder = server.made_folder()
    require_plain(folder)
    database = Postgres(server)
    try:
        with database.reading() as session:
            config = state.config(session)
    except BaseException:
        database.close()
        raise
    return folder, database, config
