"""Schema version 4: photos, faces, people and records. Galleries of versions 1 to 3 (up to 0.3) are not upgraded."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _stamp() -> tuple[sa.Column[int], ...]:
    names = ("size", "mtime_ns", "inode", "ctime_ns")
    return tuple(sa.Column(name, sa.BigInteger, nullable=False) for name in names)


def _model() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("attribute", sa.String, nullable=False),
        sa.Column("attribute_values", sa.Text, nullable=False),
        sa.Column("descriptor_size", sa.Integer, nullable=False),
        sa.Column("encoder", sa.String),
    )


def _size() -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.Integer, nullable=False) for name in ("width", "height", "turn"))


def _place() -> tuple[sa.Column[object], ...]:
    return sa.Column("box", sa.Text), sa.Column("landmarks", sa.Text), sa.Column("score", sa.Float)


def _digest() -> sa.Column[int]:
    return sa.Column("digest", sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "gallery",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        *_model(),
        sa.Column("image_root", sa.String, nullable=False),
        sa.Column("identity_level", sa.String),
        sa.Column("faces", sa.String),
        sa.Column("detector", sa.String),
        sa.Column("identity_of", sa.String),
        sa.Column("grouped_by", sa.String(64)),
        sa.Column("persons", sa.Integer, nullable=False),
        sa.Column("file", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("stamp", sa.String, nullable=False),
        sa.Column("removals", sa.Integer, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        _digest(),
        sa.CheckConstraint("id = 1", name="only_one_gallery"),
    )
    op.create_table(
        "photo",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("path", sa.String, nullable=False, unique=True),
        sa.Column("path_key", sa.String),
        sa.Column("sha256", sa.LargeBinary(32), index=True),
        *_stamp(),
        *_size(),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("reader", sa.String),
        sa.Column("unread", sa.Text),
        sa.Column("found", sa.BigInteger),
        sa.Column("faceless", sa.Integer, nullable=False),
        _digest(),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "face",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("photo_id", _LONG, sa.ForeignKey("photo.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        *_place(),
        sa.Column("identity", sa.String),
        sa.Column("pose", sa.Integer),
        sa.Column("illumination", sa.Integer),
        sa.Column("expression", sa.String),
        sa.Column("identity_key", sa.String, index=True),
        sa.Column("expression_key", sa.String),
        sa.Column("origins", sa.String, nullable=False),
        sa.Column("decided", sa.Integer, nullable=False),
        sa.Column("errors", sa.Text, nullable=False),
        _digest(),
        sa.Index("face_of_photo", "photo_id", "number", unique=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "passed",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("path", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("reader", sa.String, nullable=False),
        *_stamp(),
        _digest(),
    )
    op.create_table(
        "kept",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("box", sa.Text),
        sa.Column("identity", sa.String),
        sa.Column("pose", sa.Integer),
        sa.Column("illumination", sa.Integer),
        sa.Column("expression", sa.String),
        sa.Column("pruned", sa.BigInteger, nullable=False),
        _digest(),
        sa.Index("kept_content", "sha256", "path", "number", unique=True),
    )
    op.create_table(
        "hidden",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("path", sa.String, nullable=False, index=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("share", sa.Text),
        sa.Column("since", sa.BigInteger, nullable=False),
        _digest(),
        sa.Index("hidden_content", "sha256", "path", "number", unique=True),
    )
    op.create_table(
        "member",
        sa.Column("face_id", _LONG, sa.ForeignKey("face.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("person", sa.Integer, index=True),
        _digest(),
    )
    op.create_table(
        "placement",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("box", sa.Text),
        sa.Column("person", sa.Integer, nullable=False),
        _digest(),
        sa.Index("placement_content", "sha256", "number", unique=True),
    )
    op.create_table(
        "record",
        sa.Column("file", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slot", _LONG, primary_key=True, autoincrement=False),
        sa.Column("face_id", _LONG, sa.ForeignKey("face.id", ondelete="SET NULL")),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        _digest(),
        sa.Index("record_face", "face_id", "file", unique=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "redescription",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *_model(),
        sa.Column("file", sa.Integer, nullable=False),
        sa.Column("begun", sa.String, nullable=False),
        _digest(),
        sa.CheckConstraint("id = 1", name="only_one_redescription"),
    )
    op.create_table(
        "staged",
        sa.Column("face_id", _LONG, sa.ForeignKey("face.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sha256", sa.LargeBinary(32)),
        *_stamp(),
        *_size(),
        *_place(),
        sa.Column("decided", sa.Integer, nullable=False),
        sa.Column("errors", sa.Text, nullable=False),
        _digest(),
    )
    if op.get_bind().dialect.name == "postgresql":
        _beside()


def _beside() -> None:
    """What SQLite has otherwise: the last ids that were given, which it remembers by itself, and the descriptors, for
    which it has files; and what an engine for searching needs, which only a gallery on a server has."""
    given = op.create_table(
        "given", sa.Column("name", sa.String, primary_key=True), sa.Column("last", sa.BigInteger, nullable=False)
    )
    op.bulk_insert(given, [{"name": name, "last": 0} for name in ("photo", "face")])
    op.create_table(
        "descriptor",
        sa.Column("file", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ("file", "slot"), ("record.file", "record.slot"), ondelete="CASCADE", deferrable=True, initially="DEFERRED"
        ),
    )
    op.execute("ALTER TABLE descriptor ALTER COLUMN content SET STORAGE EXTERNAL")  # half precision is not compressible
    op.create_table(
        "engine",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("vectors", sa.String, nullable=False),
        sa.Column("changes", sa.BigInteger, nullable=False),
        sa.Column("token", sa.String),
        sa.Column("model_digest", sa.String),
        sa.Column("kind", sa.String),
        sa.Column("effort", sa.Integer),
        sa.Column("length", sa.Integer),
        sa.Column("over", sa.Integer),
        sa.Column("recall", sa.Float),
        sa.Column("milliseconds", sa.Float),
        sa.Column("faces", sa.BigInteger),
        sa.Column("reduction", sa.LargeBinary),
        sa.CheckConstraint("id = 1", name="only_one_engine"),
    )
    op.create_table(
        "outbox",
        sa.Column("face_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("change", sa.BigInteger, nullable=False, index=True),
    )
