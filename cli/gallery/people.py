"""facesearch gallery people: who is who, without a name or with one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from typer import Context, Exit

from cli import options
from cli.telling import ProgressBar, show
from retrieval.tables import counted

if TYPE_CHECKING:
    from index.values import Person

Persons = Annotated[list[int], "PERSON...", "Persons by number: 17 23."]


def people(
    context: Context,
    anew: Annotated[bool, "Group all faces again; what a hand said stays."] = False,
    as_is: Annotated[bool, "List people as they were grouped last."] = False,
    db: options.Db = None,
    model: options.Model = None,
    identity: options.Identity = None,
    as_json: options.Json = False,
) -> None:
    """Group faces into people, and list them. Faces that came since the last time join the persons whom they are like;
    names go to the others of a person as suggestions."""
    if context.invoked_subcommand is not None:
        return
    from retrieval.people import table

    options.one_of("", **{"anew": anew, "as-is": as_is})
    with options.face_search(db, model=model, identity=identity) as faces, ProgressBar() as bar:
        done = None if as_is else faces.group(anew=anew, progress=bar.tell)
        found = faces.people()
    if not as_json:
        for line in done.lines() if done else ():
            print(line, file=sys.stderr)
        if not found:
            raise Exit(4)
    grouping = {} if done is None else {"grouping": done.as_json()}
    show(as_json, {**grouping, "people": [asdict(person) for person in found]}, table(found))


def merge(persons: Persons, db: options.Db = None, as_json: options.Json = False) -> None:
    """Say that persons are one. It has the number of the first, and no later grouping parts them."""
    with options.face_search(db) as faces:
        _tell([faces.merge(*persons)], as_json)


def split(
    person: Annotated[int, "The person, by number."],
    images: Annotated[list[str], "Faces of it that are somebody else: paths, party.jpg#2, ids."],
    db: options.Db = None,
    model: options.Model = None,
    identity: options.Identity = None,
    as_json: options.Json = False,
) -> None:
    """Say that faces of a person are somebody else. Others that are more like these than like the rest go along."""
    with options.face_search(db, model=model, identity=identity) as faces:
        made, along = faces.split(person, *images)
    if along:
        print(f"{counted(along, 'face')} went along, more like these than like the rest", file=sys.stderr)
    _tell([made], as_json)


def not_same(persons: Persons, db: options.Db = None, as_json: options.Json = False) -> None:
    """Say that no two of these persons are one. No later grouping joins them, however alike they are."""
    with options.face_search(db) as faces:
        _tell(faces.not_same(*persons), as_json)


def _tell(persons: list[Person], as_json: bool) -> None:
    from retrieval.people import table

    show(as_json, [asdict(one) for one in persons], table(persons))
