"""Describe a folder of pictures and keep the descriptors in a gallery. Restartable: what is there is not done again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceedit.describes import Describes
from index.gallery import Decision, Face, FileStamp, Gallery, Kept, Labels, Photo, Problem
from index.values import FloatArray
from retrieval.checks import is_unicode
from retrieval.comparing import Comparison, Touched
from retrieval.describing import describe_contents
from retrieval.folder import is_gone
from retrieval.labelling import Labelling, handed_back, require_named, says_the_same
from retrieval.levels import LAST, same_names
from retrieval.names import Names
from retrieval.passing import USUAL, Looks
from retrieval.pruning import Ask, Places, judged
from retrieval.reading import FileReader, Read, ReadsFiles
from retrieval.reports import IndexReport
from retrieval.told import untold


def index_folder(
    gallery: Gallery,
    describer: Describes,
    images: Sequence[Path],
    labels: Mapping[Path, Labels] | None = None,
    progress: Callable[[int, int], None] | None = None,
    prune: bool | Ask = False,
    retry: bool = False,
    reader: ReadsFiles | None = None,
    level: str | None = None,
    *,
    folder: Path | None = None,
    looks: Looks = USUAL,
    unlisted: Collection[Path] = frozenset(),
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
    """
    if labels is not None:
        require_named(images, labels)
    with gallery.writing():
        labelling = Labelling(gallery.config.image_root, labels, level or gallery.identity_level or LAST)
        run = _Run(gallery, describer, labelling, reader or FileReader())
        if level is not None:
            run.name_by_level(level)
        todo = run.begin(images, retry, folder, unlisted)
        run.settle(prune, Places(gallery.config.image_root, looks, unlisted))
        done, total = len(images) - len(todo), len(images)
        if progress:
            progress(done, total)
        for files in run.reader.ahead(todo, describer.batch):
            run.take(files)
            done += len(files)
            if progress:
                progress(done, total)
        run.end()
    return run.report


class _Run:
    """One run over a folder: what the gallery knows, and what became of each file."""

    def __init__(self, gallery: Gallery, describer: Describes, labelling: Labelling, reader: ReadsFiles) -> None:
        self.report, self.reader = IndexReport(), reader
        self._gallery, self._describer = gallery, describer
        self._root = gallery.config.image_root
        self._labelling = labelling
        self._missing: list[Face] = []
        self._leaving: list[Face] = []
        self._waiting = gallery.undescribed()
        self._known: dict[str, Face] = {}  # at the names of the files that are being taken
        self._by_content: dict[str, Face] = {}  # of their contents

    def name_by_level(self, level: str) -> None:
        """Let folders of this level name the people from now on, also those that others named before."""
        changed = {}
        for face in self._gallery.faces():
            labels = self._labelling.by_folder(face.path, face.labels)
            if labels != face.labels:
                changed[face.id] = labels
        self._gallery.update_labels(changed)
        self._gallery.set_identity_level(level)
        self.report.relabelled += len(changed)

    def begin(
        self, images: Sequence[Path], retry: bool, folder: Path | None, unlisted: Collection[Path]
    ) -> Sequence[Path]:
        """The files to look at; all others are as they were, or are known by another name."""
        compared = Comparison(self._gallery, self.reader, self._waiting, retry)
        compared.look(images, self._touched, self._relabel if self._labelling.manifest is not None else None)
        compared.lost(folder, unlisted)
        self._missing = compared.gone
        self._follow(compared)
        self.report.unchanged, self.report.left_out = compared.unchanged, compared.left_out
        self.report.skipped += compared.skipped
        return compared.pictures()

    def take(self, files: list[Read]) -> None:
        """Keep what was read: content that is known costs nothing, the rest is described."""
        self._know(files)
        touched: list[Face] = []
        new: list[Read] = []
        problems: list[Problem] = []
        for file in files:
            self.report.warned += [(file.path, "; ".join(file.warnings))] if file.warnings else []
            if file.crop is None:
                self._skip(file, problems)
            elif not self._is_known(file, touched):
                new.append(file)
        self._gallery.note_problems(problems)
        self._gallery.move(touched)
        if new:
            self._add(new)

    def settle(self, prune: bool | Ask, places: Places) -> None:
        """Which images are to go, since their files have gone."""
        missing = self._missing
        self.report.vanished = len(missing)
        if not prune or not missing:
            return
        gone = judged(missing, len(self._gallery), places)
        if not gone.doubts or prune is True or prune(gone):
            self._leaving = missing

    def end(self) -> None:
        """Remove what is to go and still is not there, and forget problems that are none any more."""
        gone = [face.id for face in self._leaving if is_gone(self._root / face.path)]
        self.report.pruned = self._gallery.remove(gone, keep_labels=True) if gone else 0
        self.report.vanished -= self.report.pruned
        if self._gallery.identity_level is None and self.report.described + self.report.renamed:
            self.report.same_names = untold(self._gallery.folder, same_names(self._gallery.named_by_folder()))
        went = [problem.path for problem in self._gallery.problems() if is_gone(self._root / problem.path)]
        self._gallery.note_problems([], went)

    def _know(self, files: list[Read]) -> None:
        """What the gallery knows of these files."""
        self._known = self._gallery.faces_at([name for name in map(self._name, files) if is_unicode(name)])
        contents = self._gallery.faces_of([file.sha256 for file in files if file.sha256])
        self._by_content = {face.photo.sha256: face for face in contents if self._is_content(face)}

    def _is_content(self, face: Face) -> bool:
        """Whether another file of its content may share its description."""
        return bool(face.photo.sha256) and face.id not in self._waiting

    def _skip(self, file: Read, problems: list[Problem]) -> None:
        self.report.skipped.append((file.path, file.reason))
        if file.lasting:
            problems.append(Problem(self._name(file), file.stamp, file.reason, self.reader.name))

    def _follow(self, compared: Comparison) -> None:
        """Follow files to their new names, also names that were others' before, as when two are swapped: with each
        one's content goes all that is known of it."""
        renames, stamps = compared.renames()
        if not renames.moved:
            return
        there = [self._as_it_is(face, name, stamps[name]) for name, face in renames.moved.items()]
        self._gallery.move(there, remove=renames.written_over)
        self.report.renamed += len(there)
        moved = {face.id for face in there}
        self._missing = [face for face in compared.gone if face.id not in moved]
        done = {face.path for face in there if face.id not in self._waiting}
        compared.todo = Names(name for name in compared.todo if name not in done)

    def _touched(self, files: list[Touched]) -> None:
        """Files that were but touched are as they were."""
        self._gallery.move([self._as_it_is(one.face, one.face.path, one.stamp) for one in files])

    def _has(self, name: str, content: str | None) -> bool:
        """Whether the gallery has described a file of this name and content."""
        face = self._known.get(name)
        return face is not None and face.photo.sha256 == content and face.id not in self._waiting

    def _is_known(self, file: Read, touched: list[Face]) -> bool:
        """Whether the file has the content that the gallery knows of it, and was only touched since it was compared."""
        name = self._name(file)
        if not self._has(name, file.sha256):
            return False
        self.report.unchanged += 1
        touched.append(self._as_it_is(self._known[name], name, file.stamp))
        self._remember(touched[-1])
        return True

    def _as_it_is(self, face: Face, name: str, stamp: FileStamp) -> Face:
        """A known face whose file lies at this name now, and looks like this."""
        photo = replace(face.photo, path=name, stamp=stamp)
        return replace(face, photo=photo, labels=self._labelling.of_same(name, face))

    def _add(self, new: list[Read]) -> None:
        """Describe each content once, and share it."""
        shared = {file.sha256: self._by_content[file.sha256] for file in new if file.sha256 in self._by_content}
        sound = self._gallery.sound_descriptors([face.id for face in shared.values()])
        shared = {content: face for content, face in shared.items() if face.id in sound}  # damage must not spread
        decisions, descriptors = describe_contents(self._describer, [one for one in new if one.sha256 not in shared])
        self.report.described += len(decisions)
        self.report.duplicates += len(new) - len(decisions)
        decisions |= {content: face.decision for content, face in shared.items()}
        descriptors |= {content: sound[face.id] for content, face in shared.items()}
        again = [file for file in new if self._waits(file)]
        new = [file for file in new if not self._waits(file)]
        if again:
            self._describe(again, decisions, np.stack([descriptors[file.sha256] for file in again]))
        if not new:
            return
        back = self._handed_back(new)
        faces = [self._new_face(file, decisions[file.sha256], back.get(self._name(file))) for file in new]
        returned = [one.id for one in back.values()]
        made = np.stack([descriptors[file.sha256] for file in new])
        ids = self._gallery.add(faces, made, replace=True, returned=returned)
        self.report.returned += len(returned)
        self.report.changed += sum(face.path in self._known for face in faces)
        for face, id_ in zip(faces, ids, strict=True):
            self._remember(replace(face, id=id_))

    def _waits(self, file: Read) -> bool:
        """Whether the face in it is known, and waits to be described again."""
        before = self._known.get(self._name(file))
        return before is not None and before.id in self._waiting

    def _describe(self, files: list[Read], decisions: Mapping[str, Decision], descriptors: FloatArray) -> None:
        """Describe faces that wait for it as their files are now: they keep their ids."""
        faces = []
        for file in files:
            name = self._name(file)
            before, photo = self._known[name], Photo(name, file.sha256, file.stamp)
            labels = self._labelling.of_same(name, before)
            faces.append(replace(before, photo=photo, labels=labels, decision=decisions[file.sha256]))
        changed = {face.id: face.labels for face in faces if face.labels != self._known[face.path].labels}
        self._gallery.describe(faces, descriptors)
        self._gallery.update_labels(changed)
        self._waiting -= {face.id for face in faces}
        for face in faces:
            self._remember(face)

    def _handed_back(self, new: list[Read]) -> dict[str, Kept]:
        """The labels that are kept for files whose content was pruned before."""
        files = {self._name(file): file.sha256 for file in new if self._name(file) not in self._known}
        return handed_back(files, self._gallery.kept(list(files.values())))

    def _new_face(self, file: Read, decision: Decision, kept: Kept | None) -> Face:
        name = self._name(file)
        labels = self._labelling.of_new(name, self._known.get(name), kept)
        return Face(Photo(name, file.sha256, file.stamp), labels, decision)

    def _relabel(self, names: list[str]) -> None:
        """Give the faces in files that stay their new labels; without a manifest the labels they have stay."""
        changed = {}
        for name, face in self._gallery.faces_at(names).items():
            given = self._labelling.given(name)
            if given is not None and face.labels != given:
                changed[face.id] = given
                self.report.relabelled += not says_the_same(given, face.labels)
        if changed:
            self._gallery.update_labels(changed)

    def _remember(self, face: Face) -> None:
        before = self._known.get(face.path)
        if before is not None and self._by_content.get(before.photo.sha256) == before:
            del self._by_content[before.photo.sha256]
        self._known[face.path] = face
        self._by_content[face.photo.sha256] = face

    def _name(self, file: Read) -> str:
        return str(file.path).removeprefix(f"{self._root}/".replace("//", "/"))
