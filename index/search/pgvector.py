"""pgvector: PostgreSQL itself searches the reduced descriptors, in a table `near` beside the gallery's own.

Numbers have half precision, so that an index holds up to 4,000 of them. A face that goes takes its row along in the
same transaction. Conditions are those of the truth, by the same compiler, in the same statement. The labels that most
of them ask of stand beside the numbers: to join another table for those that pass takes longer than to compare them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from index.errors import EngineError, GalleryCorruptError, GalleryLockedError, GalleryStorageError
from index.labels import TEXT_LABELS
from index.search.engine import HNSW
from index.truth.conditions import expression, that_pass
from index.truth.database import Database
from index.truth.engine import COLUMNS, Entry
from index.truth.schema import FaceRow
from index.values import FloatArray, IdArray
from index.where import Condition, fields

MOST_DIMENSIONS = 4_000  # of half precision in an index
_LINKS, _CONSTRUCTION = 16, 100  # of each node of the graph; looked at while it is built
_FARTHEST = 1_000  # rows that a walk keeps in view at once
_BUILDING = "512MB"  # of memory, or the graph is built on the disk
_OURS = re.compile(r"facesearch ([0-9a-f]{1,64}) (\d{1,5})")  # a comment on the table: its token, numbers of a vector
_LABELS = [Column(name, getattr(FaceRow, own).type) for name, own in COLUMNS.items()]
_NEAR = Table("near", MetaData(), Column("id", BigInteger), *_LABELS)
_OWN = {column.name: column for column in _NEAR.c}
_COPIED = ("id", "stamp", *COLUMNS, "vector")
_BEGIN = (  # of the very types that the truth has
    f"CREATE TABLE near AS SELECT id, CAST(0 AS bigint) AS stamp, "
    f"{', '.join(f'{own} AS {name}' for name, own in COLUMNS.items())} FROM face WITH NO DATA"
)
_EXTENSION = text(
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS one ON one.oid = extnamespace "
    "WHERE extname = 'vector'"
)
_SEE = text(
    "SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(nspname), true) "
    "FROM pg_extension JOIN pg_namespace AS one ON one.oid = extnamespace WHERE extname = 'vector'"
)
_AVAILABLE = text("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
_COMMENT = text("SELECT obj_description(to_regclass('near')), to_regclass('near') IS NOT NULL")
_WALK = text(
    "SELECT set_config('hnsw.ef_search', :view, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), "
    "set_config('hnsw.max_scan_tuples', :most, true)"
)
_MERGE = (
    f"INSERT INTO near ({', '.join(_COPIED)}) SELECT {', '.join(_COPIED)} FROM arrived WHERE EXISTS "
    "(SELECT 1 FROM face WHERE face.id = arrived.id) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COPIED[1:])}"
)


class PgVector:
    """An Engine in the database of the truth."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def token(self) -> str | None:
        with self._reading() as session:
            said, there = session.execute(_COMMENT).one()
        if not there:
            return None
        found = _OURS.fullmatch(said or "")
        if found is None:
            raise EngineError(f"{self._database.name} has a table `near` that facesearch did not make: drop it")
        return found[1]

    def require_free(self) -> None:
        """Raise EngineError unless the server has the extension, or this user may make it."""
        with self._writing() as session:
            require_extension(session, self._database.name)

    def begin(self, token: str, dimensions: int, kind: str) -> None:
        if dimensions > MOST_DIMENSIONS:
            raise EngineError(
                f"pgvector's index holds {MOST_DIMENSIONS:,} numbers of a descriptor at most, and {dimensions:,} are "
                "needed: search by faiss or Milvus"
            )
        with self._writing() as session:
            require_extension(session, self._database.name)
            session.execute(text("DROP TABLE IF EXISTS near"))
            session.execute(text(_BEGIN))
            session.execute(
                text(
                    f"ALTER TABLE near ADD COLUMN vector halfvec({int(dimensions)}) NOT NULL, ALTER COLUMN stamp SET "
                    "NOT NULL, ADD PRIMARY KEY (id), ADD FOREIGN KEY (id) REFERENCES face (id) ON DELETE CASCADE"
                )
            )
            session.execute(text("ALTER TABLE near ALTER COLUMN vector SET STORAGE PLAIN"))
            session.execute(text(f"COMMENT ON TABLE near IS 'facesearch {token} {int(dimensions)}'"))
        self.use(kind)

    def use(self, kind: str) -> None:
        with self._writing() as session:
            session.execute(text("DROP INDEX IF EXISTS near_graph"))
            if kind == HNSW:
                session.execute(text(f"SET LOCAL maintenance_work_mem = '{_BUILDING}'"))
                session.execute(
                    text(
                        "CREATE INDEX near_graph ON near USING hnsw (vector halfvec_l2_ops) "
                        f"WITH (m = {_LINKS}, ef_construction = {_CONSTRUCTION})"
                    )
                )

    def apply(self, entries: Sequence[Entry], gone: Sequence[int]) -> None:
        with self._writing() as session:
            session.execute(text("DELETE FROM near WHERE id = ANY(:ids)"), {"ids": list(gone)})
            if entries:
                session.execute(text("CREATE TEMPORARY TABLE arrived (LIKE near) ON COMMIT DROP"))
                _copy(session, entries)
                session.execute(text(_MERGE))

    def settle(self) -> None:
        """Let the planner know what there is."""
        with self._writing() as session:
            session.execute(text("ANALYZE near"))

    def expresses(self, where: Condition, attribute: str) -> bool:
        return True

    def in_truth(self) -> bool:
        return True

    def search(
        self,
        queries: FloatArray,
        length: int,
        effort: int,
        where: Condition | None,
        attribute: str,
        session: Connection | None = None,
    ) -> list[IdArray]:
        query = select(_NEAR.c.id)
        if where is not None and fields(where) <= _OWN.keys():
            query = query.where(expression(where, attribute, _OWN))
        elif where is not None:
            query = that_pass(query.join(FaceRow, FaceRow.id == _NEAR.c.id), where, attribute)
        far = "near.vector <-> CAST(:asked AS halfvec)"
        # A sum has no index: the graph gives up before it finds those that pass where they are not near the query.
        order = text(far if where is None else f"({far}) + 0")
        nearest = query.order_by(order).limit(bindparam("length"))
        with self._reading() if session is None else _seeing(session) as seen:
            walk = {"view": str(min(_FARTHEST, max(effort, length))), "most": str(max(20_000, 50 * length))}
            seen.execute(_WALK, walk)
            return [
                np.fromiter(seen.scalars(nearest, {"asked": _told(one), "length": length}), np.int64) for one in queries
            ]

    def stamps(self, first: int, last: int) -> dict[int, int]:
        with self._reading() as session:
            rows = session.execute(
                text("SELECT id, stamp FROM near WHERE id BETWEEN :first AND :last"), {"first": first, "last": last}
            )
            return {id_: stamp for id_, stamp in rows}

    def drop(self) -> None:
        with self._writing() as session:
            session.execute(text("DROP TABLE IF EXISTS near"))

    def close(self) -> None:
        """The database is closed by whoever opened it."""

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _named(self._database.reading) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _named(self._database.writing) as session:
            yield session


def require_extension(session: Connection, name: str) -> None:
    """Make the extension in the database unless it is there, and let this transaction see its types. Raises EngineError
    where the server has none, or this user may not."""
    if session.scalar(_EXTENSION) is None:
        if not session.scalar(_AVAILABLE):
            raise EngineError(
                f"PostgreSQL of {name} has no pgvector: install it on that server (its package is often called "
                "postgresql-NN-pgvector), or search by faiss or Milvus"
            )
        if not session.scalar(text("SELECT has_database_privilege(current_database(), 'CREATE')")):
            raise EngineError(
                f"this user may not make pgvector in the database of {name}: ask for `CREATE EXTENSION vector` there"
            )
        session.execute(text("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"))
    _see_types(session)


def _see_types(session: Connection) -> None:
    """The extension lies in a schema of its own, which no connection of ours looks into by itself."""
    session.execute(_SEE)


@contextmanager
def _named(opened: Callable[[], Any]) -> Iterator[Connection]:
    try:
        with opened() as session:
            _see_types(session)
            yield session
    except (GalleryCorruptError, GalleryLockedError, GalleryStorageError) as error:
        raise EngineError(f"pgvector cannot be used: {error}") from error


@contextmanager
def _seeing(session: Connection) -> Iterator[Connection]:
    """In the transaction of whoever asks. What goes wrong ends that transaction."""
    try:
        _see_types(session)
        yield session
    except DBAPIError as error:
        raise EngineError(f"pgvector cannot be used: {' '.join(str(error.orig).split())}") from error


def _copy(session: Connection, entries: Sequence[Entry]) -> None:
    """Into the table `arrived`, in binary: pgvector reads how many numbers, nothing, and each in half precision."""
    connection: Any = session.connection.driver_connection
    vectors = np.stack([one.vector for one in entries]).astype(">f2")
    head = np.array([vectors.shape[1], 0], ">i2").tobytes()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY arrived ({', '.join(_COPIED)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        kinds = ["text" if name in TEXT_LABELS else "int8" for name in COLUMNS]
        copy.set_types(["int8", "int8", *kinds, "bytea"])
        for one, vector in zip(entries, vectors, strict=True):
            copy.write_row((one.id, one.stamp, *(one.columns[name] for name in COLUMNS), head + vector.tobytes()))


def _told(vector: FloatArray) -> str:
    """As pgvector reads it."""
    return "[" + ",".join(map(str, vector.astype(np.float16).tolist())) + "]"
