"""A gallery of described faces in one folder, or on a server: search it, add to it, remove from it.

`gallery.db` (SQLite) is the truth, and says which file holds the descriptors, one slot per face. `exact-*.faiss` is
derived of both, and the first search after a change rebuilds it; `search-*` is one of reduced descriptors, for large
galleries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace as changed
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from index.care.compact import Compaction, compact
from index.care.copying import Copied, compare, copy
from index.care.exchange import Exported, export
from index.care.repair import Repair, repair
from index.care.rows import require_sound_rows
from index.care.verify import Verification, verify
from index.checked import forget
from index.descriptors import checked_descriptors, record_hash, record_hashes
from index.errors import (
    AddressError,
    DescriptorShapeError,
    GalleryError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryUnfinishedError,
    ModelMismatchError,
)
from index.files import DATABASE, WriterLock, discard_descriptors, discard_indexes, exact_path
from index.labels import Labels
from index.people import People
from index.pictures import discard_pictures
from index.plain import require_plain
from index.search.engine import require_possible
from index.search.plan import USUAL, Plan, Planner, Requirements
from index.search.prepare import Prepared, Progress, plan_for, prepare
from index.search.reader import Reader
from index.stamps import FileStamp
from index.truth import descriptor_slots, kept, known, passed, people, places, redescribing, state, store
from index.truth.address import Address, Server, read_address
from index.truth.creating import create_files, create_tables, opened_server, require_finished
from index.truth.database import Database, SQLite
from index.truth.own_tables import require_own_tables
from index.truth.redescribing import Redescription
from index.truth.rows import redecided, require_known
from index.values import (
    CropPolicy,
    Decision,
    Face,
    FloatArray,
    GalleryConfig,
    IdArray,
    Kept,
    KnownFile,
    Match,
    Passed,
    Photo,
    Place,
    Problem,
    check_decision,
    check_path,
    check_photo,
    check_place,
)
from index.where import Condition

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


class Gallery:
    """The faces in the photos of one folder, described by one model.

    Reading needs no lock and may go on while another process writes. Writing takes the writer's
    lock for the length of the call, or for the length of `with gallery.writing():`.
    """

    def __init__(self, folder: Path, database: Database, config: GalleryConfig) -> None:
        """Use `Gallery.create` or `Gallery.open` instead."""
        self._folder = folder
        self._database = database
        self._config = config
        self._reader = Reader(folder, database, (config.model_digest, config.descriptor_size))
        self._lock = database.lock()
        self._threads = RLock()

    @classmethod
    def create(cls, place: Address | str, config: GalleryConfig) -> Gallery:
        """Make an empty gallery in a folder, which is created if need be, or on a server.

        Raises GalleryExistsError when there is one already, ValueError for a relative image root, AddressError.
        """
        _require_absolute(config.image_root)
        place = read_address(place)
        require_possible(config.vectors, place if isinstance(place, Server) else None)
        if isinstance(place, Server):
            create_tables(place, config)
            return cls.open(place)
        place.mkdir(parents=True, exist_ok=True)
        require_plain(place)
        lock = WriterLock(place)
        lock.acquire()
        try:
            create_files(place, config)
        finally:
            lock.release()
        return cls.open(place)

    @classmethod
    def open(cls, place: Address | str, *, damaged: bool = False) -> Gallery:
        """Open an existing gallery. damaged: also one whose rows are damaged, to verify or to repair it.

        Raises GalleryNotFoundError, GalleryVersionError for one of another release, and GalleryCorruptError when the
        database is damaged, or a file is a link. Rows are looked at where the database is not as it was left.
        """
        place = read_address(place)
        if isinstance(place, Server):
            return cls._open_on(place)
        path = place / DATABASE
        if not path.is_file():
            require_finished(place)
            raise GalleryNotFoundError(
                f"{place} holds no gallery (no {DATABASE} in it); check the folder, or index images into it first"
            )
        require_plain(place)
        database = SQLite(path)
        try:
            believed = not damaged and database.believed
            with database.reading() as session:
                if not believed:
                    require_own_tables(session)
                config = state.config(session)
            if not believed and not damaged:
                require_sound_rows(database)
                forget(place)  # the descriptors were compared with another database: one from a copy may be older
            if not damaged:
                database.believe()
        except BaseException:
            database.close()
            raise
        return cls(place, database, config)

    @classmethod
    def _open_on(cls, server: Server) -> Gallery:
        folder = server.made_folder()
        require_plain(folder)
        database = opened_server(server)
        try:
            with database.reading() as session:
                config = state.config(session)
        except BaseException:
            database.close()
            raise
        return cls(folder, database, config)

    def close(self) -> None:
        """Close the database and give the writer's lock back."""
        self._reader.forget()
        self._database.close()
        self._lock.release()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where the gallery lies; of one on a server, what this machine derives of it."""
        return self._folder

    @property
    def name(self) -> str:
        """Where the gallery is, as people are told: its folder, or its address without secrets."""
        return self._database.name

    @property
    def bytes(self) -> int:
        """What the database and the descriptors occupy, without indexes for searching."""
        return self._database.bytes

    @property
    def config(self) -> GalleryConfig:
        """What the gallery was made for."""
        return self._config

    @property
    def people(self) -> People:
        """Who is who, as faces were grouped."""
        return People(self._database, self.writing)

    @property
    def generation(self) -> int:
        """How many times images were added or removed."""
        return self._reader.state().generation

    @property
    def as_opened(self) -> bool:
        """Whether the folder still holds this gallery, by the same model, of the same images' folder; False where
        another process has made it anew, redescribed or relocated it: then it is to be opened again."""
        return self._lock.held or (self._database.in_place and self._is_configured())

    def __len__(self) -> int:
        with self._database.reading() as session:
            return store.count(session)

    def __bool__(self) -> bool:
        """True, also without images: a gallery is not its length."""
        return True

    def require_model(self, digest: str, descriptor_size: int) -> None:
        """Raise ModelMismatchError unless this model described the gallery."""
        mine = (self._config.model_digest, self._config.descriptor_size)
        if mine != (digest, descriptor_size):
            raise ModelMismatchError(
                f"the gallery {self.name} was described by model {mine[0][:12]} (descriptors "
                f"of {mine[1]} numbers), not by model {digest[:12]} (of {descriptor_size}); use the gallery's "
                "model, describe it again by this one with `facesearch gallery redescribe`, or index into another --db"
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out for the length of the block; blocks may be nested.

        Raises GalleryLockedError, with the holder's process id, when another one is writing.
        """
        with self._threads:
            if self._lock.held:
                yield
                return
            self._lock.acquire()
            try:
                self._tidy()
                yield
            finally:
                self._lock.release()

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
        for face in faces:
            check_photo(face.photo)
            check_place(face)
            check_decision(face.path, face.decision, self._config.values)
        paths = list(dict.fromkeys(face.path for face in faces))
        if not faces:
            return []
        with self.writing():
            with self._database.writing() as session:
                self._reader.require_model(state.state(session))
                old = store.all_ids_by_path(session, paths) if replace else {}
                removed = store.remove(session, [id_ for ids in old.values() for id_ in ids])
                store.require_new(session, faces)
                number, file = state.gallery(session).file, descriptor_slots.descriptor_file(session, self._folder)
                first = file.append(array, committed=descriptor_slots.slots_in_use(session, number))
                ids = store.insert_faces(session, faces)
                descriptor_slots.insert_records(session, number, first, ids, record_hashes(array))
                kept.forget(session, returned)
                state.advance(session, removed=removed > 0)
            self._tidy()
        return ids

    def update_labels(self, labels: Mapping[int, Labels]) -> int:
        """Give the faces with these ids new labels, all four of each; how many faces.

        Neither descriptors nor the generation change. Raises UnknownImageError (then nothing is
        changed), GalleryLockedError.
        """
        with self.writing(), self._database.writing() as session:
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
        with self.writing():
            with self._database.writing() as session:
                kept.keep(session, store.present(session, remove))
                if store.remove(session, remove):
                    state.advance(session, removed=True)
                store.move(session, faces)
            self._tidy()

    def problems(self) -> list[Problem]:
        """The files that could not be read, by path."""
        with self._database.reading() as session:
            return store.problems(session)

    def note_problems(self, found: Sequence[Problem], gone: Sequence[str] = ()) -> None:
        """Remember these files, and forget those at the paths in `gone`. Raises GalleryLockedError."""
        if found or gone:
            with self.writing(), self._database.writing() as session:
                store.forget_problems(session, gone)
                store.note_problems(session, found)

    def passed(self) -> dict[str, Passed]:
        """The files that are no pictures by their content, by path."""
        with self._database.reading() as session:
            return passed.passed(session)

    def note_passed(self, found: Sequence[Passed], gone: Sequence[str] = ()) -> None:
        """Remember these files, which are no pictures that cannot be read, either, and forget those at the paths in
        `gone`. Raises ImageRowError, GalleryLockedError."""
        for one in found:
            check_path(one.path)
        if found or gone:
            with self.writing(), self._database.writing() as session:
                store.forget_problems(session, [one.path for one in found])
                passed.note(session, found, gone)

    def kept(self, contents: Sequence[str]) -> list[Kept]:
        """The labels that are kept of pruned images with these contents (sha256), oldest first."""
        with self._database.reading() as session:
            return kept.of_contents(session, contents)

    def count_kept(self) -> int:
        """Of how many pruned images the labels are kept."""
        with self._database.reading() as session:
            return kept.count(session)

    def forget_kept(self) -> int:
        """Forget the labels of all pruned images, and which persons a hand said that they show; of how many labels.
        Raises GalleryLockedError."""
        with self.writing(), self._database.writing() as session:
            people.forget_absent(session)
            return kept.forget_all(session)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Check the database, each row and each descriptor against its hash, and the index against every descriptor."""
        return self._reader.undisturbed(lambda: verify(self._folder, self._database, progress))

    def repair(self) -> Repair:
        """Mend what can be mended without the pictures, and delete indexes, which the next search builds anew. No image
        goes: those whose descriptors or rows are damaged wait to be described again. Raises GalleryLockedError,
        GalleryCorruptError with what cannot be mended."""
        with self.writing():
            done = repair(self._folder, self._database)
            self._tidy()
        self._database.believe()
        self._reader.forget()
        return done

    def undescribed(self) -> set[int]:
        """The ids of the images that wait to be described again, since what was known of them was damaged."""
        with self._database.reading() as session:
            return set(descriptor_slots.without_record(session))

    def describe(self, faces: Sequence[Face], descriptors: NDArray[Any]) -> None:
        """Give images that wait for it what the model makes of them, all of it or nothing: decisions, places,
        descriptors (n, size), and the content and stamp of their photos as they are now; ids and labels stay. Raises as
        `add`, and UnknownImageError."""
        array = checked_descriptors(descriptors, self._config.descriptor_size)
        for face in faces:
            check_photo(face.photo)
            check_place(face)
            check_decision(face.path, face.decision, self._config.values)
        if not faces:
            return
        ids = [face.id for face in faces]
        with self.writing(), self._database.writing() as session:
            self._reader.require_model(state.state(session))
            require_known(ids, dict.fromkeys(descriptor_slots.without_record(session)))
            number, file = state.gallery(session).file, descriptor_slots.descriptor_file(session, self._folder)
            first = file.append(array, committed=descriptor_slots.slots_in_use(session, number))
            descriptor_slots.insert_records(session, number, first, ids, record_hashes(array))
            store.redecide(session, redecided(faces))
            state.advance(session, removed=True)  # it is new, but its id is not: no index goes on to hold

    def export(
        self, target: Path, pictures: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> Exported:
        """Write the gallery into the new folder `target` as plain files; see `index.care.exchange`, whose `restore`
        makes a gallery of them. Raises GalleryLockedError, GalleryExistsError, GalleryCorruptError."""
        with self.writing() if os.access(self._folder, os.W_OK) else nullcontext():
            return export(self._folder, self._database, target, pictures, progress)

    def compact(self) -> Compaction:
        """Give back the space of removed images; ids stay. Raises GalleryLockedError, GalleryStorageError when the disk
        is too full: then nothing has changed."""
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

    def redescription(self) -> Redescription | None:
        """The redescription that was begun and is not finished."""
        with self._database.reading() as session:
            return redescribing.under_way(session)

    def begin_redescription(self, config: GalleryConfig) -> None:
        """Begin to describe all faces by the model that `config` names, or go on with it; the gallery stays as it is
        until `finish_redescription`. Raises GalleryError where one by another model is under way,
        GalleryLockedError."""
        with self.writing():
            with self._database.writing() as session:
                redescribing.begin(session, self._folder, config)
            self._drop_damaged()
            self._tidy()

    def waiting(self) -> Iterator[Face]:
        """The faces that the redescription has yet to describe, by ascending id, read in pages."""
        yield from self._pages(lambda session, last: redescribing.waiting(session, last))

    def stage(self, faces: Sequence[Face], descriptors: NDArray[Any]) -> None:
        """Keep what the new model makes of these faces, all of it or nothing: their decisions, and the content and
        stamp of their photos as they are now; descriptors (len(faces), size of the redescription). Raises GalleryError
        without a redescription, UnknownImageError, ImageRowError, DescriptorShapeError, DescriptorValueError,
        GalleryLockedError."""
        with self.writing(), self._database.writing() as session:
            redescribing.stage(session, self._folder, faces, descriptors)

    def finish_redescription(self) -> None:
        """Make the new model the gallery's, in one step; every face must have been staged. Ids and labels stay.

        Raises GalleryError, also for descriptions that are not on the disk as they were written: they are waiting
        again. GalleryLockedError.
        """
        with self.writing():
            damaged = self._drop_damaged()
            if damaged:
                raise GalleryError(
                    f"{damaged:,} new descriptions are not what was stored: run the redescription again, which makes "
                    "them anew; the gallery is as it was"
                )
            with self._database.writing() as session:
                redescribing.take_over(session)
            with self._database.reading() as session:
                self._config = state.config(session)
            self._reader = Reader(
                self._folder, self._database, (self._config.model_digest, self._config.descriptor_size)
            )
            discard_indexes(self._folder)
            self._tidy()

    def give_up_redescription(self) -> None:
        """Forget a redescription that is under way. Raises GalleryLockedError."""
        with self.writing():
            with self._database.writing() as session:
                redescribing.give_up(session)
            self._tidy()

    def set_image_root(self, image_root: Path, below: str = "", out_of: str = "") -> None:
        """Say where the images lie now; `image_root` is absolute. The paths below it are the same; or, where `below`
        names a folder in it, those in that one; or, where `out_of` names one below the former root that holds them all,
        those from there on: what the former undoes. Raises ValueError where it does not hold them all, or the folder
        that names people lies above."""
        _require_absolute(image_root)
        for folder in filter(None, (below, out_of)):
            check_path(folder)
        with self.writing(), self._database.writing() as session:
            state.gallery(session).image_root = image_root.as_posix()
            if below:
                places.put_below(session, below)
                state.move_identity_level(session, below.count("/") + 1)
            if out_of:
                places.take_out(session, out_of)
                state.move_identity_level(session, -(out_of.count("/") + 1))
        self._config = changed(self._config, image_root=image_root)

    def copy(self, target: Address | str, progress: Progress | None = None) -> Copied:
        """Make a gallery like this one in another folder or on a server: rows, ids and descriptors as they are; see
        `index.care.copying`. A run that was cut off is taken up; one that was not needed compares. progress(what, done,
        total). Raises AddressError for the gallery's own place, GalleryExistsError for another gallery, and what `copy`
        there raises."""
        place = read_address(target)
        self._require_elsewhere(place)
        try:
            there = Gallery.open(place)
        except (GalleryNotFoundError, GalleryUnfinishedError):
            return copy(self._folder, self._database, place, progress)
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

    @property
    def identity_level(self) -> str | None:
        """Which folder below the image root names a person: first, last or a number from 1; None: nobody said so."""
        with self._database.reading() as session:
            return state.identity_level(session)

    @property
    def crops(self) -> CropPolicy:
        """What is done with pictures."""
        with self._database.reading() as session:
            return state.crops(session)

    def set_crops(self, policy: CropPolicy) -> None:
        """Remember what is done with pictures from now on; those that are here stay. Raises ValueError for what is no
        such policy."""
        with self.writing(), self._database.writing() as session:
            state.set_crops(session, policy)

    def set_identity_level(self, level: str) -> None:
        """Remember which folder names a person from now on; labels stay. Raises ValueError for what is no level."""
        with self.writing(), self._database.writing() as session:
            state.set_identity_level(session, level)

    def remove(self, ids: Iterable[int], *, keep_labels: bool = False) -> int:
        """Remove faces and erase their descriptors; how many. Their ids are never used again.

        keep_labels: what a hand said of them is kept for when their content comes back; otherwise what was kept of it
        goes, too. Unknown ids are passed over. Raises GalleryLockedError.
        """
        going = list(ids)
        if not going:
            return 0
        with self.writing():
            with self._database.writing() as session:
                if keep_labels:
                    kept.keep(session, store.present(session, going))
                else:
                    kept.forget_of_faces(session, going)
                    people.forget_of_faces(session, going)
                removed = store.remove(session, going)
                if removed:
                    state.advance(session, removed=True)
            self._tidy()
        self._database.fold()
        return removed

    def remove_person(self, identity: str) -> tuple[int, int]:
        """Remove every face of this identity, as conditions compare it, and forget what is kept of it: how many faces,
        and of how many pruned ones the labels. What the database's log still held of them goes, too, unless somebody
        is reading: then with the last who closes the gallery. Raises GalleryLockedError."""
        with self.writing():
            with self._database.writing() as session:
                going = store.ids_of_person(session, identity)
                people.forget_contents(session, kept.contents_of_person(session, identity))
                forgotten = kept.forget_person(session, identity)
                kept.forget_of_faces(session, going)
                people.forget_of_faces(session, going)
                removed = store.remove(session, going)
                if removed:
                    state.advance(session, removed=True)
            self._tidy()
        self._database.fold()
        return removed, forgotten

    def count_photos(self) -> int:
        """How many photos have a face here."""
        with self._database.reading() as session:
            return store.count_photos(session)

    def count_faceless(self) -> int:
        """How many photos show no face."""
        with self._database.reading() as session:
            return store.count_faceless(session)

    def count_identities(self) -> int:
        """How many people the labels name."""
        with self._database.reading() as session:
            return store.count_identities(session)

    def ids_of(self, paths: Sequence[str]) -> dict[str, int]:
        """The ids of the first faces at those of these paths that the gallery holds."""
        with self._database.reading() as session:
            return store.ids_by_path(session, paths)

    def all_ids_of(self, paths: Sequence[str]) -> dict[str, list[int]]:
        """The ids of all faces at those of these paths that the gallery holds, by number."""
        with self._database.reading() as session:
            return store.all_ids_by_path(session, paths)

    def known(self) -> dict[str, Face]:
        """The first face of every photo, by path."""
        return {face.path: face for face in self._pages(store.first_of_photos)}

    def several(self) -> set[str]:
        """The paths of photos that show several faces."""
        with self._database.reading() as session:
            return store.paths_of_several(session)

    def siblings(self, ids: Sequence[int]) -> list[int]:
        """The ids of all faces in the photos of these."""
        with self._database.reading() as session:
            return store.siblings(session, ids)

    def known_files(self, paths: Sequence[str]) -> dict[str, KnownFile]:
        """What is known of those of these files that the gallery knows, by path."""
        with self._database.reading() as session:
            return known.files(session, paths)

    def faces_at(self, paths: Sequence[str]) -> dict[str, Face]:
        """Those of these paths that the gallery holds, with the first of their faces."""
        return {path: faces[0] for path, faces in self.all_faces_at(paths).items()}

    def all_faces_at(self, paths: Sequence[str]) -> dict[str, list[Face]]:
        """Those of these paths that the gallery holds, with all their faces, by number."""
        found: dict[str, list[Face]] = {}
        with self._database.reading() as session:
            for face in known.faces_at(session, paths):
                found.setdefault(face.path, []).append(face)
        return found

    def faces_of(self, contents: Sequence[str]) -> list[Face]:
        """The faces in photos of these contents (sha256), by ascending id."""
        with self._database.reading() as session:
            return known.faces_of(session, contents)

    def photos(self) -> Iterator[list[tuple[int, str]]]:
        """Ids and paths of the photos with a face, by ascending id, in pages."""
        last = 0
        while True:
            with self._database.reading() as session:
                page = known.photos(session, last)
            if not page:
                return
            yield page
            last = page[-1][0]

    def named_by_folder(self) -> Iterator[str]:
        """The paths of the photos whose identity is a folder's name."""
        with self._database.reading() as session:
            yield from known.named_by_folder(session)

    def faces(self, where: Condition | None = None, *, after: int = 0) -> Iterator[Face]:
        """The faces that pass the condition, by ascending id, read in pages. after: an id, to begin with the next."""
        yield from self._pages(lambda session, last: store.page(session, where, after=last), after)

    def ids(self, where: Condition | None = None, *, photos: bool = False) -> IdArray:
        """The ids (n,) of the faces that pass the condition, ascending; photos: of each photo only the first."""
        with self._database.reading() as session:
            return store.first_ids(session, where) if photos else store.select_ids(session, where)

    def _pages(self, read: Callable[[Session, int], list[Face]], last: int = 0) -> Iterator[Face]:
        while True:
            with self._database.reading() as session:
                page = read(session, last)
            if not page:
                return
            yield from page
            last = page[-1].id

    def get(self, ids: Sequence[int]) -> list[Face]:
        """The faces with these ids, in this order. Raises UnknownImageError."""
        with self._database.reading() as session:
            return store.get(session, ids)

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these faces, (len(ids), descriptor_size) float32, in this order.

        They come back rounded to half precision. Raises UnknownImageError.
        """
        return self._reader.descriptors(ids)

    def sound_descriptors(self, ids: Sequence[int]) -> dict[int, FloatArray]:
        """The descriptors (descriptor_size,) of those of these faces whose records agree with their hash. Raises
        UnknownImageError."""
        with self._database.reading() as session:
            noted = descriptor_slots.noted_hashes(session, ids)
        found = zip(ids, self.descriptors(ids), strict=True)
        return {id_: descriptor for id_, descriptor in found if noted.get(id_) == record_hash(descriptor)}

    def search(
        self, descriptor: NDArray[Any], k: int, *, where: Condition | None = None, exclude: Collection[int] = ()
    ) -> list[Match]:
        """The k nearest faces to one descriptor (size,); see `search_many`."""
        return self.search_many(np.asarray(descriptor)[None], k, where=where, exclude=exclude)[0]

    def search_many(
        self,
        descriptors: NDArray[Any],
        k: int,
        *,
        where: Condition | None = None,
        exclude: Collection[int] = (),
        part: tuple[int, int] | None = None,
    ) -> list[list[Match]]:
        """For each descriptor (n, size) the k nearest faces, nearest first, equals by id.

        Only faces that pass the condition and are not in `exclude` (ids) compete, so that there are k
        results whenever k such faces exist. part: of descriptors only the numbers from one to before another are
        compared, brought to length 1, with those of every face: no index is of them. Raises ValueError for k < 1,
        GalleryEmptyError, DescriptorShapeError, DescriptorValueError, FaissMissingError.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected 1 or more results")
        queries = checked_descriptors(np.asarray(descriptors), self._config.descriptor_size)
        return self._reader.search(queries, k, where, exclude, part)

    def plan(self, requirements: Requirements | None = None, planner: Planner = USUAL) -> Plan:
        """How the gallery would be searched to keep to these requirements (None: those it was given last).

        Raises GalleryEmptyError, FaissMissingError.
        """
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
            self._require_descriptors()
            prepared = prepare(self._folder, self._database, requirements, progress, planner)
        self._reader.forget()
        return prepared

    def _tidy(self) -> None:
        """Zero the descriptors of removed faces and delete descriptor files that are not needed any more; also what a
        crash left over."""
        with self._database.reading() as session:
            erasures, now = descriptor_slots.erasures(session), state.state(session)
            files = descriptor_slots.files_in_use(session, self._folder)
        discard_descriptors(self._folder, keep=files.keys())
        if not erasures:
            return
        discard_pictures(self._folder, self._known)
        current = exact_path(self._folder, now.generation, now.stamp)
        discard_indexes(self._folder, before=now.generation, keep=current)
        for number, slots in erasures.items():
            files[number].zero(slots)
            with self._database.writing() as session:
                descriptor_slots.erased(session, number, slots)

    def _known(self, contents: Collection[str], faces: Collection[int]) -> tuple[set[str], set[int]]:
        """Those of these contents (sha256) and ids that the gallery has."""
        with self._database.reading() as session:
            return store.contents(session, contents), {face.id for face in store.present(session, list(faces))}

    def _is_configured(self) -> bool:
        with self._database.reading() as session:
            return state.is_for(session, self._config)

    def _require_descriptors(self) -> None:
        with self._database.reading() as session:
            self._reader.require_descriptors(session)

    def _drop_damaged(self) -> int:
        with self._database.writing() as session:
            return redescribing.drop_damaged(session, self._folder)


def _require_absolute(image_root: Path) -> None:
    if not image_root.is_absolute():
        raise ValueError(f"image_root is {image_root}; expected an absolute path")
