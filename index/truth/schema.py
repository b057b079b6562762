"""The tables of a gallery. Every change needs a migration (`index/truth/migrations`) and another SCHEMA_VERSION.

A photo is a file, a face is one individual in it, a record is a slot of a descriptor file: a face's descriptor, or
bytes still to be zeroed. Every row carries a digest over its other columns, so that damage to any of them can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.types import TypeDecorator

from index.errors import GalleryCorruptError
from index.truth.declaring import Declared, column

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapped

SCHEMA_VERSION = 4
REVISION = "0001"  # the last of the migrations
FIRST_FILE = 1  # number of the descriptor file of a new gallery
_Long = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only an INTEGER key by itself


class Numbers(TypeDecorator[list[Any]]):
    """A list of numbers or None as JSON text, which is the same on every engine."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else numbers_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> list[Any] | None:
        """Raises GalleryCorruptError for text that is no list of JSON."""
        try:
            return None if value is None else list(json.loads(value))
        except (ValueError, TypeError) as error:
            raise GalleryCorruptError(
                f"the database holds {value!r:.40} where numbers belong: `facesearch gallery verify` says in which rows"
            ) from error


class Hash(TypeDecorator[str]):
    """sha256 as hexadecimal text, stored as its 32 bytes: half of what text takes in a row, and again in an index."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """ValueError for text that is not hexadecimal."""
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Raises GalleryCorruptError for what is no hash."""
        if value is not None and not (isinstance(value, bytes) and len(value) == 32):
            raise GalleryCorruptError(
                f"the database holds {value!r:.40} where a hash belongs: `facesearch gallery verify` says in which rows"
            )
        return None if value is None else value.hex()


def numbers_text(values: Iterable[float | None]) -> str:
    """Finite numbers or None as JSON, a quarter of the time that a module for all of JSON takes."""
    return "[" + ",".join(["null" if value is None else str(value) for value in values]) + "]"


def utc_now() -> str:
    """The present moment as ISO 8601 text in UTC: readable in any browser of databases."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Base(Declared):
    """Of the gallery's tables."""

    metadata = MetaData()


class GalleryRow(Base):
    """The one row that says what the gallery holds and how far it has come."""

    __tablename__ = "gallery"
    __table_args__ = (CheckConstraint("id = 1", name="only_one_gallery"),)

    id: Mapped[int] = column(primary_key=True, autoincrement=False)
    schema_version: Mapped[int]
    model_digest: Mapped[str] = column(String(64))  # sha256, hexadecimal
    attribute: Mapped[str]
    attribute_values: Mapped[list[int]] = column(Numbers)
    descriptor_size: Mapped[int]
    encoder: Mapped[str | None]  # of people, which has a part of every descriptor; None: the model's own network alone
    image_root: Mapped[str]  # absolute, with forward slashes
    identity_level: Mapped[str | None]  # which folder below it names a person: first, last or a number; None: not said
    faces: Mapped[str | None]  # what is done with pictures, one of index.config.FACES; None: nobody said
    detector: Mapped[str | None]  # sha256 of the network that finds faces, where it is not the one that comes along
    identity_of: Mapped[str | None]  # whom a folder names, one of index.config.WHOSE; None: nobody said
    grouped_by: Mapped[str | None] = column(String(64))  # the model whose descriptors say who is in which person
    persons: Mapped[int]  # the last number that a person was given
    file: Mapped[int]  # number of the descriptor file
    # One more with every add and remove. The random stamp changes with it, so that a database
    # restored from a copy never takes a later index for its own.
    generation: Mapped[int]
    stamp: Mapped[str]
    removals: Mapped[int]  # how often faces were removed: only that disturbs a running read
    created: Mapped[str] = column(String)
    digest: Mapped[int] = column(BigInteger)


class PhotoRow(Base):
    """One file: the content that was described, its state then, and why it could not be read since, if so."""

    __tablename__ = "photo"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given twice

    id: Mapped[int] = column(_Long, primary_key=True)
    path: Mapped[str] = column(unique=True)  # relative to image_root, forward slashes
    path_key: Mapped[str | None]  # what `like` compares: composed, and without case; None: that is the path itself
    sha256: Mapped[str | None] = column(Hash, index=True)  # of the content that was described
    size: Mapped[int] = column(BigInteger)
    mtime_ns: Mapped[int] = column(BigInteger)
    inode: Mapped[int] = column(BigInteger)
    ctime_ns: Mapped[int] = column(BigInteger)
    width: Mapped[int]  # pixels, upright; 0: it was taken for a crop, as it is
    height: Mapped[int]
    turn: Mapped[int]  # quarter turns to the left that set it upright, besides its EXIF
    added: Mapped[int] = column(BigInteger)  # seconds since 1970
    reason: Mapped[str | None]  # why it could not be read when that was tried last
    reader: Mapped[str | None]  # what read it: another may do better
    unread: Mapped[list[int] | None] = column(Numbers)  # that file's size, mtime_ns, inode and ctime_ns
    found: Mapped[int | None] = column(BigInteger)  # when: seconds since 1970
    faceless: Mapped[int]  # 1: that file could be read, and shows no face; else 0
    digest: Mapped[int] = column(BigInteger)


class FaceRow(Base):
    """One individual in a photo: the labels with where each came from, and what the network decided."""

    __tablename__ = "face"
    __table_args__ = (Index("face_of_photo", "photo_id", "number", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = column(_Long, primary_key=True)
    photo_id: Mapped[int] = column(ForeignKey("photo.id"))
    number: Mapped[int]  # among the faces of its photo, from 1, the largest
    box: Mapped[list[float] | None] = column(Numbers)  # left, top, width, height; None: the photo is its crop
    landmarks: Mapped[list[float] | None] = column(Numbers)  # that it was cut out by, x and y
    score: Mapped[float | None] = column(Float)  # how sure the detector was, 0 to 1
    identity: Mapped[str | None]
    pose: Mapped[int | None]
    illumination: Mapped[int | None]
    expression: Mapped[str | None]
    identity_key: Mapped[str | None] = column(index=True)  # composed, and without case: what is compared
    expression_key: Mapped[str | None]
    origins: Mapped[str]  # of the labels above, one letter each; index.truth.rows says which
    decided: Mapped[int]  # one of attribute_values
    errors: Mapped[list[float | None]] = column(Numbers)  # one per attribute value
    digest: Mapped[int] = column(BigInteger)


class PassedRow(Base):
    """One file below the images' folder that is no picture by its content, as it was then: it need not be opened again
    to know that."""

    __tablename__ = "passed"

    id: Mapped[int] = column(_Long, primary_key=True)
    path: Mapped[str] = column(unique=True)  # relative to image_root, forward slashes
    kind: Mapped[str]  # what it is, as people call it
    reader: Mapped[str]  # what looked at it: another may read more
    size: Mapped[int] = column(BigInteger)
    mtime_ns: Mapped[int] = column(BigInteger)
    inode: Mapped[int] = column(BigInteger)
    ctime_ns: Mapped[int] = column(BigInteger)
    digest: Mapped[int] = column(BigInteger)


class KeptRow(Base):
    """The labels that a hand gave a face whose photo was pruned, until the same content is there again."""

    __tablename__ = "kept"
    __table_args__ = (Index("kept_content", "sha256", "path", "number", unique=True),)

    id: Mapped[int] = column(_Long, primary_key=True)
    sha256: Mapped[str] = column(Hash)  # of the photo's content
    path: Mapped[str]  # where it was, relative to image_root
    number: Mapped[int]  # of the face there
    box: Mapped[list[float] | None] = column(Numbers)
    identity: Mapped[str | None]
    pose: Mapped[int | None]
    illumination: Mapped[int | None]
    expression: Mapped[str | None]
    pruned: Mapped[int] = column(BigInteger)  # seconds since 1970
    digest: Mapped[int] = column(BigInteger)


class HiddenRow(Base):
    """A face that was removed and stays away, also when its photo is described again: by that one's content and
    path."""

    __tablename__ = "hidden"
    __table_args__ = (Index("hidden_content", "sha256", "path", "number", unique=True),)

    id: Mapped[int] = column(_Long, primary_key=True)
    sha256: Mapped[str] = column(Hash)  # of the photo's content
    path: Mapped[str] = column(index=True)  # relative to image_root
    number: Mapped[int]  # of the face there
    share: Mapped[list[float] | None] = column(Numbers)  # its box, in shares of the photo's sides
    since: Mapped[int] = column(BigInteger)  # seconds since 1970
    digest: Mapped[int] = column(BigInteger)


class MemberRow(Base):
    """A face that was looked at when people were grouped, and which person it is; none: it is like nobody else."""

    __tablename__ = "member"

    face_id: Mapped[int] = column(ForeignKey("face.id", ondelete="CASCADE"), primary_key=True)
    person: Mapped[int | None] = column(index=True)
    digest: Mapped[int] = column(BigInteger)


class PlacementRow(Base):
    """Which person a face is, as a hand said: by the content of its photo, so that it holds when that comes back."""

    __tablename__ = "placement"
    __table_args__ = (Index("placement_content", "sha256", "number", unique=True),)

    id: Mapped[int] = column(_Long, primary_key=True)
    sha256: Mapped[str] = column(Hash)  # of the photo's content
    number: Mapped[int]  # of the face there
    box: Mapped[list[float] | None] = column(Numbers)
    person: Mapped[int]
    digest: Mapped[int] = column(BigInteger)


class RecordRow(Base):
    """One slot of a descriptor file. Without a face its bytes are still to be zeroed: that is done after the removal is
    committed, and a crash in between leaves the row for the next writer."""

    __tablename__ = "record"
    __table_args__ = (Index("record_face", "face_id", "file", unique=True), {"sqlite_with_rowid": False})

    file: Mapped[int] = column(primary_key=True, autoincrement=False)
    slot: Mapped[int] = column(_Long, primary_key=True, autoincrement=False)
    face_id: Mapped[int | None] = column(ForeignKey("face.id", ondelete="SET NULL"))
    sha256: Mapped[str] = column(Hash)  # of the bytes there
    digest: Mapped[int] = column(BigInteger)


class RedescriptionRow(Base):
    """The one row of a redescription under way: what the gallery is being described by, into another file."""

    __tablename__ = "redescription"
    __table_args__ = (CheckConstraint("id = 1", name="only_one_redescription"),)

    id: Mapped[int] = column(primary_key=True, autoincrement=False)
    model_digest: Mapped[str] = column(String(64))
    attribute: Mapped[str]
    attribute_values: Mapped[list[int]] = column(Numbers)
    descriptor_size: Mapped[int]
    encoder: Mapped[str | None]
    file: Mapped[int]
    begun: Mapped[str] = column(String)
    digest: Mapped[int] = column(BigInteger)


class StagedRow(Base):
    """A face as the redescription's model sees it, and its photo's file as it was then; the record lies in the
    redescription's file."""

    __tablename__ = "staged"

    face_id: Mapped[int] = column(ForeignKey("face.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str | None] = column(Hash)  # of the content; None: not known
    size: Mapped[int] = column(BigInteger)
    mtime_ns: Mapped[int] = column(BigInteger)
    inode: Mapped[int] = column(BigInteger)
    ctime_ns: Mapped[int] = column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    turn: Mapped[int]
    box: Mapped[list[float] | None] = column(Numbers)
    landmarks: Mapped[list[float] | None] = column(Numbers)
    score: Mapped[float | None] = column(Float)
    decided: Mapped[int]
    errors: Mapped[list[float | None]] = column(Numbers)
    digest: Mapped[int] = column(BigInteger)


TABLES: tuple[Table, ...] = tuple(Base.metadata.sorted_tables)
_STORED: Mapping[type[Any], Callable[[Any], object]] = {Hash: bytes.fromhex, Numbers: numbers_text}
_TOGETHER = 10  # rows that one statement inserts
_COLUMNS = {table.name: tuple(c.name for c in table.columns if c.name != "digest") for table in TABLES}
_VALUES = {name: itemgetter(*columns) for name, columns in _COLUMNS.items()}
_CONVERTED = {
    table.name: tuple(
        (place, _STORED[type(one.type)]) for place, one in enumerate(table.columns) if type(one.type) in _STORED
    )
    for table in TABLES
}


def stored(table: str, columns: Mapping[str, Any] | RowMapping) -> tuple[Any, ...]:
    """A row as the engine keeps it, in the order of the table's columns, with its digest at the end."""
    values = list(_VALUES[table](columns))
    for place, convert in _CONVERTED[table]:
        if values[place] is not None:
            values[place] = convert(values[place])
    return sealed(tuple(values))


def sealed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as the engine keeps it, but for its digest, with that at the end."""
    return (*values, row_digest(values))


def is_sealed(table: str, row: Mapping[str, Any] | RowMapping) -> bool:
    """Whether a row is what was written."""
    return bool(stored(table, row)[-1] == row["digest"])


def require_sealed(table: str, row: Mapping[str, Any] | RowMapping) -> None:
    """Raise GalleryCorruptError for a row that is not what was written: whoever writes it anew would hide that."""
    if not is_sealed(table, row):
        keys = [one.name for one in Base.metadata.tables[table].primary_key]
        named = ", ".join(f"{name} {row[name]!r}" for name in keys)
        where = f", {row['path']!r}," if "path" in row else ""
        raise GalleryCorruptError(
            f"the database: the row of {table} with {named}{where} is not what was written: run `facesearch gallery "
            "repair`, which says which images to look at"
        )


def row_digest(values: tuple[Any, ...]) -> int:
    """What a row's other columns amount to, as the engine keeps them: a signed number of 64 bits. It finds damage, not
    forgery."""
    content = repr(values).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


def insert_rows(session: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that `stored` made, as they are: what SQLAlchemy does for each value takes longer than all else. Ten
    in one statement take a quarter less than one by one."""
    if insert := session.get_execution_options().get("insert"):  # a way of the engine's own
        if rows:
            insert(session, table, [*_COLUMNS[table], "digest"], rows)
        return
    whole = len(rows) - len(rows) % _TOGETHER
    for some, count in ((rows[:whole], _TOGETHER), (rows[whole:], 1)):
        if some:
            values = [tuple(chain.from_iterable(some[n : n + count])) for n in range(0, len(some), count)]
            session.exec_driver_sql(_insertion(table, count), values)


def _insertion(table: str, count: int) -> str:
    """The statement that inserts so many rows."""
    names = [*_COLUMNS[table], "digest"]
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * count)}"


def update_rows(session: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Replace rows of the same id by those that `stored` made; the id is their first column."""
    if rows:
        names, mark = [*_COLUMNS[table][1:], "digest"], "%s" if session.get_execution_options().get("insert") else "?"
        changes = ", ".join(f"{name} = {mark}" for name in names)
        statement = f"UPDATE {table} SET {changes} WHERE id = {mark}"
        session.exec_driver_sql(statement, [(*row[1:], row[0]) for row in rows])
