"""Where the truth is kept: what a gallery asks of a database, and SQLite, which keeps it in one file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, event, text
from sqlalchemy.pool import ConnectionPoolEntry

from index.checked import is_believed, look, note
from index.errors import GalleryCorruptError, GalleryStorageError
from index.files import gallery_bytes
from index.folders import WriterLock
from index.progress import Alive
from index.truth.rights import WHOLE, Right
from index.truth.sqlite_engine import engine_of
from index.truth.sqlite_errors import FULL, named, named_errors

PATIENCE = 10.0  # seconds that a writer waits for another one

PRAGMAS = (
    # NORMAL may forget the last commits at a power cut. The bytes of a removed descriptor are
    # zeroed after the commit, so a forgotten removal would leave an image with a zero descriptor.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # a removed row leaves no text behind
)

_LOOK = "SELECT 1 FROM sqlite_schema LIMIT 1"  # the first that touches the file, and tells whether it can be used
_T = TypeVar("_T")


class Lock(Protocol):
    """A right to write into a gallery for longer than a transaction. It ends with the process that holds it."""

    @property
    def held(self) -> bool:
        """Whether this object holds it."""

    def acquire(self, patience: float = 0.0, alive: Alive | None = None) -> None:
        """Take it within so many seconds, or raise GalleryLockedError, which names the holder. alive: called every
        second until then; what it raises ends the waiting. Raises GalleryStorageError."""

    def let_claim(self) -> None:
        """Of all of the gallery, that is held: let others claim folders, who wait for their turn to write, as nobody
        else does. Raises GalleryStorageError."""

    def require(self) -> None:
        """Raise GalleryStorageError where it was taken and is lost, as when a server was started again."""

    def release(self) -> None:
        """Give it back."""


class Database(Protocol):
    """Transactions over a gallery's tables. May be shared by threads."""

    @property
    def name(self) -> str:
        """Where the gallery is, as people are told."""

    def lock(self, right: Right = WHOLE) -> Lock:
        """Another right to write, which nobody holds yet."""

    @property
    def several_write(self) -> bool:
        """Whether several write side by side, each with a claim on its own folder; else every right is all of it."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the database throughout."""

    def glance(self) -> AbstractContextManager[Connection]:
        """For one question alone: where a server is asked, that saves it a transaction."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that no other writer can enter; committed at the end of the block, and undone where it raises.
        Raises GalleryLockedError when another writes for too long, GalleryStorageError, GalleryCorruptError."""

    def soundness(self) -> list[str]:
        """What the engine itself finds wrong with the database, a line each."""

    @property
    def believed(self) -> bool:
        """Whether the rows were found sound, and nobody but us has changed them since."""

    def believe(self) -> None:
        """The rows were found sound: remember that for the next who opens them."""

    @property
    def in_place(self) -> bool:
        """Whether it lies where it was opened, and nothing else was put there since."""

    def rebuild_indexes(self) -> None:
        """Make the engine's own indexes anew, where they can be. Raises GalleryLockedError, GalleryStorageError."""

    def vacuum(self) -> None:
        """Give free pages back to the disk. Raises GalleryLockedError, GalleryStorageError."""

    @property
    def bytes(self) -> int:
        """What rows and descriptors occupy."""

    def fold(self) -> None:
        """Let nothing of what was removed stand in a log beside the rows, unless somebody reads: then later."""

    def close(self) -> None:
        """Close all connections."""


class SQLite:
    """The database in one `gallery.db`, with a reading and a writing transaction.

    Connections are opened per operation, so that one Database may serve several threads.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        """patience: seconds to wait for another writer."""
        self.path, self.name = path, str(path.parent)
        self._patience = patience
        self._believed, self._looked = False, look(path)
        self._inode = None if self._looked is None else self._looked.inode
        self._engine = engine_of(path, lambda: _connect(path, patience))
        event.listen(self._engine, "checkin", _give_back)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(sqlite_begin="IMMEDIATE")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout."""
        with named_errors(self.path, self._patience), self._engine.connect() as session:
            yield session

    def glance(self) -> AbstractContextManager[Connection]:
        """A transaction costs nothing here."""
        return self.reading()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer can enter; committed at the end of the block.

        Raises GalleryLockedError when another one writes for longer than this one is patient.
        """
        with named_errors(self.path, self._patience), self._writer.begin() as session:
            yield session
        self._note()

    def lock(self, right: Right = WHOLE) -> Lock:
        """The right to write into the file's folder, whichever right is meant."""
        return WriterLock(self.path.parent)

    @property
    def several_write(self) -> bool:
        """One at a time."""
        return False

    @property
    def believed(self) -> bool:
        """Whether the file was found sound when it looked as it does now."""
        return is_believed(self.path.parent, self.path)

    def believe(self) -> None:
        """From now on the file is as we write it: note how it looks, also whenever that changes."""
        self._believed, self._looked = True, None
        self._note()

    @property
    def in_place(self) -> bool:
        """Whether the file is the one that was opened, by its inode; True where a file system has none."""
        now = look(self.path)
        return now is not None and now.inode == self._inode

    def soundness(self) -> list[str]:
        """What SQLite finds wrong: in its pages and indexes, and rows that point to none."""
        with self.reading() as session:
            found = [str(row[0]) for row in session.execute(text("PRAGMA integrity_check"))]
            lost = session.execute(text("PRAGMA foreign_key_check")).all()
        return [line for line in found if line != "ok"] + [f"a row of {row[0]} points to no {row[2]}" for row in lost]

    def rebuild_indexes(self) -> None:
        """Make indexes anew, where they can be; what else is damaged is found when rows are looked at."""
        with suppress(GalleryCorruptError), self.writing() as session:
            session.execute(text("REINDEX"))

    def vacuum(self) -> None:
        """Give free pages back to the disk. Raises GalleryLockedError, GalleryStorageError."""
        connection = _connect(self.path, self._patience)
        try:
            connection.execute("VACUUM").close()
            connection.execute("PRAGMA busy_timeout = 0").close()  # a reader keeps the log: it shrinks the next time
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        except sqlite3.Error as error:
            raise named(self.path, self._patience, error) from error
        finally:
            connection.close()
        self._note()

    def fold(self) -> None:
        """Fold the write-ahead log into the file, where no reader needs it; else the last connection that closes does
        so."""
        with suppress(sqlite3.Error, GalleryStorageError):
            connection = _connect(self.path, 0)
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.close()
        self._note()

    @property
    def bytes(self) -> int:
        """What the database and the descriptors beside it occupy."""
        return gallery_bytes(self.path.parent)

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log into the file."""
        self._engine.dispose()
        self._note()

    def _note(self) -> None:
        now = look(self.path)
        if self._believed and now != self._looked and self.in_place:
            note(self.path.parent, self.path, now)
            self._looked = now


class _Passing(sqlite3.Connection):
    """A connection for one transaction: kept any longer, it would not see what others write, or keep them from it."""


def _give_back(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    if isinstance(connection, _Passing):
        record.invalidate()


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    if path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        if _logged(path):
            raise GalleryStorageError(
                f"{path.parent} cannot be written to and holds {path.name}-wal: somebody is writing, or the gallery "
                "was copied while it was being written; wait, or copy it to a folder that can be written to"
            )
        return _connect_still(path)
    try:
        return _opened(path, patience)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in FULL:
            raise
    # A disk that is full has no room for the file by which processes share the log.
    return _opened(path, patience, alone=True) if _logged(path) else _connect_still(path)


def _logged(path: Path) -> int:
    """Bytes of the log that stands beside the file."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _connect_still(path: Path) -> sqlite3.Connection:
    """Where nothing can be written: SQLite needs to be told that nothing changes."""
    connection = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        factory=_Passing,
    )
    connection.execute("PRAGMA foreign_keys = ON").close()
    return connection


def _opened(path: Path, patience: float, alone: bool = False) -> sqlite3.Connection:
    """alone: nobody else may read meanwhile, so that nothing need be shared with them."""
    kind = _Passing if alone else sqlite3.Connection
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=kind)
    waiting = f"PRAGMA busy_timeout = {1000 * patience:.0f}"
    try:
        for pragma in (waiting, *(["PRAGMA locking_mode = EXCLUSIVE"] if alone else []), *PRAGMAS, _LOOK):
            connection.execute(pragma).close()
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    # sqlite3 itself would begin only before the first INSERT: too late for a steady view.
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    if mode == "IMMEDIATE":  # a file that has another journal is changed by this, and an empty one becomes a database
        connection.exec_driver_sql("PRAGMA journal_mode = WAL").close()
    connection.exec_driver_sql(f"BEGIN {mode}")
