"""Describe a folder of pictures and keep the descriptors in a gallery. Restartable: what is there is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from faceedit.editor import Editor
from faceedit.images import Picture
from faceedit.manifest import Manifest
from index.errors import GalleryNotFoundError
from index.gallery import Gallery, GalleryConfig, ImageRow, Labels, Move, Problem, StoredImage
from retrieval.errors import RetrievalError
from retrieval.folder import is_gone, is_unicode, stat_of
from retrieval.reading import Read, content_of, read_ahead


@dataclass
class IndexReport:
    """What one run did. unchanged: the same file, or a newer one with the same content; renamed: known content at a new
    place, whose old one has gone or is another's now; changed: files with other content than before; duplicates:
    content that another image has, whose descriptor they share; vanished: how many images the gallery still holds
    although their files have gone; pruned: how many of these were removed; skipped: unreadable files with their
    reasons."""

    described: int = 0
    unchanged: int = 0
    renamed: int = 0
    duplicates: int = 0
    changed: int = 0
    relabelled: int = 0
    vanished: int = 0
    pruned: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def open_gallery(folder: Path, editor: Editor, image_root: Path) -> Gallery:
    """The gallery in `folder`, created for this model and image root where there is none.

    Raises ModelMismatchError for a gallery of another model, RetrievalError for one of another image root.
    """
    root = image_root.resolve()
    try:
        gallery = Gallery.open(folder)
    except GalleryNotFoundError:
        space = editor.space
        return Gallery.create(
            folder, GalleryConfig(editor.digest, space.name, space.values, editor.descriptor_size, root)
        )
    try:
        gallery.require_model(editor.digest, editor.descriptor_size)
        elsewhere = not root.is_relative_to(gallery.config.image_root)
        if elsewhere and len(gallery) == 0:  # an empty one is not yet bound to a place
            gallery.set_image_root(root)
        elif elsewhere:
            raise RetrievalError(
                f"the gallery {folder} holds images of {gallery.config.image_root}, not of {root}: "
                "give that folder or one below it, or another --db; after the images have moved, say so with "
                "`facesearch gallery relocate`"
            )
    except BaseException:
        gallery.close()
        raise
    return gallery


def index_folder(
    gallery: Gallery,
    editor: Editor,
    images: list[Path],
    labels: Mapping[Path, Labels] | None = None,
    progress: Callable[[int, int], None] | None = None,
    prune: bool = False,
    retry: bool = False,
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
        run = _Run(gallery, editor, images, labels)
        todo = run.begin(retry)
        done, total = len(images) - len(todo), len(images)
        if progress:
            progress(done, total)
        for files in read_ahead(todo, editor.batch):
            run.take(files)
            done += len(files)
            if progress:
                progress(done, total)
        run.end(prune)
    return run.report


class _Run:
    """One run over a folder: what the gallery knows, and what became of each file."""

    def __init__(
        self, gallery: Gallery, editor: Editor, images: list[Path], labels: Mapping[Path, Labels] | None
    ) -> None:
        self.report = IndexReport()
        self._gallery, self._editor = gallery, editor
        self._root = gallery.config.image_root
        self._images = {_relative(path, self._root): path for path in images}
        self._labels = labels
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
        taken = stats.keys() & self._known.keys()
        gone = [image for name, image in self._known.items() if name not in self._images and self._gone(image)]
        old = [*(self._known[name] for name in taken), *gone]
        sizes = {image.size for image in old}
        contents = {name: content_of(files[name]) for name, stat in stats.items() if stat.st_size in sizes}
        free: dict[str, list[StoredImage]] = {}  # images whose content is not where it was
        for image in old:
            if image.sha256 and contents.get(image.path, "") not in (None, image.sha256):
                free.setdefault(image.sha256, []).append(image)
        moved: dict[str, StoredImage] = {}
        for name, content in contents.items():
            if content and free.get(content) and not (name in taken and self._known[name].sha256 == content):
                moved[name] = free[content].pop(0)
        if not moved:
            return todo
        stay = {image.id for image in moved.values()}
        written_over = [self._known[name].id for name in moved if name in taken and self._known[name].id not in stay]
        self._gallery.move(
            [
                Move(
                    image.id, name, stats[name].st_size, stats[name].st_mtime_ns,
                    self._labels_at(name, replace(image, identity=_renamed_identity(image, name))),
                )
                for name, image in moved.items()
            ],
            remove=written_over,
        )  # fmt: skip
        self.report.renamed += len(moved)
        self._solved += moved
        self._known = self._gallery.known()
        self._by_content = {image.sha256: image for image in self._known.values() if image.sha256}
        done = {files[name] for name in moved}
        return [path for path in todo if path not in done]

    def _labels_at(self, name: str, image: StoredImage) -> Labels:
        """The manifest's labels for the file of this name, else those of the image."""
        given = None if self._labels is None else self._labels.get(self._root / name)
        return given or _labels_in(image)

    def _is_known(self, file: Read, moves: list[Move]) -> bool:
        """Whether the file has the content that the gallery knows of it, and was only touched."""
        name = _relative(file.path, self._root)
        before = self._known.get(name)
        if before is None or before.sha256 != file.sha256:
            return False
        self.report.unchanged += 1
        self._solved.append(name)
        own = self._labels_at(name, before)
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
            described = self._editor.describe(np.stack(list(crops.values())))
            for content, descriptor, best, errors in zip(
                crops, described.descriptors, described.best, described.errors, strict=True
            ):
                found[content] = _Description(descriptor, int(best), known_errors(errors))
        labelling = _Labelling(self._root, self._labels, self._known)
        rows = [_row(file, labelling, found[file.sha256]) for file, _ in new]
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


def require_named(images: list[Path], labels: Mapping[Path, Labels]) -> None:
    """Raise RetrievalError when the labels name not a single image: then they are another folder's."""
    if not any(path in labels for path in images):
        raise RetrievalError(
            "the labels' manifest names none of the images: its paths start from the manifest's own folder; check them"
        )


def labels_of(manifest: Manifest) -> dict[Path, Labels]:
    """Labels by absolute path; an empty cell is an unknown label."""

    def number(column: str, row: int) -> int | None:
        cell = text(column, row)
        return int(cell) if cell else None

    def text(column: str, row: int) -> str | None:
        return manifest.columns[column][row] or None if column in manifest.columns else None

    return {
        Path(os.path.normpath(path)): Labels(
            identity=text("identity", row),
            pose=number("pose", row),
            illumination=number("illumination", row),
            expression=text("expression", row),
        )
        for row, path in enumerate(manifest.root.resolve() / name for name in manifest.columns["path"])
    }


def _row(file: Read, labelling: _Labelling, found: _Description) -> ImageRow:
    own = labelling.of(file.path)
    return ImageRow(
        path=_relative(file.path, labelling.root), candidate=found.best, errors=found.errors,
        identity=own.identity, pose=own.pose, illumination=own.illumination, expression=own.expression,
        sha256=file.sha256, size=file.size, mtime_ns=file.mtime_ns,
    )  # fmt: skip


@dataclass(frozen=True)
class _Labelling:
    """Where an image's labels come from: the manifest, else what the gallery knew of it, else its folder's name."""

    root: Path
    manifest: Mapping[Path, Labels] | None
    known: Mapping[str, StoredImage]

    def of(self, path: Path) -> Labels:
        if self.manifest is not None and path in self.manifest:
            return self.manifest[path]
        before = self.known.get(_relative(path, self.root))
        if before is not None:
            return _labels_in(before)
        if self.manifest is not None:
            return Labels()
        return Labels(identity=path.relative_to(self.root).parent.name or None)


def _labels_in(image: StoredImage) -> Labels:
    return Labels(image.identity, image.pose, image.illumination, image.expression)


def _renamed_identity(image: StoredImage, name: str) -> str | None:
    """The identity of an image that moved: one that its folder gave it changes with the folder."""
    if image.identity == (PurePosixPath(image.path).parent.name or None):
        return PurePosixPath(name).parent.name or None
    return image.identity


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
        if _labels_in(image) != new:
            changed[name] = new
    return gallery.update_labels(changed) if changed else 0


def _unchanged(path: Path, image: StoredImage | Problem | None) -> bool:
    stat = None if image is None else stat_of(path)
    if image is None or stat is None:
        return False  # reading it will say why
    return (stat.st_size, stat.st_mtime_ns) == (image.size, image.mtime_ns)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
