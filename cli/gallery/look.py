"""facesearch gallery: look at a gallery, and at what is in it."""

from __future__ import annotations

import csv
import json
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DbOption, ImagesArgument, JsonOption, WhereOption, db_folder, face_search, one_of
from faceedit.text import cell, printable
from retrieval.tables import aligned, aligned_pages, shown

if TYPE_CHECKING:
    from index.gallery import Face

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
    form = one_of("table", jsonl=as_jsonl, csv=as_csv)
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        rows = (_row(face) for face in islice(gallery.faces(condition), limit))
        first = next(rows, None)
        if form == "csv":
            writer = csv.DictWriter(sys.stdout, _SHOWN, lineterminator="\n")
            writer.writeheader()
        if first is None:
            raise typer.Exit(4)
        for row in chain([first], rows) if form != "table" else ():
            if form == "jsonl":
                print(json.dumps(row))
            else:
                writer.writerow({name: cell(value) for name, value in row.items()})
        if form == "table":
            for line in aligned_pages(_SHOWN, ([shown(row[name]) for name in _SHOWN] for row in chain([first], rows))):
                print(line)


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


def _row(face: Face) -> dict[str, Any]:
    return {name: getattr(face, name) for name in _SHOWN}
