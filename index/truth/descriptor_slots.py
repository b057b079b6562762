"""Which face's descriptor lies where, as functions of an open session. The caller commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, TextClause, delete, exists, func, select, text, update

from index.checked import is_believed, look, note
from index.config import State
from index.descriptors import DescriptorFile, record_hashes
from index.errors import GalleryCorruptError
from index.files import descriptor_numbers, descriptor_path
from index.truth.database import Database
from index.truth.many import ascending, numbers
from index.truth.pages import PAGE, chunks
from index.truth.rows import record_row, require_known
from index.truth.schema import Base, FaceRow, GalleryRow, RecordRow, RedescriptionRow, insert_rows, require_sealed
from index.truth.state import advance, change, gallery, state
from index.values import HalfArray, IdArray

_MIX = (2_654_435_761, 40_503, 2_147_483_647)
_CURRENT = select(GalleryRow.file).scalar_subquery()
_READABLE = {  # what else there may be is damage to the rows
    "sqlite": text(
        "typeof(record.slot) = 'integer' AND record.slot >= 0 "
        "AND typeof(record.sha256) = 'blob' AND length(record.sha256) = 32"
    ),
    "postgresql": text("record.slot >= 0 AND length(record.sha256) = 32"),
}


def descriptor_file(session: Connection, folder: Path) -> DescriptorFile:
    """The file in the gallery's folder that holds its descriptors."""
    number, size = session.execute(select(GalleryRow.file, GalleryRow.descriptor_size)).one()
    return numbered_file(session, folder, number, size)


def numbered_file(session: Connection, folder: Path, number: int, size: int) -> DescriptorFile:
    """The file of this number, with descriptors of so many numbers: as the session's database keeps them."""
    path, kept_there = descriptor_path(folder, number), session.get_execution_options().get("descriptors")
    return DescriptorFile(path, size) if kept_there is None else kept_there(session, path, number, size)


def records(session: Connection, folder: Path) -> HalfArray:
    """The records of all slots in use, (slots, size) float16, mapped into memory. Raises GalleryCorruptError."""
    return descriptor_file(session, folder).records(slots_in_use(session, gallery(session).file))


def snapshot(session: Connection) -> tuple[State, IdArray, IdArray]:
    """The state, and the ids (n,) and slots (n,) of all faces by ascending id."""
    return state(session), *added_after(session, 0)


def added_after(session: Connection, last: int) -> tuple[IdArray, IdArray]:
    """The ids (n,) and slots (n,) of all faces with an id above `last`, by ascending id."""
    query = select(RecordRow.face_id, RecordRow.slot).where(RecordRow.face_id > last, RecordRow.file == _CURRENT)
    table = numbers(session, query)
    return table[:, 0].copy(), table[:, 1].copy()


def has_rows(session: Connection, ids: IdArray, slots: IdArray, last: int | None = None) -> bool:
    """Whether the faces up to the id `last` (None: the last of these) are these, ids (n,) at slots (n,), by a sum of
    products: read in a moment, and by chance alike once in two thousand million."""
    mixed = (RecordRow.face_id * _MIX[0] + RecordRow.slot * _MIX[1]) % _MIX[2]
    query = select(func.count(), func.sum(mixed)).where(
        RecordRow.face_id <= (int(ids[-1]) if last is None else last), RecordRow.file == _CURRENT
    )
    expected = int(((ids.astype(np.int64) * _MIX[0] + slots * _MIX[1]) % _MIX[2]).sum())
    count, total = session.execute(query).one()
    return (count, total or 0) == (len(ids), expected)


def slots_in_use(session: Connection, file: int) -> int:
    """One more than the last slot of a file that a face has or that is still to be erased."""
    last = session.scalar(select(func.max(RecordRow.slot)).where(RecordRow.file == file))
    return 0 if last is None else last + 1


def slots_of(session: Connection, ids: Sequence[int]) -> IdArray:
    """The slots of these faces, in this order. Raises UnknownImageError."""
    found: dict[int, int] = {}
    for some in chunks(sorted({int(id_) for id_ in ids})):
        query = select(RecordRow.face_id, RecordRow.slot)
        rows = session.execute(query.where(RecordRow.face_id.in_(some), RecordRow.file == _CURRENT))
        found.update((face, slot) for face, slot in rows if face is not None)
    require_known(ids, found)
    return np.array([found[int(id_)] for id_ in ids], dtype=np.int64)


def insert_records(session: Connection, file: int, first: int, ids: Sequence[int], hashes: Sequence[str]) -> None:
    """Say that the descriptors of these faces, with these hashes, lie in the slots from `first` on."""
    rows = [
        record_row(file, slot, id_, sha256)
        for slot, (id_, sha256) in enumerate(zip(ids, hashes, strict=True), start=first)
    ]
    insert_rows(session, "record", rows)


def noted_hashes(session: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The hashes that were noted for the descriptors of these faces."""
    found: dict[int, str] = {}
    for some in chunks(ids):
        query = select(RecordRow.face_id, RecordRow.sha256)
        rows = session.execute(query.where(RecordRow.face_id.in_(some), RecordRow.file == _CURRENT))
        found.update((face, sha256) for face, sha256 in rows if face is not None)
    return found


class Hashed(NamedTuple):
    """The descriptors (n, size) of some faces as they lie on the disk, with the hashes noted for them, and those they
    have: "" and zeros where the file ends before."""

    ids: list[int]
    noted: list[str]
    actual: list[str]
    records: HalfArray


def hashed_records(folder: Path, database: Database) -> Iterator[Hashed]:
    """The descriptors of all faces, by slot, in pages."""
    column, last = Base.metadata.tables["record"].c, -1
    while True:
        with database.reading() as session:
            query = select(column.face_id, column.slot, column.sha256).where(column.face_id.is_not(None))
            query = query.where(column.file == gallery(session).file, column.slot > last, _readable(session))
            page = _plain(session, query.order_by(column.slot).limit(PAGE)).fetchall()
            if not page:
                return
            ids, slots, noted = zip(*page, strict=True)
            numbers = _numbers(slots)
            actual, records = descriptor_file(session, folder).stored(numbers)
        yield Hashed(_numbers(ids).tolist(), [one.hex() for one in noted], actual, records)
        last = int(numbers[-1])


def require_stored(session: Connection, file: DescriptorFile) -> None:
    """Raise GalleryCorruptError where a face's descriptor is not what was stored; it is read once, and believed while
    the file looks the same."""
    folder = file.path.parent
    file.ready()
    if not file.path.exists() or is_believed(folder, file.path):
        return
    stamp, content = look(file.path), file.whole()
    column = Base.metadata.tables["record"].c
    rows = select(column.face_id, column.slot, column.sha256).where(
        column.file == _CURRENT, column.face_id.is_not(None)
    )
    damaged = [
        face
        for page in session.execute(rows).partitions(PAGE)
        for (face, _, noted), actual in zip(page, record_hashes(content, [row.slot for row in page]), strict=True)
        if actual != noted
    ]
    if damaged:
        more = f" (and of {len(damaged) - 1:,} more)" if len(damaged) > 1 else ""
        raise GalleryCorruptError(
            f"{file.path} is damaged: the descriptor of image {damaged[0]}{more} is not what was stored: run "
            "`facesearch gallery repair`, and `facesearch index`, which describes it again"
        )
    if look(file.path) == stamp:
        note(folder, file.path, stamp)


def without_record(session: Connection) -> list[int]:
    """The faces whose descriptors no slot is said to hold, which only damage can bring about."""
    recorded = exists().where(RecordRow.face_id == FaceRow.id, RecordRow.file == gallery(session).file)
    return list(session.scalars(select(FaceRow.id).where(~recorded).order_by(FaceRow.id)))


def erasures(session: Connection) -> dict[int, list[int]]:
    """The slots whose bytes are still to be zeroed, by the number of their file."""
    found: dict[int, list[int]] = {}
    query = select(RecordRow.file, RecordRow.slot).where(RecordRow.face_id.is_(None), _readable(session))
    for number, slot in session.execute(query.order_by(RecordRow.slot)):
        found.setdefault(number, []).append(slot)
    return found


def give_up(session: Connection, ids: Sequence[int]) -> None:
    """Take the descriptors of these faces away: their bytes are erased."""
    for some in chunks(ids):
        gone = RecordRow.face_id.in_(some) & (RecordRow.file == _CURRENT)
        session.execute(update(RecordRow).where(gone).values(face_id=None))


def give_up_lost(session: Connection) -> None:
    """Take records for those of removed faces where their face is not there: their bytes are erased."""
    lost = RecordRow.face_id.is_not(None) & RecordRow.face_id.not_in(select(FaceRow.id))
    session.execute(update(RecordRow).where(lost).values(face_id=None))


def unnamed(session: Connection, file: int, count: int) -> list[int]:
    """Those of the first `count` slots of a file of which no record says anything; of a file that is far too long for
    its records, not all."""
    rows = session.scalar(select(func.count()).select_from(RecordRow)) or 0
    count = min(count, 10 * rows + 1_000)
    named = _plain(session, select(RecordRow.slot).where(RecordRow.file == file, _readable(session)))
    slots, free = _numbers(slot for (slot,) in named), np.ones(count, np.bool_)
    free[slots[slots < count]] = False
    found: list[int] = np.flatnonzero(free).tolist()
    return found


def leftovers(session: Connection, folder: Path) -> dict[int, list[int]]:
    """The slots that hold bytes of no face, although there is nothing to be erased any more, by the number of their
    file; also of the file of a redescription under way, which is to become the gallery's."""
    found = {}
    for number, file in files_in_use(session, folder).items():
        content = file.whole()
        free = unnamed(session, number, min(slots_in_use(session, number), len(content)))
        if slots := [slot for slot in free if content[slot].any()]:
            found[number] = slots
    return found


def erase_leftovers(session: Connection, folder: Path) -> None:
    """Note such slots as ones that are to be erased."""
    for number, slots in leftovers(session, folder).items():
        insert_rows(session, "record", [record_row(number, slot, None, "00" * 32) for slot in slots])


def erased(session: Connection, file: int, slots: Sequence[int]) -> None:
    """Note that the bytes of these slots are zero."""
    for some in chunks(slots):
        session.execute(
            delete(RecordRow).where(RecordRow.file == file, RecordRow.slot.in_(some), RecordRow.face_id.is_(None))
        )


def files_in_use(session: Connection, folder: Path) -> dict[int, DescriptorFile]:
    """The descriptor files that the gallery and a redescription under way need, by number."""
    found = {}
    for table in (GalleryRow, RedescriptionRow):
        for number, size in session.execute(select(table.file, table.descriptor_size)):
            found[number] = numbered_file(session, folder, number, size)
    return found


def next_file(session: Connection, folder: Path) -> int:
    """A number that no descriptor file has."""
    return max([*files_in_use(session, folder), *descriptor_numbers(folder)]) + 1


def use_file(session: Connection, folder: Path, number: int) -> None:
    """Say that the descriptors lie in the file of this number, one behind the other, in the order of their slots.
    Raises GalleryCorruptError for a record that is not what was written."""
    row, before = gallery(session), descriptor_file(session, folder)
    table = Base.metadata.tables["record"]
    live = select(table).where(table.c.file == row.file, table.c.face_id.is_not(None)).order_by(table.c.slot)
    last, new = -1, 0
    while page := session.execute(live.where(table.c.slot > last).limit(PAGE)).mappings().all():
        for one in page:
            require_sealed("record", one)
        before.moved(number, [one["slot"] for one in page], range(new, new + len(page)))
        insert_records(session, number, new, [one["face_id"] for one in page], [one["sha256"] for one in page])
        last, new = page[-1]["slot"], new + len(page)
    session.execute(delete(RecordRow).where(RecordRow.file == row.file))
    change(session, file=number)
    advance(session, removed=True)  # what was read before means other slots


def ordered_slots(session: Connection) -> IdArray:
    """The slots of all faces, ascending (n,)."""
    query = select(RecordRow.slot).where(RecordRow.file == _CURRENT, RecordRow.face_id.is_not(None))
    return ascending(session, query)


def _readable(session: Connection) -> TextClause:
    return _READABLE[session.dialect.name]


def _plain(session: Connection, query: Select[Any]) -> Any:
    """The engine's own cursor over the rows, as it keeps them: half the time."""
    return session.execute(query).cursor


def _numbers(values: Iterable[Any]) -> IdArray:
    """Raises GalleryCorruptError for what is no number."""
    try:
        return np.fromiter(values, dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise GalleryCorruptError(
            f"the database holds other than numbers in its records ({error}): `facesearch gallery verify` says where"
        ) from error
