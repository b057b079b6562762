"""Faces that were removed and stay away, also when their photos are described again. Functions of an open session; the
caller commits."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.engine import RowMapping

from index.truth.pages import PAGE, chunks
from index.truth.rows import box_of, hidden_row
from index.truth.schema import Base, HiddenRow, insert_rows, is_sealed
from index.values import Face, Hidden, share_of

_HIDDEN = Base.metadata.tables["hidden"]


def count(session: Connection) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).select_from(HiddenRow)) or 0


def hide(session: Connection, faces: Sequence[Face]) -> list[Hidden]:
    """Remember faces that are about to be removed: no more of them than tells them from the others of their photos.
    One whose content nobody knows cannot be told."""
    now = int(time.time())
    made = [
        Hidden(one.path, one.photo.sha256, one.number, share_of(one.box, (one.photo.width, one.photo.height)), now)
        for one in faces
        if one.photo.sha256
    ]
    insert(session, made)
    return made


def insert(session: Connection, hidden: Sequence[Hidden]) -> None:
    """Remember these, in place of what was remembered of the same faces."""
    wanted = {(one.sha256, one.path, one.number): one for one in hidden}
    for some in chunks(sorted({content for content, *_ in wanted})):
        columns = (_HIDDEN.c.id, _HIDDEN.c.sha256, _HIDDEN.c.path, _HIDDEN.c.number)
        rows = session.execute(select(*columns).where(_HIDDEN.c.sha256.in_(some)))
        forget(session, [id_ for id_, *key in rows if tuple(key) in wanted])
    first = (session.scalar(select(func.max(HiddenRow.id))) or 0) + 1
    insert_rows(session, "hidden", [hidden_row(id_, one) for id_, one in enumerate(wanted.values(), first)])


def move(session: Connection, paths: Mapping[tuple[str, str], str]) -> None:
    """Let these follow their photos: by content (sha256) and former path, the path now."""
    there = of_files(session, {content for content, _ in paths}, ())
    moved = [one for one in there if (one.sha256, one.path) in paths]
    forget(session, [one.id for one in moved])
    insert(session, [replace(one, path=paths[one.sha256, one.path]) for one in moved])


def of_files(session: Connection, contents: Collection[str], paths: Collection[str]) -> list[Hidden]:
    """Those of photos with one of these contents (sha256), or at one of these paths, oldest first; a row that is not
    what was written says nothing."""
    found: dict[int, Hidden] = {}
    for column, values in ((_HIDDEN.c.sha256, contents), (_HIDDEN.c.path, paths)):
        for some in chunks(sorted(values)):
            rows = session.execute(select(_HIDDEN).where(column.in_(some))).mappings()
            found |= {row["id"]: _value(row) for row in rows if is_sealed("hidden", row)}
    return [found[id_] for id_ in sorted(found)]


def every(session: Connection) -> Iterator[Hidden]:
    """All of them, oldest first."""
    for row in session.execute(select(_HIDDEN).order_by(_HIDDEN.c.id)).yield_per(PAGE).mappings():
        yield _value(row)


def forget(session: Connection, ids: Collection[int]) -> None:
    """Let these come back with their photos."""
    for some in chunks(sorted(ids)):
        session.execute(delete(HiddenRow).where(HiddenRow.id.in_(some)))


def _value(row: RowMapping) -> Hidden:
    share = None if row["share"] is None else box_of(row["share"])
    return Hidden(row["path"], row["sha256"], row["number"], share, row["since"], row["id"])
