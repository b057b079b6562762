"""What is known of files, by their paths: what tells whether they changed, without all that is said of their faces.
Functions of an open session, which read some thousand paths at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, exists, select

from index.labels import FOLDER, LABELS
from index.stamps import FileStamp
from index.truth.pages import PAGE, chunks
from index.truth.rows import FACES, PHOTOS, STAMP, face_of, origin_of, select_faces
from index.truth.schema import FaceRow, PhotoRow
from index.values import Face, KnownFile, Problem

_HAS_FACE = exists().where(FACES.photo_id == PHOTOS.id)
_KNOWN = select(
    *(PHOTOS.path, PHOTOS.id, _HAS_FACE, *(PHOTOS[name] for name in STAMP)),
    *(PHOTOS.reason, PHOTOS.reader, PHOTOS.unread, PHOTOS.faceless),
)


def files(session: Connection, paths: Sequence[str]) -> dict[str, KnownFile]:
    """Those of these files that the gallery knows, by path."""
    found = {}
    for some in chunks(paths):
        for path, id_, described, *stamp, reason, reader, unread, faceless in session.execute(
            _KNOWN.where(PHOTOS.path.in_(some))
        ):
            known = Problem(path, FileStamp(*unread or ()), reason or "", reader or "", faceless=bool(faceless))
            problem = None if reason is None else known
            found[path] = KnownFile(id_, bool(described), FileStamp(*stamp), problem)
    return found


def faces_at(session: Connection, paths: Sequence[str]) -> list[Face]:
    """The faces in the photos at these paths, by number."""
    found: list[Face] = []
    for some in chunks(paths):
        there = select_faces().where(PHOTOS.path.in_(some)).order_by(FACES.number, FACES.id)
        found += map(face_of, session.execute(there))
    return found


def faces_of(session: Connection, contents: Sequence[str]) -> list[Face]:
    """The faces in the photos of these contents (sha256)."""
    found: list[Face] = []
    for some in chunks(contents):
        found += map(face_of, session.execute(select_faces().where(PHOTOS.sha256.in_(some)).order_by(FACES.id)))
    return found


def photos(session: Connection, after: int) -> list[tuple[int, str]]:
    """The next photos with a face, by ascending id above `after`: ids and paths."""
    query = select(PHOTOS.id, PHOTOS.path).where(PHOTOS.id > after, _HAS_FACE).order_by(PHOTOS.id).limit(PAGE)
    return [(row[0], row[1]) for row in session.execute(query)]


def named_by_folder(session: Connection) -> Iterator[str]:
    """The paths of the photos whose faces' identity is a folder's name."""
    place = LABELS.index("identity")
    query = select(PhotoRow.path, FaceRow.origins).join(FaceRow, FaceRow.photo_id == PhotoRow.id).order_by(FaceRow.id)
    for path, letters in session.execute(query).yield_per(PAGE):
        if origin_of(letters[place : place + 1]) == FOLDER:
            yield path
