"""What changes the faces of a gallery, and what it remembers of files: each in one transaction, in a writer's turn.
What is not needed any more is erased once that is committed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from sqlalchemy import Connection

from index.checks import check_decision, check_photo, check_place
from index.config import CropPolicy, GalleryConfig
from index.descriptors import checked_descriptors, record_hashes
from index.errors import DescriptorShapeError
from index.labels import Labels
from index.paths import check_path
from index.reading import Reading
from index.tidying import tidy
from index.truth import descriptor_slots, hidden, kept, passed, people, places, problems, state, store
from index.truth.database import Database
from index.truth.rows import redecided, require_known
from index.values import Face, FloatArray, Passed, Problem

if TYPE_CHECKING:
    from index.search.reader import Reader
    from index.writing import Writer


class Changing(Reading):
    """A `Gallery` as far as rows and descriptors are read and changed. `writing`, `turn` and `claiming` are what its
    `Writer` has."""

    def __init__(self, folder: Path, database: Database, config: GalleryConfig, reader: Reader, writer: Writer) -> None:
        super().__init__(folder, database, config, reader)
        self._writer = writer
        self.writing, self.turn, self.claiming = writer.writing, writer.turn, writer.claiming

    @property
    def as_opened(self) -> bool:
        """Whether the folder still holds this gallery, by the same model, of the same images' folder; False where
        another process has made it anew, redescribed or relocated it: then it is to be opened again."""
        return self._writer.as_opened

    @property
    def several_write(self) -> bool:
        """Whether several write side by side, in turns, as on a server."""
        return self._database.several_write

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
                removed = _remove_at(session, [face.path for face in faces]) if replace else 0
                problems.forget(session, store.require_new(session, faces))
                ids = store.insert_faces(session, faces)
                self._put(session, ids, array)
                kept.forget(session, returned)
                state.advance(session, removed=removed > 0)
            tidy(self._folder, self._database)
            self._writer.tell_engine()
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
                ids = store.insert_beside(session, faces)
                self._put(session, ids, array)
                state.advance(session, removed=False)
            self._writer.tell_engine()
        return ids

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
            ids = [face.id for face in faces]
            require_known(ids, dict.fromkeys(descriptor_slots.without_record(session)))
            self._put(session, ids, array)
            store.redecide(session, redecided(faces))
            state.advance(session, removed=True)  # it is new, but its id is not: no index goes on to hold

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
                kept.keep(session, store.present(session, remove))
                before = {face.id: face.path for face in store.present(session, [face.id for face in faces])}
                renamed = [(face, before[face.id]) for face in faces if before.get(face.id, face.path) != face.path]
                hidden.move(session, {(face.photo.sha256, path): face.path for face, path in renamed})
                if store.remove(session, remove):
                    state.advance(session, removed=True)
                store.move(session, faces)
            tidy(self._folder, self._database)

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
                removed = _remove(session, going, keep_labels, hide)
            tidy(self._folder, self._database)
        self._database.fold()
        return removed

    def remove_person(self, identity: str, *, hide: bool = False) -> tuple[int, int]:
        """Remove every face of this identity, as conditions compare it, and forget what is kept of it: how many faces,
        and of how many pruned ones the labels. hide: they do not come back with their photos. What the database's log
        still held of them goes, too, unless somebody is reading: then with the last who closes the gallery. Raises
        GalleryLockedError."""
        with self.turn():
            with self._database.writing() as session:
                going = store.ids_of_person(session, identity)
                people.forget_contents(session, kept.contents_of_person(session, identity))
                forgotten = kept.forget_person(session, identity)
                removed = _remove(session, going, False, going if hide else ())
            tidy(self._folder, self._database)
        self._database.fold()
        return removed, forgotten

    def note_problems(self, found: Sequence[Problem], gone: Sequence[str] = ()) -> None:
        """Remember these files, and forget those at the paths in `gone`. Raises GalleryLockedError."""
        if found or gone:
            with self.turn(), self._database.writing() as session:
                problems.forget(session, gone)
                problems.note(session, found)

    def note_passed(self, found: Sequence[Passed], gone: Sequence[str] = ()) -> None:
        """Remember these files, which are no pictures that cannot be read, either, and forget those at the paths in
        `gone`. Raises ImageRowError, GalleryLockedError."""
        for one in found:
            check_path(one.path)
        if found or gone:
            with self.turn(), self._database.writing() as session:
                problems.forget(session, [one.path for one in found])
                passed.note(session, found, gone)

    def forget_kept(self) -> int:
        """Forget the labels of all pruned images, and which persons a hand said that they show; of how many labels.
        Raises GalleryLockedError."""
        with self.turn(), self._database.writing() as session:
            people.forget_absent(session)
            return kept.forget_all(session)

    def set_image_root(self, image_root: Path, below: str = "", out_of: str = "") -> None:
        """Say where the images lie now; `image_root` is absolute. The paths below it are the same; or, where `below`
        names a folder in it, those in that one; or, where `out_of` names one below the former root that holds them all,
        those from there on: what the former undoes. Raises ValueError where it does not hold them all, or the folder
        that names people lies above."""
        require_absolute(image_root)
        for folder in filter(None, (below, out_of)):
            check_path(folder)
        with self.writing(), self._database.writing() as session:
            state.change(session, image_root=image_root.as_posix())
            if below:
                places.put_below(session, below)
                state.move_identity_level(session, below.count("/") + 1)
            if out_of:
                places.take_out(session, out_of)
                state.move_identity_level(session, -(out_of.count("/") + 1))
        self._is_now(changed(self._config, image_root=image_root))

    def set_crops(self, policy: CropPolicy) -> None:
        """Remember what is done with pictures from now on; those that are here stay. Raises ValueError for what is no
        such policy."""
        with self.turn(), self._database.writing() as session:
            state.set_crops(session, policy)

    def set_identity_level(self, level: str) -> None:
        """Remember which folder names a person from now on; labels stay. Raises ValueError for what is no level."""
        with self.turn(), self._database.writing() as session:
            state.set_identity_level(session, level)

    def _check(self, faces: Sequence[Face]) -> None:
        """Raise ImageRowError for what no row may say."""
        for face in faces:
            check_photo(face.photo)
            check_place(face)
            check_decision(face.path, face.decision, self._config.values)

    def _is_now(self, config: GalleryConfig) -> None:
        """What the gallery is made for from now on."""
        self._config = self._writer.config = config

    def _put(self, session: Connection, ids: Sequence[int], descriptors: FloatArray) -> None:
        """Write descriptors (n, size) behind those of the gallery, and note that they are of these faces."""
        number, file = state.gallery(session).file, descriptor_slots.descriptor_file(session, self._folder)
        first = file.append(descriptors, committed=descriptor_slots.slots_in_use(session, number))
        descriptor_slots.insert_records(session, number, first, ids, record_hashes(descriptors))


def require_absolute(image_root: Path) -> None:
    """Raise ValueError for a folder that depends on where somebody stands."""
    if not image_root.is_absolute():
        raise ValueError(f"image_root is {image_root}; expected an absolute path")


def _remove(session: Connection, ids: Sequence[int], keep_labels: bool, hide: Collection[int]) -> int:
    """Remove faces; how many. What a hand said of them is kept, or else forgotten. hide: those of them that do not come
    back with their photos."""
    if keep_labels:
        kept.keep(session, store.present(session, ids))
    else:
        kept.forget_of_faces(session, ids)
        people.forget_of_faces(session, ids)
    hidden.hide(session, store.present(session, sorted(hide)))
    removed = store.remove(session, ids)
    if removed:
        state.advance(session, removed=True)
    return removed


def _remove_at(session: Connection, paths: Sequence[str]) -> int:
    """Remove the faces at these paths, which others take; how many."""
    there = store.all_ids_by_path(session, list(dict.fromkeys(paths)))
    return store.remove(session, [id_ for ids in there.values() for id_ in ids])
