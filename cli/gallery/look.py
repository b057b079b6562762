"""facesearch gallery: look at a gallery, and at what is in it."""

from __future__ import annotations

import json
from itertools import chain, islice
from typing import Annotated

from typer import Context, Exit, Option

from cli.options import DbOption, ImagesArgument, JsonOption, WhereOption, db_place, face_search, one_of


def info(context: Context, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what a gallery holds, and where. Also which model described it, and how it is searched."""
    with face_search(context, db) as faces:
        found = faces.info()
    print(json.dumps(found.as_json()) if as_json else "\n".join(found.lines()))


def list_images(
    where: WhereOption = None,
    db: DbOption = None,
    limit: Annotated[int | None, Option(min=1, help="Show at most so many. [default: all]")] = None,
    as_jsonl: Annotated[bool, Option("--jsonl", help="Print one JSON object a line for each image.")] = False,
    as_csv: Annotated[bool, Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """List images with their labels. `decided` is the value that the network saw."""
    form = one_of("table", jsonl=as_jsonl, csv=as_csv)
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from index.gallery import Gallery
    from retrieval.listing import listed

    with Gallery.open(db_place(db)) as gallery:
        found = islice(gallery.faces(condition), limit)
        first = list(islice(found, 1))
        if first or form == "csv":
            for line in listed(chain(first, found), form):
                print(line)
    if not first:
        raise Exit(4)


def show(images: ImagesArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show everything that is known of images."""
    from index.gallery import Gallery
    from retrieval.choosing import chosen_ids
    from retrieval.listing import detail_lines, details

    with Gallery.open(db_place(db)) as gallery:
        rows = details(gallery, gallery.get(chosen_ids(gallery, images or (), None)))
    print(json.dumps(rows) if as_json else detail_lines(rows))


def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that gave no image. They cannot be read, or show no face; `index` tries them again when they
    change."""
    from index.gallery import Gallery
    from retrieval.listing import problem_lines

    with Gallery.open(db_place(db)) as gallery:
        for line in problem_lines(gallery.problems(), gallery.config.image_root, as_json):
            print(line)
