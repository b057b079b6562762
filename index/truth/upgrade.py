"""The tables of a gallery, made and brought up to date by Alembic's migrations."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, create_engine

from index.truth.postgres_tables import make_alike, make_schema

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_OWN = "name NOT LIKE 'sqlite%'"  # what SQLite does not make by itself


def to_newest(connection: Connection) -> None:
    """Run the migrations that are due, in the connection's transaction: on an empty database, all of them."""
    if connection.dialect.name == "sqlite" and _is_empty(connection):
        for statement in _all_of_them():
            connection.exec_driver_sql(statement)
    else:
        _migrate(connection)


def _is_empty(connection: Connection) -> bool:
    return not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()


@cache
def _all_of_them() -> tuple[str, ...]:
    """What the migrations make of an empty file of SQLite, as statements: they run once in a process, in memory."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _migrate(connection)
        made = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master WHERE sql > '' AND {_OWN} ORDER BY rowid")
        statements = made.scalars().all()
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    engine.dispose()
    return *statements, f"INSERT INTO alembic_version VALUES ('{revision}')"


def _migrate(connection: Connection) -> None:
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
