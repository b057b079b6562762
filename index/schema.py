"""The tables of `gallery.db`. Every change needs a migration (`index/migrations`) and another SCHEMA_VERSION."""

from datetime import datetime, timezone

from sqlalchemy import JSON, BigInteger, CheckConstraint, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 2


def utc_now() -> str:
    """The present moment as ISO 8601 text in UTC: readable in any SQLite browser."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Base(DeclarativeBase):
    """Base of the gallery's tables."""


class GalleryRecord(Base):
    """The one row that says what the gallery holds and how far it has come."""

    __tablename__ = "gallery"
    __table_args__ = (CheckConstraint("id = 1", name="only_one_gallery"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    schema_version: Mapped[int]
    model_digest: Mapped[str] = mapped_column(String(64))  # sha256, hexadecimal
    task: Mapped[str]
    attribute_values: Mapped[list[int]] = mapped_column(JSON)
    descriptor_size: Mapped[int]
    image_root: Mapped[str]  # absolute, with forward slashes
    # One more with every add and remove. The random stamp changes with it, so that a database
    # restored from a copy never takes a later index for its own.
    generation: Mapped[int]
    stamp: Mapped[str]
    removals: Mapped[int]  # how often images were removed: only that disturbs a running read
    created: Mapped[str] = mapped_column(default=utc_now)
    changed: Mapped[str] = mapped_column(default=utc_now, onupdate=utc_now)


class ImageRecord(Base):
    """One image: what was found in its file, its labels, and what the network decided."""

    __tablename__ = "image"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given twice

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)  # relative to image_root, forward slashes
    sha256: Mapped[str] = mapped_column(index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    identity: Mapped[str | None] = mapped_column(index=True)
    pose: Mapped[int | None]
    illumination: Mapped[int | None]
    expression: Mapped[str | None]
    candidate: Mapped[int]  # position of the winning value in gallery.attribute_values
    errors: Mapped[list[float | None]] = mapped_column(JSON)  # one per attribute value
    slot: Mapped[int] = mapped_column(unique=True)  # row in the descriptor file
    record_sha256: Mapped[str | None] = mapped_column(String(64))  # of the bytes there; None: of an earlier release
    created: Mapped[str] = mapped_column(default=utc_now)


class ProblemRecord(Base):
    """A file that could not be read, as it was then: it is not tried again until it changes."""

    __tablename__ = "problem"

    path: Mapped[str] = mapped_column(primary_key=True)  # as of an image
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str]
    found: Mapped[str] = mapped_column(default=utc_now, onupdate=utc_now)


class ErasureRecord(Base):
    """A slot whose image is removed and whose bytes are still to be zeroed.

    Bytes are zeroed only after the removal is committed; a crash in between leaves the slot here
    and the next writer finishes the work.
    """

    __tablename__ = "erasure"

    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
