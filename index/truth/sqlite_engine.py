"""SQLAlchemy's engine for one file of SQLite; statements are compiled once in a process, not for every gallery that is
opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[Any, Any] = LRUCache(500)  # as many statements as an engine keeps by itself


class OneDialect(SQLiteDialect_pysqlite):
    """SQLite's words are the same for every file, where SQLAlchemy takes each engine's for its own."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneDialect)

    def __hash__(self) -> int:
        return hash(OneDialect)


registry.register("sqlite.one", __name__, OneDialect.__name__)


def engine_of(path: Path, connect: Callable[[], sqlite3.Connection]) -> Engine:
    """The engine of a file, whose connections this makes."""
    url = URL.create("sqlite+one", database=str(path))
    return create_engine(url, creator=connect, execution_options={"compiled_cache": _COMPILED})
