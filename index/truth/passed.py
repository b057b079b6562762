"""Files that are no pictures by their content, as functions of an open session. The caller commits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select

from index.stamps import FileStamp
from index.truth.pages import PAGE, chunks
from index.truth.rows import passed_row
from index.truth.schema import Base, PassedRow, insert_rows
from index.values import Passed

_COLUMNS = Base.metadata.tables["passed"].c


def passed(session: Connection) -> dict[str, Passed]:
    """All of them, by path."""
    names = ("path", "kind", "reader", "size", "mtime_ns", "inode", "ctime_ns")
    rows = session.execute(select(*(_COLUMNS[name] for name in names))).yield_per(PAGE)
    return {path: Passed(path, kind, FileStamp(*stamp), reader) for path, kind, reader, *stamp in rows}


def note(session: Connection, found: Sequence[Passed], gone: Sequence[str]) -> None:
    """Remember these, in place of what was known of their paths, and forget those at the paths in `gone`."""
    for some in chunks([*gone, *(one.path for one in found)]):
        session.execute(delete(PassedRow).where(PassedRow.path.in_(some)))
    first = (session.scalar(select(func.max(PassedRow.id))) or 0) + 1
    insert_rows(session, "passed", [passed_row(id_, one) for id_, one in enumerate(found, first)])
