"""A gallery of described images in one folder: search it, add to it, remove from it.

`gallery.db` (SQLite) is the truth, and names the file of the descriptors, one slot per image.
`exact-*.faiss` is a projection of both that the first search after a change rebuilds; `search-*` is one of reduced
descriptors, for large galleries.
"""

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
from index.care.exchange import Exported, export
from index.care.verify import Repair, Verification, repair, verify
from index.descriptors import FloatArray, checked_descriptors, record_hash
from index.errors import (
    DescriptorShapeError,
    GalleryError,
    GalleryNotFoundError,
    ModelMismatchError,
)
from index.layout import DATABASE_NAME, DESCRIPTORS, LOCK_NAME, create_files, discard_descriptors
from index.lock import WriterLock
from index.search import projection
from index.search.plan import Plan, Requirements
from index.search.prepare import Prepared, plan_for, prepare
from index.search.reader import Reader
from index.search.shortlist import Progress
from index.truth import redescribing, store
from index.truth.database import Database
from index.truth.redescribing import Migration, Redescribed
from index.truth.schema import SCHEMA_VERSION
from index.truth.upgrade import upgrade
from index.values import (
    Filter,
    GalleryConfig,
    ImageRow,
    Labels,
    Match,
    Move,
    Problem,
    StoredImage,
    check_path,
    checked_columns,
)

__all__ = [
    "EVERYTHING",
    "Filter",
    "Gallery",
    "GalleryConfig",
    "ImageRow",
    "Labels",
    "Match",
    "Migration",
    "Move",
    "Problem",
    "Redescribed",
    "StoredImage",
]

EVERYTHING = Filter()


class Gallery:
    """The images of one folder, described by one model.

    Reading needs no lock and may go on while another process writes. Writing takes the writer's
    lock for the length of the call, or for the length of `with gallery.writing():`.
    """

    def __init__(self, folder: Path, database: Database, config: GalleryConfig) -> None:
        """Use `Gallery.create` or `Gallery.open` instead."""
        self._folder = folder
        self._database = database
        self._config = config
        self._reader = Reader(folder, database, (config.model_digest, config.descriptor_size))
        self._lock = WriterLock(folder / LOCK_NAME)
        self._threads = RLock()

    @classmethod
    def create(cls, folder: Path, config: GalleryConfig) -> "Gallery":
        """Make an empty gallery; the folder is created if need be.

        Raises GalleryExistsError when there is one already, ValueError for a relative image root.
        """
        _require_absolute(config.image_root)
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder / LOCK_NAME)
        lock.acquire()
        try:
            create_files(folder, config)
        finally:
            lock.release()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> "Gallery":
        """Open an existing gallery; one of an earlier release is upgraded, and a copy of its database kept.

        Raises GalleryNotFoundError, GalleryVersionError for one of a later release, GalleryLockedError and
        GalleryStorageError when it cannot be upgraded now, and GalleryCorruptError when the database is damaged.
        """
        path = folder / DATABASE_NAME
        if not path.is_file():
            raise GalleryNotFoundError(
                f"{folder} holds no gallery (no {DATABASE_NAME} in it); check the folder, or index images into it first"
            )
        database = Database(path)
        try:
            with database.reading() as session:
                found = store.version(session)
            if 0 < found < SCHEMA_VERSION:
                upgrade(path, WriterLock(folder / LOCK_NAME), found)
            with database.reading() as session:
                config = store.config(session)
        except BaseException:
            database.close()
            raise
        return cls(folder, database, config)

    def close(self) -> None:
        """Close the database and give the writer's lock back."""
        self._reader.forget()
        self._database.close()
        self._lock.release()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where the gallery lies."""
        return self._folder

    @property
    def config(self) -> GalleryConfig:
        """What the gallery was made for."""
        return self._config

    @property
    def generation(self) -> int:
        """How many times images were added or removed."""
        return self._reader.state().generation

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
                f"the gallery {self._folder} was described by model {mine[0][:12]} (descriptors "
                f"of {mine[1]} numbers), not by model {digest[:12]} (of {descriptor_size}); use the gallery's "
                "model, describe it again by this one with `facesearch gallery migrate`, or index into another --db"
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

    def add(self, rows: Sequence[ImageRow], descriptors: NDArray[Any], *, replace: bool = False) -> list[int]:
        """Add images with their descriptors, all of them or none; their ids in the same order.

        descriptors: (len(rows), descriptor_size), float32 or float16, stored in half precision.
        replace: images with the same paths are removed in the same step; the new ids differ.
        Raises DescriptorShapeError, DescriptorValueError, ImageRowError, DuplicatePathError,
        GalleryLockedError.
        """
        array = checked_descriptors(descriptors, self._config.descriptor_size)
        if len(array) != len(rows):
            raise DescriptorShapeError(f"{len(array)} descriptors for {len(rows)} images; expected one for each")
        columns = [checked_columns(row, len(self._config.values)) for row in rows]
        paths = [row.path for row in rows]
        if not rows:
            return []
        with self.writing():
            with self._database.writing() as session:
                self._reader.require_model(store.state(session))
                old = store.ids_by_path(session, paths) if replace else {}
                removed = store.remove(session, list(old.values()))
                store.require_new(session, paths)
                file = store.descriptor_file(session, self._folder)
                first = file.append(array, committed=store.slots_in_use(session))
                ids = store.insert_images(session, columns, first, [record_hash(record) for record in array])
                store.forget_problems(session, paths)
                store.advance(session, removed=removed > 0)
            self._tidy()
        return ids

    def update_labels(self, labels: Mapping[str, Labels]) -> int:
        """Give the images at these paths new labels, all four of each; how many images.

        Neither descriptors nor the generation change. Raises UnknownImageError (then nothing is
        changed), GalleryLockedError.
        """
        with self.writing(), self._database.writing() as session:
            return store.update_labels(session, labels)

    def move(self, moves: Sequence[Move], remove: Sequence[int] = ()) -> None:
        """Note where the files of images are now, all of it or nothing; ids and descriptors stay.

        remove: images that go in the same step, since others take their paths. Raises UnknownImageError,
        DuplicatePathError, ImageRowError, GalleryLockedError.
        """
        for move in moves:
            check_path(move.path)
        if not moves:
            return
        with self.writing():
            with self._database.writing() as session:
                if store.remove(session, remove):
                    store.advance(session, removed=True)
                store.move(session, moves)
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

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verification:
        """Check the data base, every record against its hash, and the index against every descriptor."""
        return self._reader.undisturbed(lambda: verify(self._folder, self._database, progress))

    def repair(self) -> Repair:
        """Remove images whose records are damaged, note hashes that are missing, finish what was interrupted and delete
        indexes, which the next search builds anew. Raises GalleryLockedError."""
        with self.writing():
            done = repair(self._folder, self._database)
            self.remove(done.removed_ids)
            done.waiting = self._drop_damaged()
        self._reader.forget()
        return done

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
            before = self._bytes()
            try:
                if compact(self._folder, self._database):
                    projection.discard(self._folder)
            finally:
                self._tidy()
            self._database.vacuum()
        self._reader.forget()
        return Compaction(before, self._bytes())

    def migration(self) -> Migration | None:
        """The migration that was begun and is not finished."""
        with self._database.reading() as session:
            return redescribing.under_way(session)

    def begin_migration(self, config: GalleryConfig) -> None:
        """Begin to describe all images by the model that `config` names, or go on with it; the gallery stays as it is
        until `finish_migration`. Raises GalleryError where one to another model is under way, GalleryLockedError."""
        with self.writing():
            with self._database.writing() as session:
                redescribing.begin(session, config)
            self._drop_damaged()
            self._tidy()

    def waiting(self) -> Iterator[StoredImage]:
        """The images that the migration has yet to describe, by ascending id, read in pages."""
        yield from self._pages(lambda session, last: redescribing.waiting(session, last))

    def stage(self, images: Sequence[Redescribed], descriptors: NDArray[Any]) -> None:
        """Keep what the new model makes of these images, all of it or nothing; descriptors (len(images), size of the
        migration). Raises GalleryError without a migration, UnknownImageError, ImageRowError, DescriptorShapeError,
        DescriptorValueError, GalleryLockedError."""
        with self.writing(), self._database.writing() as session:
            redescribing.stage(session, self._folder, images, descriptors)

    def finish_migration(self) -> None:
        """Make the new model the gallery's, in one step; every image must have been staged. Ids and labels stay.

        Raises GalleryError, also for descriptions that are not on the disk as they were written: they are waiting
        again. GalleryLockedError.
        """
        with self.writing():
            damaged = self._drop_damaged()
            if damaged:
                raise GalleryError(
                    f"{damaged:,} new descriptions are not what was stored: run the migration again, which makes them "
                    "anew; the gallery is as it was"
                )
            with self._database.writing() as session:
                redescribing.take_over(session)
            with self._database.reading() as session:
                self._config = store.config(session)
            self._reader = Reader(
                self._folder, self._database, (self._config.model_digest, self._config.descriptor_size)
            )
            projection.discard(self._folder)
            self._tidy()

    def give_up_migration(self) -> None:
        """Forget a migration that is under way. Raises GalleryLockedError."""
        with self.writing():
            with self._database.writing() as session:
                redescribing.give_up(session)
            self._tidy()

    def set_image_root(self, image_root: Path) -> None:
        """Say where the images lie now; `image_root` is absolute, the paths below it the same."""
        _require_absolute(image_root)
        with self.writing(), self._database.writing() as session:
            store.record(session).image_root = image_root.as_posix()
        self._config = changed(self._config, image_root=image_root)

    def remove(self, ids: Iterable[int]) -> int:
        """Remove images and erase their descriptors; how many. Their ids are never used again.

        Unknown ids are passed over. Raises GalleryLockedError.
        """
        with self.writing():
            with self._database.writing() as session:
                removed = store.remove(session, list(ids))
                if removed:
                    store.advance(session, removed=True)
            self._tidy()
        return removed

    def count_identities(self) -> int:
        """How many people the labels name."""
        with self._database.reading() as session:
            return store.count_identities(session)

    def paths(self) -> set[str]:
        """The paths of all images."""
        with self._database.reading() as session:
            return store.paths(session)

    def ids_of(self, paths: Sequence[str]) -> dict[str, int]:
        """The ids of those paths that the gallery holds."""
        with self._database.reading() as session:
            return store.ids_by_path(session, paths)

    def known(self) -> dict[str, StoredImage]:
        """All images by path."""
        return {image.path: image for image in self.images()}

    def images(self, where: Filter = EVERYTHING) -> Iterator[StoredImage]:
        """The images that pass the filter, by ascending id, read in pages."""
        yield from self._pages(lambda session, last: store.page(session, where, after=last))

    def _pages(self, read: Callable[[Session, int], list[StoredImage]]) -> Iterator[StoredImage]:
        last = 0
        while True:
            with self._database.reading() as session:
                page = read(session, last)
            if not page:
                return
            yield from page
            last = page[-1].id

    def get(self, ids: Sequence[int]) -> list[StoredImage]:
        """The images with these ids, in this order. Raises UnknownImageError."""
        with self._database.reading() as session:
            return store.get(session, ids)

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these images, (len(ids), descriptor_size) float32, in this order.

        They come back rounded to half precision. Raises UnknownImageError.
        """
        return self._reader.descriptors(ids)

    def sound_descriptors(self, ids: Sequence[int]) -> dict[int, FloatArray]:
        """The descriptors (descriptor_size,) of those of these images whose records agree with their hash, or have
        none. Raises UnknownImageError."""
        with self._database.reading() as session:
            noted = store.record_hashes(session, ids)
        descriptors = self.descriptors(ids)
        return {
            id_: descriptor
            for id_, descriptor in zip(ids, descriptors, strict=True)
            if noted[id_] in (None, record_hash(descriptor))
        }

    def search(
        self,
        descriptor: NDArray[Any],
        k: int,
        *,
        where: Filter = EVERYTHING,
        exclude: Collection[int] = (),
    ) -> list[Match]:
        """The k nearest images to one descriptor (size,); see `search_many`."""
        return self.search_many(np.asarray(descriptor)[None], k, where=where, exclude=exclude)[0]

    def search_many(
        self,
        descriptors: NDArray[Any],
        k: int,
        *,
        where: Filter = EVERYTHING,
        exclude: Collection[int] = (),
    ) -> list[list[Match]]:
        """For each descriptor (n, size) the k nearest images, nearest first, equals by id.

        Only images that pass `where` and are not in `exclude` (ids) compete, so that there are k
        results whenever k such images exist. Raises ValueError for k < 1, GalleryEmptyError,
        DescriptorShapeError, DescriptorValueError, FaissMissingError.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected 1 or more results")
        queries = checked_descriptors(np.asarray(descriptors), self._config.descriptor_size)
        return self._reader.search(queries, k, where, exclude)

    def plan(self, requirements: Requirements | None = None) -> Plan:
        """How the gallery would be searched to keep to these requirements (None: those it was given last).

        Raises GalleryEmptyError, FaissMissingError.
        """
        return self._reader.repeated(lambda: plan_for(self._folder, self._database, requirements))

    def prepare(self, requirements: Requirements | None = None, progress: Progress | None = None) -> Prepared:
        """Build the index that the plan chooses, unless it is there, and measure it against every descriptor.

        Requirements are remembered; None: those given last. progress(what, done, total). Raises GalleryEmptyError,
        RequirementsError when no way of searching would keep to them, RecallError when the index does not: then it is
        not installed, and nothing changes. GalleryLockedError.
        """
        with self.writing():
            prepared = prepare(self._folder, self._database, requirements, progress)
        self._reader.forget()
        return prepared

    def _tidy(self) -> None:
        """Zero the descriptors of removed images and delete descriptor files that are not needed any more; also what a
        crash left over."""
        with self._database.reading() as session:
            erasures, state = store.erasures(session), store.state(session)
            files = store.files_in_use(session, self._folder)
        discard_descriptors(self._folder, keep=files.keys())
        if not erasures:
            return
        for copy in self._folder.glob(f"{DATABASE_NAME}.v*"):  # of before an upgrade: it still names them
            if copy.name.removeprefix(f"{DATABASE_NAME}.v").isdecimal():
                copy.unlink(missing_ok=True)
        projection.discard(self._folder, before=state.generation, keep=state.file_name)
        for name, slots in erasures.items():
            files[name].zero(slots)
            with self._database.writing() as session:
                store.erased(session, name, slots)

    def _drop_damaged(self) -> int:
        with self._database.writing() as session:
            return redescribing.drop_damaged(session, self._folder)

    def _bytes(self) -> int:
        names = (f"{DATABASE_NAME}*", DESCRIPTORS)
        return sum(path.stat().st_size for name in names for path in self._folder.glob(name))


def _require_absolute(image_root: Path) -> None:
    if not image_root.is_absolute():
        raise ValueError(f"image_root is {image_root}; expected an absolute path")
