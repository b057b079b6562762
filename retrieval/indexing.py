"""Describe a folder of pictures and keep the descriptors in a gallery. Restartable: what is there is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from faceedit.editor import Editor
from faceedit.manifest import Manifest
from index.errors import GalleryNotFoundError
from index.gallery import Gallery, GalleryConfig, ImageRow, Labels, StoredImage
from retrieval.decoding import Read, read_ahead
from retrieval.errors import RetrievalError


@dataclass
class IndexReport:
    """What one run did. skipped: unreadable files with their reasons; vanished: how many images of the folder the
    gallery still holds although their files have gone."""

    described: int = 0
    unchanged: int = 0
    relabelled: int = 0
    vanished: int = 0
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
                "give that folder or one below it, or another --db"
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
) -> IndexReport:
    """Describe the images that the gallery does not hold as they are now, and add them.

    images: as `find_images` gives them; labels: by absolute path (`labels_of`), else the identity is the name of the
    folder that an image lies in. progress(done, total) is called after every batch, each of which is kept for good.
    """
    report = IndexReport()
    root = gallery.config.image_root
    if labels is not None:
        require_named(images, labels)
    with gallery.writing():
        known = gallery.known()
        total = len(images)
        todo = [path for path in images if not _unchanged(path, known.get(_relative(path, root)))]
        report.unchanged = total - len(todo)
        report.relabelled = _relabel(gallery, known, images, labels, set(todo))
        report.vanished = sum(
            not (root / name).exists() for name in known.keys() - {_relative(p, root) for p in images}
        )
        if progress:
            progress(report.unchanged, total)
        done = report.unchanged
        for files in read_ahead(todo, editor.batch):
            _add(gallery, editor, files, _Labelling(root, labels, known), report)
            done += len(files)
            if progress:
                progress(done, total)
    return report


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


def _add(gallery: Gallery, editor: Editor, files: list[Read], labelling: _Labelling, report: IndexReport) -> None:
    report.skipped += [(file.path, file.reason) for file in files if file.crop is None]
    readable = [(file, file.crop) for file in files if file.crop is not None]
    if not readable:
        return
    described = editor.describe(np.stack([crop for _, crop in readable]))
    rows = [
        _row(file, labelling, int(best), tuple(None if np.isnan(error) else float(error) for error in errors))
        for (file, _), best, errors in zip(readable, described.best, described.errors, strict=True)
    ]
    gallery.add(rows, described.descriptors, replace=True)
    report.described += len(rows)


def _row(file: Read, labelling: _Labelling, best: int, errors: tuple[float | None, ...]) -> ImageRow:
    own = labelling.of(file.path)
    return ImageRow(
        path=_relative(file.path, labelling.root), candidate=best, errors=errors,
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


def _relabel(
    gallery: Gallery,
    known: Mapping[str, StoredImage],
    images: list[Path],
    labels: Mapping[Path, Labels] | None,
    todo: set[Path],
) -> int:
    """Give images that stay their new labels; without a manifest the labels they have stay."""
    if labels is None:
        return 0
    root, changed = gallery.config.image_root, {}
    for path in images:
        image, new = known.get(_relative(path, root)), labels.get(path)
        if path in todo or image is None or new is None:
            continue
        if _labels_in(image) != new:
            changed[image.path] = new
    return gallery.update_labels(changed) if changed else 0


def _unchanged(path: Path, image: StoredImage | None) -> bool:
    if image is None:
        return False
    try:
        stat = path.stat()
    except OSError:
        return False  # reading it will say why
    return (stat.st_size, stat.st_mtime_ns) == (image.size, image.mtime_ns)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
