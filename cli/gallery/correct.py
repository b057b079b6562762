"""facesearch gallery: correct what it says of images, and remove what does not belong there."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from typer import Context, Option

from cli.options import DbOption, ImagesArgument, WhereOption, face_search
from cli.telling import warn_not_searched
from faceedit.errors import UsageError
from faceedit.text import printable
from retrieval.tables import counted


def label(
    context: Context,
    images: ImagesArgument = None,
    where: WhereOption = None,
    person: Annotated[int | None, Option(help="Mean all faces of this person, by number.")] = None,
    identity: Annotated[str | None, Option(help="Say who it is; empty for unknown.")] = None,
    pose: Annotated[str | None, Option(help="Say the pose in degrees; empty for unknown.")] = None,
    illumination: Annotated[str | None, Option(help="Say the number of the light; empty for unknown.")] = None,
    expression: Annotated[str | None, Option(help="Say the expression; empty for unknown.")] = None,
    db: DbOption = None,
) -> None:
    """Correct the labels of images. Those that are not given stay."""
    given = {"identity": identity, "pose": pose, "illumination": illumination, "expression": expression}
    changes: dict[str, Any] = {name: text for name, text in given.items() if text is not None}
    with face_search(context, db) as faces:
        done = faces.label(*(images or ()), where=where, person=person, **changes)
    print(f"{counted(done, 'image')} labelled")


def remove(
    context: Context,
    images: ImagesArgument = None,
    where: WhereOption = None,
    identity: Annotated[str | None, Option(help="Remove this person, and all that is kept of it.")] = None,
    kept: Annotated[bool, Option("--kept", help="Forget the labels that are kept of images that were pruned.")] = False,
    hide: Annotated[
        bool | None,
        Option(
            "--hide/--no-hide",
            help="Whether later runs of index leave them out. [default: those whose photograph stays, with others]",
        ),
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say which they are.")] = False,
    db: DbOption = None,
) -> None:
    """Remove images, and erase their descriptors. The files themselves stay. By a photograph's path all its faces are
    meant, by party.jpg#2 the second."""
    if kept:
        _forget_kept(context, db, alone=not (images or where or identity or dry_run))
        return
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from cli.progress import ProgressBar
    from index.where import Comparison
    from retrieval.choosing import chosen_ids

    with face_search(context, db) as faces, ProgressBar() as bar:
        if dry_run:
            condition = condition or (Comparison("identity", "=", (identity,)) if identity else None)
            ids = chosen_ids(faces.gallery, images or (), condition)
            for image in faces.gallery.get(ids):
                print(printable(image.name))
            print(f"{counted(len(ids), 'image')} would be removed", file=sys.stderr)
            return
        done = faces.remove(*(images or ()), where=condition, identity=identity, hide=hide, progress=bar.tell)
    also = f"; labels of {counted(done.forgotten, 'pruned image')} forgotten" if done.forgotten else ""
    if done.hidden:
        also += f"; {counted(len(done.hidden), 'face')} hidden from later runs"
    print(f"{counted(done.images, 'image')} removed, their descriptors erased{also}")
    warn_not_searched(done.not_searched)


def _forget_kept(context: Context, db: str | None, alone: bool) -> None:
    if not alone:
        raise UsageError("--kept takes no images, and nothing besides: it forgets the labels of all that were pruned")
    with face_search(context, db) as faces:
        print(f"labels of {counted(faces.forget_kept(), 'pruned image')} forgotten")
