"""facesearch gallery: look at a gallery, and correct it."""

from __future__ import annotations

import csv
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DbOption, JsonOption, WhereOption, db_folder, face_search
from faceedit.errors import UsageError
from index.where import LARGEST, parse
from retrieval.tables import aligned, printable, shown

if TYPE_CHECKING:
    from index.gallery import Face

group = typer.Typer(help="Look at a gallery, correct it, and check it.", no_args_is_help=True, rich_markup_mode=None)

_SHOWN = ("id", "path", "identity", "pose", "illumination", "expression", "decided")
PathsArgument = Annotated[
    list[str] | None, typer.Argument(help="Images: their paths as `list` shows them, or as files, or their ids.")
]


@group.command("info")
def info(context: typer.Context, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what the gallery holds, where, described by which model, and how it is searched."""
    with face_search(context, db) as faces:
        found = faces.info()
    print(json.dumps(found.as_json()) if as_json else "\n".join(found.lines()))


@group.command("list")
def list_images(
    where: WhereOption = None,
    db: DbOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Show at most so many. [default: all]")] = None,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line for each image.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """List images with their labels; `decided` is the value that the network saw."""
    if as_jsonl and as_csv:
        raise UsageError("--jsonl and --csv together: choose one")
    condition = parse(where) if where is not None else None
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        rows = (_row(face) for face in islice(gallery.faces(condition), limit))
        first = next(rows, None)
        if as_csv:
            writer = csv.DictWriter(sys.stdout, _SHOWN, lineterminator="\n")
            writer.writeheader()
        if first is None:
            raise typer.Exit(4)
        if not as_csv and not as_jsonl:
            print("  ".join(_SHOWN))
        for row in (first, *rows):
            if as_jsonl:
                print(json.dumps(row))
            elif as_csv:
                writer.writerow(row)
            else:
                print("  ".join(shown(row[name]) for name in _SHOWN))


@group.command("show")
def show(images: PathsArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show everything that is known of images."""
    from index.gallery import Gallery
    from retrieval.about import face_details
    from retrieval.choosing import chosen_ids

    with Gallery.open(db_folder(db)) as gallery:
        found = gallery.get(chosen_ids(gallery, images or (), None))
        rows = [{**_row(face), **face_details(gallery, face)} for face in found]
    if as_json:
        print(json.dumps(rows))
        return
    print("\n\n".join("\n".join(aligned([[name, shown(value)] for name, value in row.items()])) for row in rows))


@group.command("label")
def label(
    context: typer.Context,
    images: PathsArgument = None,
    where: WhereOption = None,
    identity: Annotated[str | None, typer.Option(help="Say who it is; empty for unknown.")] = None,
    pose: Annotated[str | None, typer.Option(help="Say the pose in degrees; empty for unknown.")] = None,
    illumination: Annotated[str | None, typer.Option(help="Say the number of the light; empty for unknown.")] = None,
    expression: Annotated[str | None, typer.Option(help="Say the expression; empty for unknown.")] = None,
    db: DbOption = None,
) -> None:
    """Correct the labels of images; those that are not given stay."""
    given = {"identity": identity, "pose": pose, "illumination": illumination, "expression": expression}
    changes: dict[str, Any] = {name: text or None for name, text in given.items() if text is not None}
    for name in changes.keys() & {"pose", "illumination"}:
        changes[name] = _number(name, changes[name])
    with face_search(context, db) as faces:
        print(f"{faces.label(*(images or ()), where=where, **changes):,} images labelled")


@group.command("remove")
def remove(
    context: typer.Context,
    images: PathsArgument = None,
    where: WhereOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")] = False,
    db: DbOption = None,
) -> None:
    """Remove images from the gallery and erase their descriptors; the files themselves stay."""
    condition = parse(where) if where is not None else None
    from cli.progress import ProgressBar
    from retrieval.choosing import chosen_ids

    with face_search(context, db) as faces, ProgressBar() as bar:
        if dry_run:
            ids = chosen_ids(faces.gallery, images or (), condition)
            for image in faces.gallery.get(ids):
                print(printable(image.path))
            print(f"{len(ids):,} images would be removed", file=sys.stderr)
            return
        done = faces.remove(*(images or ()), where=condition, progress=bar.tell)
    print(f"{done.images:,} images removed, their descriptors erased")
    warn_not_searched(done.not_searched)


@group.command("problems")
def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that could not be read, and why; `index` tries them again when they change."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        found = gallery.problems()
    if as_json:
        print(json.dumps([{"path": one.path, "reason": one.reason, "found": one.found} for one in found]))
        return
    for one in found:
        print(f"{printable(one.path)}  {printable(one.reason)}")


def warn_not_searched(reason: Exception | None) -> None:
    """Say why there is no new index; the gallery is searched all the same."""
    if reason is not None:
        print(f"warning: the index is not built anew: {reason}", file=sys.stderr)


def _row(face: Face) -> dict[str, Any]:
    return {name: getattr(face, name) for name in _SHOWN}


def _number(name: str, text: str | None) -> int | None:
    try:
        number = int(text) if text else None
    except ValueError as error:
        raise UsageError(f"--{name} {text!r} is no whole number") from error
    if number is not None and abs(number) >= LARGEST:
        raise UsageError(f"--{name} {text!r} is too large a number")
    return number
