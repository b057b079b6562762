"""Many whole numbers of the rows at once, as the engine hands them over: through SQLAlchemy each row takes some
microseconds, which among a million is the most of a search."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, func, literal, select

from index.errors import GalleryCorruptError
from index.values import IdArray


def numbers(connection: Connection, query: Select[*tuple[Any, ...]]) -> IdArray:
    """What a query of columns of whole numbers finds, (n, columns), by ascending values of the first. Raises
    GalleryCorruptError for what is no number."""
    width = len(query.selected_columns)
    try:
        if connection.dialect.name == "postgresql":
            found = np.frombuffer(_packed(connection, query), ">i8").astype(np.int64)
        else:
            found = np.fromiter(chain.from_iterable(_rows(connection, query)), np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise GalleryCorruptError(
            f"the database holds other than numbers where they belong ({error}): `facesearch gallery verify` says where"
        ) from error
    table = found.reshape(-1, width)
    order = np.argsort(table[:, 0], kind="stable")
    made: IdArray = table[order]
    return made


def ascending(connection: Connection, query: Select[*tuple[Any, ...]]) -> IdArray:
    """What a query of one such column finds, ascending (n,)."""
    return numbers(connection, query)[:, 0].copy()


def _rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> Any:
    """The engine's own cursor."""
    return connection.execute(query).cursor


def _packed(connection: Connection, query: Select[*tuple[Any, ...]]) -> bytes:
    """All rows as one value of 8 bytes a number: PostgreSQL hands over up to 64 million of them so."""
    rows = query.subquery()
    each: ColumnElement[bytes] = func.int8send(rows.c[0])
    for column in list(rows.c)[1:]:
        each = each.op("||")(func.int8send(column))
    found: bytes | None = connection.scalar(select(func.string_agg(each, literal(b"", LargeBinary))))
    return found or b""
