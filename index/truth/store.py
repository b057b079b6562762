"""Every query of a gallery, as functions of an open session. The caller commits."""

import operator
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, insert, not_, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from index.descriptors import DescriptorFile, HalfArray, IdArray
from index.errors import (
    DuplicatePathError,
    GalleryCorruptError,
    GalleryVersionError,
    UnknownImageError,
)
from index.search.projection import State
from index.truth.schema import (
    FIRST_DESCRIPTORS,
    SCHEMA_VERSION,
    Base,
    ErasureRecord,
    GalleryRecord,
    ImageRecord,
    MigrationRecord,
    ProblemRecord,
    StagedRecord,
    utc_now,
)
from index.truth.upgrade import NEWEST
from index.values import Filter, GalleryConfig, Labels, Move, Problem, StoredImage, label_columns
from index.where import FIELDS, Both, Comparison, Condition, Not

PAGE = 1_000
_MIX = (2_654_435_761, 40_503, 2_147_483_647)
VARIABLES = 10_000  # in one statement; SQLite's own limit is 32,766

_T = TypeVar("_T")


def create(session: Session, config: GalleryConfig) -> None:
    """Make the tables and the one row of an empty gallery."""
    Base.metadata.create_all(session.connection())
    session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    session.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": NEWEST})
    session.add(
        GalleryRecord(
            id=1,
            schema_version=SCHEMA_VERSION,
            model_digest=config.model_digest,
            task=config.task,
            attribute_values=list(config.values),
            descriptor_size=config.descriptor_size,
            image_root=config.image_root.as_posix(),
            descriptor_file=FIRST_DESCRIPTORS,
            generation=0,
            stamp=_stamp(),
            removals=0,
        )
    )


def record(session: Session) -> GalleryRecord:
    """The one row of the gallery.

    Raises GalleryVersionError for a schema of another release, GalleryCorruptError for no row.
    """
    found = version(session)
    if found != SCHEMA_VERSION:
        raise GalleryVersionError(
            f"the gallery has schema version {found}; this release reads versions up to "
            f"{SCHEMA_VERSION}; install a release that reads it, or index the images again"
        )
    return session.get_one(GalleryRecord, 1)


def version(session: Session) -> int:
    """The schema version. Raises GalleryCorruptError when there is none."""
    found: int | None = session.scalar(select(GalleryRecord.schema_version))  # alone: it must be readable
    if found is None:
        raise GalleryCorruptError(
            "the database holds tables but no gallery: creating it was interrupted; delete the "
            "gallery folder and index the images again"
        )
    return found


def config(session: Session) -> GalleryConfig:
    """What the gallery was made for. Raises as `record`."""
    gallery = record(session)
    try:
        return GalleryConfig(
            model_digest=gallery.model_digest,
            task=gallery.task,
            values=tuple(gallery.attribute_values),
            descriptor_size=gallery.descriptor_size,
            image_root=Path(gallery.image_root),
        )
    except ValueError as error:
        raise GalleryCorruptError(
            f"the gallery's own row is damaged ({error}); restore gallery.db from a copy, or "
            "delete the gallery folder and index the images again"
        ) from error


def state(session: Session) -> State:
    """How far the gallery has come."""
    columns = (GalleryRecord.generation, GalleryRecord.stamp, GalleryRecord.removals)
    generation, stamp, removals = session.execute(select(*columns)).one()
    digest, size = session.execute(select(GalleryRecord.model_digest, GalleryRecord.descriptor_size)).one()
    return State(generation, stamp, removals, (digest, size))


def descriptor_file(session: Session, folder: Path) -> DescriptorFile:
    """The file in the gallery's folder that the slots of images mean."""
    columns = (GalleryRecord.descriptor_file, GalleryRecord.descriptor_size)
    name, size = session.execute(select(*columns)).one()
    return DescriptorFile(folder / name, size)


def records(session: Session, folder: Path) -> HalfArray:
    """The records of all slots in use, (slots, size) float16, mapped into memory. Raises GalleryCorruptError."""
    return descriptor_file(session, folder).records(slots_in_use(session))


def snapshot(session: Session) -> tuple[State, IdArray, IdArray]:
    """The state, and the ids (n,) and slots (n,) of all images by ascending id."""
    return state(session), *added_after(session, 0)


def added_after(session: Session, last: int) -> tuple[IdArray, IdArray]:
    """The ids (n,) and slots (n,) of all images with an id above `last`, by ascending id."""
    query = select(ImageRecord.id, ImageRecord.slot).where(ImageRecord.id > last).order_by(ImageRecord.id)
    table = np.fromiter(chain.from_iterable(session.execute(query)), dtype=np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def has_rows(session: Session, ids: IdArray, slots: IdArray, last: int | None = None) -> bool:
    """Whether the images up to the id `last` (None: the last of these) are these, ids (n,) at slots (n,), by a sum of
    products: read in a moment, and by chance alike once in two thousand million."""
    mixed = (ImageRecord.id * _MIX[0] + ImageRecord.slot * _MIX[1]) % _MIX[2]
    query = select(func.count(), func.sum(mixed)).where(ImageRecord.id <= (int(ids[-1]) if last is None else last))
    expected = int(((ids.astype(np.int64) * _MIX[0] + slots * _MIX[1]) % _MIX[2]).sum())
    count, total = session.execute(query).one()
    return (count, total or 0) == (len(ids), expected)


def advance(session: Session, *, removed: bool) -> None:
    """Begin the next generation."""
    gallery = record(session)
    gallery.generation += 1
    gallery.stamp = _stamp()
    gallery.removals += int(removed)


def count(session: Session) -> int:
    """How many images there are."""
    return session.scalar(select(func.count()).select_from(ImageRecord)) or 0


def count_identities(session: Session) -> int:
    """How many different identities there are."""
    return session.scalar(select(func.count(ImageRecord.identity.distinct()))) or 0


def slots_in_use(session: Session) -> int:
    """One more than the last slot that an image has or that is still to be erased."""
    name = select(GalleryRecord.descriptor_file).scalar_subquery()
    return behind(session, ImageRecord.slot, ErasureRecord.file == name)


def behind(session: Session, slot: InstrumentedAttribute[int], file: ColumnElement[bool]) -> int:
    """One more than the last of these slots, and of those still to be erased in that file."""
    slots = (session.scalar(select(func.max(slot))), session.scalar(select(func.max(ErasureRecord.slot)).where(file)))
    return max(-1 if last is None else last for last in slots) + 1


def insert_images(session: Session, columns: list[dict[str, Any]], first: int, hashes: Sequence[str]) -> list[int]:
    """Insert images with the slots from `first` on, whose records have these hashes; their ids in the same order."""
    rows = [
        {**column, "slot": slot, "record_sha256": sha256}
        for slot, (column, sha256) in enumerate(zip(columns, hashes, strict=True), start=first)
    ]
    session.execute(insert(ImageRecord), rows)
    ids = select(ImageRecord.id).where(ImageRecord.slot >= first).order_by(ImageRecord.slot)
    return list(session.scalars(ids))


def remove(session: Session, ids: Sequence[int]) -> int:
    """Delete these images and note their slots for erasure; how many there were."""
    removed = 0
    current = session.scalar(select(GalleryRecord.descriptor_file))
    under_way = session.scalar(select(MigrationRecord.descriptor_file))
    for some in _chunks([int(id_) for id_ in ids]):
        slots = list(session.scalars(select(ImageRecord.slot).where(ImageRecord.id.in_(some))))
        staged = list(session.scalars(select(StagedRecord.slot).where(StagedRecord.image_id.in_(some))))
        erase = [{"file": current, "slot": slot} for slot in slots]
        erase += [{"file": under_way, "slot": slot} for slot in staged]
        if erase:
            session.execute(insert(ErasureRecord), erase)
            session.execute(delete(ImageRecord).where(ImageRecord.id.in_(some)))  # and, by cascade, what is staged
        removed += len(slots)
    return removed


def last_id(session: Session) -> int:
    """The last id that was ever given."""
    return session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'image'")) or 0


def reserve_ids(session: Session, last: int) -> None:
    """Never give an id up to `last` to a new image."""
    if last > last_id(session):
        session.execute(text("DELETE FROM sqlite_sequence WHERE name = 'image'"))
        session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('image', :last)"), {"last": last})


def record_hashes(session: Session, ids: Sequence[int]) -> dict[int, str | None]:
    """The hashes that were noted for the records of these images."""
    return {image.id: image.record_sha256 for image in _records(session, ids)}


def hashes(session: Session, after: int) -> list[tuple[int, int, str, str | None]]:
    """The next images' ids, slots, paths and record hashes, by ascending slot above `after`."""
    columns = (ImageRecord.id, ImageRecord.slot, ImageRecord.path, ImageRecord.record_sha256)
    query = select(*columns).where(ImageRecord.slot > after).order_by(ImageRecord.slot).limit(PAGE)
    return [(id_, slot, path, sha256) for id_, slot, path, sha256 in session.execute(query)]


def note_hashes(session: Session, known: Mapping[int, str]) -> None:
    """Note the hashes of these images' records."""
    session.execute(update(ImageRecord), [{"id": id_, "record_sha256": sha256} for id_, sha256 in known.items()])


def problems(session: Session) -> list[Problem]:
    """The files that could not be read, by path."""
    rows = session.scalars(select(ProblemRecord).order_by(ProblemRecord.path))
    return [Problem(row.path, row.size, row.mtime_ns, row.reason, row.found) for row in rows]


def note_problems(session: Session, found: Sequence[Problem]) -> None:
    """Add these files, or replace what was known of them."""
    for problem in found:
        session.merge(
            ProblemRecord(
                path=problem.path, size=problem.size, mtime_ns=problem.mtime_ns, reason=problem.reason, found=utc_now()
            )
        )


def forget_problems(session: Session, paths: Sequence[str]) -> None:
    """Leave these files out from now on."""
    for some in _chunks(paths):
        session.execute(delete(ProblemRecord).where(ProblemRecord.path.in_(some)))


def soundness(session: Session) -> list[str]:
    """What SQLite finds wrong with the data base."""
    found = [str(row[0]) for row in session.execute(text("PRAGMA integrity_check"))]
    return [line for line in found if line != "ok"]


def erasures(session: Session) -> dict[str, list[int]]:
    """The slots whose bytes are still to be zeroed, by the name of their file."""
    found: dict[str, list[int]] = {}
    for name, slot in session.execute(select(ErasureRecord.file, ErasureRecord.slot).order_by(ErasureRecord.slot)):
        found.setdefault(name, []).append(slot)
    return found


def erased(session: Session, name: str, slots: Sequence[int]) -> None:
    """Note that the bytes of these slots are zero."""
    for some in _chunks(slots):
        session.execute(delete(ErasureRecord).where(ErasureRecord.file == name, ErasureRecord.slot.in_(some)))


def files_in_use(session: Session, folder: Path) -> dict[str, DescriptorFile]:
    """The descriptor files that the gallery and a migration under way need, by name."""
    found = {}
    for table in (GalleryRecord, MigrationRecord):
        for name, size in session.execute(select(table.descriptor_file, table.descriptor_size)):
            found[name] = DescriptorFile(folder / name, size)
    return found


def ordered_slots(session: Session) -> IdArray:
    """The slots of all images, ascending (n,)."""
    return np.fromiter(session.scalars(select(ImageRecord.slot).order_by(ImageRecord.slot)), dtype=np.int64)


def renumber(session: Session, name: str, slots: IdArray) -> None:
    """Say that the descriptors lie in the file of this name, those of the slots (n,) one behind the other."""
    gallery = record(session)
    session.execute(delete(ErasureRecord).where(ErasureRecord.file == gallery.descriptor_file))
    gallery.descriptor_file = name
    moved = [{"old": int(old), "new": -1 - new} for new, old in enumerate(slots) if new != old]
    if moved:
        # below zero first: no two images may have one slot, not even for a moment
        table = Base.metadata.tables["image"]
        change = update(table).where(table.c.slot == bindparam("old")).values(slot=bindparam("new"))
        session.connection().execute(change, moved)
        session.execute(update(ImageRecord).where(ImageRecord.slot < 0).values(slot=-1 - ImageRecord.slot))
    advance(session, removed=True)  # what was read before means other slots


def update_labels(session: Session, labels: Mapping[str, Labels]) -> int:
    """Replace all labels of the images at these paths. Raises UnknownImageError."""
    ids = ids_by_path(session, list(labels))
    missing = [path for path in labels if path not in ids]
    if missing:
        raise UnknownImageError(
            f"the gallery holds no image {missing[0]!r} ({len(missing)} of {len(labels)} paths "
            "are unknown); paths are relative to the image root: check them, or add the images"
        )
    rows = [{"id": ids[path], **label_columns(given)} for path, given in labels.items()]
    if rows:
        session.execute(update(ImageRecord), rows)
    return len(rows)


def move(session: Session, moves: Sequence[Move]) -> None:
    """Give images these paths, sizes, times and labels. Raises UnknownImageError, DuplicatePathError."""
    ids = [move.id for move in moves]
    _require_known(ids, {image.id: image for image in _records(session, ids)})
    holders = ids_by_path(session, [move.path for move in moves])
    going = set(ids)
    taken = [move.path for move in moves if holders.get(move.path, move.id) not in going]
    if taken:
        raise DuplicatePathError(f"{taken[0]!r} is another image of the gallery; remove that first")
    rows = [
        {"id": m.id, "path": m.path, "size": m.size, "mtime_ns": m.mtime_ns, **label_columns(m.labels)} for m in moves
    ]
    if any(holders.get(move.path, move.id) != move.id for move in moves):
        # no two images may have one path, not even for a moment
        session.execute(update(ImageRecord), [{"id": id_, "path": f"//{id_}"} for id_ in ids])
    session.execute(update(ImageRecord), rows)


def ids_by_path(session: Session, paths: Sequence[str]) -> dict[str, int]:
    """The ids of those paths that the gallery holds."""
    found: dict[str, int] = {}
    for some in _chunks(paths):
        query = select(ImageRecord.path, ImageRecord.id).where(ImageRecord.path.in_(some))
        found.update((path, id_) for path, id_ in session.execute(query))
    return found


def require_new(session: Session, paths: Sequence[str]) -> None:
    """Raise DuplicatePathError for a path given twice or already in the gallery."""
    twice = [path for path, times in Counter(paths).items() if times > 1]
    if twice:
        raise DuplicatePathError(f"{twice[0]!r} is given {paths.count(twice[0])} times; expected each path once")
    present = ids_by_path(session, paths)
    if present:
        path, id_ = next(iter(present.items()))
        raise DuplicatePathError(
            f"{path!r} is in the gallery already, as image {id_} ({len(present)} of {len(paths)} "
            "paths are); leave it out, remove the image first, or add with replace=True"
        )


def page(session: Session, where: Filter, after: int) -> list[StoredImage]:
    """The next images that pass the filter and have an id above `after`."""
    query = select(ImageRecord).where(ImageRecord.id > after, *_conditions(session, where))
    return [stored(image) for image in session.scalars(query.order_by(ImageRecord.id).limit(PAGE))]


def get(session: Session, ids: Sequence[int]) -> list[StoredImage]:
    """The images with these ids, in this order. Raises UnknownImageError."""
    images = {image.id: stored(image) for image in _records(session, ids)}
    return [images[id_] for id_ in _require_known(ids, images)]


def present(session: Session, ids: Sequence[int]) -> list[StoredImage]:
    """Those of these images that the gallery holds."""
    return [stored(image) for image in _records(session, ids)]


def slots(session: Session, ids: Sequence[int]) -> IdArray:
    """The slots of these images, in this order. Raises UnknownImageError."""
    found = {image.id: image.slot for image in _records(session, ids)}
    return np.array([found[id_] for id_ in _require_known(ids, found)], dtype=np.int64)


def paths(session: Session) -> set[str]:
    """The paths of all images."""
    return set(session.scalars(select(ImageRecord.path)))


def select_ids(session: Session, where: Filter) -> IdArray:
    """The ids of the images that pass the filter, ascending."""
    query = select(ImageRecord.id).where(*_conditions(session, where)).order_by(ImageRecord.id)
    return np.fromiter(session.scalars(query), dtype=np.int64)


def _records(session: Session, ids: Sequence[int]) -> Iterator[ImageRecord]:
    for some in _chunks(sorted({int(id_) for id_ in ids})):
        yield from session.scalars(select(ImageRecord).where(ImageRecord.id.in_(some)))


def _require_known(ids: Sequence[int], found: Mapping[int, object]) -> Sequence[int]:
    missing = [int(id_) for id_ in ids if id_ not in found]
    if missing:
        raise UnknownImageError(
            f"the gallery holds no image {missing[0]} ({len(missing)} of {len(ids)} ids are "
            "unknown); expected ids that it gave and has not removed: list its images"
        )
    return ids


def _conditions(session: Session, where: Filter) -> list[ColumnElement[bool]]:
    equal = [getattr(ImageRecord, name) == value for name, value in where.conditions().items()]
    return equal if where.where is None else [*equal, _expression(where.where, _columns(session))]


def _columns(session: Session) -> dict[str, ColumnElement[Any]]:
    """What each field of a condition means. The gallery's own attribute is its label or, without one, what the network
    decided."""
    columns: dict[str, ColumnElement[Any]] = {name: getattr(ImageRecord, name).expression for name in FIELDS}
    gallery = record(session)
    if gallery.task in columns:
        decided = case(dict(enumerate(gallery.attribute_values)), value=ImageRecord.candidate)
        columns[gallery.task] = func.coalesce(columns[gallery.task], decided)
    return columns


def _expression(condition: Condition, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    if isinstance(condition, Not):
        return not_(_expression(condition.condition, columns))
    if isinstance(condition, Both):
        parts = [_expression(part, columns) for part in condition.conditions]
        return and_(*parts) if condition.word == "and" else or_(*parts)
    return _compared(condition, columns[condition.field])


def _compared(given: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    if given.operator == "null":
        missing: ColumnElement[bool] = getattr(ImageRecord, given.field).is_(None)  # the label itself
        return missing
    value = given.values[0]
    if given.operator == "=":
        return column.is_not_distinct_from(value)
    if given.operator == "!=":
        return column.is_distinct_from(value)
    if given.operator == "in":
        compared = column.in_(given.values)
    elif given.operator == "like":
        compared = column.like(str(value))
    else:
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[given.operator]
        compared = compare(column, value)
    return func.coalesce(compared, False)  # without a label it is neither


def stored(image: ImageRecord) -> StoredImage:
    """A row as a value."""
    return StoredImage(
        id=image.id,
        path=image.path,
        candidate=image.candidate,
        errors=tuple(image.errors),
        identity=image.identity,
        pose=image.pose,
        illumination=image.illumination,
        expression=image.expression,
        sha256=image.sha256,
        size=image.size,
        mtime_ns=image.mtime_ns,
    )


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), VARIABLES):
        yield items[start : start + VARIABLES]


def _stamp() -> str:
    return secrets.token_hex(4)
