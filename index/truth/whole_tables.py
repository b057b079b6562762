"""Tables as their engine keeps them, page by page and as sums: what a copy reads, writes and compares. Functions of an
open session; the caller commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Table, text

from index.errors import GalleryCorruptError
from index.truth.schema import TABLES, Base, row_digest

Row: TypeAlias = tuple[Any, ...]
Key: TypeAlias = tuple[Any, ...]
"""Of a row: the values of its primary key."""

GALLERY = "gallery"
COPIED = tuple(table.name for table in TABLES if table.name != GALLERY)
"""Every table but the gallery's own row, which says that there is one; those that others point to come first."""
_LIVE = {"record": "face_id IS NOT NULL"}  # what is to be erased goes nowhere
_LOW = 2**32 - 1


class DamagedRowError(GalleryCorruptError):
    """A row is not what was written."""


class Sums(NamedTuple):
    """What the digests of some rows amount to: by chance alike for other rows once in 10^19."""

    rows: int
    low: int
    high: int


def page(session: Connection, name: str, after: Key | None, most: int) -> list[Row]:
    """Up to so many rows, their digests last, by ascending key: the first (None), or those behind one. Raises
    GalleryCorruptError for a row that is not what was written."""
    columns = ", ".join(column.name for column in _table(name).columns)
    where, given = _bounded(name, ">", after)
    query = text(f"SELECT {columns} FROM {name}{where} ORDER BY {', '.join(_key_names(name))} LIMIT {int(most)}")
    rows = [tuple(row) for row in session.execute(query, given)]
    for row in rows:
        if row_digest(row[:-1]) != row[-1]:
            raise DamagedRowError(
                f"the row of {name} with {', '.join(map(repr, key_of(name, row)))} is not what was written: run "
                "`facesearch gallery repair`, which says which images to look at"
            )
    return rows


def pages(session: Connection, name: str, after: Key | None, most: int) -> Iterator[list[Row]]:
    """All rows behind a key, in such pages."""
    while rows := page(session, name, after, most):
        yield rows
        after = key_of(name, rows[-1])


def key_of(name: str, row: Row) -> Key:
    """The values of a row's primary key, which are its first columns, or lie among them."""
    columns = [column.name for column in _table(name).columns]
    return tuple(row[columns.index(key)] for key in _key_names(name))


def last_key(session: Connection, name: str) -> Key | None:
    """The last of a table; None where it has no rows."""
    keys = _key_names(name)
    order = ", ".join(f"{key} DESC" for key in keys)
    found = session.execute(text(f"SELECT {', '.join(keys)} FROM {name} ORDER BY {order} LIMIT 1")).first()
    return None if found is None else tuple(found)


def sums(session: Connection, name: str, up_to: Key | None = None) -> Sums:
    """Of all rows of a table, or of those up to a key."""
    where, given = _bounded(name, "<=", up_to)
    # halves of the digests: all 64 bits together are more than SQLite adds up
    query = f"SELECT count(*), coalesce(sum(digest & {_LOW}), 0), coalesce(sum(digest >> 32), 0) FROM {name}{where}"
    return Sums(*(int(one) for one in session.execute(text(query), given).one()))


def all_sums(session: Connection) -> dict[str, Sums]:
    """Of every table, the gallery's own row included."""
    return {name: sums(session, name) for name in (*COPIED, GALLERY)}


def descriptor_sizes(session: Connection) -> dict[int, int]:
    """Numbers of a descriptor, by the number of its file: of the gallery's and of a redescription's under way."""
    query = "SELECT file, descriptor_size FROM gallery UNION SELECT file, descriptor_size FROM redescription"
    return {int(file): int(size) for file, size in session.execute(text(query))}


def _bounded(name: str, how: str, key: Key | None) -> tuple[str, Mapping[str, Any]]:
    """A condition for rows beyond a key, or up to it, with its values."""
    said = [_LIVE[name]] if name in _LIVE else []
    given = {f"key{n}": value for n, value in enumerate(key or ())}
    if key is not None:
        said.append(f"({', '.join(_key_names(name))}) {how} ({', '.join(f':{one}' for one in given)})")
    return (f" WHERE {' AND '.join(said)}" if said else ""), given


def _key_names(name: str) -> list[str]:
    return [column.name for column in _table(name).primary_key]


def _table(name: str) -> Table:
    return Base.metadata.tables[name]
