"""facesearch gallery: correct what it says of images, remove what does not belong there, and have it back."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from typer import Argument, Exit

from cli import options
from cli.telling import ProgressBar, say
from faceedit.errors import UsageError
from faceedit.text import printable
from retrieval.tables import counted


def label(
    images: options.Images = None,
    where: options.Where = None,
    person: Annotated[int | None, "Mean all faces of this person, by number."] = None,
    identity: Annotated[str | None, "Say who it is; empty for unknown."] = None,
    pose: Annotated[str | None, "Say the pose in degrees; empty for unknown."] = None,
    illumination: Annotated[str | None, "Say the number of the light; empty for unknown."] = None,
    expression: Annotated[str | None, "Say the expression; empty for unknown."] = None,
    db: options.Db = None,
) -> None:
    """Correct the labels of images. Those that are not given stay."""
    given = {"identity": identity, "pose": pose, "illumination": illumination, "expression": expression}
    changes: dict[str, Any] = {name: text for name, text in given.items() if text is not None}
    with options.face_search(db) as faces:
        done = faces.label(*(images or ()), where=where, person=person, **changes)
    print(f"{counted(done, 'image')} labelled")


def remove(
    images: options.Images = None,
    where: options.Where = None,
    identity: Annotated[str | None, "Remove this person, and all that is kept of it."] = None,
    kept: Annotated[bool, "Forget the labels that are kept of images that were pruned."] = False,
    hide: Annotated[
        bool | None,
        "--hide/--no-hide",
        "Whether later runs of index leave them out. [default: those whose photograph stays, with others]",
    ] = None,
    dry_run: Annotated[bool, "Only say which they are."] = False,
    db: options.Db = None,
) -> None:
    """Remove images, and erase their descriptors. The files themselves stay. By a photograph's path all its faces are
    meant, by party.jpg#2 the second."""
    if kept and (images or where or identity or dry_run):
        raise UsageError("--kept takes no images, and nothing besides: it forgets the labels of all that were pruned")
    with options.face_search(db) as faces, ProgressBar() as bar:
        if kept:
            print(f"labels of {counted(faces.forget_kept(), 'pruned image')} forgotten")
        elif dry_run:
            meant = faces.would_remove(*(images or ()), where=where, identity=identity)
            print("\n".join(printable(face.name) for face in meant))
            print(f"{counted(len(meant), 'image')} would be removed", file=sys.stderr)
        else:
            done = faces.remove(*(images or ()), where=where, identity=identity, hide=hide, progress=bar.tell)
            print("\n".join(done.lines()))
            say("warning", done.warnings())


def unhide(
    names: Annotated[list[str] | None, Argument(help="Hidden faces: party.jpg#2, or a path for all in it.")] = None,
    everything: Annotated[bool, "--all", "All of them."] = False,
    db: options.Db = None,
    model: options.Model = None,
    identity: options.Identity = None,
    detector: options.Detector = None,
) -> None:
    """Let hidden faces come back. They are described again at once; labels that a hand gave them have gone."""
    if everything == bool(names):
        raise UsageError("say which hidden faces come back: their names, or --all")
    with options.face_search(db, model=model, identity=identity) as faces:
        given = [one.name for one in faces.hidden()] if everything else names or []
        done = faces.unhide(*given, detector=detector)
    print("\n".join(done.lines()))
    say("warning", done.warnings())
    if done.stay:
        raise Exit(3)
