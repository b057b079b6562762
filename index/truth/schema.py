"""The tables of `gallery.db`. Every change needs a migration (`index/migrations`) and another SCHEMA_VERSION."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 3
FIRST_DESCRIPTORS = "descriptors.f16"


def utc_now() -> str:
    """The present moment as ISO 8601 text in UTC: readable in any SQLite browser."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
    descriptor_file: Mapped[str] = mapped_column(server_default=FIRST_DESCRIPTORS)  # in the gallery's folder
    # One more with every add and remove. The random stamp changes with it, so that a database
    # restored from a copy never takes a later index for its own.
    generation: Mapped[int]
    stamp: Mapped[str]
    removals: Mapped[int]  # how often images were removed: only that disturbs a running read
    created: Mapped[str] = mapped_column(default=utc_now)
    changed: Mapped[str] = mapped_column(default=utc_now, onupdate=utc_now)


class Described:
    """What the network made of an image's file."""

    sha256: Mapped[str] = mapped_column(index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    candidate: Mapped[int]  # position of the winning value in attribute_values
    errors: Mapped[list[float | None]] = mapped_column(JSON)  # one per attribute value
    slot: Mapped[int] = mapped_column(unique=True)  # row in the descriptor file
    record_sha256: Mapped[str | None] = mapped_column(String(64))  # of the bytes there; None: of an earlier release


class ImageRecord(Described, Base):
    """One image: what was found in its file, its labels, and what the network decided."""

    __tablename__ = "image"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given twice

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)  # relative to image_root, forward slashes
    identity: Mapped[str | None] = mapped_column(index=True)
    pose: Mapped[int | None]
    illumination: Mapped[int | None]
    expression: Mapped[str | None]
    created: Mapped[str] = mapped_column(default=utc_now)


class MigrationRecord(Base):
    """The one row of a migration under way: what the gallery is being described by, into another file."""

    __tablename__ = "migration"
    __table_args__ = (CheckConstraint("id = 1", name="only_one_migration"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_digest: Mapped[str] = mapped_column(String(64))
    task: Mapped[str]
    attribute_values: Mapped[list[int]] = mapped_column(JSON)
    descriptor_size: Mapped[int]
    descriptor_file: Mapped[str]
    begun: Mapped[str] = mapped_column(default=utc_now)


class StagedRecord(Described, Base):
    """An image as the model of the migration describes it."""

    __tablename__ = "staged"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)


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

    file: Mapped[str] = mapped_column(primary_key=True)  # in the gallery's folder
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
