"""A gallery of described faces in one folder, or on a server: search it, add to it, remove from it.

`gallery.db` (SQLite) is the truth, and says which file holds the descriptors, one slot per face. `exact-*.faiss` is
derived of both, and the first search after a change rebuilds it; `search-*` is one of reduced descriptors, for large
galleries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from index.descriptors import checked_descriptors
from index.engines import FAISS
from index.errors import (
    AddressError,
    DescriptorShapeError,
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
from index.redescribing import Redescribing, Redescription
from index.search import engine_following, engine_prepare
from index.search.engine import Engine
from index.search.engine_choice import open_engine, require_possible
from index.search.plan import USUAL, Plan, Planner, Requirements, read_requirements, write_requirements
from index.search.prepare import Prepared, plan_for, prepare
from index.search.projected import EngineReader
from index.search.reader import Reader
from index.stamps import FileStamp
from index.truth import changes, kept, passed, people, state, store
from index.truth.address import Address, Server, read_address
from index.truth.database import Database
from index.values import (
    CropPolicy,
    Decision,
    Face,
    GalleryConfig,
    Kept,
    KnownFile,
    Match,
    Passed,
    Photo,
    Place,
    Problem,
    Progress,
    check_decision,
    check_path,
    check_photo,
    check_place,
)
from index.vectors import read_vectors
from index.where import Condition
from index.writing import SEVERAL, Writing

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


class Gallery(Writing):
    """The faces in the photos of one folder, described by one model.

    Reading needs no lock and may go on while another process writes. Writing takes the writer's
    lock for the length of the call, or for the length of `with gallery.writing():`. On a server several write side by
    side, each in a folder that it claims: `claiming`, and `turn`.
    """

    def __init__(self, folder: Path, database: Database, config: GalleryConfig) -> None:
        """Use `Gallery.create` or `Gallery.open` instead."""
        engine = open_engine(read_vectors(config.vectors), database)
        super().__init__(folder, database, config, _reader_of(folder, database, config, engine), engine)

    @classmethod
    def create(cls, place: Address | str, config: GalleryConfig) -> Gallery:
        """Make an empty gallery in a folder, which is created if need be, or on a server.

        Raises GalleryExistsError when there is one already, ValueError for a relative image root, AddressError.
        """
        _require_absolute(config.image_root)
        place = read_address(place)
        require_possible(config.vectors, place if isinstance(place, Server) else None)
        make(place, config)
        return cls.open(place)

    @classmethod
    def open(cls, place: Address | str, *, damaged: bool = False) -> Gallery:
        """Open an existing gallery. damaged: also one whose rows are damaged, to verify or to repair it.

        Raises GalleryNotFoundError, GalleryVersionError for one of another release, and GalleryCorruptError when the
        database is damaged, or a file is a link. Rows are looked at where the database is not as it was left.
        """
        gallery = cls(*opened(read_address(place), damaged))
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
        self._give_back()

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

    def add(
        self, faces: Sequence[Face], descriptors: NDArray[Any], *, replace: bool = False, returned: Sequence[int] = ()
    ) -> list[int]:
        """Add faces with their descriptors, all of them or none; their ids in the same order.

        descriptors: (len(faces), descriptor_size), float32 or float16, stored in half precision.
        replace: all those of the same paths are removed in the same step; the new ids differ. Several faces of one path
        are those of one photo, and have different numbers. returned: ids of kept labels that the faces have again, so
        that they need not be kept any more.
        Raises DescriptorShapeError, DescriptorValueError, ImageRowError, DuplicatePathError,
        GalleryLockedError.
        """
        array = checked_descriptors(descriptors, self._config.descriptor_size)
        if len(array) != len(faces):
            raise DescriptorShapeError(f"{len(array)} descriptors for {len(faces)} images; expected one for each")
        self._check(faces)
        if not faces:
            return []
        with self.turn():
            with self._database.writing() as session:
                self._reader.require_model(state.state(session))
                ids = changes.add(session, self._folder, faces, array, replace, returned)
            self._tidy()
            self._tell_engine(SEVERAL)
        return ids

    def add_beside(self, faces: Sequence[Face], descriptors: NDArray[Any]) -> list[int]:
        """Add faces of photos that are here already; their ids. Raises as `add`, UnknownImageError for a photo that is
        not here, DuplicatePathError for a face of a number that is."""
        array = checked_descriptors(descriptors, self._config.descriptor_size)
        for face in faces:
            check_place(face)
            check_decision(face.path, face.decision, self._config.values)
        with self.turn():
            with self._database.writing() as session:
                self._reader.require_model(state.state(session))
                ids = changes.add_beside(session, self._folder, faces, array)
            self._tell_engine(SEVERAL)
        return ids

    def update_labels(self, labels: Mapping[int, Labels]) -> int:
        """Give the faces with these ids new labels, all four of each; how many faces.

        Neither descriptors nor the generation change. Raises UnknownImageError (then nothing is
        changed), GalleryLockedError.
        """
        with self.turn(), self._database.writing() as session:
            return store.update_labels(session, labels)

    def move(self, faces: Sequence[Face], remove: Sequence[int] = ()) -> None:
        """Note where the photos of faces are now, with their stamps and the faces' labels, all of it or nothing;
        content, decisions and descriptors stay.

        remove: faces that go in the same step, since others take their paths; what a hand said of them is kept. Raises
        UnknownImageError, DuplicatePathError, ImageRowError, GalleryLockedError.
        """
        for face in faces:
            check_path(face.path)
        if not faces:
            return
        with self.turn():
            with self._database.writing() as session:
                changes.move(session, faces, remove)
            self._tidy()

    def note_problems(self, found: Sequence[Problem], gone: Sequence[str] = ()) -> None:
        """Remember these files, and forget those at the paths in `gone`. Raises GalleryLockedError."""
        if found or gone:
            with self.turn(), self._database.writing() as session:
                store.forget_problems(session, gone)
                store.note_problems(session, found)

    def note_passed(self, found: Sequence[Passed], gone: Sequence[str] = ()) -> None:
        """Remember these files, which are no pictures that cannot be read, either, and forget those at the paths in
        `gone`. Raises ImageRowError, GalleryLockedError."""
        for one in found:
            check_path(one.path)
        if found or gone:
            with self.turn(), self._database.writing() as session:
                store.forget_problems(session, [one.path for one in found])
                passed.note(session, found, gone)

    def forget_kept(self) -> int:
        """Forget the labels of all pruned images, and which persons a hand said that they show; of how many labels.
        Raises GalleryLockedError."""
        with self.turn(), self._database.writing() as session:
            people.forget_absent(session)
            return kept.forget_all(session)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verification:
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
            self._tidy()
            if self._engine is not None:
                engine_following.rebuild(self._database)
                with suppress(GalleryEmptyError):
                    engine_prepare.prepare(self._database, self._engine, read_requirements(self._folder))
        self._database.believe()
        self._reader.forget()
        return done

    def describe(self, faces: Sequence[Face], descriptors: NDArray[Any]) -> None:
        """Give images that wait for it what the model makes of them, all of it or nothing: decisions, places,
        descriptors (n, size), and the content and stamp of their photos as they are now; ids and labels stay. Raises as
        `add`, and UnknownImageError."""
        array = checked_descriptors(descriptors, self._config.descriptor_size)
        self._check(faces)
        if not faces:
            return
        with self.turn(), self._database.writing() as session:
            self._reader.require_model(state.state(session))
            changes.describe(session, self._folder, faces, array)

    def export(
        self, target: Path, pictures: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> Exported:
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
                self._tidy()
            self._database.vacuum()
        self._reader.forget()
        return Compaction(before, self.bytes)

    def set_image_root(self, image_root: Path, below: str = "", out_of: str = "") -> None:
        """Say where the images lie now; `image_root` is absolute. The paths below it are the same; or, where `below`
        names a folder in it, those in that one; or, where `out_of` names one below the former root that holds them all,
        those from there on: what the former undoes. Raises ValueError where it does not hold them all, or the folder
        that names people lies above."""
        _require_absolute(image_root)
        for folder in filter(None, (below, out_of)):
            check_path(folder)
        with self.writing(), self._database.writing() as session:
            changes.set_image_root(session, image_root, below, out_of)
        self._config = changed(self._config, image_root=image_root)

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

    def set_crops(self, policy: CropPolicy) -> None:
        """Remember what is done with pictures from now on; those that are here stay. Raises ValueError for what is no
        such policy."""
        with self.turn(), self._database.writing() as session:
            state.set_crops(session, policy)

    def set_identity_level(self, level: str) -> None:
        """Remember which folder names a person from now on; labels stay. Raises ValueError for what is no level."""
        with self.turn(), self._database.writing() as session:
            state.set_identity_level(session, level)

    def remove(self, ids: Iterable[int], *, keep_labels: bool = False, hide: Collection[int] = ()) -> int:
        """Remove faces and erase their descriptors; how many. Their ids are never used again.

        keep_labels: what a hand said of them is kept for when their content comes back; otherwise what was kept of it
        goes, too. hide: those of them that do not come back with their photos. Unknown ids are passed over. Raises
        GalleryLockedError.
        """
        going = list(ids)
        if not going:
            return 0
        with self.turn():
            with self._database.writing() as session:
                removed = changes.remove(session, going, keep_labels, hide)
            self._tidy()
        self._database.fold()
        return removed

    def remove_person(self, identity: str, *, hide: bool = False) -> tuple[int, int]:
        """Remove every face of this identity, as conditions compare it, and forget what is kept of it: how many faces,
        and of how many pruned ones the labels. hide: they do not come back with their photos. What the database's log
        still held of them goes, too, unless somebody is reading: then with the last who closes the gallery. Raises
        GalleryLockedError."""
        with self.turn():
            with self._database.writing() as session:
                gone = changes.remove_person(session, identity, hide)
            self._tidy()
        self._database.fold()
        return gone

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
        with self.writing():
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

    def _check(self, faces: Sequence[Face]) -> None:
        """Raise ImageRowError for what no row may say."""
        for face in faces:
            check_photo(face.photo)
            check_place(face)
            check_decision(face.path, face.decision, self._config.values)

    def _require_descriptors(self) -> None:
        with self._database.reading() as session:
            self._reader.require_descriptors(session)

    def _reopen(self) -> None:
        """As another model describes it from now on."""
        with self._database.reading() as session:
            self._config = state.config(session)
        self._reader = _reader_of(self._folder, self._database, self._config, self._engine)


def _require_absolute(image_root: Path) -> None:
    if not image_root.is_absolute():
        raise ValueError(f"image_root is {image_root}; expected an absolute path")


def _reader_of(folder: Path, database: Database, config: GalleryConfig, engine: Engine | None) -> Reader:
    model = (config.model_digest, config.descriptor_size)
    return Reader(folder, database, model) if engine is None else EngineReader(folder, database, model, engine)
