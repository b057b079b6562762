"""A gallery of described faces in one folder, or on a server: search it, add to it, remove from it.

`gallery.db` (SQLite) is the truth, and says which file holds the descriptors, one slot per face. `exact-*.faiss` is
derived of both, and the first search after a change rebuilds it; `search-*` is one of reduced descriptors, for large
galleries.
"""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from index.changing import Changing, require_absolute
from index.config import CropPolicy, GalleryConfig
from index.engines import FAISS
from index.errors import (
    AddressError,
    GalleryEmptyError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryUnfinishedError,
)
from index.files import discard_indexes
from index.hidden import HiddenFaces
from index.labels import Labels
from index.named_stores import require_named
from index.opening import make, opened
from index.people import People
from index.progress import Progress, Steps
from index.redescribing import Redescribing, Redescription
from index.search import engine_following, engine_prepare
from index.search.engine import Engine
from index.search.engine_choice import open_engine, require_possible
from index.search.plan import USUAL, Plan, Planner, Prepared, Requirements, read_requirements, write_requirements
from index.search.prepare import plan_for, prepare
from index.search.projected import ByEngine
from index.search.reader import Reader
from index.stamps import FileStamp
from index.tidying import tidy
from index.truth import state
from index.truth.address import Address, Server, read_address
from index.truth.database import Database
from index.values import Decision, Face, Kept, KnownFile, Match, Passed, Photo, Place, Problem
from index.vectors import read_vectors
from index.where import Condition
from index.writing import PATIENT, Patience, Writer

if TYPE_CHECKING:  # what looks after a gallery is loaded by whoever calls it: a query waits for nothing of it
    from index.care.compact import Compaction
    from index.care.copying import Copied
    from index.care.exchange import Exported
    from index.care.repair import Repair
    from index.care.verify import Verification

__all__ = [
    "Condition",
    "CropPolicy",
    "Decision",
    "Face",
    "FileStamp",
    "Gallery",
    "GalleryConfig",
    "Kept",
    "KnownFile",
    "Labels",
    "Match",
    "Passed",
    "Photo",
    "Place",
    "Problem",
    "Redescription",
]


class Gallery(Changing):
    """The faces in the photos of one folder, described by one model.

    Reading needs no lock and may go on while another process writes. Writing takes the writer's
    lock for the length of the call, or for the length of `with gallery.writing():`. On a server several write side by
    side, each in a folder that it claims: `claiming`, and `turn`.
    """

    def __init__(self, folder: Path, database: Database, config: GalleryConfig, patience: Patience = PATIENT) -> None:
        """Use `Gallery.create` or `Gallery.open` instead."""
        self._engine = open_engine(read_vectors(config.vectors), database)
        writer = Writer(folder, database, config, self._engine, patience)
        super().__init__(folder, database, config, _reader_of(folder, database, config, self._engine), writer)

    @classmethod
    def create(cls, place: Address | str, config: GalleryConfig, *, patience: Patience = PATIENT) -> Gallery:
        """Make an empty gallery in a folder, which is created if need be, or on a server; patience: as `open` has it.

        Raises GalleryExistsError when there is one already, ValueError for a relative image root, AddressError.
        """
        require_absolute(config.image_root)
        place = read_address(place)
        require_possible(config.vectors, place if isinstance(place, Server) else None)
        make(place, config)
        return cls.open(place, patience=patience)

    @classmethod
    def open(cls, place: Address | str, *, damaged: bool = False, patience: Patience = PATIENT) -> Gallery:
        """Open an existing gallery. damaged: also one whose rows are damaged, to verify or to repair it; patience: for
        how long a change waits for its turn where several write.

        Raises GalleryNotFoundError, GalleryVersionError for one of another release, and GalleryCorruptError when the
        database is damaged, or a file is a link. Rows are looked at where the database is not as it was left.
        """
        gallery = cls(*opened(read_address(place), damaged), patience)
        try:
            if not damaged:
                require_named(gallery.config.image_root)
        except BaseException:
            gallery.close()
            raise
        return gallery

    def close(self) -> None:
        """Close the database and give the writer's lock back."""
        self._reader.forget()
        if self._engine is not None:
            self._engine.close()
        self._database.close()
        self._writer.give_back()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def people(self) -> People:
        """Who is who, as faces were grouped."""
        return People(self._database, self.turn)

    @property
    def hidden(self) -> HiddenFaces:
        """The faces that were removed and do not come back with their photos."""
        return HiddenFaces(self._database, self.turn)

    @property
    def redescribing(self) -> Redescribing:
        """Another model that is to describe it."""
        return Redescribing(self._folder, self._database, self.writing, self._reopen)

    def verify(self, progress: Steps | None = None) -> Verification:
        """Check the database, each row and each descriptor against its hash, and the index against every descriptor."""
        from index.care.verify import verify

        by = None if self._engine is None else partial(engine_following.verify, self._database, self._engine)
        return self._reader.undisturbed(lambda: verify(self._folder, self._database, progress, by))

    def repair(self) -> Repair:
        """Mend what can be mended without the pictures, and delete indexes, which the next search builds anew. No image
        goes: those whose descriptors or rows are damaged wait to be described again. Raises GalleryLockedError,
        GalleryCorruptError with what cannot be mended."""
        from index.care.repair import repair

        with self.writing():
            done = repair(self._folder, self._database)
            tidy(self._folder, self._database)
            if self._engine is not None:
                engine_following.rebuild(self._database)
                with suppress(GalleryEmptyError):
                    engine_prepare.prepare(self._database, self._engine, read_requirements(self._folder))
        self._database.believe()
        self._reader.forget()
        return done

    def export(self, target: Path, pictures: bool = False, progress: Steps | None = None) -> Exported:
        """Write the gallery into the new folder `target` as plain files; see `index.care.exchange`;
        `index.care.restore` makes a gallery of them. Raises GalleryLockedError, GalleryExistsError,
        GalleryCorruptError."""
        from index.care.exchange import export

        with self.writing() if os.access(self._folder, os.W_OK) else nullcontext():
            return export(self._folder, self._database, target, pictures, progress)

    def compact(self) -> Compaction:
        """Give back the space of removed images; ids stay. Raises GalleryLockedError, GalleryStorageError when the disk
        is too full: then nothing has changed."""
        from index.care.compact import Compaction, compact

        with self.writing():
            before = self.bytes
            try:
                if compact(self._folder, self._database):
                    discard_indexes(self._folder)
            finally:
                tidy(self._folder, self._database)
            self._database.vacuum()
        self._reader.forget()
        return Compaction(before, self.bytes)

    def copy(self, target: Address | str, progress: Progress | None = None, vectors: str = FAISS) -> Copied:
        """Make a gallery like this one in another folder or on a server: rows, ids and descriptors as they are; see
        `index.care.copying`. vectors: what is to search it, once `prepare` has built that. A run that was cut off is
        taken up; one that was not needed compares. progress(what, done, total). Raises AddressError for the gallery's
        own place, GalleryExistsError for another gallery, and what `copy` there raises."""
        from index.care.copy_target import begun
        from index.care.copying import compare, copy

        place = read_address(target)
        self._require_elsewhere(place)
        try:
            there = Gallery.open(place)
        except (GalleryNotFoundError, GalleryUnfinishedError):
            word = str(require_possible(vectors, place if isinstance(place, Server) else None))
            with begun(place) as target_there:
                return copy(self._folder, self._database, target_there, progress, vectors=word)
        with there:
            found = compare(self._folder, self._database, there._folder, there._database, progress)
        if found is None:
            raise GalleryExistsError(f"{place} is another gallery already: give another place to copy to")
        return found

    def _require_elsewhere(self, place: Address) -> None:
        if str(place) == self.name or (isinstance(place, Path) and place.resolve() == self._folder.resolve()):
            raise AddressError(f"{place} is the gallery itself: give another place to copy it to")
        if isinstance(place, Path) and place.resolve().is_relative_to(self._folder.resolve()):
            raise AddressError(f"{place} lies in the gallery's own folder: give another place to copy it to")

    def plan(self, requirements: Requirements | None = None, planner: Planner = USUAL) -> Plan:
        """How the gallery would be searched to keep to these requirements (None: those it was given last).

        Raises GalleryEmptyError, FaissMissingError.
        """
        if self._engine is not None:
            return engine_prepare.plan(self._database, requirements or read_requirements(self._folder))
        self._require_descriptors()
        return self._reader.repeated(lambda: plan_for(self._folder, self._database, requirements, planner))

    def prepare(
        self, requirements: Requirements | None = None, progress: Progress | None = None, planner: Planner = USUAL
    ) -> Prepared:
        """Build the index that the plan chooses, unless it is there, and measure it against every descriptor.

        Requirements are remembered; None: those given last. progress(what, done, total). Raises GalleryEmptyError,
        RequirementsError when no way of searching would keep to them, RecallError when the index does not: then it is
        not installed, and nothing changes. GalleryLockedError.
        """
        with self._writer.building():
            if self._engine is not None:
                needs = requirements or read_requirements(self._folder)
                made = engine_prepare.prepare(self._database, self._engine, needs, progress)
                if requirements is not None:
                    write_requirements(self._folder, requirements)
                return made
            self._require_descriptors()
            prepared = prepare(self._folder, self._database, requirements, progress, planner)
        self._reader.forget()
        return prepared

    def _require_descriptors(self) -> None:
        with self._database.reading() as session:
            self._reader.require_descriptors(session)

    def _reopen(self) -> None:
        """As another model describes it from now on."""
        with self._database.reading() as session:
            self._is_now(state.config(session))
        self._reader = _reader_of(self._folder, self._database, self._config, self._engine)


def _reader_of(folder: Path, database: Database, config: GalleryConfig, engine: Engine | None) -> Reader:
    model = (config.model_digest, config.descriptor_size)
    return Reader(folder, database, model, None if engine is None else ByEngine(database, model, engine))
