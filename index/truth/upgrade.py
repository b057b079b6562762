"""The tables of a gallery, made and brought up to date by Alembic's migrations."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from index.truth.postgres_tables import make_alike, make_schema

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def to_newest(connection: Connection) -> None:
    """Run the migrations that are due, in the connection's transaction: on an empty database, all of them."""
    from alembic import command  # it takes a moment, and only a new gallery needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        make_schema(connection)
    command.upgrade(config, "head")
    if connection.dialect.name == "postgresql":
        make_alike(connection)
