"""Photos and faces, as functions of an open session. The caller commits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, select

from index.errors import DuplicatePathError, UnknownImageError
from index.labels import Labels, text_key
from index.truth.conditions import expression, that_pass
from index.truth.ids import last_id
from index.truth.many import ascending
from index.truth.pages import PAGE, chunks
from index.truth.photos import delete_without_faces, photo_ids, waiting_photos
from index.truth.rows import (
    FACES,
    READ,
    SIZE,
    STAMP,
    Row,
    face_of,
    face_row,
    label_columns,
    path_columns,
    photo_row,
    require_known,
    rewrite,
    select_faces,
    stamp_columns,
)
from index.truth.schema import Base, FaceRow, PhotoRow, insert_rows
from index.truth.state import attribute
from index.values import Face, IdArray
from index.where import Condition

_ANY = select(FACES.id).limit(1)
_PRESENT = select_faces().where(FACES.id.in_(bindparam("ids", expanding=True))).order_by(FACES.id)
_PHOTO, _FACE = Base.metadata.tables["photo"], Base.metadata.tables["face"]


def count(session: Connection) -> int:
    """How many faces there are."""
    return session.scalar(select(func.count()).select_from(FaceRow)) or 0


def has_faces(session: Connection) -> bool:
    """Whether there is any."""
    return session.execute(_ANY).first() is not None


def count_photos(session: Connection) -> int:
    """How many photos have a face."""
    return session.scalar(select(func.count(FaceRow.photo_id.distinct()))) or 0


def count_faceless(session: Connection) -> int:
    """How many photos could be read, and show no face."""
    return session.scalar(select(func.count()).select_from(PhotoRow).where(PhotoRow.faceless == 1)) or 0


def count_identities(session: Connection) -> int:
    """How many different identities there are."""
    return session.scalar(select(func.count(FaceRow.identity_key.distinct()))) or 0


def insert_faces(session: Connection, faces: Sequence[Face], keep_ids: bool = False) -> list[int]:
    """Insert faces with their photos; their ids in the same order: the next ones, or those that they have (then a photo
    may be there already)."""
    if not faces:
        return []
    photo, face = last_id(session, "photo") + 1, last_id(session, "face") + 1
    given = [one.id for one in faces] if keep_ids else list(range(face, face + len(faces)))
    now = int(time.time())
    of_several = _photographs(session, [one.path for one in faces if one.place]) if keep_ids else {}
    photos, rows = list[Row](), list[Row]()
    for id_, one in zip(given, faces, strict=True):
        its = of_several.get(one.path) if one.place else None
        if its is None:  # where a path stands there already, this is refused: no crop has several faces
            its = photo + len(photos)
            photos.append(photo_row(its, one.photo, now))
        if one.place:
            of_several[one.path] = its
        rows.append(face_row(id_, its, one))
    insert_rows(session, "photo", photos)
    insert_rows(session, "face", rows)
    return given


def insert_beside(session: Connection, faces: Sequence[Face]) -> list[int]:
    """Insert faces of photos that are there; their ids in the same order. Raises UnknownImageError for another photo,
    DuplicatePathError for a number that a face of it has."""
    photos, first = photo_ids(session, [one.path for one in faces]), last_id(session, "face") + 1
    missing = [one.path for one in faces if one.path not in photos]
    if missing:
        raise UnknownImageError(f"{missing[0]!r} is no photo of the gallery: add it with its faces")
    for one in present(session, [id_ for ids in all_ids_by_path(session, list(photos)).values() for id_ in ids]):
        if any((one.path, one.number) == (new.path, new.number) for new in faces):
            raise DuplicatePathError(f"{one.name!r} is in the gallery already, as image {one.id}: remove it first")
    ids = list(range(first, first + len(faces)))
    insert_rows(session, "face", [face_row(id_, photos[one.path], one) for id_, one in zip(ids, faces, strict=True)])
    return ids


def _photographs(session: Connection, paths: Sequence[str]) -> dict[str, int]:
    """The ids of those of these photos that are no crops, by path."""
    ids = photo_ids(session, paths)
    found = dict[str, int]()
    for some in chunks(list(ids)):
        query = select(PhotoRow.path).where(PhotoRow.path.in_(some), PhotoRow.width > 0)
        found |= {path: ids[path] for path in session.scalars(query)}
    return found


def remove(session: Connection, ids: Sequence[int]) -> int:
    """Delete these faces, and photos that show no other; how many there were. Their records stay, without a face, to be
    erased. A photo that cannot be read keeps its row, and the reason."""
    removed = 0
    for some in chunks([int(id_) for id_ in ids]):
        photos = list(session.scalars(select(FaceRow.photo_id).where(FaceRow.id.in_(some))))
        session.execute(delete(FaceRow).where(FaceRow.id.in_(some)))  # and, by cascade, what is staged
        delete_without_faces(session, photos)
        faceless = PhotoRow.id.not_in(select(FaceRow.photo_id).where(FaceRow.photo_id.in_(photos)))
        left = session.scalars(select(PhotoRow.id).where(PhotoRow.id.in_(photos), faceless))  # could not be read
        rewrite(session, _PHOTO, {id_: {"sha256": None, "width": 0, "height": 0, "turn": 0} for id_ in left})
        removed += len(photos)
    return removed


def update_labels(session: Connection, labels: Mapping[int, Labels]) -> int:
    """Replace all labels of these faces; how many. Raises UnknownImageError."""
    done = rewrite(session, _FACE, {id_: label_columns(given) for id_, given in labels.items()})
    require_known(list(labels), done)
    return len(done)


def move(session: Connection, faces: Sequence[Face]) -> None:
    """Give faces' photos these paths and stamps, and faces these labels. Raises UnknownImageError,
    DuplicatePathError."""
    photos = _photos_of(session, [face.id for face in faces])
    require_known([face.id for face in faces], photos)
    holders = photo_ids(session, [face.path for face in faces])
    going = set(photos.values())
    in_the_way = [id_ for id_ in holders.values() if id_ not in going]
    taken = set(session.scalars(select(FaceRow.photo_id).where(FaceRow.photo_id.in_(in_the_way))))
    for path, id_ in holders.items():
        if id_ in taken:
            raise DuplicatePathError(f"{path!r} is another image of the gallery; remove that first")
    session.execute(delete(PhotoRow).where(PhotoRow.id.in_(in_the_way)))  # could not be read, and now others
    if any(holders.get(face.path, photos[face.id]) != photos[face.id] for face in faces):
        # no two photos may have one path, not even for a moment
        rewrite(session, _PHOTO, {id_: path_columns(f"//{id_}") for id_ in going})
    waiting = [id_ for some in chunks(list(going)) for id_ in session.scalars(waiting_photos(some))]
    read = dict.fromkeys(going - set(waiting), READ)
    places = {photos[face.id]: {**path_columns(str(face.path)), **stamp_columns(face.photo.stamp)} for face in faces}
    rewrite(session, _PHOTO, {id_: {**place, **read.get(id_, {})} for id_, place in places.items()})
    rewrite(session, _FACE, {face.id: label_columns(face.labels) for face in faces})


def redecide(session: Connection, rows: Mapping[int, Mapping[str, Any]]) -> None:
    """Give faces another decision and place, and their photos the content, stamp and size that it was made from: for
    each face the columns of a row of the table staged."""
    photos = _photos_of(session, list(rows))
    own = ("decided", "errors", "box", "landmarks", "score")
    rewrite(session, _FACE, {id_: {name: row[name] for name in own} for id_, row in rows.items()})
    files = {
        photos[id_]: {"sha256": row["sha256"] or None, **{name: row[name] for name in (*STAMP, *SIZE)}, **READ}
        for id_, row in rows.items()
    }
    rewrite(session, _PHOTO, files)


def ids_by_path(session: Connection, paths: Sequence[str]) -> dict[str, int]:
    """The ids of the first faces at those of these paths that the gallery holds."""
    return {path: ids[0] for path, ids in all_ids_by_path(session, paths).items()}


def all_ids_by_path(session: Connection, paths: Sequence[str]) -> dict[str, list[int]]:
    """The ids of all faces at those of these paths that the gallery holds, by number."""
    found: dict[str, list[int]] = {}
    for some in chunks(list(paths)):
        query = select(PhotoRow.path, FaceRow.id).join(FaceRow, FaceRow.photo_id == PhotoRow.id)
        there = query.where(PhotoRow.path.in_(some)).order_by(FaceRow.number, FaceRow.id)
        for path, id_ in session.execute(there):
            found.setdefault(path, []).append(id_)
    return found


def siblings(session: Connection, ids: Sequence[int]) -> list[int]:
    """The ids of all faces in the photos of these."""
    found: list[int] = []
    for some in chunks([int(id_) for id_ in ids]):
        photos = select(FaceRow.photo_id).where(FaceRow.id.in_(some))
        found += session.scalars(select(FaceRow.id).where(FaceRow.photo_id.in_(photos)).order_by(FaceRow.id))
    return found


def first_of_photos(session: Connection, after: int) -> list[Face]:
    """The next faces that are the first of their photos, and have an id above `after`."""
    other = _FACE.alias()
    before = exists().where(other.c.photo_id == FACES.photo_id, other.c.number < FACES.number)
    query = select_faces().where(FACES.id > after, (FACES.number == 1) | ~before)
    return [face_of(row) for row in session.execute(query.order_by(FACES.id).limit(PAGE))]


def paths_of_several(session: Connection) -> set[str]:
    """The paths of photos that show several faces."""
    several = select(FaceRow.photo_id).where(FaceRow.number > 1)
    photos = select(FaceRow.photo_id).where(FaceRow.photo_id.in_(several))
    many = photos.group_by(FaceRow.photo_id).having(func.count() > 1)
    return set(session.scalars(select(PhotoRow.path).where(PhotoRow.id.in_(many))))


def paths(session: Connection) -> set[str]:
    """The paths of all photos with a face."""
    return set(session.scalars(select(PhotoRow.path).join(FaceRow, FaceRow.photo_id == PhotoRow.id)))


def contents(session: Connection, among: Collection[str]) -> set[str]:
    """Those of these contents (sha256) that a photo with a face has."""
    query = select(PhotoRow.sha256).join(FaceRow, FaceRow.photo_id == PhotoRow.id)
    found = (session.scalars(query.where(PhotoRow.sha256.in_(some))) for some in chunks(list(among)))
    return {content for some in found for content in some if content}


def require_new(session: Connection, faces: Sequence[Face]) -> list[str]:
    """Raise DuplicatePathError for a face given twice, or a path already in the gallery; the paths of files that are
    known without a face: they could not be read, and now can be."""
    times = Counter((face.path, face.number) for face in faces)
    twice = [one for one, count in times.items() if count > 1]
    if twice:
        path = twice[0][0]
        raise DuplicatePathError(f"{path!r} is given {times[twice[0]]} times; expected each path once, or each face")
    paths = [face.path for face in faces]
    known = list(photo_ids(session, paths))
    present = ids_by_path(session, known)
    if present:
        path, id_ = next(iter(present.items()))
        raise DuplicatePathError(
            f"{path!r} is in the gallery already, as image {id_} ({len(present)} of {len(paths)} "
            "paths are); leave it out, remove the image first, or add with replace=True"
        )
    return known


def ids_of_person(session: Connection, identity: str) -> list[int]:
    """The ids of all faces with this identity, as conditions compare it."""
    return list(session.scalars(select(FaceRow.id).where(FaceRow.identity_key == text_key(identity))))


def page(session: Connection, where: Condition | None, after: int) -> list[Face]:
    """The next faces that pass the condition and have an id above `after`."""
    query = select_faces() if where is None else select_faces().where(expression(where, attribute(session)))
    query = query.where(FACES.id > after).order_by(FACES.id).limit(PAGE)
    return [face_of(row) for row in session.execute(query)]


def get(session: Connection, ids: Sequence[int]) -> list[Face]:
    """The faces with these ids, in this order. Raises UnknownImageError."""
    found = {face.id: face for face in present(session, ids)}
    require_known(ids, found)
    return [found[int(id_)] for id_ in ids]


def present(session: Connection, ids: Sequence[int]) -> list[Face]:
    """Those of these faces that the gallery holds, by ascending id."""
    found: list[Face] = []
    for some in chunks(sorted({int(id_) for id_ in ids})):
        found += map(face_of, session.execute(_PRESENT, {"ids": some}))
    return found


def select_ids(session: Connection, where: Condition | None) -> IdArray:
    """The ids of the faces that pass the condition, ascending."""
    return ascending(session, _that_pass(session, select(FaceRow.id), where))


def first_ids(session: Connection, where: Condition | None) -> IdArray:
    """Of each photo the lowest id of a face that passes the condition, ascending."""
    query = select(func.min(FaceRow.id).label("first"))
    return ascending(session, _that_pass(session, query, where).group_by(FaceRow.photo_id))


def _that_pass(session: Connection, query: Select[Any], where: Condition | None) -> Select[Any]:
    return query if where is None else that_pass(query, where, attribute(session))


def _photos_of(session: Connection, ids: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for some in chunks(list(ids)):
        rows = session.execute(select(FaceRow.id, FaceRow.photo_id).where(FaceRow.id.in_(some)))
        found.update((face, photo) for face, photo in rows)
    return found
