"""A database of a gallery for tests of what comes between: another writer, or the end of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, event

from index.gallery import Gallery
from index.truth.database import Database, Lock, SQLite
from index.truth.rights import WHOLE, Right

Step = Callable[[str], None]


class Crash(BaseException):
    """Stands for the process ending at this point."""


class Stepped:
    """Another database, which calls `step` before and after each transaction and before each commit, with the name of
    that moment: "read" and "have read", "write", "commit" and "have written"; closely: also "answered", after each
    statement of a transaction that reads."""

    def __init__(self, database: Database, closely: bool = False) -> None:
        self._database, self._closely = database, closely
        self.step: Step = lambda moment: None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self.step("read")
        with self._database.reading() as session:
            yield self._watched(session)
        self.step("have read")

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        self.step("read")
        with self._database.glance() as session:
            yield self._watched(session)
        self.step("have read")

    def _watched(self, session: Connection) -> Connection:
        if self._closely:
            event.listen(session, "after_cursor_execute", lambda *_: self.step("answered"))
        return session

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        self.step("write")
        with self._database.writing() as session:
            yield session
            self.step("commit")
        self.step("have written")

    @property
    def name(self) -> str:
        return self._database.name

    def lock(self, right: Right = WHOLE) -> Lock:
        return self._database.lock(right)

    @property
    def several_write(self) -> bool:
        return self._database.several_write

    def soundness(self) -> list[str]:
        return self._database.soundness()

    @property
    def believed(self) -> bool:
        return self._database.believed

    def believe(self) -> None:
        self._database.believe()

    @property
    def in_place(self) -> bool:
        return self._database.in_place

    def rebuild_indexes(self) -> None:
        self._database.rebuild_indexes()

    def vacuum(self) -> None:
        self._database.vacuum()

    @property
    def bytes(self) -> int:
        return self._database.bytes

    def fold(self) -> None:
        self._database.fold()

    def close(self) -> None:
        self._database.close()


@contextmanager
def stepped(folder: Path, closely: bool = False) -> Iterator[tuple[Gallery, Stepped]]:
    """An existing gallery with such a database."""
    with Gallery.open(folder) as gallery:
        config = gallery.config
    database = Stepped(SQLite(folder / "gallery.db"), closely)
    with Gallery(folder, database, config) as gallery:
        yield gallery, database


class At:
    """A step that does something once, when so many steps (of that name, where one is given) have gone by; names: of
    all of these; later: how many came after that."""

    def __init__(self, before: int, do: Callable[[], object], name: str = "") -> None:
        self._left, self._do, self._name = before, do, name
        self.done, self.later = False, 0
        self.names: list[str] = []

    def __call__(self, moment: str) -> None:
        if self._name not in ("", moment):
            return
        self.names.append(moment)
        self.later += self.done
        if self._left == 0 and not self.done:
            self.done = True
            self._do()
        self._left -= 1


class CrashAt:
    """A step that ends the process, when so many steps (of that name, where one is given) have gone by: whatever is
    tried after that ends as well."""

    def __init__(self, before: int, name: str = "") -> None:
        self._at = At(before, lambda: None, name)

    @property
    def done(self) -> bool:
        return self._at.done

    def __call__(self, moment: str) -> None:
        self._at(moment)
        if self._at.done:
            raise Crash
