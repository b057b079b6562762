"""The hidden faces of a gallery: those that were removed and do not come back with their photos.

Of each is kept what tells it from the other faces of its photo: that one's content and path, its number there, and
where it lies in shares of the sides. Its descriptor, its labels, and who it is, are erased as with every face that is
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from index.truth import hidden
from index.truth.database import Database
from index.values import Hidden

__all__ = ["Hidden", "HiddenFaces"]


class HiddenFaces:
    """Of one gallery; see `Gallery.hidden`. `Gallery.remove` hides."""

    def __init__(self, database: Database, writing: Callable[[], AbstractContextManager[None]]) -> None:
        self._database, self._writing = database, writing

    def count(self) -> int:
        """How many there are."""
        with self._database.reading() as session:
            return hidden.count(session)

    def all(self) -> list[Hidden]:
        """All of them, those that were hidden first first."""
        with self._database.reading() as session:
            return list(hidden.every(session))

    def of(self, contents: Collection[str], paths: Collection[str]) -> list[Hidden]:
        """Those of photos with one of these contents (sha256), or at one of these paths."""
        with self._database.reading() as session:
            return hidden.of_files(session, contents, paths)

    def change(self, forget: Collection[int], add: Sequence[Hidden] = ()) -> None:
        """Let those with these ids come back with their photos, and remember others. Raises GalleryLockedError."""
        if forget or add:
            with self._writing(), self._database.writing() as session:
                hidden.forget(session, forget)
                hidden.insert(session, add)
