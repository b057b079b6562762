"""facesearch gallery: look at a gallery, and at what is in it."""

from __future__ import annotations

import csv
import json
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DbOption, ImagesArgument, JsonOption, WhereOption, db_place, face_search, one_of
from faceedit.text import cell, printable
from index.labels import SUGGESTION
from retrieval.tables import aligned, aligned_pages, called, plain, shown

if TYPE_CHECKING:
    from index.gallery import Face

_LISTED = ("id", "path", "identity", "pose", "illumination", "expression", "decided")
_SHOWN = ("id", "path", "face", "box", *_LISTED[2:], "person", "suggested")


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

    with Gallery.open(db_place(db)) as gallery:
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
                writer.writerow({name: cell(plain(value)) for name, value in row.items()})
        if form == "table":
            listed = ({**row, "path": _name(row), "identity": _called(row)} for row in chain([first], rows))
            for line in aligned_pages(_LISTED, ([shown(row[name]) for name in _LISTED] for row in listed)):
                print(line)


def show(images: ImagesArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show everything that is known of images."""
    from index.gallery import Gallery
    from retrieval.about import face_details
    from retrieval.choosing import chosen_ids

    with Gallery.open(db_place(db)) as gallery:
        found = gallery.get(chosen_ids(gallery, images or (), None))
        rows = [{**_row(face), **face_details(gallery, face)} for face in found]
    if as_json:
        print(json.dumps(rows))
        return
    told = (aligned([[name, shown(plain(value))] for name, value in row.items()]) for row in rows)
    print("\n\n".join(map("\n".join, told)))


def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that gave no image. They cannot be read, or show no face; `index` tries them again when they
    change."""
    from index.gallery import Gallery

    with Gallery.open(db_place(db)) as gallery:
        found = gallery.problems()
    if as_json:
        print(
            json.dumps(
                [
                    {"path": one.path, "reason": one.reason, "found": one.found, "without_face": one.faceless}
                    for one in found
                ]
            )
        )
        return
    for one in found:
        print(f"{printable(one.path)}  {printable(one.reason)}")


def _row(face: Face) -> dict[str, Any]:
    box = None if face.box is None else list(face.box)
    labels = {name: getattr(face, name) for name in _LISTED[2:]}
    who = {"person": face.person, "suggested": face.labels.origin("identity") == SUGGESTION}
    return {"id": face.id, "path": face.path, "face": face.number, "box": box} | labels | who


def _called(row: dict[str, Any]) -> str | None:
    return called(row["identity"], row["suggested"]) if row["identity"] else None


def _name(row: dict[str, Any]) -> str:
    """By which the other commands take it."""
    return f"{row['path']}#{row['face']}" if row["box"] else str(row["path"])
