"""The gallery as 0.1 to 0.3 made it, before Alembic: schema version 1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "gallery",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("attribute_values", sa.JSON, nullable=False),
        sa.Column("descriptor_size", sa.Integer, nullable=False),
        sa.Column("image_root", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("stamp", sa.String, nullable=False),
        sa.Column("removals", sa.Integer, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("changed", sa.String, nullable=False),
        sa.CheckConstraint("id = 1", name="only_one_gallery"),
    )
    op.create_table(
        "image",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.String, nullable=False, unique=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.String, index=True),
        sa.Column("pose", sa.Integer),
        sa.Column("illumination", sa.Integer),
        sa.Column("expression", sa.String),
        sa.Column("candidate", sa.Integer, nullable=False),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False, unique=True),
        sa.Column("created", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table("erasure", sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False))
