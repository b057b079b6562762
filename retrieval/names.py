"""The names of a folder's files, however many: they take the disk's room, not the memory's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from retrieval.errors import RetrievalError

PAGE = 2_000  # names that are handled together
_FEW = 10_000  # so many are kept in memory
_CACHE = 2_000  # kB that the engine keeps there of the others


class Names:
    """Names of files below a folder, without the folder's own; read in order, folder by folder, whatever comes before a
    slash in the alphabet. Beyond some thousand they lie in a nameless file of SQLite's, in the folder for temporary
    files ($TMPDIR), where they are also sorted. Raises RetrievalError where that has no room."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._few: list[str] = []  # not stored yet
        self._stored, self._in_order = 0, True
        self._file: sqlite3.Connection | None = None
        self.extend(names)

    def append(self, name: str) -> None:
        self._few.append(name)
        self._in_order = False
        if len(self._few) >= _FEW:
            self._store()

    def extend(self, names: Iterable[str]) -> None:
        for name in names:
            self.append(name)

    def __len__(self) -> int:
        return self._stored + len(self._few)

    def __iter__(self) -> Iterator[str]:
        for page in self.pages():
            yield from page

    def pages(self, size: int = PAGE) -> Iterator[list[str]]:
        """All of them in order, so many at a time."""
        for start in range(0, len(self), size):
            yield self.part(start, start + size)

    def part(self, start: int, stop: int) -> list[str]:
        """Those from one place in the order to before another, both from 0."""
        self._order()
        if self._file is None:
            return self._few[start:stop]
        with _named_errors():
            rows = self._file.execute("SELECT key FROM name WHERE rowid > ? AND rowid <= ?", (start, stop)).fetchall()
        return [os.fsdecode(row[0].replace(b"\0", b"/")) for row in rows]

    def _store(self) -> None:
        with _named_errors():
            if self._file is None:
                self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
                for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE}"):
                    self._file.execute(f"PRAGMA {setting}")
                self._file.execute("CREATE TABLE name (key BLOB)")
            keys = [(os.fsencode(name).replace(b"/", b"\0"),) for name in self._few]
            self._file.execute("BEGIN")
            self._file.executemany("INSERT INTO name VALUES (?)", keys)
            self._file.execute("COMMIT")
        self._stored, self._few = len(self), []

    def _order(self) -> None:
        if self._in_order:
            return
        if self._file is None:
            self._few.sort(key=lambda name: name.replace("/", "\0"))
        else:
            self._store()
            with _named_errors():
                self._file.execute("CREATE TABLE ordered AS SELECT key FROM name ORDER BY key")
                self._file.execute("DROP TABLE name")
                self._file.execute("ALTER TABLE ordered RENAME TO name")
        self._in_order = True


class Pictures(Sequence[Path]):
    """Files of those names below a folder, as paths that are made when they are asked for."""

    def __init__(self, root: Path, names: Names | None = None) -> None:
        self.root, self.names = root, Names() if names is None else names

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Path]:
        return (self.root / name for name in self.names)

    @overload
    def __getitem__(self, place: int) -> Path: ...

    @overload
    def __getitem__(self, place: slice) -> list[Path]: ...

    def __getitem__(self, place: int | slice) -> Path | list[Path]:
        if isinstance(place, int):
            return self[range(len(self))[place] :][0] if place < 0 else self[place : place + 1][0]
        start, stop, step = place.indices(len(self))
        if step != 1:
            return [self[n] for n in range(start, stop, step)]
        return [self.root / name for name in self.names.part(start, stop)]


def names_below(images: Sequence[Path], root: Path) -> Iterator[list[str]]:
    """The names below a root of pictures that lie there, in pages."""
    if isinstance(images, Pictures) and images.root.is_relative_to(root):
        below = images.root.relative_to(root).as_posix()
        start = "" if below == "." else f"{below}/"
        for page in images.names.pages():
            yield [start + name for name in page] if start else page
        return
    above = f"{str(root).rstrip('/')}/"
    for first in range(0, len(images), PAGE):
        yield [str(path).removeprefix(above) for path in images[first : first + PAGE]]


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise RetrievalError(
            f"the names of the files in so large a folder do not fit into the folder for temporary files ({error}): "
            "make room there, or name another in TMPDIR"
        ) from error
