"""A redescription: what another model makes of the faces, until it takes over. Functions of an open session; the caller
commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, exists, func, select, update

from index.checks import check_decision, check_photo, check_place
from index.config import GalleryConfig
from index.descriptors import record_hash, record_hashes
from index.errors import GalleryError
from index.truth.descriptor_slots import insert_records, next_file, numbered_file, slots_in_use
from index.truth.pages import PAGE, chunks
from index.truth.rows import face_of, redecided, require_known, select_faces
from index.truth.schema import (
    FaceRow,
    GalleryRow,
    RecordRow,
    RedescriptionRow,
    StagedRow,
    insert_rows,
    is_sealed,
    require_sealed,
    stored,
    utc_now,
)
from index.truth.state import advance, change, gallery
from index.truth.store import redecide
from index.values import Face, FloatArray

_ROW = select(RedescriptionRow.__table__)


@dataclass(frozen=True)
class Redescription:
    """A redescription under way: model_digest, attribute, values, descriptor_size and encoder of what follows; staged:
    how many faces are described by it."""

    model_digest: str
    attribute: str
    values: tuple[int, ...]
    descriptor_size: int
    encoder: str | None
    staged: int


def under_way(session: Connection) -> Redescription | None:
    """The redescription that was begun and is not finished."""
    found = _row(session)
    if found is None:
        return None
    staged = session.scalar(select(func.count()).select_from(StagedRow)) or 0
    return Redescription(
        found.model_digest, found.attribute, tuple(found.attribute_values), found.descriptor_size, found.encoder, staged
    )


def begin(session: Connection, folder: Path, config: GalleryConfig) -> None:
    """Begin a redescription by what `config` says of the model, or go on with it. Raises GalleryError where one by
    another model is under way."""
    found = under_way(session)
    wanted = (config.model_digest, config.attribute, config.values, config.descriptor_size)
    if found is not None:
        if (found.model_digest, found.attribute, found.values, found.descriptor_size) == wanted:
            return
        raise GalleryError(
            f"a redescription by model {found.model_digest[:12]} ({found.descriptor_size} numbers) is under way, with "
            f"{found.staged:,} images described: go on with that model, or forget it with `facesearch gallery "
            "redescribe --give-up`"
        )
    row = {
        "id": 1,
        "model_digest": config.model_digest,
        "attribute": config.attribute,
        "attribute_values": list(config.values),
        "descriptor_size": config.descriptor_size,
        "encoder": config.encoder,
        "file": next_file(session, folder),
        "begun": utc_now(),
    }
    insert_rows(session, "redescription", [stored("redescription", row)])


def give_up(session: Connection) -> None:
    """Forget a redescription; the caller deletes its file."""
    session.execute(delete(StagedRow))
    session.execute(delete(RecordRow).where(RecordRow.file != select(GalleryRow.file).scalar_subquery()))
    session.execute(delete(RedescriptionRow))


def waiting(session: Connection, after: int) -> list[Face]:
    """The next faces with an id above `after` that are not described by the new model yet."""
    query = select_faces().where(FaceRow.id > after, FaceRow.id.not_in(select(StagedRow.face_id)))
    return [face_of(row) for row in session.execute(query.order_by(FaceRow.id).limit(PAGE))]


def stage(session: Connection, folder: Path, faces: Sequence[Face], descriptors: FloatArray) -> None:
    """Keep descriptors (n, size) of the new model. Raises UnknownImageError, ImageRowError and as `DescriptorFile`."""
    row = _required(session)
    for one in faces:
        check_photo(one.photo)
        check_place(one)
        check_decision(str(one.id), one.decision, row.attribute_values)
    ids = [one.id for one in faces]
    require_known(ids, dict.fromkeys(session.scalars(select(FaceRow.id).where(FaceRow.id.in_(ids)))))
    there = session.scalars(select(StagedRow.face_id).where(StagedRow.face_id.in_(ids))).first()
    if there is not None or len(set(ids)) < len(ids):
        raise GalleryError(f"image {there or ids[0]} is described by the new model already: describe each image once")
    file = numbered_file(session, folder, row.file, row.descriptor_size)
    first = file.append(descriptors, slots_in_use(session, row.file))
    insert_rows(session, "staged", [stored("staged", said) for said in redecided(faces).values()])
    insert_records(session, row.file, first, ids, record_hashes(descriptors))


def damage(session: Connection, folder: Path) -> list[str]:
    """A sentence where descriptions of a redescription under way are not what was stored."""
    found = _damaged(session, folder)
    if not found:
        return []
    return [
        f"{len(found):,} descriptions of the redescription under way are not what was stored: run `facesearch gallery "
        "repair`, and they are made anew"
    ]


def drop_damaged(session: Connection, folder: Path) -> int:
    """Forget descriptions whose records are not what was stored, so that they are made again; how many."""
    found = _damaged(session, folder)
    number = session.scalar(select(RedescriptionRow.file))
    for some in chunks(found):
        session.execute(delete(StagedRow).where(StagedRow.face_id.in_(some)))
        gone = (RecordRow.file == number) & RecordRow.face_id.in_(some)
        session.execute(update(RecordRow).where(gone).values(face_id=None))  # their bytes are erased
    return len(found)


def _damaged(session: Connection, folder: Path) -> list[int]:
    """The faces whose new descriptor, or whose row of any of it, is not what was stored."""
    row = _row(session)
    if row is None:
        return []
    content = numbered_file(session, folder, row.file, row.descriptor_size).whole()
    record, staged = RecordRow.__table__, StagedRow.__table__
    records = session.execute(select(record).where(record.c.file == row.file).order_by(record.c.slot))
    wrong = {
        one["face_id"]
        for one in records.yield_per(PAGE).mappings()
        if one["face_id"] is not None
        and (
            one["slot"] >= len(content)
            or record_hash(content[one["slot"]]) != one["sha256"]
            or not is_sealed("record", one)
        )
    }
    rows = session.execute(select(staged)).yield_per(PAGE).mappings()
    wrong |= {one["face_id"] for one in rows if not is_sealed("staged", one)}
    recorded = exists().where(RecordRow.face_id == StagedRow.face_id, RecordRow.file == row.file)
    return sorted(wrong | set(session.scalars(select(StagedRow.face_id).where(~recorded))))


def take_over(session: Connection) -> None:
    """Make what the new model says that what the gallery holds. Every face must have been staged."""
    new = _required(session)
    left = waiting(session, 0)
    if left:
        raise GalleryError(f"{left[0].path!r} is not described by the new model yet: describe it, or remove it first")
    last = 0
    table = StagedRow.__table__
    next_page = select(table).order_by(StagedRow.face_id).limit(PAGE)
    while rows := session.execute(next_page.where(StagedRow.face_id > last)).mappings().all():
        for one in rows:
            require_sealed("staged", one)
        redecide(session, {row["face_id"]: dict(row) for row in rows})
        last = rows[-1]["face_id"]
    session.execute(delete(RecordRow).where(RecordRow.file == gallery(session).file))
    taken = ("model_digest", "attribute", "attribute_values", "descriptor_size", "encoder", "file")
    change(session, **{name: getattr(new, name) for name in taken})
    advance(session, removed=True)
    session.execute(delete(StagedRow))
    session.execute(delete(RedescriptionRow))


def _required(session: Connection) -> RedescriptionRow:
    found = session.execute(_ROW).mappings().one_or_none()
    if found is None:
        raise GalleryError("no redescription is under way: begin one first")
    require_sealed("redescription", found)  # what it says becomes the gallery's own
    return RedescriptionRow(**found)


def _row(session: Connection) -> RedescriptionRow | None:
    found = session.execute(_ROW).mappings().one_or_none()
    return None if found is None else RedescriptionRow(**found)
