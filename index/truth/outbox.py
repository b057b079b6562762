"""What an engine is told of faces, and what the truth answers in its place, on PostgreSQL. Functions of an open
session; the caller commits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import ARRAY, BigInteger, Connection, any_, func, literal, select, text

from index.descriptors import RECORD_TYPE
from index.truth.conditions import that_pass
from index.truth.engine import COLUMNS, Entry
from index.truth.many import ascending
from index.truth.pages import PAGE
from index.truth.schema import FaceRow, GalleryRow, RecordRow
from index.truth.state import attribute
from index.values import HalfArray, IdArray
from index.where import Condition

_TOGETHER = 20_000  # descriptors in one value, which PostgreSQL keeps below 1 GB
_NEXT = text("SELECT face_id, change FROM outbox ORDER BY change LIMIT :most")
_PENDING = text("SELECT face_id FROM outbox ORDER BY face_id")
_HOW_MANY = text("SELECT count(*) FROM face WHERE id = ANY(:ids)")
_OF_SIZE = "FILTER (WHERE octet_length(content) = :bytes)"  # not for the planner, which would take it for rare
_PACKED = (
    f"string_agg(int8send(face_id), ''::bytea) {_OF_SIZE}, string_agg(content, ''::bytea) {_OF_SIZE}, max(face_id)"
)
_CURRENT = "record.file = (SELECT file FROM gallery)"
_JOINED = f"record JOIN descriptor ON descriptor.file = record.file AND descriptor.slot = record.slot WHERE {_CURRENT}"
_STAMP = "face.digest # CAST(CAST('x' || encode(substring(record.sha256 FROM 1 FOR 8), 'hex') AS bit(64)) AS bigint)"
_NAMES = ", ".join(f"face.{one}" for one in COLUMNS.values())
_STATES = text(
    f"SELECT face.id, {_STAMP} AS stamp, content, {_NAMES} "
    "FROM face JOIN record ON record.face_id = face.id JOIN descriptor ON descriptor.file = record.file "
    f"AND descriptor.slot = record.slot WHERE {_CURRENT} AND face.id = ANY(:ids) ORDER BY face.id"
)
_STAMPS = text(
    f"SELECT face.id, {_STAMP} FROM face JOIN record ON record.face_id = face.id "
    f"WHERE {_CURRENT} AND face.id > :after AND face.id NOT IN (SELECT face_id FROM outbox) ORDER BY face.id "
    "LIMIT :most"
)
_RECORDS = f"SELECT face_id, content FROM {_JOINED}"
_SOME = text(f"SELECT {_PACKED} FROM ({_RECORDS} AND record.face_id = ANY(:ids)) AS one")
_AFTER = text(
    f"SELECT {_PACKED} FROM ({_RECORDS} AND record.face_id > :after ORDER BY record.face_id LIMIT :most) AS one"
)
_DESCRIBED = select(RecordRow.face_id).where(
    RecordRow.file == select(GalleryRow.file).scalar_subquery(), RecordRow.face_id.is_not(None)
)


def next_notes(session: Connection, most: int) -> tuple[list[int], int]:
    """The faces of the first notes, and the number of the last of these."""
    rows = session.execute(_NEXT, {"most": most}).all()
    return [face for face, _ in rows], max((change for _, change in rows), default=0)


def pending(session: Connection) -> IdArray:
    """The ids of all faces that an engine does not know as they are, ascending, those that have gone among them."""
    return _ids(session.scalars(_PENDING))


def described(session: Connection) -> IdArray:
    """The ids of all faces with a descriptor, ascending."""
    return ascending(session, _DESCRIBED)


def count_described(session: Connection) -> int:
    """How many faces have a descriptor."""
    return session.scalar(select(func.count()).select_from(_DESCRIBED.subquery())) or 0


def states(session: Connection, ids: list[int], size: int) -> list[Entry]:
    """Those of these faces that there are, with a whole descriptor of so many numbers."""
    found = []
    for id_, stamp, content, *columns in session.execute(_STATES, {"ids": ids}):
        if len(content) == size * RECORD_TYPE.itemsize:
            named = dict(zip(COLUMNS, columns, strict=True))
            found.append(Entry(id_, stamp, named, np.frombuffer(content, RECORD_TYPE)))
    return found


def stamps(session: Connection) -> Iterator[dict[int, int]]:
    """The stamps of all faces that an engine should have as they are, by id, in pages."""
    last = 0
    while page := session.execute(_STAMPS, {"after": last, "most": PAGE}).all():
        last = page[-1][0]
        yield {id_: stamp for id_, stamp in page}


def descriptors(session: Connection, ids: IdArray, size: int) -> tuple[IdArray, HalfArray]:
    """Those of these faces (n,) that have a descriptor of so many numbers, ascending (m,), with it (m, size)."""
    parts = [
        _content(session.execute(_SOME, {"ids": some.tolist(), "bytes": size * RECORD_TYPE.itemsize}), size)
        for some in np.split(ids, range(_TOGETHER, len(ids), _TOGETHER))
    ]
    found, content = np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts])
    order = np.argsort(found)
    return found[order], content[order]


def all_descriptors(session: Connection, size: int, most: int) -> Iterator[tuple[IdArray, HalfArray]]:
    """Those of all faces, in pages of at most so many."""
    last: int | None = 0
    while True:
        given = {"after": last, "most": most, "bytes": size * RECORD_TYPE.itemsize}
        ids, found, last = _content(session.execute(_AFTER, given), size)
        if last is None:
            return
        yield ids, found


def decided(session: Connection) -> list[int]:
    """The values of the attribute that were decided, the commonest first."""
    return list(session.scalars(text("SELECT decided FROM face GROUP BY decided ORDER BY count(*) DESC, decided")))


def few_passing(session: Connection, where: Condition, most: int) -> IdArray | None:
    """The ids of the faces that pass, ascending; None where they are more than so many."""
    passing = that_pass(select(FaceRow.id), where, attribute(session)).limit(most + 1)
    ids = ascending(session, passing)
    return ids if len(ids) <= most else None


def passing_among(session: Connection, where: Condition, ids: IdArray) -> IdArray:
    """Those of these faces that pass, ascending."""
    if len(ids) == 0:
        return ids
    those = select(FaceRow.id).where(FaceRow.id == any_(literal(ids.tolist(), ARRAY(BigInteger))))
    return ascending(session, that_pass(those, where, attribute(session)))


def are_there(session: Connection, ids: list[int]) -> bool:
    """Whether the gallery still holds all of these faces."""
    there: int = session.scalar(_HOW_MANY, {"ids": ids}) or 0
    return there == len(ids)


def _ids(values: Any) -> IdArray:
    return np.fromiter(values, np.int64)


def _content(found: Any, size: int) -> tuple[IdArray, HalfArray, int | None]:
    """Ids and descriptors of this size, each packed into one value: a row for each would take longer than to compare
    them; and the last id of all."""
    ids, content, last = found.one()
    records = np.frombuffer(content or b"", RECORD_TYPE).reshape(-1, size)
    return np.frombuffer(ids or b"", ">i8").astype(np.int64), records, last
