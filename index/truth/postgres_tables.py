"""What a gallery's tables have on PostgreSQL besides the migrations: text is compared byte by byte, as SQLite does it,
and a whole number has 64 bits."""

from __future__ import annotations

from sqlalchemy import Connection, text

_TEXTS = text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND data_type IN ('character varying', 'text') AND collation_name IS DISTINCT FROM 'C'"
)
_SHORT = text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND data_type = 'integer'"
)


def make_schema(connection: Connection) -> None:
    """Make the schema that the connection looks into, unless it is there."""
    name = connection.scalar(text("SHOW search_path"))
    if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": name}) is None:
        connection.execute(text(f"CREATE SCHEMA {name}"))


def make_alike(connection: Connection) -> None:
    """Let every column compare as SQLite does, and hold what that can."""
    for wrong, right in ((_TEXTS, 'text COLLATE "C"'), (_SHORT, "bigint")):
        for table, column in connection.execute(wrong).all():
            connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {right}"))
