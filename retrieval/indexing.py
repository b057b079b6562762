"""Describe a folder of pictures and keep the descriptors in a gallery. Restartable: what is there is not done again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from faceedit.describes import Describes
from index.gallery import Face, FileStamp, Gallery, Labels, Problem
from index.progress import Steps
from index.values import FILE
from retrieval.adding import Adding
from retrieval.comparing import Comparison
from retrieval.describing import Content, DescribesFiles, Here, Made
from retrieval.folder import above_names, is_gone, stamp_of
from retrieval.hiding import Hiding
from retrieval.known import Known
from retrieval.labelling import ONLY, Labelling, require_named, says_the_same
from retrieval.levels import LAST, same_names
from retrieval.names import Names
from retrieval.one_file import Read
from retrieval.passing import USUAL, Looks
from retrieval.pruning import Ask, Places, judged
from retrieval.reading import FileReader, ReadsFiles
from retrieval.renames import Renames
from retrieval.run_reports import IndexReport
from retrieval.shards import TURN, Shard
from retrieval.told import untold

_ALL = Shard(0, 1)


def index_folder(
    gallery: Gallery,
    describer: Describes,
    images: Sequence[Path],
    labels: Mapping[Path, Labels] | None = None,
    progress: Steps | None = None,
    prune: bool | Ask = False,
    retry: bool = False,
    reader: ReadsFiles | None = None,
    level: str | None = None,
    *,
    identity_of: str | None = None,
    folder: Path | None = None,
    looks: Looks = USUAL,
    unlisted: Collection[Path] = frozenset(),
    shard: Shard | None = None,
    source: DescribesFiles | None = None,
) -> IndexReport:
    """Describe the images that the gallery does not hold as they are now, and add them.

    images: as `find_images` gives them, however many; folder: the one that they are all of, where images of the gallery
    that are there and not among them are told; looks: how it was looked through; labels: by absolute path
    (`read_labels`); where they say nothing, the identity is the name of a folder that an image lies in: of which one
    says the level (`read_level`), None: as before.
    progress(done, total) is called after every batch, each of which is kept for good. prune: remove the images whose
    files have gone, and keep what a hand said of them for when their content comes back; where something speaks against
    it, as when whole folders have gone or could not be read (unlisted), only if this says yes, which is asked before
    anything is described. Files that could not be read before are passed over until they change, unless retry.
    identity_of: whom a row or a folder means where a photo shows several, one of `index.config.WHOSE`, which is
    remembered; None: as before.
    shard: the part of the folder that the images are; others may describe the other parts meanwhile, since the gallery
    is locked only while a batch is kept; nothing is pruned. Without one, others may index other folders meanwhile where
    the gallery is on a server, unless this concerns all of it: prune, level, another identity_of. source: what reads
    and describes files instead of the reader and the describer.
    """
    if labels is not None and shard is None:
        require_named(images, labels)
    alone = prune or level is not None or identity_of is not None
    with nullcontext(True) if shard is not None else gallery.claiming(_claim(gallery, folder, bool(alone))) as beside:
        level_now, whose = level or gallery.identity_level or LAST, gallery.crops.identity_of or ONLY
        labelling = Labelling(gallery.config.image_root, labels, level_now, identity_of or whose)
        done, total = 0, len(images)

        def alive() -> None:
            if progress:
                progress(done, total)

        run = _Run(gallery, describer, labelling, reader or FileReader(), shard, beside, alive)
        run.rename(level, None if identity_of == whose else identity_of)
        todo = run.begin(images, retry, folder, unlisted)
        run.settle(prune, Places(gallery.config.image_root, looks, unlisted))
        done = len(images) - len(todo)
        alive()
        for files, made in (source or Here(run.reader, describer.batch)).ahead(todo):
            run.keep(files, made)
            done += len(files)
            alive()
        run.end()
    return run.report


def _claim(gallery: Gallery, folder: Path | None, alone: bool) -> str:
    """The folder below the image root that a run keeps others from; "": all of them."""
    root = gallery.config.image_root
    return "" if alone or folder is None or folder == root else folder.relative_to(root).as_posix()


class _Run:
    """One run over a folder: what the gallery knows, and what became of each file. shard: the part of it that is this
    one's; beside: whether other runs write into the gallery meanwhile; alive: called while they are waited for."""

    def __init__(
        self,
        gallery: Gallery,
        describer: Describes,
        labelling: Labelling,
        reader: ReadsFiles,
        shard: Shard | None = None,
        beside: bool = False,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.report, self.reader = IndexReport(), reader
        self._gallery, self._shard, self._beside, self._alive = gallery, shard, beside, alive
        self._root = gallery.config.image_root
        self._labelling = labelling
        self._missing: list[Face] = []
        self._leaving: list[Face] = []
        self._known = Known(gallery)
        self._adding = Adding(gallery, describer, self._known, labelling, self.report, self._name)
        self._hiding = Hiding(gallery, self._known, self.report, self._name)
        self._several = gallery.several() if labelling.manifest is not None else set[str]()

    def turn(self) -> AbstractContextManager[None]:
        """While others keep from writing: in the block nothing changes but by us."""
        return self._gallery.turn(TURN, self._alive) if self._beside else nullcontext()

    def rename(self, level: str | None, identity_of: str | None) -> None:
        """Let folders of this level name people from now on, and mean these in photos that show several; None: as
        before."""
        if self._shard is not None and level == self._gallery.identity_level:
            level = None
        if level is None and identity_of is None:
            return
        with self.turn():
            if level is not None:
                self._name_by_level(level)
            if identity_of is not None:
                self._gallery.set_crops(replace(self._gallery.crops, identity_of=identity_of))
                self._name_by_number()

    def _name_by_level(self, level: str) -> None:
        """Also those that folders of others named before."""
        self._change(self._gallery.faces(), lambda face: self._labelling.by_folder(face.path, face.labels))
        self._gallery.set_identity_level(level)

    def _name_by_number(self) -> None:
        """Also in photos that are known."""
        first = self._gallery.faces_at(sorted(self._gallery.several())).values()
        self._change(first, self._labelling.by_number)

    def _change(self, faces: Iterable[Face], labels_of: Callable[[Face], Labels]) -> None:
        changed = {face.id: given for face in faces if (given := labels_of(face)) != face.labels}
        self._gallery.update_labels(changed)
        self.report.relabelled += len(changed)

    def begin(
        self, images: Sequence[Path], retry: bool, folder: Path | None, unlisted: Collection[Path]
    ) -> Sequence[Path]:
        """The files to look at; all others are as they were, or are known by another name."""
        compared = Comparison(self._gallery, self.reader, self._known.waiting, retry, self._shard)
        compared.look(images, self._touched, self._relabel if self._labelling.manifest is not None else None)
        compared.lost(folder, unlisted)
        self._missing = compared.gone
        if self._shard is None:  # else files are followed by their content when they are read: it may be another's part
            self._follow(compared)
        self.report.unchanged, self.report.left_out = compared.unchanged, compared.left_out
        self.report.skipped += compared.skipped
        self.report.faceless += compared.faceless
        return compared.pictures()

    def keep(self, files: list[Read], made: dict[Content, Made]) -> None:
        """Keep what was read. made: what was made of faces in it already. What is described need not be locked for:
        where another run has been faster, it is thrown away."""
        if self._beside or made:
            self._known.look((self._name(file), file) for file in files)
            new = [file for file in files if file.faces and not self._known.has(self._name(file), file.sha256)]
            self._adding.describe_ahead(new, made)
        with self.turn():
            self._take(files)

    def _take(self, files: list[Read]) -> None:
        """Keep what was read: content that is known costs nothing, the rest is described."""
        self._look(files)
        files = self._hiding.without(files)
        touched: list[Face] = []
        new: list[Read] = []
        problems: list[Problem] = []
        for file in files:
            self.report.lookalike_reasons.update(file.lookalikes)
            self.report.warned += [(file.path, "; ".join(file.warnings))] if file.warnings else []
            if not file.faces:
                self._skip(file, problems)
            elif not self._is_known(file, touched):
                new.append(file)
        self._gallery.note_problems(problems)
        self._gallery.move(touched)
        new = self._not_moved(new) if self._beside else new
        if new:
            self._adding.add(new)

    def settle(self, prune: bool | Ask, places: Places) -> None:
        """Which images are to go, since their files have gone."""
        missing = self._missing
        self.report.vanished = len(missing)
        if not prune or not missing:
            return
        gone = judged(missing, self._gallery.count_photos(), places)
        if not gone.doubts or prune is True or prune(gone):
            self._leaving = missing

    def end(self) -> None:
        """Remove what is to go and still is not there, and forget problems that are none any more."""
        gone = [face.id for face in self._leaving if is_gone(self._root / face.path)]
        self._gallery.remove(self._gallery.siblings(gone), keep_labels=True)
        self.report.pruned = len(gone)
        self.report.vanished -= self.report.pruned
        if self._gallery.identity_level is None and self.report.described + self.report.renamed:
            self.report.same_names = untold(self._gallery.folder, same_names(self._gallery.named_by_folder()))
        noted = [problem.path for problem in self._gallery.problems()]
        went = [path for path in (self._shard or _ALL).among(noted) if is_gone(self._root / path)]
        with self.turn():
            if self._beside:  # others may have found them in their own parts
                self.report.vanished = len(self._gallery.faces_at([face.path for face in self._missing]))
            self._gallery.note_problems([], went)

    def _skip(self, file: Read, problems: list[Problem]) -> None:
        name = self._name(file)
        (self.report.faceless if file.faceless else self.report.skipped).append((file.path, file.reason))
        if file.faceless and name in self._known.at:  # it showed some before, and is another now
            self._gallery.remove([face.id for face in self._known.at[name]], keep_labels=True)
            self.report.changed += 1
        if file.lasting:
            reason = file.reason.replace(str(file.path), FILE)
            problems.append(Problem(name, file.stamp, reason, self.reader.name, faceless=file.faceless))

    def _follow(self, compared: Comparison) -> None:
        """Follow files to their new names, also names that were others' before, as when two are swapped: with each
        one's content goes all that is known of it."""
        renames, stamps = compared.renames()
        if not renames.moved:
            return
        with self.turn():
            if self._beside and not self._is_still_so(renames):  # each is followed when it is read
                return
            there = [self._as_it_is(face, name, stamps[name]) for name, face in renames.moved.items()]
            self._gallery.move(there, remove=self._gallery.siblings(renames.written_over))
        self.report.renamed += len(there)
        moved = {face.id for face in there}
        self._missing = [face for face in compared.gone if face.id not in moved]
        done = {name for name, face in renames.moved.items() if face.path not in compared.waiting}
        compared.todo = Names(name for name in compared.todo if name not in done)

    def _is_still_so(self, renames: Renames) -> bool:
        """Whether the moved pictures are as they were, and their new names are theirs or nobody's."""
        now = self._gallery.faces_at([*renames.moved, *(face.path for face in renames.moved.values())])
        ours = {*renames.written_over, *(face.id for face in renames.moved.values())}
        free = all(name not in now or now[name].id in ours for name in renames.moved)
        return free and all(now.get(face.path) == face for face in renames.moved.values())

    def _not_moved(self, new: list[Read]) -> list[Read]:
        """Those of files with new content that are no known ones: others are followed to their new names, whosever part
        the old one is of."""
        moved = self._known.moved([(self._name(file), file) for file in new], self._is_away)
        if not moved:
            return new
        ids = {face.id for face in moved.values()}
        over = [self._known.at[name][0].id for name in moved if name in self._known.at]
        stamps = {self._name(file): file.stamp for file in new}
        there = [self._as_it_is(face, name, stamps[name]) for name, face in moved.items()]
        self._gallery.move(there, remove=self._gallery.siblings([id_ for id_ in over if id_ not in ids]))
        self.report.renamed += len(there)
        left = [file for file in new if self._name(file) not in moved]
        self._look(left)
        return left

    def _is_away(self, face: Face) -> bool:
        """Whether the content of a known picture is certainly not at its name any more."""
        path, stamp = self._root / face.path, stamp_of(self._root / face.path)
        if stamp is None:
            return is_gone(path)
        return not stamp.same_as(face.photo.stamp) and self.reader.content(path) not in (None, face.photo.sha256)

    def _look(self, files: list[Read]) -> None:
        look = self._known.look_again if self._beside else self._known.look
        look((self._name(file), file) for file in files)

    def _touched(self, faces: list[Face]) -> None:
        """Files that were but touched are as they were."""
        with self.turn():
            still = self._still(faces) if self._beside else faces
            self._gallery.move([self._as_it_is(face, face.path, face.photo.stamp) for face in still])

    def _still(self, faces: list[Face]) -> list[Face]:
        """Those of these faces whose files have the same content in the gallery now, with the stamps of these."""
        now = self._gallery.faces_at([face.path for face in faces])
        same = [(now[one.path], one.photo.stamp) for one in faces if one.path in now]
        known = {one.path: one.photo.sha256 for one in faces}
        return [
            replace(face, photo=replace(face.photo, stamp=stamp))
            for face, stamp in same
            if face.photo.sha256 == known[face.path]
        ]

    def _is_known(self, file: Read, touched: list[Face]) -> bool:
        """Whether the file has the content that the gallery knows of it, and was only touched since it was compared."""
        name = self._name(file)
        if not self._known.has(name, file.sha256):
            return False
        self.report.unchanged += 1
        touched.append(self._as_it_is(self._known.at[name][0], name, file.stamp))
        return True

    def _as_it_is(self, face: Face, name: str, stamp: FileStamp) -> Face:
        """A known face whose file lies at this name now, and looks like this."""
        photo = replace(face.photo, path=name, stamp=stamp)
        return replace(face, photo=photo, labels=self._labelling.of_same(name, face, face.path in self._several))

    def _relabel(self, names: list[str]) -> None:
        """Give the faces in files that stay their new labels; without a manifest the labels they have stay."""
        if not self._labelled_otherwise(names):
            return
        with self.turn():
            found = self._labelled_otherwise(names)
            self.report.relabelled += sum(not says_the_same(given, face.labels) for face, given in found)
            self._gallery.update_labels({face.id: given for face, given in found})

    def _labelled_otherwise(self, names: list[str]) -> list[tuple[Face, Labels]]:
        """The faces in these files that the manifest gives other labels than they have, and which."""
        given = {name: self._labelling.given(name) for name in names}
        return [
            (face, labels)
            for name, face in self._gallery.faces_at(names).items()
            if (labels := given[name]) is not None
            and self._labelling.means(face.number, name in self._several)
            and face.labels != labels
        ]

    def _name(self, file: Read) -> str:
        return str(file.path).removeprefix(above_names(self._root))
