"""Many rows in parts: as many as fit into a statement, or pages that are each read in a session of its own, so that
whoever goes through a gallery keeps nobody from writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

if TYPE_CHECKING:
    from index.truth.database import Database
    from index.values import Face

PAGE = 1_000  # rows that are read at a time
VARIABLES = 10_000  # in one statement; SQLite's own limit is 32,766
_T = TypeVar("_T")


def chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The items in parts that fit into one statement."""
    for start in range(0, len(items), VARIABLES):
        yield items[start : start + VARIABLES]


def pages(
    database: Database, read: Callable[[Connection, int], list[_T]], id_of: Callable[[_T], int], after: int = 0
) -> Iterator[list[_T]]:
    """What `read` returns of ids above `after`, and then above the last that it returned, until that is nothing."""
    while True:
        with database.reading() as session:
            page = read(session, after)
        if not page:
            return
        yield page
        after = id_of(page[-1])


def faces(database: Database, read: Callable[[Connection, int], list[Face]], after: int = 0) -> Iterator[Face]:
    """The same of faces, one at a time."""
    for page in pages(database, read, lambda face: face.id, after):
        yield from page
