"""Describe a gallery again, by another model. Restartable: what is described is not done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import UsageError
from index.gallery import Face, Gallery, GalleryConfig, Photo
from retrieval.describing import describe_contents
from retrieval.errors import RetrievalError
from retrieval.reading import FileReader, Read, ReadsFiles
from retrieval.reports import RedescribeReport


def redescribe(
    gallery: Gallery,
    describer: Describes,
    drop: bool = False,
    progress: Callable[[int, int], None] | None = None,
    reader: ReadsFiles | None = None,
) -> RedescribeReport:
    """Describe every image by this model, keeping ids and labels, and then make it the gallery's own.

    An image whose file has changed is described as it is now. drop: remove images whose files have gone or cannot be
    read; otherwise they keep the new model from taking over. progress(done, total) is called after every batch.
    Raises RetrievalError where the images' folder, or every file, is missing, GalleryError where the gallery is being
    redescribed by another model.
    """
    config, report, reader = gallery.config, RedescribeReport(describer.digest), reader or FileReader()
    attribute = describer.attribute
    if not config.image_root.is_dir():
        raise RetrievalError(
            f"the images' folder {config.image_root} is not there: bring it back, or say where it is with "
            "`facesearch gallery relocate`"
        )
    with gallery.writing():
        gallery.begin_redescription(
            GalleryConfig(
                describer.digest, attribute.name, attribute.values, describer.descriptor_size, config.image_root
            )
        )
        faces = {config.image_root / face.path: face for face in gallery.waiting()}
        total = len(gallery)
        report.before = total - len(faces)
        done = report.before
        if progress:
            progress(done, total)
        unread: list[Read] = []
        for files in reader.ahead(list(faces), describer.batch):
            unread += [file for file in files if file.crop is None]
            _stage(gallery, describer, faces, [file for file in files if file.crop is not None])
            done += len(files)
            if progress:
                progress(done, total)
        report.described = len(faces) - len(unread)
        if drop and unread and len(unread) == total:
            raise RetrievalError(
                f"none of the {total:,} images can be read ({unread[0].reason}): the gallery stays as it is"
            )
        if drop:
            report.dropped = gallery.remove([faces[file.path].id for file in unread], keep_labels=True)
        else:
            report.unread = [(file.path.relative_to(config.image_root).as_posix(), file.reason) for file in unread]
        if not report.unread:
            gallery.finish_redescription()
            report.finished = True
    return report


def _stage(gallery: Gallery, describer: Describes, faces: dict[Path, Face], files: list[Read]) -> None:
    """Describe each content once, and share it."""
    decisions, descriptors = describe_contents(describer, files)
    staged = []
    for file in files:
        face = faces[file.path]
        photo = Photo(face.path, file.sha256, file.stamp)
        staged.append(replace(face, photo=photo, decision=decisions[file.sha256]))
    if staged:
        gallery.stage(staged, np.stack([descriptors[file.sha256] for file in files]))


def forget_redescription(gallery: Gallery) -> int | None:
    """How many new descriptions went; None where none was under way."""
    under_way = gallery.redescription()
    gallery.give_up_redescription()
    return None if under_way is None else under_way.staged


def require_another(gallery: Gallery, describer: Describes) -> None:
    """Raise UsageError for the model that described the gallery already."""
    config, under_way = gallery.config, gallery.redescription()
    if (config.model_digest, config.descriptor_size) != (describer.digest, describer.descriptor_size):
        return
    other = "another --model"
    if under_way is not None:
        other = f"the model {under_way.model_digest[:12]} to go on with the one under way, or --give-up"
    raise UsageError(f"{gallery.folder} is described by the model {describer.digest[:12]} already: give {other}")
