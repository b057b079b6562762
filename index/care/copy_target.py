"""What a copy of a gallery is made in: a place that is no gallery before it is finished, and then is one at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, text

from index.checked import forget, look, note
from index.errors import GalleryCorruptError, GalleryExistsError, GalleryStorageError
from index.files import DATABASE, UNFINISHED, descriptor_numbers, descriptor_path, discard_all, discard_unfinished
from index.folders import WriterLock, require_new_folder
from index.plain import require_plain
from index.truth.address import Address, Server
from index.truth.database import Database, SQLite
from index.truth.shape import strange
from index.truth.upgrade import to_newest
from index.whole import sync_folder


class Target(Protocol):
    """A gallery that is being made, whose tables are there. folder: where its descriptors lie, or what a machine
    derives of it."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def database(self) -> Database: ...

    def clear(self) -> None:
        """Throw away all that was copied so far."""

    def finish(self) -> None:
        """Make it a gallery, in one step. Raises GalleryExistsError where one came into being meanwhile."""


@contextmanager
def begun(place: Address) -> Iterator[Target]:
    """A gallery that is being made there, or what an earlier run made of one, with other copies kept out.

    Raises GalleryExistsError for a folder that holds something else, GalleryLockedError where another process copies
    there, GalleryStorageError.
    """
    with _server(place) if isinstance(place, Server) else _folder(place) as target:
        yield target


@dataclass
class _Folder:
    """`gallery.db.copy`, which gets the database's name, and the descriptors beside it."""

    folder: Path
    database: SQLite

    @property
    def name(self) -> str:
        return str(self.folder)

    def make_tables(self) -> None:
        """Unless they are there. What is no half of a gallery is thrown away: nobody can have changed it but by
        damage."""
        try:
            with self.database.writing() as session:
                if not session.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                    to_newest(session)
                ours = not strange(session)
        except GalleryCorruptError:
            ours = False
        if not ours:
            self.clear()

    def clear(self) -> None:
        self.database.close()
        discard_unfinished(self.folder)
        self.database = SQLite(self.folder / UNFINISHED)
        with self.database.writing() as session:
            to_newest(session)

    def finish(self) -> None:
        self.database.fold()
        self.database.close()
        whole, made = self.folder / DATABASE, self.folder / UNFINISHED
        left = made.with_name(f"{UNFINISHED}-wal")
        if left.exists() and left.stat().st_size:
            raise GalleryStorageError(f"{made} is being read by another program: end that, and run the copy again")
        if whole.exists():
            raise GalleryExistsError(f"{self.folder} has become a gallery meanwhile; give another place")
        made.replace(whole)
        sync_folder(self.folder)
        for path in (whole, *(descriptor_path(self.folder, one) for one in descriptor_numbers(self.folder))):
            note(self.folder, path, look(path))  # it was compared just now


@contextmanager
def _folder(folder: Path) -> Iterator[_Folder]:
    unfinished = folder / UNFINISHED
    try:
        if not unfinished.exists():
            require_new_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
            unfinished.touch()  # from now on it is a copy that is not whole
        require_plain(folder)
    except OSError as error:
        raise GalleryStorageError(f"{folder} cannot be made ({error.strerror}): give another place") from error
    lock = WriterLock(folder)
    lock.acquire()
    target = _Folder(folder, SQLite(unfinished))
    try:
        target.make_tables()
        yield target
    finally:
        target.database.close()
        lock.release()


@dataclass
class _Server:
    """A schema of another name, which gets the gallery's."""

    server: Server
    folder: Path
    database: Database

    @property
    def name(self) -> str:
        return str(self.server)

    def make_tables(self) -> None:
        """Unless they are there."""
        with self.database.writing() as session:
            if session.scalar(text("SELECT to_regclass('gallery')")) is None:
                to_newest(session)

    def clear(self) -> None:
        with self.database.writing() as session:
            session.execute(text(f"DROP SCHEMA {self.server.unfinished_schema} CASCADE"))
            to_newest(session)

    def finish(self) -> None:
        with self.database.writing() as session:
            if self._is_taken(session):
                raise GalleryExistsError(f"{self.name} has become a gallery meanwhile; give another name")
            session.execute(text(f"ALTER SCHEMA {self.server.unfinished_schema} RENAME TO {self.server.schema}"))
        discard_all(self.folder)  # what was derived of an earlier one
        forget(self.folder)

    def _is_taken(self, session: Connection) -> bool:
        taken = text("SELECT to_regnamespace(:name) IS NOT NULL")
        return bool(session.scalar(taken, {"name": self.server.schema}))


@contextmanager
def _server(server: Server) -> Iterator[_Server]:
    from index.truth.postgres import Postgres  # psycopg takes a moment, and only such galleries need it

    database = Postgres(replace(server, unfinished=True))
    try:
        lock = database.lock()
        lock.acquire()
        try:
            target = _Server(server, server.made_folder(), database)
            target.make_tables()
            yield target
        finally:
            with suppress(GalleryStorageError):
                lock.release()
    finally:
        database.close()
