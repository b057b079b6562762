"""facesearch gallery: look at a gallery, and at what is in it."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from typer import Exit, Option

from cli import options
from cli.telling import show as tell
from faceedit.text import printable


def info(db: options.Db = None, as_json: options.Json = False) -> None:
    """Say what a gallery holds, and where. Also which model described it, and how it is searched."""
    with options.face_search(db) as faces:
        found = faces.info()
    tell(as_json, found.as_json(), found.lines())


def list_(
    where: options.Where = None,
    db: options.Db = None,
    limit: Annotated[int | None, Option(min=1, help="Show at most so many. [default: all]")] = None,
    as_jsonl: Annotated[bool, "--jsonl", "Print one JSON object a line for each image."] = False,
    as_csv: Annotated[bool, "--csv", "Print comma-separated values."] = False,
) -> None:
    """List images with their labels. `decided` is the value that the network saw."""
    form = options.one_of("table", jsonl=as_jsonl, csv=as_csv)
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from retrieval.listing import listed

    told = 0
    with options.gallery_of(db) as gallery:
        for line in listed(islice(gallery.faces(condition), limit), form):
            print(line)
            told += 1
    if told == (form == "csv"):  # a header alone
        raise Exit(4)


def show(images: options.Images = None, db: options.Db = None, as_json: options.Json = False) -> None:
    """Show everything that is known of images."""
    from retrieval.choosing import chosen_ids
    from retrieval.listing import detail_lines, details

    with options.gallery_of(db) as gallery:
        rows = details(gallery, gallery.get(chosen_ids(gallery, images or (), None)))
    tell(as_json, rows, [detail_lines(rows)])


def hidden(db: options.Db = None, as_json: options.Json = False) -> None:
    """List the faces that stay away. They were removed, and later runs of `index` leave them out; `unhide` has them
    back."""
    with options.gallery_of(db) as gallery:
        found = gallery.hidden.all()
    if not found and not as_json:
        raise Exit(4)
    tell(as_json, [one.as_json() for one in found], (printable(one.name) for one in found))


def problems(db: options.Db = None, as_json: options.Json = False) -> None:
    """List the files that gave no image. They cannot be read, or show no face; `index` tries them again when they
    change."""
    from retrieval.listing import problem_lines

    with options.gallery_of(db) as gallery:
        for line in problem_lines(gallery.problems(), gallery.config.image_root, as_json):
            print(line)
