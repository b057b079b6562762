"""facesearch gallery: look at a gallery, and correct its labels."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DbOption, ImagesArgument, JsonOption, WhereOption, db_folder, face_search
from faceedit.errors import UsageError
from faceedit.text import cell, printable
from retrieval.tables import aligned, counted, shown

if TYPE_CHECKING:
    from index.gallery import Face

_PAGE = 1_000  # rows that are aligned with one another: a large gallery is listed while it is read
_SHOWN = ("id", "path", "identity", "pose", "illumination", "expression", "decided")


def info(context: typer.Context, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what a gallery holds, and where. Also which model described it, and how it is searched."""
    with face_search(context, db) as faces:
        found = faces.info()
    print(json.dumps(found.as_json()) if as_json else "\n".join(found.lines()))


def list_images(
    where: WhereOption = None,
    db: DbOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Show at most so many. [default: all]")] = None,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line for each image.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """List images with their labels. `decided` is the value that the network saw."""
    if as_jsonl and as_csv:
        raise UsageError("--jsonl and --csv together: choose one")
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        rows = (_row(face) for face in islice(gallery.faces(condition), limit))
        first = next(rows, None)
        if as_csv:
            writer = csv.DictWriter(sys.stdout, _SHOWN, lineterminator="\n")
            writer.writeheader()
        if first is None:
            raise typer.Exit(4)
        for row in chain([first], rows) if as_csv or as_jsonl else ():
            if as_jsonl:
                print(json.dumps(row))
            else:
                writer.writerow({name: cell(value) for name, value in row.items()})
        if not as_csv and not as_jsonl:
            _print_table(chain([first], rows))


def show(images: ImagesArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
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


def label(
    context: typer.Context,
    images: ImagesArgument = None,
    where: WhereOption = None,
    identity: Annotated[str | None, typer.Option(help="Say who it is; empty for unknown.")] = None,
    pose: Annotated[str | None, typer.Option(help="Say the pose in degrees; empty for unknown.")] = None,
    illumination: Annotated[str | None, typer.Option(help="Say the number of the light; empty for unknown.")] = None,
    expression: Annotated[str | None, typer.Option(help="Say the expression; empty for unknown.")] = None,
    db: DbOption = None,
) -> None:
    """Correct the labels of images. Those that are not given stay."""
    given = {"identity": identity, "pose": pose, "illumination": illumination, "expression": expression}
    changes: dict[str, Any] = {name: text for name, text in given.items() if text is not None}
    with face_search(context, db) as faces:
        done = faces.label(*(images or ()), where=where, **changes)
    print(f"{counted(done, 'image')} labelled")


def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that could not be read. With the reason; `index` tries them again when they change."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        found = gallery.problems()
    if as_json:
        print(json.dumps([{"path": one.path, "reason": one.reason, "found": one.found} for one in found]))
        return
    for one in found:
        print(f"{printable(one.path)}  {printable(one.reason)}")


def _print_table(rows: Iterable[dict[str, Any]]) -> None:
    """Print rows under one header, a page at a time; columns are as wide as on the widest page so far."""
    cells = iter([shown(row[name]) for name in _SHOWN] for row in rows)
    widest, first = list(_SHOWN), True
    while page := list(islice(cells, _PAGE)):
        widest = [max(column, key=len) for column in zip(widest, *page, strict=True)]
        lines = aligned([widest, _SHOWN, *page])
        print("\n".join(lines[1 if first else 2 :]))
        first = False


def _row(face: Face) -> dict[str, Any]:
    return {name: getattr(face, name) for name in _SHOWN}
