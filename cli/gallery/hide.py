"""facesearch gallery: the faces that were removed and stay away, and having them back."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Context, Exit, Option

from cli.options import DbOption, DetectorOption, IdentityOption, JsonOption, ModelOption, face_search, gallery_of
from cli.telling import say, show, warn_not_searched
from faceedit.errors import UsageError
from faceedit.text import printable


def hidden(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the faces that stay away. They were removed, and later runs of `index` leave them out; `unhide` has them
    back."""
    with gallery_of(db) as gallery:
        found = gallery.hidden.all()
    if not found and not as_json:
        raise Exit(4)
    show(as_json, [one.as_json() for one in found], (printable(one.name) for one in found))


def unhide(
    context: Context,
    names: Annotated[list[str] | None, Argument(help="Hidden faces: party.jpg#2, or a path for all in it.")] = None,
    everything: Annotated[bool, Option("--all", help="All of them.")] = False,
    db: DbOption = None,
    model: ModelOption = None,
    identity: IdentityOption = None,
    detector: DetectorOption = None,
) -> None:
    """Let hidden faces come back. They are described again at once; labels that a hand gave them have gone."""
    if everything == bool(names):
        raise UsageError("say which hidden faces come back: their names, or --all")
    with face_search(context, db, model=model, identity=identity) as faces:
        given = [one.name for one in faces.hidden()] if everything else names or []
        done = faces.unhide(*given, detector=detector)
    for line in done.lines():
        print(line)
    say("warning", map(printable, done.warnings()))
    warn_not_searched(done.not_searched)
    if done.stay:
        raise Exit(3)
