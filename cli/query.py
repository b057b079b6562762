"""facesearch query: find a person at another pose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import (
    DbOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    db_folder,
    model_folder,
    require_file,
    require_picture_name,
)  # fmt: skip

if TYPE_CHECKING:
    from retrieval.query import Answer, QueryEngine


def query(
    image: Annotated[Path, typer.Argument(help="An aligned face of the person")],
    pose: Annotated[int, typer.Option(help="How to see the person: -45, -30, ... 45 degrees")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many results")] = 5,
    db: DbOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a picture of query, imagined face and results")] = None,
) -> None:
    """Imagine the person at a pose and find the nearest real pictures."""
    from faceedit.attributes import POSE

    POSE.index(pose)
    require_file(image, "an image")
    if sheet is not None:
        require_picture_name(sheet)
    from faceedit.images import read_crop

    read_crop(image)  # refuse an unreadable picture before the network is loaded
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        if len(gallery) == 0:
            from index.errors import GalleryEmptyError

            raise GalleryEmptyError(f"the gallery {db_folder(db)} is empty: run `facesearch index` on a folder first")
        folder = model_folder(model)
        from faceedit.editor import Editor
        from retrieval.query import QueryEngine

        engine = QueryEngine(gallery, Editor.load(folder, device))
        answer = engine.query(image, pose, k)
        print_answer(engine, answer, image, as_json)
        if sheet is not None:
            write_sheet(engine, answer, sheet)
    if not answer.matches:
        raise typer.Exit(4)


def print_answer(engine: QueryEngine, answer: Answer, image: Path, as_json: bool) -> None:
    """The results as a table, or as one JSON object."""
    results = result_rows(engine, answer)
    if as_json:
        print(json.dumps({"query": str(image), "pose": answer.value, "results": results}))
        return
    table = [["rank", "distance", "identity", "pose", "path"]]
    for row in results:
        who = printable(row["identity"] or "-")
        table.append([str(row["rank"]), f"{row['distance']:.4f}", who, str(row["pose"]), printable(row["path"])])
    print("\n".join(aligned(table)))


def result_rows(engine: QueryEngine, answer: Answer) -> list[dict[str, Any]]:
    """One dictionary per result, nearest first."""
    return [
        {
            "rank": rank,
            "distance": round(match.distance, 6),
            "identity": match.image.identity,
            "pose": engine.found_value(match),
            "path": str(engine.path_of(match)),
        }
        for rank, match in enumerate(answer.matches, start=1)
    ]


def printable(text: str) -> str:
    """The text on one line: control characters of odd file names are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with columns of equal width, the last one free."""
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]) - 1)]
    return ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in table]


def write_sheet(engine: QueryEngine, answer: Answer, path: Path) -> None:
    """Query, imagined face, then the results, as one picture."""
    from faceedit.errors import ImageError
    from faceedit.images import read_crop, write_picture
    from retrieval.sheet import GREY, Cell, draw_sheet

    row = [Cell(answer.source, "query"), Cell(answer.edit.refined, f"imagined\nat {answer.value}")]
    for rank, match in enumerate(answer.matches, start=1):
        try:
            picture = read_crop(engine.path_of(match))
        except ImageError:  # the file has gone since it was indexed: the table still names it
            picture = 0 * answer.source + 128
        caption = f"{rank}: {match.distance:.3f}\n{match.image.identity or '-'} at {engine.found_value(match)}"
        row.append(Cell(picture, caption, GREY))
    write_picture(draw_sheet([row], gap_after=2), path)
