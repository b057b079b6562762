"""The descriptors as a search reads them: what was found sound of the gallery's own row and of their file is not asked
again before that row has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, RowMapping

from index.config import State
from index.descriptors import DescriptorFile
from index.errors import GalleryCorruptError
from index.files import descriptor_path
from index.truth import descriptor_slots, state
from index.values import HalfArray


@dataclass(frozen=True)
class _Known:
    """A row of the gallery that is what was written, and what it says."""

    row: RowMapping
    state: State
    file: int
    """number of the descriptor file"""


@dataclass(frozen=True)
class _Opened:
    """A descriptor file that was compared with its hashes, and how many slots of it were in use at a state."""

    state: State
    path: Path
    slots: int


class Records:
    """Of one gallery; may be shared by threads."""

    def __init__(self, folder: Path, size: int) -> None:
        """size: numbers of a descriptor."""
        self._folder, self._size = folder, size
        self._known: _Known | None = None
        self._compared = ""  # name of the file that was compared with its hashes
        self._opened: _Opened | None = None

    def forget(self) -> None:
        """Look at everything again."""
        self._known, self._compared, self._opened = None, "", None

    def state(self, session: Connection) -> State:
        """How far the gallery has come. Raises GalleryCorruptError for a row that is not what was written."""
        return self._row(session).state

    def read(self, session: Connection) -> tuple[State, HalfArray]:
        """How far the gallery has come, and the records of all slots in use, (slots, size) float16, mapped into memory.
        Raises GalleryCorruptError."""
        known = self._row(session)
        file, slots = self._file(session, known.file), descriptor_slots.slots_in_use(session, known.file)
        content = file.records(slots)
        self._opened = _Opened(known.state, file.path, slots)
        return known.state, content

    def at(self, state: State) -> HalfArray | None:
        """The same where they were read of this state before, without asking the database; None where they are not
        there any more. A removal since may have made some of them zeros."""
        opened = self._opened
        if opened is None or opened.state != state:
            return None
        try:
            return DescriptorFile(opened.path, self._size).records(opened.slots)
        except GalleryCorruptError:  # whoever reads says why
            return None

    def compare(self, session: Connection) -> None:
        """Raise GalleryCorruptError unless the descriptors are what was stored. A file is compared once, as rows are
        when a gallery is opened, and not at all where it is believed."""
        self._file(session, self._row(session).file)

    def _row(self, session: Connection) -> _Known:
        row, known = state.whole(session), self._known
        if known is None or known.row != row:
            known = self._known = _Known(row, state.looked_at(row), row["file"])
        return known

    def _file(self, session: Connection, number: int) -> DescriptorFile:
        path = descriptor_path(self._folder, number)
        file = descriptor_slots.numbered_file(session, self._folder, number, self._size)
        if self._compared != path.name:
            descriptor_slots.require_stored(session, file)
            self._compared = path.name
        return file
