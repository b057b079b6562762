"""PostgreSQL as the place where the truth is kept: a schema of one database for each gallery.

Reading is `repeatable read, read only`. Writing takes an advisory lock that ends with its transaction; rights to write
for longer end with a connection of their own, so nothing stays locked when a process dies. Neither works through a
pooler that hands a connection to another client after each transaction.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, MultipleResultsFound, NoResultFound

from index.checked import forget
from index.config import GalleryConfig
from index.errors import GalleryError, GalleryExistsError, GalleryNotFoundError, ImageRowError, unfinished
from index.files import discard_all
from index.truth import state
from index.truth.address import Server
from index.truth.database import PATIENCE, Lock
from index.truth.postgres_descriptors import ServedDescriptors
from index.truth.postgres_errors import named, no_answer, psycopg
from index.truth.postgres_lock import ALL, AdvisoryLock, keys_of
from index.truth.rights import TURN, WHOLE, Right
from index.truth.schema import TABLES

_ALIVE = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}  # seconds, and times unanswered
_UNANSWERED = 90_000  # milliseconds that the other side may take to say it has what was sent
_NUMBERED = ("photo", "face")  # tables whose ids are never given twice
_INDEXES = text(
    "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND NOT (indisvalid AND indisready)"
)


class Postgres:
    """The database on a server, with a reading and a writing transaction."""

    def __init__(self, server: Server, patience: float = PATIENCE) -> None:
        """patience: seconds to wait for another writer."""
        self.name = str(server)
        self._server, self._patience = server, patience
        self._table: int | None = None
        self._key = lock_key(server, "transaction")
        engine = create_engine(server.url, connect_args=_arguments(server), max_overflow=30)
        event.listen(engine, "checkout", _require_connected)
        self._writer = engine.execution_options(descriptors=ServedDescriptors, insert=_insert)
        self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._alone = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout. Raises GalleryNotFoundError, too, where there
        is no such gallery."""
        with self._named_errors(), self._reader.connect() as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For one question alone: a transaction would be two more. Raises as `reading`."""
        with self._named_errors(), self._alone.connect() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer of the gallery can enter; committed at the end of the block.

        Raises GalleryLockedError when another one writes for longer than this one is patient.
        """
        with self._named_errors(), self._writer.begin() as session:
            session.execute(text(f"SET LOCAL lock_timeout = {max(1, round(1000 * self._patience))}"))
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._key})
            yield session

    def lock(self, right: Right = WHOLE) -> Lock:
        """A right to write into the gallery for longer than a transaction."""
        keys = keys_of(right, self.name, lambda what: lock_key(self._server, what))
        return AdvisoryLock(self.name, _dsn(self._server), keys, right == TURN, lock_key(self._server, ALL))

    @property
    def several_write(self) -> bool:
        """They do, where they claim different folders."""
        return True

    @property
    def exists(self) -> bool:
        """Whether there is a gallery of this name."""
        found = self._found()
        self._table = self._table or found
        return found is not None

    @property
    def in_place(self) -> bool:
        """Whether the gallery's tables are those that were there first, and nobody has dropped them."""
        found = self._found()
        return found is not None and found == (self._table or found)

    def _found(self) -> int | None:
        """What the server calls the gallery's table that is there now."""
        with self.reading() as session:
            found: int | None = session.scalar(text("SELECT to_regclass('gallery')::oid::bigint"))
        return found

    @property
    def believed(self) -> bool:
        """The server's word is taken for it: nobody hands its files to strangers."""
        return True

    def believe(self) -> None:
        """Nothing need be remembered."""

    def soundness(self) -> list[str]:
        """The indexes that the server says are not to be used. It compares each page with its checksum as it reads."""
        with self.reading() as session:
            return [f"the index {name} is not to be used: REINDEX it" for name in session.scalars(_INDEXES)]

    def rebuild_indexes(self) -> None:
        """Make the indexes of all tables anew."""
        with self.writing() as session:
            for table in TABLES:
                session.execute(text(f"REINDEX TABLE {table.name}"))

    def vacuum(self) -> None:
        """Let the space of what was removed be used again, and look at what there is: the planner needs to know.
        Raises GalleryLockedError, GalleryStorageError."""
        with self._named_errors(), self._alone.connect() as connection:
            connection.execute(text(f"SET lock_timeout = {max(1, round(1000 * self._patience))}"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
            try:
                for table in TABLES:
                    connection.execute(text(f"VACUUM (ANALYZE) {table.name}"))
            finally:
                connection.invalidate()  # with it goes the lock

    def fold(self) -> None:
        """Let removed rows go from the tables now, unless another does so. Nobody waits for it: others write meanwhile.
        The server's log and its backups keep what they hold for as long as they are kept."""
        with suppress(GalleryError), self._named_errors(), self._alone.connect() as connection:
            try:
                connection.execute(text("SET lock_timeout = 1"))
                for table in TABLES:
                    connection.execute(text(f"VACUUM {table.name}"))
            finally:
                connection.invalidate()  # with it goes the setting

    @property
    def bytes(self) -> int:
        """What the gallery's tables occupy on the server, with their indexes."""
        tables = [*(table.name for table in TABLES), "descriptor", "near"]  # the last where pgvector searches
        with self.reading() as session:
            sizes = (text("SELECT pg_total_relation_size(to_regclass(:table))").bindparams(table=one) for one in tables)
            return sum(session.scalar(size) or 0 for size in sizes)

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._named(error.orig) from error
        except psycopg.Error as error:  # of a cursor that is read without SQLAlchemy
            raise self._named(error) from error
        except (MultipleResultsFound, NoResultFound) as error:
            raise named(self.name, self._patience, "XX001", error) from error

    def _named(self, error: object) -> GalleryError:
        code = getattr(error, "sqlstate", None)
        if code is None and isinstance(error, psycopg.DataError):
            return ImageRowError(f"a text cannot be kept by PostgreSQL ({error}): take that character out of it")
        if code is None:
            return no_answer(self.name, error)
        return self._no_table(error) if code == "42P01" else named(self.name, self._patience, code, error)

    def _no_table(self, error: object) -> GalleryError:
        """Where a table is not to be seen: it may be that there is no gallery, or that we may not look."""
        schema = {"schema": self._server.schema}
        with self._named_errors(), self._alone.connect() as connection:
            if connection.scalar(text("SELECT to_regnamespace(:schema)"), schema) is None:
                copy = {"schema": self._server.unfinished_schema}
                if connection.scalar(text("SELECT to_regnamespace(:schema)"), copy) is not None:
                    return unfinished(self.name)
                return GalleryNotFoundError(
                    f"{self.name} is no gallery yet: index images into it first, or check the name"
                )
            if not connection.scalar(text("SELECT has_schema_privilege(:schema, 'USAGE')"), schema):
                return named(self.name, self._patience, "42501", f"permission denied for schema {schema['schema']}")
        return named(self.name, self._patience, "42P01", error)


def create_tables(server: Server, config: GalleryConfig) -> None:
    """Make the tables of an empty gallery, all of them or none. Raises GalleryExistsError, GalleryUnfinishedError."""
    database = Postgres(server)
    try:
        with database.writing() as session:
            if session.scalar(text("SELECT to_regnamespace(:name)"), {"name": server.unfinished_schema}) is not None:
                raise unfinished(str(server))
            if session.scalar(text("SELECT to_regclass('gallery')")) is not None:
                raise GalleryExistsError(f"{server} is a gallery already; open it, or choose another name")
            state.create(session, config)
            folder = server.made_folder()
            discard_all(folder)  # what was derived of an earlier one, before another process can open this one
            forget(folder)
    finally:
        database.close()


def _require_connected(connection: Any, record: object, proxy: object) -> None:
    """Raise DisconnectionError, for which SQLAlchemy connects anew, where the server has hung up. What it sent is at
    hand already: to ask it with every transaction would take as long as a search's questions."""
    try:
        for _ in range(2):  # why it did so, and that it did
            connection.pgconn.consume_input()
    except psycopg.Error as error:
        raise DisconnectionError(str(error)) from error


def lock_key(server: Server, what: str) -> int:
    """A signed number of 64 bits that stands for a right on a gallery, among all galleries of a database."""
    told = os.fsencode(f"facesearch {what} {server.gallery}")  # a folder may have any bytes in its name
    digest = blake2b(told, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _arguments(server: Server) -> dict[str, str | int]:
    """How psycopg connects: to the gallery's own schema, saying who we are, and giving up on a dead server, as that
    does on us: the locks of a machine that was lost would be held for the hours of TCP."""
    ours = {"connect_timeout": 10, **_ALIVE, "tcp_user_timeout": _UNANSWERED}
    theirs = "".join(f" -ctcp_{name}={value}" for name, value in {**_ALIVE, "user_timeout": _UNANSWERED}.items())
    return {
        "options": f"-csearch_path={server.schema}{theirs}",
        "application_name": f"facesearch {os.getpid()} on {socket.gethostname()}"[:63],
        **{name: value for name, value in ours.items() if name not in server.url.query},
    }


def _dsn(server: Server) -> Mapping[str, Any]:
    """The same for a connection that SQLAlchemy does not make."""
    url = server.url
    where = {"user": url.username, "host": url.host, "port": url.port, "dbname": url.database}
    return {**{name: said for name, said in where.items() if said is not None}, **url.query, **_arguments(server)}


def _insert(session: Connection, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows by COPY, five times as fast as by statements. Raises SQLAlchemy's IntegrityError."""
    connection = session.connection.driver_connection
    assert connection is not None
    command = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    try:
        with connection.cursor() as cursor, cursor.copy(command) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.IntegrityError as error:
        raise IntegrityError(command, None, error) from error
    if table in _NUMBERED:
        last = text("UPDATE given SET last = greatest(last, :last) WHERE name = :name")
        session.execute(last, {"name": table, "last": max(row[0] for row in rows)})
