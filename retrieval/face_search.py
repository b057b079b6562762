"""One gallery with its models: index a folder of pictures, ask for people by their look, keep the gallery in order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceedit.cropping import ALIGNED, Cropper
from faceedit.describes import Edits
from faceedit.errors import UsageError
from faceedit.images import Picture
from index.engines import FAISS
from index.errors import EngineError, GalleryEmptyError, GalleryError, RecallError
from index.files import shortlists
from index.gallery import CropPolicy, Gallery
from index.named_stores import name_store
from index.progress import Progress, Steps
from index.search.plan import Prepared, Requirements, read_requirements
from index.stored import place_of
from index.truth.address import Address, Server, read_address
from index.values import Face, Hidden, Person
from index.writing import PATIENT, Patience
from retrieval.answers import Answer, Step
from retrieval.asking import asked_for_person
from retrieval.checks import require_output_folder
from retrieval.choosing import Meant, chosen_ids
from retrieval.crop_policy import keep_crops, read_crops
from retrieval.folder import is_folder
from retrieval.gallery_info import GalleryInfo, about
from retrieval.hiding import BroughtBack, bring_back, meant
from retrieval.indexing import index_folder
from retrieval.kinds import below_root, look_through, require_pictures
from retrieval.label_rows import LabelRows
from retrieval.labelling import AnyLabels, files_of, read_labels
from retrieval.levels import read_level
from retrieval.likeness import FALSE_ACCEPTS, Likeness, compared
from retrieval.looking import Shown, faces_in, looked_at, read_known
from retrieval.models import ModelFolders, given_models
from retrieval.opening import Opening
from retrieval.passing import Looks
from retrieval.people import Grouping, group
from retrieval.people_by_hand import kept_apart, merged, of_person, split
from retrieval.pruning import Ask, Gone, refuse, would_go
from retrieval.query import Question, answers, chain, decided, own_editor
from retrieval.reading import FileReader, ReadsFiles
from retrieval.redescribing import forget_redescription, redescribe, require_another
from retrieval.restoring import Restored, restored
from retrieval.run_reports import IndexReport, RedescribeReport
from retrieval.search_requirements import require_possible
from retrieval.shards import TURN, Shard, read_shard, require_whole
from retrieval.source import AnyPicture, Source, read_source
from retrieval.told import forget_told
from retrieval.upkeep import (
    KEEP,
    Compacted,
    Keep,
    Removal,
    correct_labels,
    relocate,
    removed_images,
    removed_person,
    would_remove,
)
from retrieval.wishes import Selection, Where, asked_for, attribute_named, condition_of, require_wish, swept

if TYPE_CHECKING:
    from index.care.copying import Copied
    from retrieval.cluster import Cluster


class FaceSearch:
    """A gallery in a folder, and the models that describe its pictures and imagine faces.

    Neither is opened before it is needed, and each once; the first `index` creates a gallery where there is none. Use
    it in a `with` block, or `close` it.

    May be shared by threads. Opening is guarded by a lock; the networks are not changed by use; a search sees the
    gallery as some moment's writers left it, and needs no lock; writers (index, label, remove, redescribe) wait for one
    another, and other processes' are refused with GalleryLockedError; on a server they take turns, too, where they can
    (docs/cluster.md). `close` only when no call is under way. What another process makes of the gallery is seen by the
    next call; only one that is under way while it is redescribed or made anew raises GalleryChangedError: ask again.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | Server,
        models: str | os.PathLike[str] | None = None,
        model: str | os.PathLike[str] | None = None,
        device: str = "auto",
        descriptor: str | None = None,
        candidates: str = "likely",
        describer: Edits | Mapping[str, Edits] | None = None,
        *,
        attribute: str | None = None,
        identity: str | None = None,
        reader: ReadsFiles | None = None,
        finder: Cropper | None = None,
        patience: Patience = PATIENT,
    ) -> None:
        """
        folder: of the gallery, or its address on a server (docs/cluster.md).
        models: a folder with a model for each attribute (by default $FACESEARCH_MODELS, else
        those that come along); model: the folder of the one that describes the gallery (by default $FACESEARCH_MODEL,
        else that of its attribute among the models). attribute: what a new gallery is made for: pose (by default),
        illumination or inpainting. identity: what says who somebody is: 'own' (the model alone), 'sface', the path of
        an ONNX file (see docs/people.md), or 'auto' (by default, or $FACESEARCH_IDENTITY): what the gallery has; of a
        new one, sface where the extra `identity` is installed.
        device: auto, cpu or cuda. descriptor: of a new gallery, 'learned' (by default) or 'paper'; candidates: 'likely'
        or 'all'; see `faceedit.editor.Editor`.
        describer: models that were loaded already, one or one for each attribute, instead of what says which to load
        and how: together with models, model, device or descriptor it raises UsageError. reader: what reads the files of
        a folder; finder: what finds the face in a photograph that is asked about. patience: for how long label, remove
        and people by hand wait for their turn where several write (on a server); `index` waits as long as it takes.
        """
        self.place = read_address(os.fspath(folder) if not isinstance(folder, Server) else folder)
        self.folder = self.place.folder if isinstance(self.place, Server) else self.place
        self._attribute, self._descriptor, self._all = attribute, descriptor, candidates == "all"
        self._reader = reader or FileReader()
        self._finder = (finder or Cropper()).believing(self._believes_crops)
        self._models = (
            ModelFolders(models, model, device, candidates, identity)
            if describer is None
            else given_models(
                describer, models=models, model=model, device=device, descriptor=descriptor, identity=identity
            )
        )
        self._opening = Opening(self.place, patience)

    def __enter__(self) -> FaceSearch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the gallery; what is called afterwards opens it again."""
        self._opening.close()

    @property
    def gallery(self) -> Gallery:
        """The gallery itself. Raises GalleryNotFoundError where there is none yet."""
        return self._opening.gallery()

    def info(self) -> GalleryInfo:
        """What the gallery holds, where, described by which model, and how it is searched."""
        return about(self.gallery)

    def create(self, image_root: str | os.PathLike[str], vectors: str = FAISS) -> GalleryInfo:
        """Make an empty gallery by the model that would describe a new one, for pictures below this folder; `index`
        does so by itself where there is none, and lets it be searched by faiss. vectors: faiss, pgvector, the address
        of a Milvus server, or a file for Milvus Lite (docs/cluster.md). Raises GalleryExistsError, AddressError,
        UsageError.
        """
        self._models.check(self._attribute)
        root = place_of(image_root)
        name_store(root)
        if not is_folder(root):
            raise UsageError(f"{root} is no folder: give the one that the images lie below")
        require_output_folder(self.folder)
        describer = self._models.to_describe(self._attribute, self._descriptor, None)
        return about(self._opening.create(describer, root, vectors))

    def restore(
        self,
        exported: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        progress: Steps | None = None,
    ) -> Restored:
        """Make this gallery of what `gallery.export` wrote into a folder; ids stay. root: where the images lie, if that
        is elsewhere than it says there. Raises UsageError, GalleryExistsError, GalleryNotFoundError,
        GalleryCorruptError, GalleryStorageError.
        """
        return restored(self.place, exported, root, progress)

    # --- pictures in ---

    def index(
        self,
        folder: str | os.PathLike[str],
        labels: AnyLabels | None = None,
        *,
        prune: bool = False,
        sure: bool | Ask = False,
        retry: bool = False,
        identity_level: str | int | None = None,
        exclude: Sequence[str] = (),
        follow_links: bool = False,
        faces: str | None = None,
        detector: str | os.PathLike[str] | None = None,
        identity_of: str | None = None,
        requirements: Requirements | None = None,
        shard: str | Shard | None = None,
        workers: str | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Describe the pictures of a folder that the gallery does not hold as they are now, and prepare the search.

        labels: a manifest.csv (path, identity, pose, ...); where that has no row, the identity is the name of a folder
        that a picture lies in: its own, or the one that identity_level says (first, last, or a number from 1, the
        outermost), which is remembered. prune: remove what has gone; sure: also where whole folders have gone, or most
        of the gallery, or what says whether to. retry: try files again that could not be read before. exclude: globs of
        names, or of paths below the folder, that are passed over; follow_links: look into folders that links lead to.
        faces: what is done with pictures: auto (a crop is taken as it is, or cut anew where others cut it; of a
        photograph every face), all, largest or aligned (every picture is a crop as it is); detector: another YuNet's
        ONNX file; identity_of: to whom a folder's name, or a row of the manifest, belongs where a photograph shows
        several: only (to nobody) or largest. All three are remembered.
        requirements: what a search must keep to, remembered for the next time; where no index does,
        `IndexReport.not_searched` says why. shard: only this part of the files, such as '3/64': other processes may
        describe the other parts meanwhile; nothing is pruned or prepared, for which a run over all of it comes last.
        workers: let Ray's processes read and describe, 'ray' on this machine (or at $RAY_ADDRESS), or those of the
        cluster at ray://HOST:PORT, whose machines see the folder at the same place. Raises FaceEditError,
        RetrievalError, GalleryError for a folder, manifest, model, cluster or gallery that does not fit; PruneError
        where so much has gone that one should be sure: then nothing was removed or described.
        """
        self._models.check(self._attribute)
        part = None if shard is None else read_shard(shard)
        require_whole(part, prune=prune, requirements=requirements)
        address = None
        if workers is not None:
            from retrieval.cluster_connection import read_workers

            address = read_workers(workers)
        looks, place = Looks(tuple(exclude), follow_links), place_of(folder)
        require_output_folder(self.folder)
        name_store(place)
        level, rows = None if identity_level is None else read_level(identity_level), LabelRows()
        read_requirements(self.folder)  # say now that they are damaged
        existing = self._opening.existing()
        found = look_through(place, looks, [self.folder, *files_of(labels)], existing)
        if not prune or not existing:
            require_pictures(place, found)
        named = read_labels(labels, found.pictures, rows)
        policy, crops = read_crops(existing.crops if existing else CropPolicy(), faces, detector, identity_of)
        describer = self._models.to_describe(self._attribute, self._descriptor, existing.config if existing else None)
        if requirements is not None:
            most = max(len(found.pictures), len(existing or ()))
            require_possible(most, describer.descriptor_size, requirements)
        gallery = self._opening.fitting(describer, place)
        if part is not None:
            found = part.of(found, below_root(place.resolve(), gallery.config.image_root))
        told, unlisted = partial(progress or _silent, "describing images"), {path for path, _ in found.refused}
        beside, count = part is not None or gallery.several_write, len(found.pictures)

        def turn(done: int) -> AbstractContextManager[None]:
            return gallery.turn(TURN, partial(told, done, count)) if beside else nullcontext()

        otherwise = keep_crops(gallery, policy, partial(turn, 0))
        ask = prune and (sure or refuse)
        reader = self._reader.cropping(crops)
        with nullcontext() if address is None else self._cluster(address, describer, gallery, reader) as source:
            report = index_folder(
                *(gallery, describer, found.pictures, named, told, ask, retry, reader, level),
                folder=place.resolve(),
                looks=looks,
                identity_of=identity_of,
                unlisted=unlisted,
                shard=part,
                source=source,
            )
        report.otherwise = report.unchanged if otherwise else 0
        if found.new or found.gone:
            with turn(count):
                gallery.note_passed(found.new, found.gone)
        report.rows = None if named is None else rows
        report.skipped += found.refused
        report.passed = found.passed
        report.unmatched = looks.unmatched(place, found.passed)
        report.images, report.photos = len(gallery), gallery.count_photos()
        if self._all and report.unchanged:
            report.likely_only = sum(None in face.decision.errors for face in gallery.faces())
        if part is None:
            report.search, report.not_searched = self._prepared(requirements, progress)
        return report

    def would_prune(
        self, folder: str | os.PathLike[str], *, exclude: Sequence[str] = (), follow_links: bool = False
    ) -> Gone:
        """Which images `index(folder, prune=True)` would remove now, and what speaks against it; nothing is changed.
        Raises as `index`."""
        looks = Looks(tuple(exclude), follow_links)
        name_store(place := place_of(folder))
        found = look_through(place, looks, [self.folder], self.gallery)
        unlisted = {path for path, _ in found.refused}
        return would_go(self.gallery, found.pictures, looks, unlisted, self._reader)

    def prepare(self, requirements: Requirements | None = None, progress: Progress | None = None) -> Prepared | None:
        """Build the index that the requirements ask for (None: those given last); None for an empty gallery. Raises
        RequirementsError, RecallError; see `Gallery.prepare`."""
        with suppress(GalleryEmptyError):
            return self.gallery.prepare(requirements, progress or _silent)
        return None

    def redescribe(
        self, *, drop: bool = False, detector: str | os.PathLike[str] | None = None, progress: Progress | None = None
    ) -> RedescribeReport:
        """Describe every face again by this object's model, keeping ids and labels; it is cut out of its photograph
        again. The gallery stays as it is until all are described; an interrupted run is taken up again. drop: remove
        what cannot be read; detector: the one that the gallery was made with, where that did not come along.

        Raises UsageError where that model described it already; see `retrieval.redescribing.redescribe`.
        """
        self._models.check(self._attribute)
        gallery, told = self.gallery, partial(progress or _silent, "describing images again")
        describer = self._models.to_describe(self._attribute, self._descriptor, None)
        require_another(gallery, describer)
        _, crops = read_crops(gallery.crops, None, detector, None)
        report = redescribe(gallery, describer, drop, told, self._reader.cropping(crops))
        if report.finished:
            report.not_searched = self._prepared(None, progress)[1]
        return report

    def give_up_redescription(self) -> int | None:
        """Forget one that was begun and is not finished: how many new descriptions; None where there was none."""
        return forget_redescription(self.gallery)

    # --- questions ---

    def read(self, picture: AnyPicture | Source, *, size: int | None = None, face: int | None = None) -> Source:
        """Read a picture, to ask several things of it: what `query`, `sweep`, `edit` and `decide` do with theirs.

        picture: a photograph or an aligned face, as a path, bytes, a PIL image or (H, W, 3) uint8 RGB. In a photograph
        the face is found, if the extra `photos` is installed, and `Source.warnings` tells where it shows several. size:
        side of what is to be looked at, 60 to 240 pixels; face: its number, from 1, the largest first; None: that.
        Raises ImageError, NoFaceError where there is none, or none of that number, UsageError for a face of a picture
        that was read already, MissingPackageError for a photograph without that extra.
        """
        return read_source(picture, size, finder=self._finder, face=face)

    def read_face(self, face: int, *, size: int | None = None) -> Source:
        """A face of the gallery by its id, to ask several things of it: as `read` reads a picture. Raises
        UnknownImageError, ImageError for a file that is not there, or not the one that was described."""
        gallery = self.gallery
        return read_known(gallery, gallery.get([face])[0], self._finder, size)

    def _believes_crops(self) -> bool:
        """Whether the gallery, if there is one, takes every picture for a crop as it is: so are queries that are."""
        with suppress(GalleryError):
            existing = self._opening.existing()
            return existing is not None and existing.crops.faces == ALIGNED
        return False

    def faces_in(self, content: bytes) -> Shown:
        """Which faces a picture's file shows, and where, the largest first. Raises NoFaceError, MissingPackageError for
        a photograph without the extra `photos`, ImageError."""
        return faces_in(self._finder, content)

    def photo(self, face: int, size: int = 1024) -> Picture:
        """The photo of a face of the gallery, upright: (H, W, 3) uint8 RGB, its longer side at most `size` pixels.

        Raises UnknownImageError, UsageError for what is no size, ImageError for a file that is not there, or not the
        one that was described.
        """
        gallery = self.gallery
        return looked_at(gallery, gallery.get([face])[0], size)

    def query(
        self,
        picture: AnyPicture | Source | None = None,
        *,
        person: int | str | None = None,
        pose: int | None = None,
        illumination: int | None = None,
        inpaint: bool = False,
        k: int = 5,
        where: Where = None,
        distinct: str | None = None,
        max_distance: float | None = None,
        face: int | None = None,
    ) -> Answer:
        """Imagine the person as asked, one attribute after the other, and find the k nearest pictures of the gallery;
        without a wish, those that are most alike in who they are.

        picture, face: see `read`; where it is a file of the gallery, that one does not count. person: instead of a
        picture somebody of the gallery, by name or by the number that `group` gave: who it is by all its faces, how it
        looks by the edits of up to five. pose: degrees;
        illumination: number of the light; inpaint: without the block that hides a part. where: which images compete,
        such as "identity != 'anna' and pose between -15 and 15"; distinct: 'identity' for each person once, 'content'
        for each file's content once; max_distance: leave out what is farther, 0 to 2. `Answer.near` says whether the
        first result is as near as right ones are.
        Raises AttributeValueError, UsageError, WhereError, NothingFoundError, ImageError, GalleryError, ModelFileError.
        """
        asked = asked_for(pose, illumination, inpaint)
        selection = Selection(k, condition_of(where), distinct, max_distance)
        return self.ask(self._questions(picture, person, face, [asked], selection))[0]

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers to several questions at once, in their order: what `query` says to each, but their pictures go
        through the networks together, which takes less time. Raises as `query`, for all where one cannot be
        answered."""
        return answers(self.gallery, self._models, questions) if questions else []

    def sweep(
        self,
        picture: AnyPicture | Source | None = None,
        attribute: str = "pose",
        *,
        person: int | str | None = None,
        pose: int | None = None,
        illumination: int | None = None,
        inpaint: bool = False,
        k: int = 1,
        where: Where = None,
        distinct: str | None = None,
        max_distance: float | None = None,
        face: int | None = None,
    ) -> list[Answer]:
        """The same at every value of one attribute, one answer each. Raises UsageError where that one is also wished
        for."""
        wishes = swept(attribute, asked_for(pose, illumination, inpaint))
        selection = Selection(k, condition_of(where), distinct, max_distance)
        return self.ask(self._questions(picture, person, face, wishes, selection))

    def edit(
        self,
        picture: AnyPicture | Source,
        *,
        pose: int | None = None,
        illumination: int | None = None,
        inpaint: bool = False,
        size: int | None = None,
        face: int | None = None,
    ) -> tuple[Step, ...]:
        """See a face as asked: the edits in the order in which they were made; `[-1].picture` is the last one's.

        size: side of the pictures, 60 to 240 pixels; by default as large as the given one is within these bounds.
        It needs no gallery. Raises UsageError where nothing is asked, AttributeValueError, ImageError, ModelFileError.
        """
        asked = asked_for(pose, illumination, inpaint)
        require_wish(asked)
        source = self.read(picture, size=size, face=face)
        return chain(source, asked, self._models.to_edit(asked))

    def strip(
        self,
        picture: AnyPicture | Source,
        attribute: str = "pose",
        *,
        pose: int | None = None,
        illumination: int | None = None,
        inpaint: bool = False,
        size: int | None = None,
        face: int | None = None,
    ) -> Picture:
        """The face at every value of one attribute, side by side in one picture, (H, n H, 3) uint8 RGB: each as `edit`
        shows it. Raises as `edit`, and UsageError where that attribute is also wished for."""
        wishes = swept(attribute, asked_for(pose, illumination, inpaint))
        source = self.read(picture, size=size, face=face)
        editors = self._models.to_edit(wishes[0])
        return np.concatenate([chain(source, asked, editors)[-1].picture for asked in wishes], axis=1)

    def compare(
        self, one: AnyPicture | Source, other: AnyPicture | Source, *, false_accepts: float = FALSE_ACCEPTS
    ) -> Likeness:
        """Whether two pictures show one person. It needs no gallery.

        false_accepts: the share of strangers that may be taken for one person, one of those that were measured.
        Raises UsageError for another one, or a model that does not say who somebody is, NoFaceError where nobody is
        seen, ImageError, ModelFileError.
        """
        pair = self.read(one), self.read(other)
        return compared(*pair, self._models.to_describe(None, None, None), false_accepts)

    def decide(self, picture: AnyPicture | Source, attribute: str = "pose") -> int:
        """The value of the attribute that the picture itself has, as the model sees it. Raises UsageError, ImageError,
        ModelFileError."""
        space, source = attribute_named(attribute), self.read(picture)
        return decided(source.crop, space, self._models.to_edit([attribute]))

    def evaluate(
        self,
        data: str | os.PathLike[str],
        *,
        queries: int = 2_000,
        seed: int = 0,
        match: Sequence[str] | None = None,
        faces: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """How often the right picture is found on a labelled data set, by the model of this gallery, or that of a new
        one: what `facesearch evaluate` writes into report.json. The gallery itself is neither asked nor changed.

        data: a folder with a manifest.csv, or the file. queries: so many, chosen by `seed`. match: columns that agree
        in a right result, by default identity, illumination and pose, and expression and session where it has them.
        faces: what is done with pictures, as `index` has it; None: as there, but crops under masks stay as they are.
        Raises ManifestError, EvaluationError, ImageError, ModelFileError.
        """
        from retrieval.evaluation.report import figures_of

        existing = self._opening.existing()
        describer = self._models.to_describe(self._attribute, self._descriptor, existing.config if existing else None)
        return figures_of(describer, Path(data), queries, seed, match, progress, faces)

    # --- people ---

    def group(self, *, anew: bool = False, progress: Progress | None = None) -> Grouping:
        """Find out which faces are one person's, of those that came since this was done last; anew: of all. Names that
        somebody gave go to the other faces of a person as suggestions.

        By what says who it is alone: two persons become one where they are as near as 1 in 10,000 strangers, or what
        else was measured. Numbers of persons stay, and so does all that `merge`, `split`, `not_same` and labels said.
        Raises UsageError where nobody measured how near strangers come, GalleryError, ModelFileError.
        """
        told, gallery = partial(progress or _silent, "grouping faces"), self.gallery
        return group(gallery, own_editor(gallery, self._models)[1], anew, told)

    def people(self) -> list[Person]:
        """Everybody whom `group` found, by number; `faces.gallery.faces(parse("person = 17"))` are the faces of one."""
        return self.gallery.people.all()

    def merge(self, person: int, *others: int) -> Person:
        """Say that these persons are one, and stay so: it has the first number. Raises UsageError for persons with two
        names, UnknownPersonError."""
        return merged(self.gallery, person, others)

    def split(self, person: int, *images: Meant) -> tuple[Person, int]:
        """Say that these faces of a person are somebody else, and stay so: who, and how many others of it went along,
        since they are more like these. Raises UsageError, UnknownPersonError, UnknownImageError."""
        gallery = self.gallery
        own = own_editor(gallery, self._models)[1]
        return split(gallery, own, person, chosen_ids(gallery, images, None))

    def not_same(self, *persons: int) -> list[Person]:
        """Say that no two of these persons are one, however alike they are. Raises UsageError, UnknownPersonError."""
        return kept_apart(self.gallery, persons)

    # --- upkeep ---

    def label(
        self,
        *images: Meant,
        where: Where = None,
        person: int | None = None,
        identity: str | Keep | None = KEEP,
        pose: int | str | Keep | None = KEEP,
        illumination: int | str | Keep | None = KEEP,
        expression: str | Keep | None = KEEP,
    ) -> int:
        """Correct labels of images that are named by path or id, that fulfil a condition, or that show a person, by
        number; how many images. Other faces of a person have its name as a suggestion.

        None and empty text are 'not known'; what is not given stays; a number may be its text.

        Raises UsageError, UnknownImageError, UnknownPersonError, WhereError, NothingFoundError.
        """
        labels = {"identity": identity, "pose": pose, "illumination": illumination, "expression": expression}
        condition, gallery = condition_of(where), self.gallery
        if person is not None:
            condition = of_person(gallery, person, alone=not images and condition is None)
        return correct_labels(gallery, images, condition, labels)

    def remove(
        self,
        *images: Meant,
        where: Where = None,
        identity: str | None = None,
        hide: bool | None = None,
        progress: Progress | None = None,
    ) -> Removal:
        """Remove images that are named by path, by path and number (`party.jpg#2`) or by id, or that fulfil a
        condition, and erase their descriptors. identity: remove this person and all that is kept of it.

        hide: whether later runs over their folder leave them out; None: those whose photograph stays, with others in
        it. Of a person, by `identity`, nothing is hidden unless it is said, since something is kept for that.
        The files themselves stay. Raises UsageError, UnknownImageError, WhereError, NothingFoundError.
        """
        condition, gallery = condition_of(where), self.gallery
        reduced = bool(shortlists(gallery.folder))  # which only `prepare` makes
        if identity is None:
            removal = removed_images(gallery, chosen_ids(gallery, images, condition), hide)
        else:
            removal = removed_person(gallery, identity, bool(hide), alone=not images and condition is None)
        forget_told(gallery.folder)
        return replace(removal, not_searched=self._prepared(None, progress)[1] if reduced else None)

    def would_remove(self, *images: Meant, where: Where = None, identity: str | None = None) -> list[Face]:
        """Which images `remove` would remove now; nothing is changed. Raises as `remove`."""
        condition = condition_of(where)  # before the gallery is opened, as `remove` reads it
        return would_remove(self.gallery, images, condition, identity)

    def hidden(self) -> list[Hidden]:
        """The faces that were removed and that later runs leave out, those first that were hidden first."""
        return self.gallery.hidden.all()

    def unhide(self, *names: str, detector: str | os.PathLike[str] | None = None) -> BroughtBack:
        """Let hidden faces come back, by `Hidden.name` or by the path of their photo: they are described at once where
        their files are what they were, else they come with the next run that finds them. What a hand said of them
        was erased with them. detector: the one that the gallery was made with, where that did not come along. Raises
        UsageError for what names none, GalleryError, ModelFileError."""
        gallery = self.gallery
        hidden, own = meant(gallery, names), own_editor(gallery, self._models)[1]
        _, crops = read_crops(gallery.crops, None, detector, None)
        done = bring_back(gallery, own, hidden, self._reader.cropping(crops))
        if done.faces and shortlists(gallery.folder):
            done.not_searched = self._prepared(None, None)[1]
        return done

    def forget_kept(self) -> int:
        """Forget what is kept of pruned images for when their content comes back; of how many."""
        return self.gallery.forget_kept()

    def relocate(self, root: str | os.PathLike[str]) -> int:
        """Say where the images lie now, after their folder moved; below it their paths are the same. Or give a folder
        that theirs lies in, so that all of it can be indexed. How many are not there. Raises UsageError for a folder
        that holds none of them."""
        name_store(place := place_of(root))
        return relocate(self.gallery, place)

    def copy(self, target: Address | str, progress: Progress | None = None, *, vectors: str = FAISS) -> Copied:
        """Make a gallery like this one in a new folder, or at an address where there is none yet: every row as it is,
        descriptors to the bit, all of it read again and compared at the end. This one is only read. A run that was cut
        off is taken up by the next; until then, whoever opens the other is told so. What was copied, and whether
        somebody has written here meanwhile. vectors: what searches the other, where that is on a server; it is built.

        Raises AddressError, GalleryExistsError where there is another gallery, GalleryCorruptError where this one is
        damaged, GalleryBusyError where it was changed in a way that a copy cannot follow, GalleryStorageError where a
        disk or a server refuses, FaceEditError for a folder that cannot be written, EngineError, RecallError.
        """
        place = read_address(target) if isinstance(target, str) else target
        if isinstance(place, Path):
            require_output_folder(place)
        done = self.gallery.copy(place, progress, vectors)
        if vectors != FAISS:
            try:
                with Gallery.open(place) as made, suppress(GalleryEmptyError):
                    made.prepare(None, progress)
            except (EngineError, RecallError) as error:
                raise type(error)(f"all of it was copied to {place}, but {error}") from error
        return done

    def compact(self, progress: Progress | None = None) -> Compacted:
        """Give the space of removed images back to the disk; ids stay."""
        return Compacted(self.gallery.compact(), self._prepared(None, progress)[1])

    # --- inside ---

    def _questions(
        self,
        picture: AnyPicture | Source | None,
        person: int | str | None,
        face: int | None,
        wishes: Sequence[dict[str, int]],
        selection: Selection,
    ) -> list[Question]:
        """For a picture, or for somebody of the gallery. Raises UsageError where both are given, or neither."""
        if person is None and picture is not None:
            source = self.read(picture, face=face)
            return [Question(source, asked, selection) for asked in wishes]
        if person is None or picture is not None or face is not None:
            raise UsageError("say whom to ask for: a picture, or a person of the gallery by name or number")
        gallery = self.gallery
        who = own_editor(gallery, self._models)[1].who
        return asked_for_person(gallery, who, person, wishes, selection, self._finder)

    def _cluster(self, address: str, describer: Edits, gallery: Gallery, reader: ReadsFiles) -> Cluster:
        """What reads and describes elsewhere, as this object would here."""
        from retrieval.cluster import Cluster
        from retrieval.cluster_worker import Recipe

        recipe = Recipe(
            self._models,
            self._attribute,
            self._descriptor,
            gallery.config,
            digest=describer.digest,
            reader=reader,
            reads=reader.name,
            folder=gallery.config.image_root,
            batch=describer.batch,
            device=self._models.device,
        )
        return Cluster(address, recipe)

    def _prepared(
        self, requirements: Requirements | None, progress: Progress | None
    ) -> tuple[Prepared | None, Exception | None]:
        """The index, or why none can be built: the gallery is searched all the same."""
        try:
            return self.prepare(requirements, progress), None
        except (GalleryError, OSError) as error:
            return None, error


def _silent(what: str, done: int, of: int) -> None:
    pass
