"""facesearch gallery: look at a gallery, and at what is in it."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated

from typer import Context, Exit, Option

from cli.options import DbOption, ImagesArgument, JsonOption, WhereOption, face_search, gallery_of, one_of
from cli.telling import show as tell


def info(context: Context, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what a gallery holds, and where. Also which model described it, and how it is searched."""
    with face_search(context, db) as faces:
        found = faces.info()
    tell(as_json, found.as_json(), found.lines())


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
    from retrieval.listing import listed

    with gallery_of(db) as gallery:
        found = islice(gallery.faces(condition), limit)
        first = list(islice(found, 1))
        if first or form == "csv":
            for line in listed(chain(first, found), form):
                print(line)
    if not first:
        raise Exit(4)


def show(images: ImagesArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show everything that is known of images."""
    from retrieval.choosing import chosen_ids
    from retrieval.listing import detail_lines, details

    with gallery_of(db) as gallery:
        rows = details(gallery, gallery.get(chosen_ids(gallery, images or (), None)))
    tell(as_json, rows, [detail_lines(rows)])


def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that gave no image. They cannot be read, or show no face; `index` tries them again when they
    change."""
    from retrieval.listing import problem_lines

    with gallery_of(db) as gallery:
        for line in problem_lines(gallery.problems(), gallery.config.image_root, as_json):
            print(line)
