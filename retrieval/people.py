"""Group the faces of a gallery into persons, and keep to what a hand said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Usual, Who
from faceedit.errors import UsageError
from index.gallery import Gallery
from index.people import Known
from index.progress import Steps
from index.values import FloatArray, IdArray, Person, Placement, share_of
from retrieval.grouping import grouped
from retrieval.same_faces import Seen, same_places
from retrieval.tables import aligned, counted, shown

_PAGE = 5_000  # descriptors that are read at a time
_NOBODY = -1


@dataclass(frozen=True)
class Grouping:
    """persons: how many there are; faces: in these; alone: that are like nobody else; new: that came since the last
    time; moved: of the others, how many are in another person now; suggested: how many have another name as a
    suggestion."""

    persons: int
    faces: int
    alone: int
    new: int
    moved: int
    suggested: int

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """The same for people."""
        moved = f"; {counted(self.moved, 'face')} moved" if self.moved else ""
        told = [f"{counted(self.new, 'new face')}{moved}: {self.faces:,} of {counted(self.persons, 'person')}"]
        told[0] += f", {self.alone:,} like nobody else" if self.alone else ""
        if self.suggested:
            named = f"{counted(self.suggested, 'face')} took a person's name as a suggestion"
            told.append(f"{named}: `facesearch gallery label --person N --identity NAME` makes it a fact")
        return told


def group(gallery: Gallery, describer: TellsPeople, anew: bool, told: Steps) -> Grouping:
    """Group the faces that came since the last time, by what descriptors say of who it is; anew: all. What a hand said
    of persons stays, and so do the numbers of persons whose faces are mostly the same.

    Raises UsageError where nobody measured how near strangers come by this describer, GalleryLockedError.
    """
    who, near = nearness(describer)
    people = gallery.people
    with gallery.writing():
        known = people.known()
        anew = anew or people.grouped_by() != gallery.config.model_digest
        vectors = parts(gallery, [one.face for one in known], who)
        anchors = _anchors(gallery, known)
        first, new = _begun(known, anchors, anew)
        groups = grouped(vectors, first, anchors, new, near, told)
        persons, others, alone = _numbered(known, groups, anchors)
        written = people.write(persons, others, alone)
    faces = len(known) - len(alone)
    came = sum(not one.looked for one in known)
    return Grouping(len(persons) + len(others), faces, len(alone), came, written.moved, written.suggested)


class TellsPeople(Protocol):
    """What a grouping needs to know of who describes: see `faceedit.describes.Edits`."""

    @property
    def who(self) -> Who | None: ...

    @property
    def usual_who(self) -> Usual | None: ...


def nearness(describer: TellsPeople) -> tuple[Who, float]:
    """Where descriptors say who it is, and how near two persons must be to be one: as the fewest strangers are that
    were measured. Raises UsageError."""
    who, usual = describer.who, describer.usual_who
    if who is None:
        raise UsageError("this model does not say who somebody is: give another --model, or an encoder with --identity")
    if usual is None or not usual.accepted:
        raise UsageError(
            "nobody measured how near strangers come by this encoder: `facesearch evaluate --record` does, for this "
            "model"
        )
    return who, min(usual.accepted, key=lambda one: one.rate).distance


def parts(gallery: Gallery, faces: Sequence[int], who: Who) -> FloatArray:
    """(n, d) what the descriptors of these faces say of who it is, of length 1; zeros where one says nothing, or waits
    to be made again."""
    made, described = np.zeros((len(faces), who.stop - who.start), np.float32), gallery.described(faces)
    rows = [row for row, face in enumerate(faces) if face in described]
    for start in range(0, len(rows), _PAGE):
        some = rows[start : start + _PAGE]
        made[some] = gallery.descriptors([faces[row] for row in some])[:, who.start : who.stop]
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    return np.asarray(np.divide(made, lengths, out=np.zeros_like(made), where=lengths > 0))


def _begun(known: Sequence[Known], anchors: IdArray, anew: bool) -> tuple[IdArray, NDArray[np.bool_]]:
    """In which group each face is to begin with, (n,), and whose neighbours are to be looked for: faces of one who is
    known are together; the others of a person stay there, unless two are known to be in it."""
    several: dict[int, set[int]] = {}
    for one, anchor in zip(known, anchors.tolist(), strict=True):
        if one.person is not None and anchor != _NOBODY:
            several.setdefault(one.person, set()).add(anchor)
    mixed = {person for person, found in several.items() if len(found) > 1}
    groups: dict[tuple[str, int], int] = {}
    first, new = np.arange(len(known)), np.zeros(len(known), np.bool_)
    for row, (one, anchor) in enumerate(zip(known, anchors.tolist(), strict=True)):
        stays = one.person is not None and one.person not in mixed and not anew
        new[row] = anew or not one.looked or one.person in mixed
        if anchor != _NOBODY:
            first[row] = groups.setdefault(("known", anchor), row)
        elif stays and one.person is not None:
            [whose] = several.get(one.person) or [_NOBODY]
            key = ("person", one.person) if whose == _NOBODY else ("known", whose)
            first[row] = groups.setdefault(key, row)
    return first, new


def _anchors(gallery: Gallery, known: Sequence[Known]) -> IdArray:
    """(n,) who a hand or a table said that each face is, by any number; -1: nobody said. A hand's word of a person is
    overruled by a name that says somebody else; a name that several persons have by hand says none of them."""
    placed = _placed(gallery)
    names = _names({one.face: one.key for one in known}, placed)
    called = Counter(names.values())
    persons = {name: person for person, name in names.items() if called[name] == 1}
    numbers: dict[object, int] = {}
    found = np.full(len(known), _NOBODY)
    for row, one in enumerate(known):
        person = placed.get(one.face)
        if person is not None and one.key in (None, names.get(person, one.key)):
            found[row] = person
        elif one.key is not None and called[one.key] < 2:
            found[row] = persons.get(one.key) or _NAMED + numbers.setdefault(one.key, len(numbers))
    return found


_NAMED = 2**40  # anchors from here on are names, those below are persons' numbers


def _names(keys: Mapping[int, str | None], placed: Mapping[int, int]) -> dict[int, str]:
    """What persons whose faces a hand placed are called."""
    called: dict[int, Counter[str]] = {}
    for face, person in placed.items():
        if key := keys.get(face):
            called.setdefault(person, Counter())[key] += 1
    return {person: min(some, key=lambda key: (-some[key], key)) for person, some in called.items()}


def _placed(gallery: Gallery) -> dict[int, int]:
    """By face, the person that a hand said it is: by the content of its photo, and its place there."""
    said: dict[str, list[Placement]] = {}
    for one in gallery.people.placements():
        said.setdefault(one.sha256, []).append(one)
    photos: dict[tuple[str, str], list[Any]] = {}
    for face in gallery.faces_of(list(said)):
        photos.setdefault((face.photo.sha256, face.path), []).append(face)
    found: dict[int, int] = {}
    for (content, _), faces in photos.items():
        size = (faces[0].photo.width, faces[0].photo.height)
        before, now = ([Seen(one.number, share_of(one.box, size)) for one in some] for some in (said[content], faces))
        for new, old in same_places(before, now).items():
            found[faces[new].id] = said[content][old].person
    return found


def _numbered(
    known: Sequence[Known], groups: IdArray, anchors: IdArray
) -> tuple[dict[int, list[int]], list[list[int]], list[int]]:
    """The faces of persons by number, of new ones, and those that are alone. A group has the number that a hand gave,
    else that of the person of whom it has most faces, the largest such first."""
    rows: dict[int, list[int]] = {}
    for row, lowest in enumerate(groups.tolist()):
        rows.setdefault(lowest, []).append(row)
    kept = {at: some for at, some in rows.items() if len(some) > 1 or anchors[some[0]] != _NOBODY}
    numbers = _numbers(known, kept, anchors)
    faces = {at: [known[row].face for row in some] for at, some in rows.items()}
    persons = {number: faces[at] for at, number in numbers.items()}
    return (
        dict(sorted(persons.items())),
        [faces[at] for at in kept if at not in numbers],
        [face for at in rows if at not in kept for face in faces[at]],
    )


def _numbers(known: Sequence[Known], rows: Mapping[int, Sequence[int]], anchors: IdArray) -> dict[int, int]:
    """By group, the number of the person that it goes on to be."""
    who = {at: int(anchors[list(some)].max()) for at, some in rows.items()}
    found = {at: anchor for at, anchor in who.items() if _NOBODY < anchor < _NAMED}
    shared = Counter(
        (at, person) for at, some in rows.items() for row in some if (person := known[row].person) is not None
    )
    taken = set(found.values())
    for (at, person), _ in sorted(shared.items(), key=lambda one: (-one[1], one[0][1], one[0][0])):
        if at not in found and person not in taken:
            found[at] = person
            taken.add(person)
    return found


def table(persons: Sequence[Person]) -> list[str]:
    """Lines: a title, then one for each person."""
    rows = [["person", "name", "faces", "suggested"]]
    for one in persons:
        rows.append([str(one.number), shown(one.name), f"{one.faces:,}", f"{one.suggested:,}" if one.suggested else ""])
    return aligned(rows)
