"""Files that could not be read, or show no face, as functions of an open session. The caller commits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from index.stamps import FileStamp
from index.truth.ids import last_id
from index.truth.pages import chunks
from index.truth.photos import delete_without_faces, photo_ids, waiting_photos
from index.truth.rows import READ, photo_row, problem_columns, rewrite
from index.truth.schema import Base, FaceRow, PhotoRow, insert_rows
from index.values import Photo, Problem

WAITING = "its description was damaged: the next run over its folder describes it again"
_PHOTO = Base.metadata.tables["photo"]


def every(session: Connection) -> list[Problem]:
    """The files that could not be read, or show no face, by path."""
    query = select(PhotoRow.path, PhotoRow.unread, PhotoRow.reason, PhotoRow.reader, PhotoRow.found, PhotoRow.faceless)
    rows = session.execute(query.where(PhotoRow.reason.is_not(None)).order_by(PhotoRow.path))
    return [
        Problem(path, FileStamp(*unread or ()), reason or "", reader or "", _iso(found or 0), bool(faceless))
        for path, unread, reason, reader, found, faceless in rows
    ]


def note(session: Connection, found: Sequence[Problem]) -> None:
    """Add these files, or replace what was known of their state. A face that one has stays as it was described."""
    there = photo_ids(session, [problem.path for problem in found])
    now, first = int(time.time()), last_id(session, "photo") + 1
    columns = {problem.path: problem_columns(problem, now) for problem in found}
    rewrite(session, _PHOTO, {there[path]: said for path, said in columns.items() if path in there})
    new = [(Photo(path), said) for path, said in columns.items() if path not in there]
    insert_rows(session, "photo", [photo_row(first + n, photo, now, said) for n, (photo, said) in enumerate(new)])


def forget(session: Connection, paths: Sequence[str]) -> None:
    """Take these files for readable from now on, unless their faces wait to be described."""
    ids = list(photo_ids(session, paths).values())
    for some in chunks(ids):
        query = select(PhotoRow.id).where(PhotoRow.id.in_(some), PhotoRow.reason.is_not(None))
        unread = list(session.scalars(query.where(PhotoRow.id.not_in(waiting_photos(some)))))
        rewrite(session, _PHOTO, dict.fromkeys(unread, READ))
        delete_without_faces(session, unread)


def wait(session: Connection, ids: Sequence[int]) -> None:
    """Say of these faces, which have no descriptor, that they wait to be described again."""
    now = int(time.time())
    for some in chunks(ids):
        photos = select(PhotoRow.id, PhotoRow.path).join(FaceRow, FaceRow.photo_id == PhotoRow.id)
        rows = session.execute(photos.where(FaceRow.id.in_(some), PhotoRow.reason.is_(None))).all()
        said = {id_: problem_columns(Problem(path, FileStamp(), WAITING), now) for id_, path in rows}
        rewrite(session, _PHOTO, said)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
