"""Describe a gallery again, by another model. Restartable: what is described is not done again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import UsageError
from index.gallery import Face, Gallery, GalleryConfig
from index.values import FloatArray
from retrieval.adding import photo_of, seen_as, seen_in
from retrieval.describing import describe_contents
from retrieval.errors import RetrievalError
from retrieval.one_file import Read
from retrieval.reading import FileReader, ReadsFiles
from retrieval.reports import RedescribeReport
from retrieval.same_faces import same_faces, same_places


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
        faces: dict[Path, list[Face]] = {}
        for face in gallery.waiting():
            faces.setdefault(config.image_root / face.path, []).append(face)
        total = len(gallery)
        report.before = total - sum(map(len, faces.values()))
        done = report.before
        if progress:
            progress(done, total)
        unread, several = list[tuple[Face, str]](), gallery.several()
        for files in reader.ahead(list(faces), describer.batch):
            unread += _stage(gallery, describer, [(file, faces[file.path]) for file in files], several)
            done += sum(len(faces[file.path]) for file in files)
            if progress:
                progress(done, total)
        report.described = total - report.before - len(unread)
        if drop and unread and len(unread) == total:
            raise RetrievalError(
                f"none of the {total:,} images can be read ({unread[0][1]}): the gallery stays as it is"
            )
        if drop:
            report.dropped = gallery.remove([face.id for face, _ in unread], keep_labels=True)
        else:
            report.unread = [(face.name, reason) for face, reason in unread]
        if not report.unread:
            gallery.finish_redescription()
            report.finished = True
    return report


def _stage(
    gallery: Gallery, describer: Describes, files: Sequence[tuple[Read, list[Face]]], several: Collection[str]
) -> list[tuple[Face, str]]:
    """Describe each content once, and share it; the faces that are not found any more, with the reason. several: the
    paths of photos that show others besides."""
    decisions, descriptors = describe_contents(describer, [file for file, _ in files])
    staged, made, unread = list[Face](), list[FloatArray](), list[tuple[Face, str]]()
    for file, faces in files:
        same = same_places if faces[0].path in several else same_faces
        found = {old: new for new, old in same([seen_as(face) for face in faces], seen_in(file)).items()}
        for number, face in enumerate(faces):
            if number not in found:
                unread.append((face, file.reason or f"{face.name} is not found in its photograph again"))
                continue
            key = (file.sha256, found[number] + 1)
            place = file.faces[found[number]].place
            photo = photo_of(face.path, file)
            staged.append(replace(face, photo=photo, decision=decisions[key], place=place))
            made.append(descriptors[key])
    if staged:
        gallery.stage(staged, np.stack(made))
    return unread


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
