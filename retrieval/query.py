"""Answer a query: imagine the face as asked, one attribute after the other, then search the gallery for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from stat import S_ISREG

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.describes import Edits, Who
from faceedit.errors import UsageError
from faceedit.images import Picture
from faceedit.sitter import Sitter
from index.errors import GalleryEmptyError
from index.gallery import FileStamp, Gallery, Match, Photo
from index.labels import text_key
from index.stamps import file_hash
from index.where import Condition
from retrieval.answers import CHANGED, GONE, THERE, UNREADABLE, Answer, First, Result, Step
from retrieval.checks import is_unicode
from retrieval.describing import require_sound
from retrieval.models import Models
from retrieval.sought import Sought, joined
from retrieval.source import Source
from retrieval.wishes import Selection

ORDER = ("inpainting", "illumination", "pose")  # an occlusion first: the other editors never saw one
USUAL = Selection()
Asked = Mapping[str, int]
"""What to see: attribute name to value."""


@dataclass(frozen=True)
class Question:
    """Whom somebody asks for: a picture that was read, how to see it, and which results are shown; sought: of a person
    of the gallery, who is not only that picture."""

    source: Source
    asked: Asked = field(default_factory=dict)
    selection: Selection = USUAL
    sought: Sought | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every picture of it."""
        return (self.source, *(self.sought.others if self.sought else ()))


def answers(gallery: Gallery, models: Models, questions: Sequence[Question]) -> list[Answer]:
    """The answers to questions, in their order: the gallery images nearest to the person of each picture, seen as
    asked; where nothing is asked, at any look, by what says who it is alone, if the descriptors have such a part.
    Pictures go through the networks together, and descriptors through the search. No model is loaded for an empty
    gallery.

    The editor of the gallery's own attribute works last, since its descriptors are what the gallery holds; where it
    does not, the edited face is described as a gallery picture is. The query's own file never counts. Raises
    ModelMismatchError, AttributeValueError, UsageError for an attribute without an editor, GalleryEmptyError.
    """
    if gallery.is_empty:
        raise GalleryEmptyError(f"the gallery {gallery.name} is empty: run `facesearch index` on a folder first")
    editors, own = own_editor(gallery, models, [name for one in questions for name in one.asked])
    shown = [(source, one.asked) for one in questions for source in one.sources]
    steps = chains(shown, editors, last=own.attribute.name)
    descriptors = _descriptors([source for source, _ in shown], steps, own)
    first = list(accumulate((len(one.sources) for one in questions), initial=0))
    descriptors = joined(descriptors, first, [one.sought for one in questions], own.who)
    steps = [steps[at] for at in first[:-1]]
    found = _found(gallery, descriptors, questions, own.who)
    every = zip(questions, steps, descriptors, found, strict=True)
    return [_answer(gallery, own, *one) for one in every]


def own_editor(gallery: Gallery, models: Models, attributes: Sequence[str] = ()) -> tuple[Mapping[str, Edits], Edits]:
    """Editors of these attributes, and the one that describes the gallery. Raises ModelMismatchError, UsageError."""
    attribute = gallery.config.attribute
    editors = models.to_query(dict.fromkeys(attributes), gallery.config)
    if attribute not in editors:
        raise UsageError(f"the gallery {gallery.name} was described by a model for {attribute}: give that model too")
    own = editors[attribute]
    gallery.require_model(own.digest, own.descriptor_size)
    return editors, own


def _answer(
    gallery: Gallery,
    own: Edits,
    question: Question,
    steps: tuple[Step, ...],
    descriptor: NDArray[np.float32],
    matches: list[Match],
) -> Answer:
    results = (_result(gallery, rank, match) for rank, match in enumerate(matches, start=1))
    by_who = not question.asked and own.who is not None
    first, source = _first(gallery, own, descriptor, matches, by_who), question.source
    name = question.sought.name if question.sought else source.name
    return Answer(name, dict(question.asked), source, steps, tuple(results), first, by_who)


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
    return First(distance, own.usual_who if by_who else own.usual, by_who, wished=not who_alone)


def chain(source: Source, asked: Asked, editors: Mapping[str, Edits], last: str = "pose") -> tuple[Step, ...]:
    """Edit one picture; see `chains`."""
    return chains([(source, asked)], editors, last)[0]


def chains(
    wanted: Sequence[tuple[Source, Asked]], editors: Mapping[str, Edits], last: str = "pose"
) -> list[tuple[Step, ...]]:
    """Edit pictures, one attribute after the other: an occlusion goes first, `last` comes last, and after it only an
    editor that leaves out the background, which no other has seen gone. What several want of one editor is done at
    once.

    Raises UsageError for an attribute without an editor, AttributeValueError for an unknown value.
    """
    _require_editors((name for _, asked in wanted for name in asked), editors)
    for _, asked in wanted:
        for name, value in asked.items():
            editors[name].attribute.index(value)
    made: list[list[Step]] = [[] for _ in wanted]
    names = {name for _, asked in wanted for name in asked}
    for name in sorted(
        names, key=lambda name: (editors[name].neutral, name != ORDER[0], name == last, ORDER.index(name))
    ):
        meant = [at for at, (_, asked) in enumerate(wanted) if name in asked]
        before = [made[at][-1] if made[at] else wanted[at][0] for at in meant]
        _take_step(editors[name], [wanted[at][1][name] for at in meant], before, [made[at] for at in meant])
    return [tuple(steps) for steps in made]


def _take_step(
    editor: Edits, values: Sequence[int], before: Sequence[Source | Step], made: Sequence[list[Step]]
) -> None:
    """One more step of each chain."""
    seen = [one.edit.refined if isinstance(one, Step) else one.crop for one in before]
    crops = np.stack(seen)
    places = np.array([editor.attribute.index(value) for value in values], np.int64)
    sitters = {id(one): Sitter(editor, crop) for one, crop in zip(before, seen, strict=True)}  # a sweep's is one
    for value, one, edit, steps in zip(values, before, editor.edit_many(crops, places), made, strict=True):
        steps.append(Step(editor.attribute, value, edit, one, sitters[id(one)]))


def decided(source: Picture, attribute: AttributeSpace, editors: Mapping[str, Edits]) -> int:
    """The value of the attribute that (60, 60, 3) uint8 has. Raises UsageError where there is no editor of it."""
    _require_editors([attribute.name], editors)
    return attribute.values[int(editors[attribute.name].describe(source[None]).best[0])]


def _require_editors(names: Iterable[str], editors: Mapping[str, Edits]) -> None:
    missing = [name for name in names if name not in editors]
    if missing:
        raise UsageError(f"there is no model for {', '.join(missing)}: give a --models folder that has one")


def _descriptors(sources: Sequence[Source], steps: Sequence[tuple[Step, ...]], own: Edits) -> NDArray[np.float32]:
    """(N, D) what is searched for: what the gallery's own editor made last, else what it makes of the last picture."""
    made: dict[int, NDArray[np.float32]] = {}
    rest: dict[int, Picture] = {}
    seen: list[Picture] = []  # of each source, the picture that its descriptor was made of
    for at, (one, chained) in enumerate(zip(sources, steps, strict=True)):
        shown = [one.crop, *(step.edit.refined for step in chained)]
        if chained and chained[-1].attribute.name == own.attribute.name:
            made[at] = chained[-1].edit.descriptor
            seen.append(shown[-2])
        else:
            rest[at] = shown[-1]
            seen.append(shown[-1])
    if rest:
        made.update(zip(rest, own.describe(np.stack(list(rest.values()))).descriptors, strict=True))
    people = [_person(one.crop, chained) for one, chained in zip(sources, steps, strict=True)]
    descriptors = np.stack(
        [
            made[at] if person is seen[at] else own.of_person(made[at], person)  # which an encoder need not see twice
            for at, person in enumerate(people)
        ]
    )
    require_sound(own, descriptors)
    return descriptors


def _person(source: Picture, steps: tuple[Step, ...]) -> Picture:
    """What shows who it is: the picture itself, without what hid a part of it."""
    completed = [step.edit.refined for step in steps if step.attribute.occlusion]
    return completed[-1] if completed else source


def _found(
    gallery: Gallery, descriptors: NDArray[np.float32], questions: Sequence[Question], who: Who | None
) -> list[list[Match]]:
    """The nearest of each question; those of one condition are looked for together. who: the part that is compared
    where nothing is asked."""
    own = [[] if one.sought else _own(gallery, one.source.path) for one in questions]
    looks = [one.selection.k + len(ids) for one, ids in zip(questions, own, strict=True)]
    found: dict[int, list[Match]] = {}
    while waiting := [at for at in range(len(questions)) if at not in found]:
        for key in dict.fromkeys(_alike(questions[at]) for at in waiting):
            alike = [at for at in waiting if _alike(questions[at]) == key]
            part = who if key[1] else None
            many = _searched(gallery, descriptors[alike], max(looks[at] for at in alike), key[0], part)
            for at, matches in zip(alike, many, strict=True):
                kept = _kept(matches[: looks[at]], own[at], questions[at].selection, looks[at])
                found |= {} if kept is None else {at: kept}
                looks[at] *= 4
    return [found[at] for at in range(len(questions))]


def _alike(question: Question) -> tuple[Condition | None, bool]:
    """What questions have in common that can be looked for together."""
    return question.selection.where, not question.asked


def _searched(
    gallery: Gallery, descriptors: NDArray[np.float32], look: int, where: Condition | None, who: Who | None
) -> list[list[Match]]:
    """who: the part that is compared; None: all of it."""
    if who is None:
        return gallery.search_many(descriptors, look, where=where)
    many = gallery.search_many(descriptors, look, where=where, part=(who.start, who.stop))
    ids = sorted({match.face.id for matches in many for match in matches})
    stored = dict(zip(ids, gallery.descriptors(ids), strict=True))
    told = [
        [replace(match, distance=who.apart(one, stored[match.face.id])) for match in matches]
        for one, matches in zip(descriptors, many, strict=True)
    ]
    return [sorted(matches, key=lambda match: match.distance) for matches in told]  # a stranger's may say nothing there


def _kept(matches: Sequence[Match], own: Sequence[int], selection: Selection, look: int) -> list[Match] | None:
    """What is shown of so many nearest ones; None where more of them are needed."""
    most = selection.max_distance
    groups: dict[object, Match] = {}
    for match in matches:
        if match.face.id not in own and (most is None or match.distance <= most):
            groups.setdefault(_group(match, selection.distinct), match)
    too_far = most is not None and bool(matches) and matches[-1].distance > most  # and so is what follows
    if len(groups) >= selection.k or len(matches) < look or too_far:
        return list(groups.values())[: selection.k]
    return None


def _group(match: Match, distinct: str | None) -> object:
    """What a match has in common with those that it stands for."""
    face = match.face
    person = text_key(face.identity) if face.identity else None  # Anna and ANNA, as conditions have it
    value = {"identity": person, "content": face.photo.sha256, "photo": face.path}.get(distinct or "")
    return (value,) if value else face.id


def _result(gallery: Gallery, rank: int, match: Match) -> Result:
    path = gallery.config.image_root / match.face.path
    return Result(rank, match.distance, path, match.face, gallery.config.attribute, how_found(path, match.face.photo))


def how_found(path: Path, photo: Photo) -> str:
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
