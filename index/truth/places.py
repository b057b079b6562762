"""Paths under another image root, as functions of an open session. The caller commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, delete, select

from index.paths import check_path
from index.truth.pages import chunks
from index.truth.rows import path_columns, rewrite
from index.truth.schema import Base, FaceRow

_PHOTO, _PASSED, _KEPT, _HIDDEN = (Base.metadata.tables[name] for name in ("photo", "passed", "kept", "hidden"))


def put_below(session: Connection, folder: str) -> None:
    """Say of every photo, and of what is remembered of other files and of those that went, that its path is this
    folder's, and then what it was. Raises ImageRowError for a path that becomes too long."""
    for table in (_PHOTO, _PASSED, _KEPT, _HIDDEN):
        paths = _paths(session, table)
        # the longest go first: where one is put another may have been, which is longer
        _rename(session, table.name, {id_: f"{folder}/{path}" for id_, path in paths.items()}, longest_first=True)


def take_out(session: Connection, folder: str) -> None:
    """The reverse. What is not below the folder is forgotten, unless it is a photo with a face: then ValueError; what
    a hand said of pruned images elsewhere, and which faces are hidden there, stays under the path that it had."""
    start = f"{folder}/"
    for table in (_PHOTO, _PASSED, _KEPT, _HIDDEN):
        paths = _paths(session, table)
        outside = [id_ for id_, path in paths.items() if not path.startswith(start)]
        if table in (_PHOTO, _PASSED):
            _forget(session, table.name, outside)
        inside = {id_: paths[id_].removeprefix(start) for id_ in paths.keys() - set(outside)}
        _rename(session, table.name, inside, longest_first=False)


def _paths(session: Connection, table: Table) -> dict[int, str]:
    rows = session.execute(select(table.c.id, table.c.path))
    return {row[0]: row[1] for row in rows}


def _forget(session: Connection, table: str, ids: list[int]) -> None:
    for some in chunks(ids):
        if table == "photo" and session.scalar(select(FaceRow.id).where(FaceRow.photo_id.in_(some)).limit(1)):
            raise ValueError("there are images outside the folder that is to be the image root")
        rows = Base.metadata.tables[table]
        session.execute(delete(rows).where(rows.c.id.in_(some)))


def _path_alone(path: str) -> dict[str, str | None]:
    return {"path": path}


def _rename(session: Connection, table: str, paths: dict[int, str], *, longest_first: bool) -> None:
    """Give rows these paths, a length at a time, so that no two have one path, not even for a moment."""
    columns = path_columns if table == "photo" else _path_alone
    lengths: dict[int, dict[int, dict[str, Any]]] = {}
    for id_, path in paths.items():
        check_path(path)
        lengths.setdefault(len(path), {})[id_] = columns(path)
    for length in sorted(lengths, reverse=longest_first):
        rewrite(session, Base.metadata.tables[table], lengths[length])
