"""Descriptors where PostgreSQL holds the truth: their bytes lie in its table `descriptor`, and a file in the gallery's
local folder is a copy, by which this machine searches.

The copy is brought up to date before it is read. Beside it lies the digest of the row that each of its records was
copied for: what differs from the server's is fetched again, so a copy of whatever age, or of a database that was
restored from a backup, becomes that of today. A slot is never given twice while its file is in use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from sqlalchemy import Connection, select, text

from index.checked import is_believed, look, note
from index.descriptors import RECORD_TYPE, DescriptorFile, checked_descriptors, record_hash, record_hashes
from index.errors import GalleryCorruptError, GalleryStorageError
from index.files import discard_indexes, exact_path
from index.plain import not_following
from index.truth import engine
from index.truth.many import numbers
from index.truth.schema import RecordRow
from index.values import HalfArray, IdArray
from index.whole import replaced

_FETCHED = 1_000  # records at a time
_STATE = text("SELECT generation, stamp, file FROM gallery")
_SUM = text(
    "SELECT count(*), coalesce(sum(digest), 0), coalesce(max(slot), -1) FROM record "
    "WHERE file = :file AND face_id IS NOT NULL AND slot < :end"
)
_BYTES = text("SELECT slot, content FROM descriptor WHERE file = :file AND slot = ANY(:slots)")
_NEXT = text(
    "INSERT INTO given (name, last) VALUES (:name, cast(:committed AS bigint) + :more) "
    "ON CONFLICT (name) DO UPDATE SET last = greatest(given.last, cast(:committed AS bigint)) + :more RETURNING last"
)
_MOVE = text(
    "INSERT INTO descriptor (file, slot, content) SELECT :new, moved.after, content FROM descriptor "
    "JOIN unnest(cast(:before AS bigint[]), cast(:after AS bigint[])) AS moved (before, after) ON slot = before "
    "WHERE file = :old"
)


@dataclass(frozen=True)
class _Copied:
    """What a copy is of: the gallery's generation and stamp then, numbers of a descriptor, slots, and the sum of the
    digests of their rows."""

    generation: int
    stamp: str
    size: int
    slots: int
    sum: int


class ServedDescriptors(DescriptorFile):
    """The records of one file number: appended to the server's table, read from the local copy."""

    def __init__(self, session: Connection, path: Path, number: int, size: int) -> None:
        super().__init__(path, size)
        self._session, self._number = session, number

    def append(self, descriptors: NDArray[Any], committed: int) -> int:
        """Write (n, size) descriptors behind all that ever were in the file, in the session's transaction; the first
        slot."""
        records = checked_descriptors(descriptors, self.size).astype(RECORD_TYPE)
        given = {"name": f"slot {self._number}", "committed": committed, "more": len(records)}
        first = int(self._session.execute(_NEXT, given).scalar_one()) - len(records)
        rows = [(self._number, first + n, record.tobytes()) for n, record in enumerate(records)]
        self._session.get_execution_options()["insert"](self._session, "descriptor", ("file", "slot", "content"), rows)
        return first

    def put(self, slots: IdArray, records: HalfArray) -> None:
        """Write records (n, size) as they are at these slots, in the session's transaction."""
        content = np.ascontiguousarray(records, RECORD_TYPE)
        rows = [(self._number, slot, record.tobytes()) for slot, record in zip(slots.tolist(), content, strict=True)]
        self._session.get_execution_options()["insert"](self._session, "descriptor", ("file", "slot", "content"), rows)

    def moved(self, number: int, before: Sequence[int], after: Sequence[int]) -> None:
        """Put the records of these slots into these ones of the file of another number."""
        engine.moving(self._session)
        given = {"old": self._number, "new": number, "before": list(before), "after": list(after)}
        self._session.execute(_MOVE, given)

    def stored(self, slots: IdArray) -> tuple[list[str], HalfArray]:
        """The records (n, size) of these slots as the server has them, with their hashes; zeros and "" where it has
        none of this size."""
        found = dict(self._fetch(self._session, slots))
        made = np.zeros((len(slots), self.size), RECORD_TYPE)
        for place, slot in enumerate(slots.tolist()):
            if slot in found:
                made[place] = found[slot]
        hashes = record_hashes(made)
        return [one if slot in found else "" for one, slot in zip(hashes, slots.tolist(), strict=True)], made

    def zero(self, slots: list[int]) -> None:
        """Overwrite the local copy's; the server's go with their rows."""
        if self.path.exists():
            super().zero(slots)

    def ready(self) -> None:
        """Bring the copy up to date. Raises GalleryStorageError where it cannot be written."""
        try:
            with FileLock(self.path.with_suffix(".lock")), self._session.engine.connect() as connection:
                self._bring_up_to_date(connection)
        except OSError as error:
            raise GalleryStorageError(
                f"{self.path} cannot be written ({error.strerror or error}): what is copied from the server for "
                "searching lies there; make room, or set FACESEARCH_CACHE to another folder"
            ) from error

    def records(self, committed: int) -> HalfArray:
        self.ready()
        return super().records(committed)

    def whole(self) -> HalfArray:
        self.ready()
        return super().whole()

    def _bring_up_to_date(self, connection: Connection) -> None:
        generation, stamp, current = connection.execute(_STATE).one()
        copied = self._copied() if is_believed(self.path.parent, self.path) else None
        if copied and current == self._number and (copied.generation, copied.stamp) == (generation, stamp):
            return
        known = self._known_digests(copied)
        start = len(known) if copied and self._same(connection, copied) else 0
        slots, digests = _slots(connection, self._number, start)
        end = max(start, int(slots[-1]) + 1 if len(slots) else 0, len(known))
        now = np.zeros(end, np.int64)
        now[:start] = known[:start]
        now[slots] = digests
        known = np.concatenate([known, np.zeros(end - len(known), np.int64)])
        gone, new = np.flatnonzero((known != 0) & (now == 0)), np.flatnonzero((now != 0) & (now != known))
        sound = self._copy(connection, new, gone, end)
        self._digests().write_bytes(now.tobytes())
        about = _Copied(generation, stamp, self.size, end, int(sum(now.tolist())))
        replaced(self._about(), json.dumps(asdict(about)).encode())
        if len(gone):  # what was derived of them goes, too
            discard_indexes(self.path.parent, before=generation, keep=exact_path(self.path.parent, generation, stamp))
        if sound:
            note(self.path.parent, self.path, look(self.path))

    def _same(self, connection: Connection, copied: _Copied) -> bool:
        """Whether all that was copied is there now as it was: nothing went, and nothing is another."""
        there = connection.execute(_SUM, {"file": self._number, "end": copied.slots}).one()
        return int(there[1]) == copied.sum

    def _copy(self, connection: Connection, new: IdArray, gone: IdArray, end: int) -> bool:
        """Write these slots' records, and zeros; whether all are what was stored. The file never becomes shorter, since
        another process may have it mapped into its memory."""
        sound, blank = True, bytes(self.record_bytes)
        fresh = not self.path.exists()
        with open(self.path, "xb" if fresh else "r+b", opener=not_following) as file:
            file.truncate(max(file.seek(0, 2), end * self.record_bytes))
            for slot in gone.tolist():
                file.seek(slot * self.record_bytes)
                file.write(blank)
            for start in range(0, len(new), _FETCHED):
                some = new[start : start + _FETCHED]
                noted, found = self._noted(connection, some), 0
                for slot, record in self._fetch(connection, some):
                    file.seek(slot * self.record_bytes)
                    file.write(record.tobytes())
                    found += noted.get(slot) == record_hash(record)
                sound &= found == len(some)
        return sound

    def _fetch(self, connection: Connection, slots: IdArray) -> list[tuple[int, HalfArray]]:
        rows = connection.execute(_BYTES, {"file": self._number, "slots": slots.tolist()})
        return [
            (slot, np.frombuffer(content, RECORD_TYPE)) for slot, content in rows if len(content) == self.record_bytes
        ]

    def _noted(self, connection: Connection, slots: IdArray) -> dict[int, str]:
        rows = text("SELECT slot, sha256 FROM record WHERE file = :file AND slot = ANY(:slots)")
        found = connection.execute(rows, {"file": self._number, "slots": slots.tolist()})
        return {slot: bytes(sha256).hex() for slot, sha256 in found}

    def _copied(self) -> _Copied | None:
        """What the copy is of; None where there is none, or one of other descriptors."""
        with suppress(OSError, ValueError, TypeError):
            found = _Copied(**json.loads(self._about().read_text(encoding="utf-8")))
            return found if found.size == self.size else None
        return None

    def _known_digests(self, copied: _Copied | None) -> IdArray:
        with suppress(OSError, ValueError):
            found = np.fromfile(self._digests(), np.int64)
            if copied and len(found) == copied.slots:
                return found
        there = self.path.stat().st_size // self.record_bytes if self.path.exists() else 0
        return np.full(there, -1, np.int64)  # whatever they are, they are copied again

    def _about(self) -> Path:
        return self.path.with_suffix(".json")

    def _digests(self) -> Path:
        return self.path.with_suffix(".digests")


def _slots(connection: Connection, file: int, start: int) -> tuple[IdArray, IdArray]:
    """Of a file's records from a slot on those of faces: slots, ascending (n,), and the digests of their rows (n,).
    Raises GalleryCorruptError for a slot that is none."""
    rows = select(RecordRow.slot, RecordRow.digest).where(RecordRow.file == file, RecordRow.face_id.is_not(None))
    table = numbers(connection, rows.where((RecordRow.slot >= start) | (RecordRow.slot < 0)))
    if len(table) and table[0, 0] < 0:
        raise GalleryCorruptError("the database holds a record at a slot below 0: restore it from a backup")
    return table[:, 0].copy(), table[:, 1].copy()
