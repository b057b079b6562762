"""What PostgreSQL keeps for the engine that searches a gallery's descriptors: which one it is, what was built there,
and the outbox, by which it learns of every change. A folder is searched by this process, and has none of it.

Triggers fill the outbox in the transaction of the change itself, whoever makes it: no change can be committed without
its note, and none noted that was not. A note is the face's id alone, with a number that grows: whoever passes the
change on reads what the truth says of that face now, so that doing it twice, or late, ends at the same. The caller
commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, text

from index.engines import FAISS
from index.errors import GalleryCorruptError

if TYPE_CHECKING:  # who keeps rows needs no values
    from index.values import FloatArray, HalfArray

COLUMNS: Mapping[str, str] = {
    "identity": "identity_key",
    "pose": "pose",
    "illumination": "illumination",
    "expression": "expression_key",
    "decided": "decided",
    "face": "number",
}
"""By the name that conditions have for it, a column of the table face that engines keep; the id besides."""
_WORD = text("SELECT vectors FROM engine")
_CREATE = text("INSERT INTO engine (id, vectors, changes) VALUES (1, :vectors, 0)")
_ABOUT = text(
    "SELECT token, model_digest, kind, effort, length, over, recall, milliseconds, faces, reduction FROM engine "
    "WHERE reduction IS NOT NULL"
)
_WRITE = text(
    "UPDATE engine SET token = :token, model_digest = :model_digest, kind = :kind, effort = :effort, length = :length, "
    "over = :over, recall = :recall, milliseconds = :milliseconds, faces = :faces, reduction = :reduction"
)
_FORGET = text("UPDATE engine SET recall = NULL, reduction = NULL")
_SEEN = text("SELECT token, recall, milliseconds, changes, gallery.model_digest, descriptor_size FROM engine, gallery")
_ALL = text(
    "INSERT INTO outbox (face_id, change) SELECT face_id, nextval('outbox_change') FROM record "
    "WHERE file = (SELECT file FROM gallery) AND face_id IS NOT NULL "
    "ON CONFLICT (face_id) DO UPDATE SET change = excluded.change"
)
# of the records of a redescription under way nothing is noted, nor when records only move to other slots
_NOTE = """CREATE FUNCTION note_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    current bigint := (SELECT file FROM gallery);
    faces bigint[];
BEGIN
    IF coalesce(current_setting('facesearch.moving', true), '') = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'face' THEN
        faces := ARRAY(SELECT after.id FROM after JOIN before USING (id) WHERE after.digest <> before.digest);
    ELSIF TG_OP = 'INSERT' THEN
        faces := ARRAY(SELECT face_id FROM after WHERE file = current);
    ELSIF TG_OP = 'DELETE' THEN
        faces := ARRAY(SELECT face_id FROM before WHERE file = current);
    ELSE
        faces := ARRAY(SELECT face_id FROM after WHERE file = current
                       UNION SELECT face_id FROM before WHERE file = current);
    END IF;
    INSERT INTO outbox (face_id, change)
        SELECT id, nextval('outbox_change') FROM (SELECT DISTINCT unnest(faces) AS id) AS one WHERE id IS NOT NULL
        ON CONFLICT (face_id) DO UPDATE SET change = excluded.change;
    IF FOUND THEN
        UPDATE engine SET changes = changes + 1;
    END IF;
    RETURN NULL;
END $$"""
_WATCHED = (
    ("record", "INSERT", "NEW TABLE AS after"),
    ("record", "DELETE", "OLD TABLE AS before"),
    ("record", "UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
    ("face", "UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
)
_MOVING = text("SELECT set_config('facesearch.moving', 'on', true)")


@dataclass(frozen=True)
class Entry:
    """A face as an engine is to have it. stamp: another where anything of it is; columns: by the names of COLUMNS what
    conditions compare, None for no label; vector: its descriptor, whole as the truth has it, or reduced as the engine
    keeps it."""

    id: int
    stamp: int
    columns: Mapping[str, int | str | None]
    vector: FloatArray | HalfArray


@dataclass(frozen=True)
class EngineAbout:
    """What was built in an engine, and measured. token: which its rows carry; model_digest: of the descriptors; kind:
    of index; effort: how far a graph is walked; length: how many are compared in full, for ten results; over: whether
    conditions are asked for by more results instead of by the engine; recall: share of the ten nearest that are found,
    the least of all cases that were measured, 0 before that; milliseconds: of one search, the median; faces: how many
    there were then; reduction (size, dimensions)."""

    token: str
    model_digest: str
    kind: str
    effort: int
    length: int
    over: bool
    recall: float
    milliseconds: float
    faces: int
    reduction: FloatArray


@dataclass(frozen=True)
class Seen:
    """How far an engine's truth has come. built: tells one EngineAbout from another; changes: one more with each
    statement that changes what the engine is to hold; model: the gallery's, and its descriptors' size."""

    built: tuple[Any, ...]
    changes: int
    model: tuple[str, int]


def create(session: Connection, vectors: str) -> None:
    """Note what searches a new gallery; of an engine, watch the tables that it is to follow."""
    if vectors == FAISS:
        return
    session.execute(_CREATE, {"vectors": vectors})
    session.execute(text("CREATE SEQUENCE outbox_change"))
    session.exec_driver_sql(_NOTE)
    for table, event, given in _WATCHED:
        session.execute(
            text(
                f"CREATE TRIGGER note_{event.lower()} AFTER {event} ON {table} REFERENCING {given} "
                "FOR EACH STATEMENT EXECUTE FUNCTION note_changes()"
            )
        )


def vectors(session: Connection) -> str:
    """What searches the gallery, as `index.vectors` reads it."""
    if session.dialect.name != "postgresql":
        return FAISS
    word: str | None = session.scalar(_WORD)
    return word or FAISS


def about(session: Connection) -> EngineAbout | None:
    """What was built there; None: nothing yet. Raises GalleryCorruptError."""
    row = session.execute(_ABOUT).mappings().one_or_none()
    if row is None:
        return None
    size = session.scalar(text("SELECT descriptor_size FROM gallery"))
    try:
        reduction = np.frombuffer(row["reduction"], "<f4").reshape(size, -1)
    except (ValueError, TypeError) as error:
        raise GalleryCorruptError(
            f"how the engine's descriptors were reduced is damaged ({error}): `facesearch gallery repair` builds "
            "them anew"
        ) from error
    return EngineAbout(**{**row, "over": bool(row["over"]), "reduction": reduction})


def token(session: Connection) -> str | None:
    """Which the rows carry that are this gallery's, whether or not they are to be used."""
    found: str | None = session.scalar(text("SELECT token FROM engine"))
    return found


def write(session: Connection, built: EngineAbout) -> None:
    """Note what is built there now."""
    reduction = np.ascontiguousarray(built.reduction, "<f4").tobytes()
    session.execute(_WRITE, {**vars(built), "over": int(built.over), "reduction": reduction})


def forget(session: Connection) -> None:
    """What is there is not to be used any more."""
    session.execute(_FORGET)


def seen(session: Connection) -> Seen:
    """How far it has come."""
    token, recall, milliseconds, changes, *model = session.execute(_SEEN).one()
    return Seen((token, recall, milliseconds), changes, (model[0], model[1]))


def note_all(session: Connection) -> None:
    """Let the engine learn of every face again."""
    session.execute(_ALL)


def moving(session: Connection) -> None:
    """Records go to other slots in this transaction, which is nothing to an engine."""
    session.execute(_MOVING)


def lag(session: Connection) -> int:
    """How many faces an engine does not know as they are."""
    if session.dialect.name != "postgresql":
        return 0
    return session.scalar(text("SELECT count(*) FROM outbox")) or 0


def waits(session: Connection, least: int) -> bool:
    """Whether an engine does not know so many faces as they are; no more of them are counted."""
    found = session.scalar(text("SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT :least) AS one"), {"least": least})
    return (found or 0) >= least


def forget_notes(session: Connection, faces: Sequence[int], upto: int) -> None:
    """The engine has these faces as they were when their notes up to that number were read."""
    session.execute(
        text("DELETE FROM outbox WHERE face_id = ANY(:faces) AND change <= :upto"), {"faces": list(faces), "upto": upto}
    )
