"""A gallery's redescription: another model describes its faces, and takes over once that is done with all of them.

Until then the gallery is as it was. What is described is kept, so that a run that was cut off is taken up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from index.config import GalleryConfig
from index.errors import GalleryError
from index.files import discard_indexes
from index.tidying import tidy
from index.truth import pages, redescribing
from index.truth.database import Database
from index.truth.redescribing import Redescription
from index.values import Face, FloatArray

__all__ = ["Redescribing", "Redescription"]


class Redescribing:
    """Of one gallery; see `Gallery.redescribing`."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        writing: Callable[[], AbstractContextManager[None]],
        taken_over: Callable[[], None],
    ) -> None:
        """taken_over: called once another model describes the gallery."""
        self._folder, self._database, self._writing, self._taken_over = folder, database, writing, taken_over

    def under_way(self) -> Redescription | None:
        """What was begun and is not finished."""
        with self._database.reading() as session:
            return redescribing.under_way(session)

    def waiting(self) -> Iterator[Face]:
        """The faces that are yet to be described, by ascending id, read in pages."""
        return pages.faces(self._database, redescribing.waiting)

    def begin(self, config: GalleryConfig) -> None:
        """Begin to describe all faces by the model that `config` names, or go on with it; the gallery stays as it is
        until `finish`. Raises GalleryError where another model does so already, GalleryLockedError."""
        with self._writing():
            with self._database.writing() as session:
                redescribing.begin(session, self._folder, config)
            self._drop_damaged()
            tidy(self._folder, self._database)

    def stage(self, faces: Sequence[Face], descriptors: FloatArray) -> None:
        """Keep what the new model makes of these faces, all of it or nothing: their decisions, and the content and
        stamp of their photos as they are now; descriptors (len(faces), size of the redescription). Raises GalleryError
        where none is under way, UnknownImageError, ImageRowError, DescriptorShapeError, DescriptorValueError,
        GalleryLockedError."""
        with self._writing(), self._database.writing() as session:
            redescribing.stage(session, self._folder, faces, descriptors)

    def finish(self) -> None:
        """Make the new model the gallery's, in one step; every face must have been staged. Ids and labels stay.

        Raises GalleryError, also for descriptions that are not on the disk as they were written: they are waiting
        again. GalleryLockedError.
        """
        with self._writing():
            damaged = self._drop_damaged()
            if damaged:
                raise GalleryError(
                    f"{damaged:,} new descriptions are not what was stored: run the redescription again, which makes "
                    "them anew; the gallery is as it was"
                )
            with self._database.writing() as session:
                redescribing.take_over(session)
            self._taken_over()
            discard_indexes(self._folder)
            tidy(self._folder, self._database)

    def give_up(self) -> None:
        """Forget what was begun. Raises GalleryLockedError."""
        with self._writing():
            with self._database.writing() as session:
                redescribing.give_up(session)
            tidy(self._folder, self._database)

    def _drop_damaged(self) -> int:
        with self._database.writing() as session:
            return redescribing.drop_damaged(session, self._folder)
