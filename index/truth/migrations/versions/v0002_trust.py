"""Schema version 2: a hash of every descriptor record, images by content, and the files that could not be read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("image", sa.Column("record_sha256", sa.String(64)))  # unknown for older images, until a repair
    op.create_index("ix_image_sha256", "image", ["sha256"])
    op.create_table(
        "problem",
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("found", sa.String, nullable=False),
    )
    op.execute("UPDATE gallery SET schema_version = 2")
