"""Labels that a hand gave images that were pruned, kept by content until that is there again. Functions of an open
session; the caller commits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.engine import RowMapping

from index.labels import HAND, LABELS, Labels, text_key
from index.truth.pages import PAGE, chunks
from index.truth.rows import box_of, kept_row
from index.truth.schema import Base, FaceRow, KeptRow, PhotoRow, insert_rows, is_sealed
from index.values import Face, Kept

_KEPT = Base.metadata.tables["kept"]


def count(session: Connection) -> int:
    """How many faces' labels are kept."""
    return session.scalar(select(func.count()).select_from(KeptRow)) or 0


def keep(session: Connection, faces: Sequence[Face]) -> None:
    """Keep what a hand said of faces that are about to go, in place of what was kept of the same content there."""
    said = [face for face in faces if face.photo.sha256 and HAND in face.labels.origins]
    for content, path in {(face.photo.sha256, face.path) for face in said}:
        session.execute(delete(KeptRow).where(KeptRow.sha256 == content, KeptRow.path == path))
    kept = (Kept(one.path, one.photo.sha256, _by_hand(one), number=one.number, box=one.box) for one in said)
    insert(session, list(kept))


def insert(session: Connection, kept: Sequence[Kept]) -> None:
    """Keep these labels."""
    first = (session.scalar(select(func.max(KeptRow.id))) or 0) + 1
    now = int(time.time())
    insert_rows(session, "kept", [kept_row(id_, one, now) for id_, one in enumerate(kept, first)])


def of_contents(session: Connection, contents: Sequence[str]) -> list[Kept]:
    """What is kept of these contents, oldest first; a row that is not what was written says nothing."""
    found = []
    for some in chunks(sorted(set(contents))):
        rows = session.execute(select(_KEPT).where(_KEPT.c.sha256.in_(some)).order_by(_KEPT.c.id)).mappings()
        found += [_value(row) for row in rows if is_sealed("kept", row)]
    return found


def all_kept(session: Connection) -> Iterator[Kept]:
    """Everything that is kept, oldest first."""
    for row in session.execute(select(_KEPT).order_by(_KEPT.c.id)).yield_per(PAGE).mappings():
        yield _value(row)


def forget(session: Connection, ids: Sequence[int]) -> None:
    """Forget these, as when their images are there again."""
    for some in chunks(list(ids)):
        session.execute(delete(KeptRow).where(KeptRow.id.in_(some)))


def forget_of_faces(session: Connection, ids: Sequence[int]) -> None:
    """Forget what is kept of the contents of these faces' photos."""
    for some in chunks([int(id_) for id_ in ids]):
        contents = select(PhotoRow.sha256).join(FaceRow, FaceRow.photo_id == PhotoRow.id).where(FaceRow.id.in_(some))
        session.execute(delete(KeptRow).where(KeptRow.sha256.in_(contents)))


def contents_of_person(session: Connection, identity: str) -> set[str]:
    """The contents (sha256) of which something is kept with this identity, as conditions compare it."""
    return {content for _, content in _of_person(session, identity)}


def forget_person(session: Connection, identity: str) -> int:
    """Forget what is kept of faces with this identity; of how many."""
    ids = [id_ for id_, _ in _of_person(session, identity)]
    forget(session, ids)
    return len(ids)


def _of_person(session: Connection, identity: str) -> list[tuple[int, str]]:
    """Ids and contents."""
    rows = session.execute(select(KeptRow.id, KeptRow.identity, KeptRow.sha256).where(KeptRow.identity.is_not(None)))
    return [(id_, content) for id_, said, content in rows if text_key(str(said)) == text_key(identity)]


def forget_all(session: Connection) -> int:
    """Forget everything that is kept; of how many images."""
    found = count(session)
    session.execute(delete(KeptRow))
    return found


def _by_hand(face: Face) -> Labels:
    return Labels.given(HAND, **{n: getattr(face.labels, n) for n in LABELS if face.labels.origin(n) == HAND})


def _value(row: RowMapping) -> Kept:
    labels = Labels.given(HAND, **{name: row[name] for name in LABELS})
    box = None if row["box"] is None else box_of(row["box"])
    return Kept(row["path"], row["sha256"], labels, row["id"], row["number"], box)
