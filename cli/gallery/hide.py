"""facesearch gallery: the faces that were removed and stay away, and having them back."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from typer import Argument, Context, Exit, Option

from cli.options import (
    DbOption,
    DetectorOption,
    IdentityOption,
    JsonOption,
    ModelOption,
    db_place,
    face_search,
    warn_not_searched,
)
from faceedit.errors import UsageError
from faceedit.text import printable


def hidden(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the faces that stay away. They were removed, and later runs of `index` leave them out; `unhide` has them
    back."""
    from index.gallery import Gallery

    with Gallery.open(db_place(db)) as gallery:
        found = gallery.hidden.all()
    if as_json:
        print(json.dumps([one.as_json() for one in found]))
        return
    if not found:
        raise Exit(4)
    for one in found:
        print(printable(one.name))


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
    for warning in done.warnings():
        print(f"warning: {printable(warning)}", file=sys.stderr)
    warn_not_searched(done.not_searched)
    if done.stay:
        raise Exit(3)
