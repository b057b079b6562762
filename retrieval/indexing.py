"""Describe a folder of pictures and keep the descriptors in a gallery. Restartable: what is there is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Describes
from faceedit.images import Picture
from index.errors import GalleryNotFoundError
from index.gallery import Gallery, GalleryConfig, ImageRow, Labels, Move, Problem, StoredImage
from index.search.prepare import Prepared
from retrieval.errors import RetrievalError
from retrieval.folder import is_gone, is_unicode, stat_of
from retrieval.labelling import Labelling, labels_in, require_named
from retrieval.reading import FileReader, Read, ReadsFiles
from retrieval.renames import follow


@dataclass
class IndexReport:
    """What one run did.

    images: how many the gallery holds now. unchanged: the same file, or a newer one with the same content; renamed:
    known content at a new place, whose old one has gone or is another's now; changed: files with other content than
    before; duplicates: content that another image has, whose descriptor they share; vanished: how many images the
    gallery still holds although their files have gone; pruned: how many of these were removed; skipped: unreadable
    files and folders with their reasons.
    likely_only: how many images keep a description by their likely candidates alone, although all were to be tried.
    search: how the gallery is searched now; not_searched: why it is not searched as was asked for, but as before.
    """

    images: int = 0
    described: int = 0
    unchanged: int = 0
    renamed: int = 0
    duplicates: int = 0
    changed: int = 0
    relabelled: int = 0
    vanished: int = 0
    pruned: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    likely_only: int = 0
    search: Prepared | None = None
    not_searched: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "skipped": [{"path": str(path), "reason": reason} for path, reason in self.skipped],
            "search": {"kind": self.search.kind, "recall": self.search.recall} if self.search else None,
        }


_COUNTS = "images described unchanged renamed duplicates changed relabelled vanished pruned".split()


def open_gallery(folder: Path, describer: Describes, image_root: Path) -> Gallery:
    """The gallery in `folder`, created for this model and image root where there is none.

    Raises ModelMismatchError for a gallery of another model, RetrievalError for one of another image root.
    """
    try:
        gallery = Gallery.open(folder)
    except GalleryNotFoundError:
        attribute, size = describer.attribute, describer.descriptor_size
        config = GalleryConfig(describer.digest, attribute.name, attribute.values, size, image_root.resolve())
        return Gallery.create(folder, config)
    try:
        require_fitting(gallery, describer, image_root)
    except BaseException:
        gallery.close()
        raise
    return gallery


def require_fitting(gallery: Gallery, describer: Describes, image_root: Path) -> None:
    """Raise ModelMismatchError for a gallery of another model, RetrievalError for one of another image root; one
    without images takes this root."""
    gallery.require_model(describer.digest, describer.descriptor_size)
    root = image_root.resolve()
    elsewhere = not root.is_relative_to(gallery.config.image_root)
    if elsewhere and len(gallery) == 0:  # an empty one is not yet bound to a place
        gallery.set_image_root(root)
    elif elsewhere:
        raise RetrievalError(
            f"the gallery {gallery.folder} holds images of {gallery.config.image_root}, not of {root}: "
            "give that folder or one below it, or another --db; after the images have moved, say so with "
            "`facesearch gallery relocate`"
        )


def index_folder(
    gallery: Gallery,
    describer: Describes,
    images: list[Path],
    labels: Mapping[Path, Labels] | None = None,
    progress: Callable[[int, int], None] | None = None,
    prune: bool = False,
    retry: bool = False,
    reader: ReadsFiles | None = None,
) -> IndexReport:
    """Describe the images that the gallery does not hold as they are now, and add them.

    images: as `find_images` gives them; labels: by absolute path (`labels_of`), else the identity is the name of the
    folder that an image lies in. progress(done, total) is called after every batch, each of which is kept for good.
    prune: remove the images whose files have gone. Files that could not be read before are passed over until they
    change, unless retry.
    """
    if labels is not None:
        require_named(images, labels)
    with gallery.writing():
        run = _Run(gallery, describer, images, labels, reader or FileReader())
        todo = run.begin(retry)
        done, total = len(images) - len(todo), len(images)
        if progress:
            progress(done, total)
        for files in run.reader.ahead(todo, describer.batch):
            run.take(files)
            done += len(files)
            if progress:
                progress(done, total)
        run.end(prune)
    return run.report


class _Run:
    """One run over a folder: what the gallery knows, and what became of each file."""

    def __init__(
        self,
        gallery: Gallery,
        describer: Describes,
        images: list[Path],
        labels: Mapping[Path, Labels] | None,
        reader: ReadsFiles,
    ) -> None:
        self.report, self.reader = IndexReport(), reader
        self._gallery, self._describer = gallery, describer
        self._root = gallery.config.image_root
        self._images = {_relative(path, self._root): path for path in images}
        self._labels, self._labelling = labels, Labelling(self._root, labels)
        self._known = gallery.known()
        self._problems = {problem.path: problem for problem in gallery.problems()}
        self._solved: list[str] = []
        self._by_content = {image.sha256: image for image in self._known.values() if image.sha256}

    def begin(self, retry: bool) -> list[Path]:
        """The files to look at; all others are as they were."""
        new = [(name, path) for name, path in self._images.items() if not _unchanged(path, self._known.get(name))]
        self.report.unchanged = len(self._images) - len(new)
        self._solved += self._problems.keys() & self._images.keys() - {name for name, _ in new}
        todo = []
        for name, path in new:
            problem = None if retry else self._problems.get(name)
            if problem is not None and _unchanged(path, problem):
                self.report.skipped.append((path, problem.reason))
            else:
                todo.append(path)
        todo = self._exchanged(todo)
        self.report.relabelled = _relabel(self._gallery, self._known, self._images, self._labels, set(todo))
        return todo

    def take(self, files: list[Read]) -> None:
        """Keep what was read: content that is known costs nothing, the rest is described."""
        moves: list[Move] = []
        new: list[tuple[Read, Picture]] = []
        problems: list[Problem] = []
        for file in files:
            if file.crop is None:
                self._skip(file, problems)
            elif not self._is_known(file, moves):
                new.append((file, file.crop))
        self._gallery.note_problems(problems)
        self._gallery.move(moves)
        if new:
            self._add(new)

    def end(self, prune: bool) -> None:
        gone = [image.id for name, image in self._known.items() if name not in self._images and self._gone(image)]
        self.report.pruned = self._gallery.remove(gone) if prune and gone else 0
        self.report.vanished = len(gone) - self.report.pruned
        went = [name for name in self._problems if name not in self._images and is_gone(self._root / name)]
        self._gallery.note_problems([], [*went, *self._solved])

    def _skip(self, file: Read, problems: list[Problem]) -> None:
        self.report.skipped.append((file.path, file.reason))
        if file.there:
            problems.append(Problem(_relative(file.path, self._root), file.size, file.mtime_ns, file.reason))

    def _exchanged(self, todo: list[Path]) -> list[Path]:
        """Follow files to their new names, also names that were others' before, as when two are swapped: with each
        one's content goes all that is known of it. What is left to do."""
        files = {_relative(path, self._root): path for path in todo if is_unicode(path)}
        stats = {name: stat for name, path in files.items() if (stat := stat_of(path))}  # before the content is read
        taken = [name for name in stats if name in self._known]
        gone = [image for name, image in self._known.items() if name not in self._images and self._gone(image)]
        old = [*(self._known[name] for name in taken), *gone]
        sizes = {image.size for image in old}
        contents = {name: self.reader.content(files[name]) for name, stat in stats.items() if stat.st_size in sizes}
        renames = follow(old, contents)
        if not renames.moved:
            return todo
        self._gallery.move(
            [
                Move(
                    image.id,
                    name,
                    stats[name].st_size,
                    stats[name].st_mtime_ns,
                    self._labelling.of_same(name, image),
                )
                for name, image in renames.moved.items()
            ],
            remove=renames.written_over,
        )
        self.report.renamed += len(renames.moved)
        self._solved += renames.moved
        self._known = self._gallery.known()
        self._by_content = {image.sha256: image for image in self._known.values() if image.sha256}
        done = {files[name] for name in renames.moved}
        return [path for path in todo if path not in done]

    def _is_known(self, file: Read, moves: list[Move]) -> bool:
        """Whether the file has the content that the gallery knows of it, and was only touched."""
        name = _relative(file.path, self._root)
        before = self._known.get(name)
        if before is None or before.sha256 != file.sha256:
            return False
        self.report.unchanged += 1
        self._solved.append(name)
        own = self._labelling.of_same(name, before)
        moves.append(Move(before.id, name, file.size, file.mtime_ns, own))
        self._remember(replace(before, size=file.size, mtime_ns=file.mtime_ns, **vars(own)), before.sha256)
        return True

    def _add(self, new: list[tuple[Read, Picture]]) -> None:
        """Describe each content once, and share it."""
        shared = {file.sha256: self._by_content[file.sha256] for file, _ in new if file.sha256 in self._by_content}
        sound = self._gallery.sound_descriptors([image.id for image in shared.values()])
        found = {
            content: _Description(sound[image.id], image.candidate, image.errors)
            for content, image in shared.items()
            if image.id in sound  # a damaged one must not spread
        }
        crops = {file.sha256: crop for file, crop in new if file.sha256 not in found}
        if crops:
            described = self._describer.describe(np.stack(list(crops.values())))
            for content, descriptor, best, errors in zip(
                crops, described.descriptors, described.best, described.errors, strict=True
            ):
                found[content] = _Description(descriptor, int(best), known_errors(errors))
        rows = []
        for file, _ in new:
            name = _relative(file.path, self._root)
            own = self._labelling.of_new(name, self._known.get(name))
            rows.append(_row(name, file, own, found[file.sha256]))
        ids = self._gallery.add(rows, np.stack([found[file.sha256].descriptor for file, _ in new]), replace=True)
        self.report.changed += sum(row.path in self._known for row in rows)
        for row, id_ in zip(rows, ids, strict=True):
            self._remember(StoredImage(**vars(row), id=id_), row.sha256)
        self.report.described += len(crops)
        self.report.duplicates += len(new) - len(crops)

    def _remember(self, image: StoredImage, content: str) -> None:
        before = self._known.get(image.path)
        if before is not None and self._by_content.get(before.sha256) == before:
            del self._by_content[before.sha256]
        self._known[image.path] = image
        self._by_content[content] = image

    def _gone(self, image: StoredImage) -> bool:
        return is_gone(self._root / image.path)


@dataclass(frozen=True)
class _Description:
    descriptor: NDArray[np.float32]
    best: int
    errors: tuple[float | None, ...]


def known_errors(errors: NDArray[np.float32]) -> tuple[float | None, ...]:
    """Errors (n_a,) of an image as a gallery keeps them: None for values that were not refined."""
    return tuple(None if np.isnan(error) else float(error) for error in errors)


def _row(name: str, file: Read, own: Labels, found: _Description) -> ImageRow:
    return ImageRow(
        path=name,
        candidate=found.best,
        errors=found.errors,
        identity=own.identity,
        pose=own.pose,
        illumination=own.illumination,
        expression=own.expression,
        sha256=file.sha256,
        size=file.size,
        mtime_ns=file.mtime_ns,
    )


def _relabel(
    gallery: Gallery,
    known: Mapping[str, StoredImage],
    images: Mapping[str, Path],
    labels: Mapping[Path, Labels] | None,
    todo: set[Path],
) -> int:
    """Give images that stay their new labels; without a manifest the labels they have stay."""
    if labels is None:
        return 0
    changed = {}
    for name, path in images.items():
        image, new = known.get(name), labels.get(path)
        if path in todo or image is None or new is None:
            continue
        if labels_in(image) != new:
            changed[name] = new
    return gallery.update_labels(changed) if changed else 0


def _unchanged(path: Path, image: StoredImage | Problem | None) -> bool:
    stat = None if image is None else stat_of(path)
    if image is None or stat is None:
        return False  # reading it will say why
    return (stat.st_size, stat.st_mtime_ns) == (image.size, image.mtime_ns)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
