"""Answer a query: imagine the face as asked, one attribute after the other, then search the gallery for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.describes import Edits, Who
from faceedit.errors import UsageError
from faceedit.images import Picture
from index.errors import GalleryEmptyError
from index.files import file_hash
from index.gallery import FileStamp, Gallery, Match, Photo
from index.labels import text_key
from retrieval.answers import CHANGED, GONE, THERE, UNREADABLE, Answer, First, Result, Step
from retrieval.checks import is_unicode
from retrieval.describing import require_sound
from retrieval.models import Models
from retrieval.source import Source
from retrieval.wishes import Selection

ORDER = ("inpainting", "illumination", "pose")  # an occlusion first: the other editors never saw one
Asked = Mapping[str, int]
"""What to see: attribute name to value."""


def answers(
    gallery: Gallery, models: Models, source: Source, wishes: Sequence[Asked], selection: Selection
) -> list[Answer]:
    """The answer to each of several wishes for the same attributes; see `answer`. No model is loaded for an empty
    gallery."""
    if len(gallery) == 0:
        raise GalleryEmptyError(f"the gallery {gallery.folder} is empty: run `facesearch index` on a folder first")
    editors = models.to_query(wishes[0], gallery.config)
    return [answer(gallery, editors, source, asked, selection) for asked in wishes]


def answer(
    gallery: Gallery, editors: Mapping[str, Edits], source: Source, asked: Asked, selection: Selection
) -> Answer:
    """The gallery images nearest to the person of a picture, seen as asked; where nothing is asked, at any look, by
    what says who it is alone, if the descriptors have such a part.

    editors: by attribute name, among them the one that described the gallery.

    The editor of the gallery's own attribute works last, since its descriptors are what the gallery holds; where it
    does not, the edited face is described as a gallery picture is. The query's own file never counts. Raises
    ModelMismatchError, AttributeValueError, UsageError for an attribute without an editor, GalleryEmptyError.
    """
    own = gallery.config.attribute
    if own not in editors:
        raise UsageError(f"the gallery {gallery.folder} was described by a model for {own}: give that model too")
    gallery.require_model(editors[own].digest, editors[own].descriptor_size)
    steps = chain(source, asked, editors, last=own)
    descriptor = _descriptor(source.crop, steps, editors[own])
    who = None if asked else editors[own].who
    matches = _search(gallery, descriptor, _own(gallery, source.path), selection, who)
    results = (_result(gallery, rank, match) for rank, match in enumerate(matches, start=1))
    first = _first(gallery, editors[own], descriptor, matches, who is not None)
    return Answer(source.name, dict(asked), source, steps, tuple(results), first, who is not None)


def _first(
    gallery: Gallery, own: Edits, descriptor: NDArray[np.float32], matches: list[Match], who_alone: bool
) -> First | None:
    """How far the first result lies, by what tells most surely whether it shows the person."""
    if not matches:
        return None
    who, distance = own.who, matches[0].distance
    if who is not None and who.tells_strangers and not who_alone:
        distance = who.apart(descriptor, gallery.descriptors([matches[0].face.id])[0])
    by_who = who_alone or (who is not None and who.tells_strangers)
    return First(distance, own.usual_who if by_who else own.usual, by_who)


def chain(source: Source, asked: Asked, editors: Mapping[str, Edits], last: str = "pose") -> tuple[Step, ...]:
    """Edit a picture, one attribute after the other: an occlusion goes first, `last` comes last, and after it
    only an editor that leaves out the background, which no other has seen gone.

    Raises UsageError for an attribute without an editor, AttributeValueError for an unknown value.
    """
    _require_editors(asked, editors)
    names = sorted(asked, key=lambda name: (editors[name].neutral, name != ORDER[0], name == last, ORDER.index(name)))
    for name in names:
        editors[name].attribute.index(asked[name])
    steps: list[Step] = []
    for name in names:
        crop = steps[-1].edit.refined if steps else source.crop
        before = steps[-1] if steps else source
        steps.append(Step(editors[name].attribute, asked[name], editors[name].edit(crop, asked[name]), before))
    return tuple(steps)


def decided(source: Picture, attribute: AttributeSpace, editors: Mapping[str, Edits]) -> int:
    """The value of the attribute that (60, 60, 3) uint8 has. Raises UsageError where there is no editor of it."""
    _require_editors([attribute.name], editors)
    return attribute.values[int(editors[attribute.name].describe(source[None]).best[0])]


def _require_editors(names: Iterable[str], editors: Mapping[str, Edits]) -> None:
    missing = [name for name in names if name not in editors]
    if missing:
        raise UsageError(f"there is no model for {', '.join(missing)}: give a --models folder that has one")


def _descriptor(source: Picture, steps: tuple[Step, ...], own: Edits) -> NDArray[np.float32]:
    if steps and steps[-1].attribute.name == own.attribute.name:
        made = steps[-1].edit.descriptor
    else:
        picture = steps[-1].edit.refined if steps else source
        made = np.asarray(own.describe(picture[None]).descriptors[0])
    made = own.of_person(made, _person(source, steps))
    require_sound(own, made[None])
    return made


def _person(source: Picture, steps: tuple[Step, ...]) -> Picture:
    """What shows who it is: the picture itself, without what hid a part of it."""
    completed = [step.edit.refined for step in steps if step.attribute.occlusion]
    return completed[-1] if completed else source


def _search(
    gallery: Gallery, descriptor: NDArray[np.float32], own: list[int], selection: Selection, who: Who | None
) -> list[Match]:
    """who: the part that is compared; None: all of it."""
    look, most = selection.k, selection.max_distance
    asked = descriptor if who is None else alone(descriptor, who)
    while True:
        matches = gallery.search(asked, look, where=selection.where, exclude=own, exactly=who is not None)
        if who is not None:
            matches = [replace(match, distance=apart(match.distance, who)) for match in matches]
        groups: dict[object, Match] = {}
        for match in matches:
            if most is None or match.distance <= most:
                groups.setdefault(_group(match, selection.distinct), match)
        kept = list(groups.values())
        too_far = most is not None and bool(matches) and matches[-1].distance > most  # and so is what follows
        if len(kept) >= selection.k or len(matches) < look or too_far:
            return kept[: selection.k]
        look *= 4


def alone(descriptor: NDArray[np.float32], who: Who) -> NDArray[np.float32]:
    """A descriptor (D,) of length 1 that is near those of the same person at any look: its part, and else nothing."""
    made = np.zeros_like(descriptor)
    part = descriptor[who.start : who.stop]
    made[who.start : who.stop] = part / np.linalg.norm(part)
    return made


def apart(distance: float, who: Who) -> float:
    """How far the parts are from each other, both brought to length 1, where `alone` is so far from a descriptor."""
    alike = (1 - distance**2 / 2) / who.length
    return math.sqrt(max(0.0, 2 - 2 * alike))


def _group(match: Match, distinct: str | None) -> object:
    """What a match has in common with those that it stands for."""
    face = match.face
    person = text_key(face.identity) if face.identity else None  # Anna and ANNA, as conditions have it
    value = {"identity": person, "content": face.photo.sha256, "photo": face.path}.get(distinct or "")
    return (value,) if value else face.id


def _result(gallery: Gallery, rank: int, match: Match) -> Result:
    path = gallery.config.image_root / match.face.path
    return Result(rank, match.distance, path, match.face, gallery.config.attribute, _found(path, match.face.photo))


def _found(path: Path, photo: Photo) -> str:
    """How the file of a result is now, one of FILES: it is read only where it does not look as it did."""
    try:
        now = path.stat()
        if FileStamp.of(now) == photo.stamp:
            return THERE
        same = S_ISREG(now.st_mode) and now.st_size == photo.stamp.size and photo.sha256 in (None, file_hash(path))
        return THERE if same else CHANGED
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError:
        return UNREADABLE


def _own(gallery: Gallery, path: Path | None) -> list[int]:
    """The ids of all faces in the query's own file, where the gallery holds it."""
    if path is None:
        return []
    full, root = path.parent.resolve() / path.name, gallery.config.image_root
    if not full.is_relative_to(root):
        return []
    relative = full.relative_to(root).as_posix()
    return gallery.all_ids_of([relative]).get(relative, []) if is_unicode(relative) else []
