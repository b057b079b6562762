"""Copy a gallery from one kind of place to another: folders and servers, in any direction.

Rows go as their engine keeps them, with their digests, and descriptors to the bit. What is copied is one state of the
first, by one reading transaction; rows go by ascending key, in steps that are durable, so that a run that was cut off
is taken up behind the last of them. The second becomes a gallery when all of it has been read again and compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import Connection

from index.care.row_checks import row_damage
from index.descriptors import RECORD_TYPE
from index.engines import FAISS
from index.errors import GalleryBusyError, GalleryCorruptError, GalleryStorageError
from index.progress import Progress
from index.search.plan import SETTINGS, read_requirements, write_requirements
from index.truth import engine
from index.truth.database import Database
from index.truth.descriptor_slots import numbered_file
from index.truth.ids import last_id, set_last_ids
from index.truth.schema import insert_rows
from index.truth.state import gallery
from index.truth.whole_tables import (
    COPIED,
    GALLERY,
    DamagedRowError,
    Key,
    Row,
    Sums,
    all_sums,
    descriptor_sizes,
    last_key,
    page,
    pages,
    sums,
)
from index.values import HalfArray, IdArray

if TYPE_CHECKING:
    from index.care.copy_target import Target

STEP = 2_000  # rows that are durable at once
_STEP_BYTES = 16_000_000  # of descriptors
_NUMBERED = ("photo", "face")


@dataclass(frozen=True)
class Copied:
    """faces: of the copy; rows: that were copied now, of all tables; before: that an earlier run had copied; anew:
    whether that was of another state, so that all was copied again; changed: whether somebody has written to the first
    meanwhile, so that the copy is as it was when it began."""

    faces: int
    rows: int
    before: int = 0
    anew: bool = False
    changed: bool = False


@dataclass(frozen=True)
class State:
    """What is copied: the sums of every table, the gallery's own row, numbers of a descriptor by file, and the last ids
    that were given."""

    sums: Mapping[str, Sums]
    row: Row
    sizes: Mapping[int, int]
    last_ids: Mapping[str, int]

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.sums.values())

    def records_at_once(self, most: int) -> int:
        """How many descriptors are held at once."""
        return max(1, min(most, _STEP_BYTES // (RECORD_TYPE.itemsize * max(self.sizes.values()))))


def copy(
    folder: Path,
    database: Database,
    target: Target,
    progress: Progress | None = None,
    step: int = STEP,
    vectors: str = FAISS,
) -> Copied:
    """Make a gallery of the one in `folder` and `database` at another place, where there is none or what an earlier run
    has made of it (`index.care.copy_target.begun`); the first is only read. step: rows that are durable at once;
    vectors: what is to search the copy's descriptors, where nothing is built yet.

    Raises GalleryCorruptError for a row or a descriptor that is not what was written, GalleryBusyError where somebody
    has taken descriptors away while they were read, GalleryStorageError: what was copied is kept, and the next run goes
    on there; GalleryExistsError where a gallery came into being there meanwhile.
    """
    tell: Progress = progress or _silent
    try:
        with database.reading() as source:
            state = _state(source)
            run = _Run(source, folder, database, target, state, step, tell)
            before, anew = run.known()
            run.fill(before, vectors)
        require_copied(target.folder, target.database, state, tell)
    except GalleryStorageError as error:
        raise GalleryStorageError(
            f"{error}; {target.name} is not whole yet: run the same copy again, which goes on where this one ended"
        ) from error
    except _UnsoundCopyError:
        target.clear()
        raise
    _copy_requirements(folder, target.folder)
    target.finish()
    return Copied(state.sums["face"].rows, state.rows - before, before, anew, _sums_of(database) != state.sums)


def compare(
    folder: Path, database: Database, other_folder: Path, other: Database, progress: Progress | None = None
) -> Copied | None:
    """What a copy would say where the second is one of the first already, every descriptor compared; None where it is
    another gallery. Raises GalleryCorruptError."""
    with database.reading() as session:
        state = _state(session)
    if _sums_of(other) != state.sums:
        return None
    require_copied(other_folder, other, state, progress or _silent)
    return Copied(state.sums["face"].rows, 0, state.rows)


def require_copied(folder: Path, database: Database, state: State, tell: Progress) -> None:
    """Read all that was copied again. Raises GalleryCorruptError where it is not what was sent."""
    damage = next(row_damage(database), None)
    found = _sums_of(database)
    other = [f"there are other rows of {name}" for name, expected in state.sums.items() if found[name] != expected]
    done = 0
    with database.reading() as session:
        for rows in pages(session, "record", None, state.records_at_once(STEP)) if not (damage or other) else ():
            for part in _described(session, folder, state.sizes, rows):
                other += [f"the descriptor of face {face} is another" for face in part.unsound]
            done += len(rows)
            tell("comparing", done, state.sums["record"].rows)
    if damage or other:
        raise _UnsoundCopyError(
            f"{database.name} does not hold what was copied to it ({damage or other[0]}): look at the disk there, and "
            "copy again"
        )


class _UnsoundCopyError(GalleryCorruptError):
    """A copy is not what was sent."""


class _Part(NamedTuple):
    """Descriptors of one file: slots (n,), content (n, size), and the faces of those that are not what was stored."""

    file: int
    slots: IdArray
    content: HalfArray
    unsound: list[int]


@dataclass(frozen=True)
class _Run:
    """One run of a copy. source: the state that is copied, as one reading transaction sees it."""

    source: Connection
    folder: Path
    database: Database
    target: Target
    state: State
    step: int
    tell: Progress

    def known(self) -> tuple[int, bool]:
        """How many rows an earlier run has copied, and whether they were thrown away, being of another state."""
        with self.target.database.reading() as session:
            found = {name: (last_key(session, name), sums(session, name)) for name in (*COPIED, GALLERY)}
        there = sum(known.rows for _, known in found.values())
        if all(key is None or sums(self.source, name, up_to=key) == known for name, (key, known) in found.items()):
            return there, False
        self.target.clear()
        return 0, there > 0

    def fill(self, done: int, vectors: str) -> None:
        """Copy what is not there yet; the gallery's own row comes last. done: rows that are there."""
        for name in COPIED:
            with self.target.database.reading() as session:
                last = last_key(session, name)
            step = self.state.records_at_once(self.step) if name == "record" else self.step
            for rows in self._sound_pages(name, last, step):
                self._put(name, rows)
                done += len(rows)
                self.tell("copying", done, self.state.rows)
        with self.target.database.writing() as session:
            if last_key(session, GALLERY) is None:
                insert_rows(session, GALLERY, [self.state.row])
                engine.create(session, vectors)
            set_last_ids(session, self.state.last_ids)

    def _sound_pages(self, name: str, after: Key | None, step: int) -> Iterator[list[Row]]:
        try:
            yield from pages(self.source, name, after, step)
        except DamagedRowError as error:
            raise GalleryCorruptError(f"{self.database.name} is damaged: {error}") from error

    def _put(self, name: str, rows: list[Row]) -> None:
        """Rows, and the descriptors that rows of `record` are of: a file has their bytes before a row says so."""
        parts = list(_described(self.source, self.folder, self.state.sizes, rows)) if name == "record" else []
        for part in parts:
            self._require_sound(part)
        with self.target.database.writing() as session:
            insert_rows(session, name, rows)
            for file, slots, content, _ in parts:
                numbered_file(session, self.target.folder, file, self.state.sizes[file]).put(slots, content)

    def _require_sound(self, part: _Part) -> None:
        """Descriptors are not what was stored by damage, or since somebody has removed faces or written another
        file."""
        if not part.unsound:
            return
        if _sums_of(self.database) != self.state.sums:
            raise GalleryBusyError(
                f"{self.database.name} was changed while it was copied: run the copy again when nobody writes"
            )
        raise GalleryCorruptError(
            f"{self.database.name} is damaged: the descriptor of face {part.unsound[0]} is not what was stored: run "
            "`facesearch gallery repair`, and `facesearch index`, which describes it again; then copy again"
        )


def _state(session: Connection) -> State:
    gallery(session)  # it is one, of this release
    last_ids = {name: last_id(session, name) for name in _NUMBERED}
    [row] = page(session, GALLERY, None, 1)
    return State(all_sums(session), row, descriptor_sizes(session), last_ids)


def _sums_of(database: Database) -> dict[str, Sums]:
    with database.reading() as session:
        return all_sums(session)


def _described(session: Connection, folder: Path, sizes: Mapping[int, int], rows: Sequence[Row]) -> Iterator[_Part]:
    """The descriptors of some rows of `record`, by file."""
    for file, some in groupby(rows, key=itemgetter(0)):
        here = list(some)
        slots = np.array([slot for _, slot, *_ in here], np.int64)
        hashes, content = numbered_file(session, folder, file, sizes[file]).stored(slots)
        unsound = [row[2] for row, actual in zip(here, hashes, strict=True) if bytes(row[3]).hex() != actual]
        yield _Part(file, slots, content, unsound)


def _copy_requirements(folder: Path, target: Path) -> None:
    """What searching must keep to, where somebody has said so."""
    if (folder / SETTINGS).exists():
        write_requirements(target, read_requirements(folder))


def _silent(what: str, done: int, total: int) -> None:
    pass
