"""What a hand says of persons: that some are one, that others are not, and that faces are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from faceedit.errors import UsageError
from index.gallery import Gallery
from index.values import FloatArray, Person
from index.where import Comparison, Condition
from retrieval.people import TellsPeople, parts
from retrieval.tables import counted, shown


def merged(gallery: Gallery, into: int, others: Sequence[int]) -> Person:
    """All these are one person, with the first number. Raises UsageError where they have two names, or it is one
    person, UnknownPersonError."""
    persons = [into, *dict.fromkeys(one for one in others if one != into)]
    if len(persons) < 2:
        raise UsageError("say at least two persons to merge, by their numbers: 17 23")
    with gallery.turn():
        faces = gallery.people.faces_of(persons)
        _require_one_name(gallery, faces)
        gallery.people.place({face: into for some in faces.values() for face in some})
    return gallery.people.get(into)


def _require_one_name(gallery: Gallery, faces: Mapping[int, Sequence[int]]) -> None:
    keys = {one.face: one.key for one in gallery.people.known()}
    names: dict[str, int] = {}
    for person, some in faces.items():
        for face in some:
            if key := keys.get(face):
                names.setdefault(key, person)
    if len(names) > 1:
        (one, first), (other, second) = list(names.items())[:2]
        raise UsageError(
            f"faces of person {first} are called {shown(one)}, of person {second} {shown(other)}: say first that they "
            f"have one name, with `facesearch gallery label --person {second} --identity ...`"
        )


def split(gallery: Gallery, describer: TellsPeople, person: int, faces: Sequence[int]) -> tuple[Person, int]:
    """These faces of a person are somebody else, whom nobody knew: who, and how many others went along, since they are
    more like these than like the rest. Of those whose descriptors wait to be made again nothing is said. Raises
    UsageError, UnknownPersonError."""
    if describer.who is None:
        raise UsageError("this model does not say who somebody is: give another --model, or an encoder with --identity")
    with gallery.turn():
        there = gallery.people.faces_of([person])[person]
        strangers = sorted(set(faces) - set(there))
        if strangers or not faces:
            which = gallery.get(strangers[:1])[0].name if strangers else "none"
            raise UsageError(f"{which} is no face of person {person}: name some of its faces")
        rest = [face for face in there if face not in set(faces)]
        if not rest:
            raise UsageError(f"these are all {counted(len(there), 'face')} of person {person}: name some of them")
        described = gallery.described(rest)
        compared = [face for face in rest if face in described]
        away = _nearer(parts(gallery, [*faces, *compared], describer.who), len(faces))
        stay = {face: person for face, goes in zip(compared, away, strict=True) if not goes}
        along = [face for face, goes in zip(compared, away, strict=True) if goes]
        number = gallery.people.place_apart(list(faces), stay, along)
    return gallery.people.get(number), len(along)


def _nearer(vectors: FloatArray, many: int) -> list[bool]:
    """Of the faces (n, d) behind the first `many`, whether each is far nearer to those than to the others: by less than
    half of the mean squared distance. Those of no length are near to nobody."""
    says = np.linalg.norm(vectors, axis=1) > 0
    away, rest = vectors[:many][says[:many]], vectors[many:][says[many:]]
    goes = np.zeros(len(vectors) - many, np.bool_)
    if len(away) and len(rest) > 1:
        alike = (rest @ rest.sum(0) - (rest * rest).sum(1)) / (len(rest) - 1)
        nearer = 2 * (2 - 2 * rest @ away.mean(0)) < 2 - 2 * alike
        goes[says[many:]] = nearer & ~nearer.all()
    found: list[bool] = goes.tolist()
    return found


def kept_apart(gallery: Gallery, persons: Iterable[int]) -> list[Person]:
    """No two of these persons are one, whatever the next grouping finds. Raises UsageError, UnknownPersonError."""
    wanted = list(dict.fromkeys(persons))
    if len(wanted) < 2:
        raise UsageError("say at least two persons who are not the same, by their numbers: 17 23")
    with gallery.turn():
        faces = gallery.people.faces_of(wanted)
        gallery.people.place({face: person for person, some in faces.items() for face in some})
    return [gallery.people.get(person) for person in wanted]


def of_person(gallery: Gallery, person: int, alone: bool) -> Condition:
    """The faces of a person; alone: nothing else says which are meant. Raises UsageError, UnknownPersonError."""
    if not alone:
        raise UsageError("a person with paths or a condition: choose one")
    gallery.people.faces_of([person])
    return Comparison("person", "=", (person,))
