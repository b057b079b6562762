"""Ids that were ever given, none of which is given again, as functions of an open session. The caller commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select, text

from index.truth.schema import Base

HIGHEST_ID = 2**62  # what is above was never given
_LAST = {
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = :name AND typeof(seq) = 'integer' AND seq <= :highest",
    "postgresql": "SELECT last FROM given WHERE name = :name AND last <= :highest",
}
_ALL = {"sqlite": "SELECT name, seq FROM sqlite_sequence", "postgresql": "SELECT name, last FROM given"}
_FORGET = {"sqlite": "DELETE FROM sqlite_sequence", "postgresql": "DELETE FROM given"}
_REMEMBER = {
    "sqlite": "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)",
    "postgresql": "INSERT INTO given (name, last) VALUES (:name, :seq)",
}
_PHOTO, _FACE = Base.metadata.tables["photo"], Base.metadata.tables["face"]


def last_id(session: Connection, table: str) -> int:
    """The last id that was ever given in a table."""
    given = session.scalar(text(_LAST[_engine(session)]), {"name": table, "highest": HIGHEST_ID}) or 0
    column = Base.metadata.tables[table].c.id
    return max(int(given), session.scalar(select(func.max(column)).where(column <= HIGHEST_ID)) or 0)


def last_ids_known(session: Connection) -> bool:
    """Whether the engine remembers ids that are not below those that are there: none of these is given again."""
    rows = session.exec_driver_sql(_ALL[_engine(session)])
    remembered: dict[str, Any] = {name: seq for name, seq in rows}
    there = {table.name: session.scalar(select(func.max(table.c.id))) or 0 for table in (_PHOTO, _FACE)}
    given = {name: remembered.get(name, 0) for name in there}
    return all(isinstance(seq, int) and there[name] <= seq < HIGHEST_ID // 2 for name, seq in given.items())


def remember_last_ids(session: Connection) -> None:
    """Note the last ids anew, where what the engine remembers is damaged."""
    last = {table.name: last_id(session, table.name) for table in (_PHOTO, _FACE)}
    session.execute(text(_FORGET[_engine(session)]))
    session.execute(text(_REMEMBER[_engine(session)]), [{"name": name, "seq": seq} for name, seq in last.items()])


def set_last_ids(session: Connection, last: Mapping[str, int]) -> None:
    """Never give the ids up to these again, by table, whatever was given here before."""
    for name, seq in last.items():
        session.execute(text(f"{_FORGET[_engine(session)]} WHERE name = :name"), {"name": name})
        session.execute(text(_REMEMBER[_engine(session)]), {"name": name, "seq": seq})


def reserve_ids(session: Connection, last: int) -> None:
    """Never give an id up to `last` to a new face."""
    if last > last_id(session, "face"):
        session.execute(text(f"{_FORGET[_engine(session)]} WHERE name = 'face'"))
        session.execute(text(_REMEMBER[_engine(session)]), {"name": "face", "seq": last})


def _engine(session: Connection) -> str:
    return session.dialect.name
