"""facesearch gallery people: who is who, without a name or with one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Exit, Option, Typer

from cli.options import DbOption, IdentityOption, JsonOption, ModelOption, face_search
from cli.telling import show

if TYPE_CHECKING:
    from index.values import Person

group = Typer(rich_markup_mode=None)
PersonsArgument = Annotated[list[int], Argument(metavar="PERSON...", help="Persons by number: 17 23.")]


@group.callback(invoke_without_command=True)
def people(
    context: Context,
    anew: Annotated[bool, Option("--anew", help="Group all faces again; what a hand said stays.")] = False,
    as_is: Annotated[bool, Option("--as-is", help="List people as they were grouped last.")] = False,
    db: DbOption = None,
    model: ModelOption = None,
    identity: IdentityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Group faces into people, and list them. Faces that came since the last time join the persons whom they are like;
    names go to the others of a person as suggestions."""
    if context.invoked_subcommand is not None:
        return
    from cli.progress import ProgressBar
    from faceedit.errors import UsageError
    from retrieval.people import table

    if anew and as_is:
        raise UsageError("--anew and --as-is together: choose one")
    with face_search(context, db, model=model, identity=identity) as faces, ProgressBar() as bar:
        done = None if as_is else faces.group(anew=anew, progress=bar.tell)
        found = faces.people()
    if not as_json:
        for line in done.lines() if done else ():
            print(line, file=sys.stderr)
        if not found:
            raise Exit(4)
    grouping = {} if done is None else {"grouping": done.as_json()}
    show(as_json, {**grouping, "people": [asdict(person) for person in found]}, table(found))


@group.command()
def merge(context: Context, persons: PersonsArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say that persons are one. It has the number of the first, and no later grouping parts them."""
    with face_search(context, db) as faces:
        made = faces.merge(*persons)
    _tell([made], as_json)


@group.command()
def split(
    context: Context,
    person: Annotated[int, Argument(help="The person, by number.")],
    images: Annotated[list[str], Argument(help="Faces of it that are somebody else: paths, party.jpg#2, ids.")],
    db: DbOption = None,
    model: ModelOption = None,
    identity: IdentityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that faces of a person are somebody else. Others that are more like these than like the rest go along."""
    from retrieval.tables import counted

    with face_search(context, db, model=model, identity=identity) as faces:
        made, along = faces.split(person, *images)
    if along:
        print(f"{counted(along, 'face')} went along, more like these than like the rest", file=sys.stderr)
    _tell([made], as_json)


@group.command("not-same")
def not_same(context: Context, persons: PersonsArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say that no two of these persons are one. No later grouping joins them, however alike they are."""
    with face_search(context, db) as faces:
        kept = faces.not_same(*persons)
    _tell(kept, as_json)


def _tell(persons: list[Person], as_json: bool) -> None:
    from retrieval.people import table

    show(as_json, [asdict(one) for one in persons], table(persons))
