"""Whether a database has the tables of a gallery and nothing else.

One of a stranger may bring triggers and views, which would run with every statement, or tables without the rules that
ours keep to.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from index.truth.schema import REVISION, Base

_ENGINE = "sqlite_sequence"  # whose shape nobody can change
_VERSIONS = "alembic_version"
_ALEMBIC = f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL, {{}})".format(
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
)
_WORD = re.compile(r"\w+|[^\w\s\"'`\[\]]")
_Shape = dict[str, list[str]]
_Told = dict[str, list[tuple[Any, ...]]]


def strange(session: Connection) -> list[str]:
    """A sentence for each object that no gallery has, and for each of ours that is not as it should be."""
    if session.dialect.name != "sqlite":
        return []  # a server's owner makes its objects, and no stranger brings them along
    found, expected = _shape(session), _expected()
    extra = [f"there is {name}, which no gallery has" for name in found if name not in expected]
    other = [f"{name} is not as this release makes it" for name in expected if found.get(name) != expected[name]]
    return extra + other


def runs_nothing(session: Connection) -> bool:
    """Whether reading a row is all that reading it does: no view, trigger, module or computed column is there."""
    asked = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    computed = "SELECT count(*) FROM sqlite_master AS one, pragma_table_xinfo(one.name) WHERE hidden > 0"
    return not any(session.exec_driver_sql(query).scalar() for query in (asked, computed))


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
    rows = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master").all()
    shape = {f"a {kind} {name!r}": [""] for kind, name, *_ in rows if kind not in ("table", "index")}
    tables = [name for kind, name, *_ in rows if kind == "table" and name != _ENGINE]
    columns, keys = (_of_each_table(connection, pragma) for pragma in ("table_xinfo", "foreign_key_list"))
    indexes = _indexes(connection)
    for table in tables:
        texts = [text for _, _, owner, text in rows if owner == table and text is not None]
        asked = [columns.get(table, []), keys.get(table, []), indexes.get(table, [])]
        shape[f"the table {table!r}"] = [*map(str, asked), _words(texts)]
    if _VERSIONS in tables:
        have_run = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSIONS}").scalars()
        shape[f"the table {_VERSIONS!r}"] += sorted(map(str, have_run))
    return shape


def _indexes(connection: Connection) -> _Told:
    """By table the name of each index, whether it is unique and partial, and its columns; the order in which they were
    made says nothing."""
    columns = _told(
        connection,
        "SELECT listed.name, told.* FROM sqlite_master AS one, pragma_index_list(one.name) AS listed, "
        "pragma_index_xinfo(listed.name) AS told WHERE one.type = 'table'",
    )
    listed = _of_each_table(connection, "index_list")
    return {
        table: sorted((name, unique, partial, columns.get(name)) for _, name, unique, _, partial in some)
        for table, some in listed.items()
    }


def _words(texts: list[Any]) -> str:
    return " ".join(sorted(word.lower() for text in texts for word in _WORD.findall(str(text))))


def _of_each_table(connection: Connection, pragma: str) -> _Told:
    """What the engine says of every table; a name is a value here, whatever stands in it."""
    query = f"SELECT one.name, told.* FROM sqlite_master AS one, pragma_{pragma}(one.name) AS told"
    return _told(connection, f"{query} WHERE one.type = 'table'")


def _told(connection: Connection, query: str) -> _Told:
    """The rows by their first column, without it, in an order of their own. All tables are asked of at once: to ask of
    each took a fifth of verifying a small gallery."""
    found: _Told = {}
    for name, *said in connection.exec_driver_sql(query):
        found.setdefault(name, []).append(tuple(said))
    return {name: sorted(some, key=str) for name, some in found.items()}
