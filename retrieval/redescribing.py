"""Describe a gallery again, by another model. Restartable: what is described is not done again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import UsageError
from index.gallery import Face, Gallery
from index.labels import HAND
from index.progress import Steps
from index.values import FloatArray
from retrieval.adding import photo_of, seen_as, seen_in
from retrieval.describing import describe_contents
from retrieval.errors import RetrievalError
from retrieval.one_file import Read
from retrieval.opening import config_of
from retrieval.reading import FileReader, ReadsFiles
from retrieval.run_reports import RedescribeReport
from retrieval.same_faces import same_faces, same_places


def redescribe(
    gallery: Gallery,
    describer: Describes,
    drop: bool = False,
    progress: Steps | None = None,
    reader: ReadsFiles | None = None,
) -> RedescribeReport:
    """Describe every image by this model, keeping ids and labels, and then make it the gallery's own.

    An image whose file has changed is described as it is now. drop: remove images whose files have gone or cannot be
    read; otherwise they keep the new model from taking over. progress(done, total) is called after every batch.
    Raises RetrievalError where the images' folder, or every file, is missing, GalleryError where the gallery is being
    redescribed by another model.
    """
    config, report, reader = gallery.config, RedescribeReport(describer.digest), reader or FileReader()
    if not config.image_root.is_dir():
        raise RetrievalError(
            f"the images' folder {config.image_root} is not there: bring it back, or say where it is with "
            "`facesearch gallery relocate`"
        )
    with gallery.writing():
        gallery.redescribing.begin(config_of(describer, config.image_root))
        faces: dict[Path, list[Face]] = {}
        for face in gallery.redescribing.waiting():
            faces.setdefault(config.image_root / face.path, []).append(face)
        total = len(gallery)
        report.before = total - sum(map(len, faces.values()))
        done = report.before
        if progress:
            progress(done, total)
        lost, several = dict[int, str](), gallery.several()
        for files in reader.ahead(list(faces), describer.batch):
            lost |= _stage(gallery, describer, files, faces, several)
            report.changed += _changed(files, faces)
            done += sum(len(faces[file.path]) for file in files)
            if progress:
                progress(done, total)
        report.described = total - report.before - len(lost)
        if drop and lost and len(lost) == total:
            reason = next(iter(lost.values()))
            raise RetrievalError(f"none of the {total:,} images can be read ({reason}): the gallery stays as it is")
        if drop:
            report.dropped = gallery.remove(list(lost), keep_labels=True)
        else:
            report.unread = [(face.name, lost[face.id]) for face in gallery.get(list(lost))]
        if not report.unread:
            gallery.redescribing.finish()
            report.finished = True
    return report


def _stage(
    gallery: Gallery,
    describer: Describes,
    files: Sequence[Read],
    faces: Mapping[Path, Sequence[Face]],
    several: Collection[str],
) -> dict[int, str]:
    """Describe each content once, and share it; the reason for each face, by its id, that is not found any more.
    several: the paths of photos that show others besides."""
    made, lost = describe_contents(describer, files), dict[int, str]()
    staged, descriptors = list[Face](), list[FloatArray]()
    for file in files:
        before = faces[file.path]
        same = same_places if before[0].path in several else same_faces
        found = {old: new for new, old in same(list(map(seen_as, before)), seen_in(file)).items()}
        anew = file.sha256 != before[0].photo.sha256 and len(found) < len(file.faces)
        for number, face in enumerate(before):
            if number not in found:
                lost[face.id] = file.reason or f"{face.name} is not found in its photograph again"
                continue
            now = file.faces[found[number]]
            new = made[file.sha256, now.number]
            # what shows others now stays what it was, so that the next run looks at it and finds them, too
            photo, place = (face.photo, face.place) if anew else (photo_of(face.path, file), now.place)
            staged.append(replace(face, photo=photo, decision=new.decision, place=place))
            descriptors.append(new.descriptor)
    if staged:
        gallery.redescribing.stage(staged, np.stack(descriptors))
    return lost


def _changed(files: Sequence[Read], faces: Mapping[Path, Sequence[Face]]) -> list[str]:
    """Names of faces of which a hand said something, in files that are no longer what was described. Who they show now
    is said by another model, whose descriptors are not to be compared with the former ones."""
    there = [(file, face) for file in files if file.faces for face in faces[file.path]]
    return [face.name for file, face in there if face.photo.sha256 != file.sha256 and HAND in face.labels.origins]


def forget_redescription(gallery: Gallery) -> int | None:
    """How many new descriptions went; None where none was under way."""
    under_way = gallery.redescribing.under_way()
    gallery.redescribing.give_up()
    return None if under_way is None else under_way.staged


def require_another(gallery: Gallery, describer: Describes) -> None:
    """Raise UsageError for the model that described the gallery already."""
    config, under_way = gallery.config, gallery.redescribing.under_way()
    if (config.model_digest, config.descriptor_size) != (describer.digest, describer.descriptor_size):
        return
    other = "another --model"
    if under_way is not None:
        other = f"the model {under_way.model_digest[:12]} to go on with the one under way, or --give-up"
    raise UsageError(f"{gallery.name} is described by the model {describer.digest[:12]} already: give {other}")
