"""Schema version 3: the descriptor file has a name, since a compaction or a migration writes another one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("gallery", sa.Column("descriptor_file", sa.String, nullable=False, server_default="descriptors.f16"))
    op.create_table(
        "migration",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("attribute_values", sa.JSON, nullable=False),
        sa.Column("descriptor_size", sa.Integer, nullable=False),
        sa.Column("descriptor_file", sa.String, nullable=False),
        sa.Column("begun", sa.String, nullable=False),
        sa.CheckConstraint("id = 1", name="only_one_migration"),
    )
    op.create_table(
        "staged",
        sa.Column("image_id", sa.Integer, sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sha256", sa.String, nullable=False, index=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("candidate", sa.Integer, nullable=False),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False, unique=True),
        sa.Column("record_sha256", sa.String(64)),
    )
    op.rename_table("erasure", "erasure_before")
    op.create_table(
        "erasure",
        sa.Column("file", sa.String, primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.execute("INSERT INTO erasure (file, slot) SELECT 'descriptors.f16', slot FROM erasure_before")
    op.drop_table("erasure_before")
    op.execute("UPDATE gallery SET schema_version = 3")
