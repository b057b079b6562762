"""Whether a database has the tables of a gallery and nothing else.

One of a stranger may bring triggers and views, which would run with every statement, or tables without the rules that
ours keep to.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from index.truth.schema import REVISION, Base

_ENGINE = "sqlite_sequence"  # whose shape nobody can change
_VERSIONS = "alembic_version"
_ALEMBIC = f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL, {{}})".format(
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
)
_WORD = re.compile(r"\w+|[^\w\s\"'`\[\]]")
_Shape = dict[str, list[str]]


def strange(session: Session) -> list[str]:
    """A sentence for each object that no gallery has, and for each of ours that is not as it should be."""
    if session.connection().dialect.name != "sqlite":
        return []  # a server's owner makes its objects, and no stranger brings them along
    found, expected = _shape(session.connection()), _expected()
    extra = [f"there is {name}, which no gallery has" for name in found if name not in expected]
    other = [f"{name} is not as this release makes it" for name in expected if found.get(name) != expected[name]]
    return extra + other


def runs_nothing(session: Session) -> bool:
    """Whether reading a row is all that reading it does: no view, trigger, module or computed column is there."""
    asked = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    computed = "SELECT count(*) FROM sqlite_master AS one, pragma_table_xinfo(one.name) WHERE hidden > 0"
    return not any(session.connection().exec_driver_sql(query).scalar() for query in (asked, computed))


@cache
def _expected() -> _Shape:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        connection.exec_driver_sql(_ALEMBIC)
        connection.exec_driver_sql(f"INSERT INTO {_VERSIONS} VALUES (?)", (REVISION,))
        shape = _shape(connection)
    engine.dispose()
    return shape


def _shape(connection: Connection) -> _Shape:
    """Columns, rules and indexes of every table, and every other object, as the engine understands them; and the words
    that made them, for what it does not tell: checks, orders, and what becomes of rows that break a rule. Of Alembic's
    table also the row, which says which migrations have run."""
    rows = connection.exec_driver_sql("SELECT type, name, tbl_name FROM sqlite_master").all()
    shape = {f"a {kind} {name!r}": [""] for kind, name, _ in rows if kind not in ("table", "index")}
    tables = [name for kind, name, _ in rows if kind == "table" and name != _ENGINE]
    for table in tables:
        asked = (_asked(connection, pragma, table) for pragma in ("table_xinfo", "foreign_key_list"))
        shape[f"the table {table!r}"] = [
            *map(str, asked),
            str(sorted(_indexes(connection, table))),
            _words(connection, table),
        ]
    if _VERSIONS in tables:
        have_run = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSIONS}").scalars()
        shape[f"the table {_VERSIONS!r}"] += sorted(map(str, have_run))
    return shape


def _indexes(connection: Connection, table: str) -> list[str]:
    """Name, whether unique and partial, and columns of each; the order in which they were made says nothing."""
    listed = _asked(connection, "index_list", table)
    return [str((one[1], one[2], one[4], _asked(connection, "index_xinfo", one[1]))) for one in listed]


def _words(connection: Connection, table: str) -> str:
    texts = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,))
    return " ".join(sorted(word.lower() for text in texts.scalars() for word in _WORD.findall(str(text))))


def _asked(connection: Connection, pragma: str, name: str) -> list[Any]:
    """What the engine says of a table or an index; a name is a value here, whatever stands in it."""
    rows = connection.exec_driver_sql(f"SELECT * FROM pragma_{pragma}(?)", (name,))
    return sorted(map(tuple, rows), key=str)
