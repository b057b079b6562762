"""Photos, whatever faces they show, as functions of an open session. The caller commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select

from index.truth.pages import chunks
from index.truth.schema import FaceRow, GalleryRow, PhotoRow, RecordRow


def photo_ids(session: Connection, paths: Sequence[str]) -> dict[str, int]:
    """The photos at those of these paths that the gallery knows."""
    found: dict[str, int] = {}
    for some in chunks(list(paths)):
        query = select(PhotoRow.path, PhotoRow.id).where(PhotoRow.path.in_(some))
        found.update((path, id_) for path, id_ in session.execute(query))
    return found


def delete_without_faces(session: Connection, ids: Sequence[int]) -> None:
    """Delete those of these photos that show no face and can be read."""
    without = PhotoRow.id.not_in(select(FaceRow.photo_id).where(FaceRow.photo_id.in_(ids)))
    session.execute(delete(PhotoRow).where(PhotoRow.id.in_(ids), PhotoRow.reason.is_(None), without))


def waiting_photos(ids: Sequence[int]) -> Select[Any]:
    """Of these photos those with a face that has no descriptor."""
    number = select(GalleryRow.file).scalar_subquery()
    recorded = exists().where(RecordRow.face_id == FaceRow.id, RecordRow.file == number)
    return select(FaceRow.photo_id).where(FaceRow.photo_id.in_(ids), ~recorded)
