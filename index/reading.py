"""What can be asked of a gallery. Nothing here takes the writer's lock, and all of it may go on while another process
writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.config import CropPolicy, GalleryConfig
from index.descriptors import checked_descriptors
from index.engines import FAISS
from index.errors import ModelMismatchError
from index.truth import descriptor_slots, engine, kept, known, pages, passed, problems, state, store
from index.truth.database import Database
from index.values import Face, FloatArray, IdArray, Kept, KnownFile, Match, Passed, Problem
from index.where import Condition

if TYPE_CHECKING:
    from index.search.reader import Reader


class Reading:
    """The half of a `Gallery` that changes nothing; may be shared by threads."""

    def __init__(self, folder: Path, database: Database, config: GalleryConfig, reader: Reader) -> None:
        """reader: what searches, and reads descriptors."""
        self._folder, self._database, self._config, self._reader = folder, database, config, reader

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
    def generation(self) -> int:
        """How many times images were added or removed."""
        return self._reader.state().generation

    @property
    def lag(self) -> int:
        """How many faces the engine that searches does not know as they are; they are searched in the database."""
        with self._database.reading() as session:
            return engine.lag(session)

    @property
    def built(self) -> str:
        """How the engine that searches does so, and what was measured of it; empty where nothing is built in it yet,
        or there is none."""
        with self._database.reading() as session:
            found = None if self._config.vectors == FAISS else engine.about(session)
        return "" if found is None or not found.recall else f"{found.kind}, recall {found.recall:.4f}"

    def __len__(self) -> int:
        with self._database.reading() as session:
            return store.count(session)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no face, without counting them."""
        with self._database.reading() as session:
            return not store.has_faces(session)

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

    def faces(self, where: Condition | None = None, *, after: int = 0) -> Iterator[Face]:
        """The faces that pass the condition, by ascending id, read in pages. after: an id, to begin with the next."""
        return pages.faces(self._database, lambda session, last: store.page(session, where, after=last), after)

    def ids(self, where: Condition | None = None, *, photos: bool = False) -> IdArray:
        """The ids (n,) of the faces that pass the condition, ascending; photos: of each photo only the first."""
        with self._database.reading() as session:
            return store.first_ids(session, where) if photos else store.select_ids(session, where)

    def get(self, ids: Sequence[int]) -> list[Face]:
        """The faces with these ids, in this order. Raises UnknownImageError."""
        with self._database.reading() as session:
            return store.get(session, ids)

    def known(self) -> dict[str, Face]:
        """The first face of every photo, by path."""
        return {face.path: face for face in pages.faces(self._database, store.first_of_photos)}

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

    def ids_of(self, paths: Sequence[str]) -> dict[str, int]:
        """The ids of the first faces at those of these paths that the gallery holds."""
        with self._database.reading() as session:
            return store.ids_by_path(session, paths)

    def all_ids_of(self, paths: Sequence[str]) -> dict[str, list[int]]:
        """The ids of all faces at those of these paths that the gallery holds, by number."""
        with self._database.reading() as session:
            return store.all_ids_by_path(session, paths)

    def photos(self) -> Iterator[list[tuple[int, str]]]:
        """Ids and paths of the photos with a face, by ascending id, in pages."""
        return pages.pages(self._database, known.photos, itemgetter(0))

    def named_by_folder(self) -> Iterator[str]:
        """The paths of the photos whose identity is a folder's name."""
        with self._database.reading() as session:
            yield from known.named_by_folder(session)

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

    def undescribed(self) -> set[int]:
        """The ids of the images that wait to be described again, since what was known of them was damaged."""
        with self._database.reading() as session:
            return set(descriptor_slots.without_record(session))

    def described(self, ids: Sequence[int]) -> set[int]:
        """Those of these images that have a descriptor."""
        with self._database.reading() as session:
            return set(descriptor_slots.noted_hashes(session, ids))

    def problems(self) -> list[Problem]:
        """The files that could not be read, by path."""
        with self._database.reading() as session:
            return problems.every(session)

    def passed(self) -> dict[str, Passed]:
        """The files that are no pictures by their content, by path."""
        with self._database.reading() as session:
            return passed.passed(session)

    def kept(self, contents: Sequence[str]) -> list[Kept]:
        """The labels that are kept of pruned images with these contents (sha256), oldest first."""
        with self._database.reading() as session:
            return kept.of_contents(session, contents)

    def count_kept(self) -> int:
        """Of how many pruned images the labels are kept."""
        with self._database.reading() as session:
            return kept.count(session)

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

    def descriptors(self, ids: Sequence[int]) -> FloatArray:
        """The descriptors of these faces, (len(ids), descriptor_size) float32, in this order.

        They come back rounded to half precision. Raises UnknownImageError.
        """
        return self._reader.descriptors(ids)

    def sound_descriptors(self, ids: Sequence[int]) -> dict[int, FloatArray]:
        """The descriptors (descriptor_size,) of those of these faces whose records agree with their hash. Raises
        UnknownImageError."""
        with self._database.reading() as session:
            noted, slots = descriptor_slots.noted_hashes(session, ids), descriptor_slots.slots_of(session, ids)
            there = np.unique(slots)
            hashes, records = descriptor_slots.descriptor_file(session, self._folder).stored(there)
        found = zip(ids, np.searchsorted(there, slots).tolist(), strict=True)
        return {id_: records[at].astype(np.float32) for id_, at in found if noted.get(id_) == hashes[at]}

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
