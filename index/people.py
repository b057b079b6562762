"""The people of a gallery: faces that are one individual's, as they were grouped, and what a hand said of that.

A grouping says of faces which person they are (`index.truth.people`); what a hand says holds by the content of photos,
so that it outlives every grouping, another model, another name of the file, and its absence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection

from index.errors import UnknownPersonError
from index.truth import people, state
from index.truth.database import Database
from index.truth.people import Known
from index.values import Person, Placement

__all__ = ["Known", "People", "Written"]


@dataclass(frozen=True)
class Written:
    """moved: how many faces that were looked at before are in another person now, or in none; suggested: how many have
    another name as a suggestion."""

    moved: int
    suggested: int


class People:
    """Of one gallery; see `Gallery.people`."""

    def __init__(self, database: Database, writing: Callable[[], AbstractContextManager[None]]) -> None:
        self._database, self._writing = database, writing

    def all(self) -> list[Person]:
        """Everybody, by number."""
        with self._database.reading() as session:
            return people.persons(session)

    def get(self, number: int) -> Person:
        """Raises UnknownPersonError."""
        found = [person for person in self.all() if person.number == number]
        if not found:
            self.faces_of([number])
            raise UnknownPersonError(f"the gallery knows no person {number} any more: list them again")
        return found[0]

    def faces_of(self, persons: Sequence[int]) -> dict[int, list[int]]:
        """The ids of the faces of these persons, ascending. Raises UnknownPersonError."""
        with self._database.reading() as session:
            return people.faces_of(session, persons)

    def count(self) -> int:
        """How many there are."""
        with self._database.reading() as session:
            return people.count(session)

    def count_new(self) -> int:
        """How many faces came since people were grouped."""
        with self._database.reading() as session:
            return people.count_new(session)

    def known(self) -> list[Known]:
        """What is known of who each described face is, by ascending id."""
        with self._database.reading() as session:
            return list(people.known(session))

    def grouped_by(self) -> str | None:
        """The digest of the model by whose descriptors people were grouped last; None: they never were."""
        with self._database.reading() as session:
            return state.gallery(session).grouped_by

    def placements(self) -> list[Placement]:
        """What a hand said of who is which person, oldest first."""
        with self._database.reading() as session:
            return people.placements(session)

    def write(
        self, persons: Mapping[int, Sequence[int]], new: Sequence[Sequence[int]], alone: Sequence[int]
    ) -> Written:
        """What a grouping by the gallery's descriptors found: the faces of persons by number, those of new ones, and
        those that are like nobody else. Names go to the others of a person as suggestions. Raises GalleryLockedError.
        """
        with self._writing(), self._database.writing() as session:
            before = {one.face: one for one in people.known(session)}
            numbers = people.new_numbers(session, len(new)) if new else ()
            now: dict[int, int | None] = dict.fromkeys(alone)
            for number, faces in [*persons.items(), *zip(numbers, new, strict=True)]:
                now |= dict.fromkeys(faces, number)
            there = {face: person for face, person in now.items() if face in before}
            moved = {f: p for f, p in there.items() if not before[f].looked or before[f].person != p}
            people.write(session, moved)
            state.change(session, grouped_by=state.gallery(session).model_digest)
            again = sum(before[face].looked for face in moved)
            return Written(again, people.suggest(session))

    def suggest(self) -> int:
        """Let names go to the other faces of a person as suggestions, after somebody gave or took one; to how many.
        Raises GalleryLockedError."""
        if self.grouped_by() is None:
            return 0
        with self._writing(), self._database.writing() as session:
            return people.suggest(session)

    def place(self, persons: Mapping[int, int], along: Mapping[int, int] | None = None) -> None:
        """A hand says of these faces which person they are; `along` go others, of which it did not say so. Raises
        UnknownImageError, GalleryLockedError."""
        with self._writing(), self._database.writing() as session:
            _place(session, persons, along or {})

    def place_apart(self, faces: Sequence[int], others: Mapping[int, int], along: Sequence[int] = ()) -> int:
        """A hand says that these faces are a person whom nobody knew, and of others which ones they are: the new
        number; `along` go faces of which it said nothing. Raises as `place`."""
        with self._writing(), self._database.writing() as session:
            [number] = people.new_numbers(session, 1)
            _place(session, {**others, **dict.fromkeys(faces, number)}, dict.fromkeys(along, number))
        return number


def _place(session: Connection, persons: Mapping[int, int], along: Mapping[int, int]) -> None:
    people.place(session, persons)
    people.write(session, along)
    people.suggest(session)
