"""A migration's queries, as functions of an open session: what another model makes of the images, until it takes over.

The caller commits.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from index.descriptors import DescriptorFile, FloatArray, record_hash
from index.errors import GalleryError, UnknownImageError
from index.truth import store
from index.truth.schema import ErasureRecord, ImageRecord, MigrationRecord, StagedRecord
from index.values import GalleryConfig, StoredImage, checked_description

_DESCRIBED = ("sha256", "size", "mtime_ns", "candidate", "errors", "slot", "record_sha256")


@dataclass(frozen=True)
class Redescribed:
    """What another model makes of an image. candidate and errors: as of an ImageRow; sha256, size and mtime_ns: of the
    file as it is now."""

    id: int
    candidate: int
    errors: tuple[float | None, ...]
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Migration:
    """A migration under way: model_digest, task, values and descriptor_size of what follows; staged: how many images
    are described by it."""

    model_digest: str
    task: str
    values: tuple[int, ...]
    descriptor_size: int
    staged: int


def new_name() -> str:
    """Of a descriptor file that there is none of."""
    return f"descriptors-{secrets.token_hex(4)}.f16"


def under_way(session: Session) -> Migration | None:
    """The migration that was begun and is not finished."""
    found = session.get(MigrationRecord, 1)
    if found is None:
        return None
    staged = session.scalar(select(func.count()).select_from(StagedRecord)) or 0
    return Migration(
        found.model_digest, found.task, tuple(found.attribute_values), found.descriptor_size, staged
    )  # fmt: skip


def begin(session: Session, config: GalleryConfig) -> None:
    """Begin a migration to what `config` says of the model, or go on with it. Raises GalleryError where one to another
    model is under way."""
    found = under_way(session)
    wanted = (config.model_digest, config.task, config.values, config.descriptor_size)
    if found is not None:
        if (found.model_digest, found.task, found.values, found.descriptor_size) == wanted:
            return
        raise GalleryError(
            f"a migration to model {found.model_digest[:12]} ({found.descriptor_size} numbers) is under way, with "
            f"{found.staged:,} images described: go on with that model, or forget it with `facesearch gallery migrate "
            "--give-up`"
        )
    session.add(
        MigrationRecord(
            id=1,
            model_digest=config.model_digest,
            task=config.task,
            attribute_values=list(config.values),
            descriptor_size=config.descriptor_size,
            descriptor_file=new_name(),
        )
    )


def give_up(session: Session) -> None:
    """Forget a migration; the caller deletes its file."""
    name = session.scalar(select(MigrationRecord.descriptor_file))
    session.execute(delete(StagedRecord))
    session.execute(delete(ErasureRecord).where(ErasureRecord.file == name))
    session.execute(delete(MigrationRecord))
    session.flush()
    session.expire_all()


def waiting(session: Session, after: int) -> list[StoredImage]:
    """The next images with an id above `after` that are not described by the new model yet."""
    query = select(ImageRecord).where(ImageRecord.id > after, ImageRecord.id.not_in(select(StagedRecord.image_id)))
    return [store.stored(image) for image in session.scalars(query.order_by(ImageRecord.id).limit(store.PAGE))]


def stage(session: Session, folder: Path, images: Sequence[Redescribed], descriptors: FloatArray) -> None:
    """Keep descriptors (n, size) of the new model. Raises UnknownImageError, ImageRowError and as `DescriptorFile`."""
    migration = _required(session)
    rows = [
        {**checked_description(str(one.id), one, len(migration.attribute_values)), "image_id": one.id}
        for one in images
    ]  # fmt: skip
    ids = [one.id for one in images]
    known = set(session.scalars(select(ImageRecord.id).where(ImageRecord.id.in_(ids))))
    if missing := [id_ for id_ in ids if id_ not in known]:
        raise UnknownImageError(f"the gallery holds no image {missing[0]}: expected ids that it has not removed")
    used = store.behind(session, StagedRecord.slot, ErasureRecord.file == migration.descriptor_file)
    first = DescriptorFile(folder / migration.descriptor_file, migration.descriptor_size).append(descriptors, used)
    for slot, (row, record) in enumerate(zip(rows, descriptors, strict=True), start=first):
        row |= {"slot": slot, "record_sha256": record_hash(record)}
    session.execute(insert(StagedRecord), rows)


def damage(session: Session, folder: Path) -> list[str]:
    """A sentence where descriptions of a migration under way are not what was stored."""
    found = _damaged(session, folder)
    if not found:
        return []
    return [
        f"{len(found):,} descriptions of the migration under way are not what was stored: run `facesearch gallery "
        "repair`, and they are made anew"
    ]


def drop_damaged(session: Session, folder: Path) -> int:
    """Forget descriptions whose records are not what was stored, so that they are made again; how many."""
    found = _damaged(session, folder)
    for start in range(0, len(found), store.PAGE):
        session.execute(delete(StagedRecord).where(StagedRecord.image_id.in_(found[start : start + store.PAGE])))
    return len(found)


def _damaged(session: Session, folder: Path) -> list[int]:
    migration = session.get(MigrationRecord, 1)
    if migration is None:
        return []
    records = DescriptorFile(folder / migration.descriptor_file, migration.descriptor_size).whole()
    columns = (StagedRecord.image_id, StagedRecord.slot, StagedRecord.record_sha256)
    return [
        id_
        for id_, slot, noted in session.execute(select(*columns).order_by(StagedRecord.slot)).yield_per(store.PAGE)
        if slot >= len(records) or record_hash(records[slot]) != noted
    ]


def take_over(session: Session) -> None:
    """Make what the new model says that what the gallery holds. Every image must have been staged."""
    migration = _required(session)
    left = waiting(session, 0)
    if left:
        raise GalleryError(f"{left[0].path!r} is not described by the new model yet: describe it, or remove it first")
    session.execute(update(ImageRecord).values(slot=-1 - ImageRecord.slot))  # no two images may have one slot
    of_it = StagedRecord.image_id == ImageRecord.id
    new = {name: select(getattr(StagedRecord, name)).where(of_it).scalar_subquery() for name in _DESCRIBED}
    session.execute(update(ImageRecord).values(new), execution_options={"synchronize_session": False})
    gallery = store.record(session)
    session.execute(delete(ErasureRecord).where(ErasureRecord.file == gallery.descriptor_file))
    for name in ("model_digest", "task", "attribute_values", "descriptor_size", "descriptor_file"):
        setattr(gallery, name, getattr(migration, name))
    store.advance(session, removed=True)
    session.flush()
    session.execute(delete(StagedRecord))
    session.execute(delete(MigrationRecord))


def _required(session: Session) -> MigrationRecord:
    found = session.get(MigrationRecord, 1)
    if found is None:
        raise GalleryError("no migration is under way: begin one first")
    return found
