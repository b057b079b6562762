"""Answers for people and machines: tables, JSON, sheets."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceedit.attributes import AttributeSpace
    from retrieval.query import Answer, QueryEngine

_SHOWN = ("pose", "illumination")  # what a gallery may know of a picture


FORMATS = ("table", "json", "jsonl", "csv")
Show = Callable[[Path, "Sequence[Answer]"], None]


def printer(form: str, engine: QueryEngine, space: AttributeSpace | None, several: bool) -> Show:
    """What prints the answers to one query image: one, or one for each value of `space`. several: images."""
    if form == "csv":
        return _csv_printer(engine)
    if form in ("json", "jsonl"):
        return lambda image, answers: print(json.dumps(_content(engine, space, image, answers)), flush=True)

    def show(image: Path, answers: Sequence[Answer]) -> None:
        if several:
            print(printable(str(image)))
        columns = _columns(answers)
        table = [[*(["asked"] if space else []), "rank", "distance", "identity", *columns, "path"]]
        for answer in answers:
            asked = [space.text(answer.asked[space.name])] if space else []
            table.extend([*asked, *line] for line in _lines(engine, answer, columns))
        print("\n".join(aligned(table)), flush=True)

    return show


def _csv_printer(engine: QueryEngine) -> Show:
    names = ["query", "asked", "rank", "distance", "identity", *_SHOWN, "path"]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()

    def show(image: Path, answers: Sequence[Answer]) -> None:
        for answer in answers:
            asked = ", ".join(f"{name} {value}" for name, value in answer.asked.items())
            writer.writerows({"query": str(image), "asked": asked, **row} for row in result_rows(engine, answer))
        sys.stdout.flush()

    return show


def result_rows(engine: QueryEngine, answer: Answer) -> list[dict[str, Any]]:
    """One dictionary per result, nearest first."""
    return [
        {
            "rank": rank,
            "distance": round(match.distance, 6),
            "identity": match.image.identity,
            **{name: engine.found_value(match, name) for name in _SHOWN},
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


def write_sheet(engine: QueryEngine, answers: Sequence[Answer], path: Path) -> None:
    """One row for each answer: the query, every step of the edit, then the results."""
    from faceedit.errors import ImageError
    from faceedit.images import read_crop, write_picture
    from retrieval.sheets import GREY, Cell, draw_sheet

    rows = []
    for answer in answers:
        columns = _columns([answer]) or ["pose"]
        row = [Cell(answer.source, "query")]
        row.extend(Cell(step.edit.refined, f"imagined\n{step.text}") for step in answer.steps)
        for rank, match in enumerate(answer.matches, start=1):
            try:
                picture = read_crop(engine.path_of(match))
            except ImageError:  # the file has gone since it was indexed: the table still names it
                picture = 0 * answer.source + 128
            found = ", ".join(_text(engine.found_value(match, name)) for name in columns)
            caption = f"{rank}: {match.distance:.3f}\n{match.image.identity or '-'} at {found}"
            row.append(Cell(picture, caption, GREY))
        rows.append(row)
    write_picture(draw_sheet(rows, gap_after=1 + len(answers[0].steps)), path)


def _content(
    engine: QueryEngine, space: AttributeSpace | None, image: Path, answers: Sequence[Answer]
) -> dict[str, Any]:
    content = [{"asked": answer.asked, "results": result_rows(engine, answer)} for answer in answers]
    return {"query": str(image), **(content[0] if space is None else {"answers": content})}


def _columns(answers: Sequence[Answer]) -> list[str]:
    """What was asked for and can be shown of a result."""
    return [name for name in _SHOWN if any(name in answer.asked for answer in answers)]


def _lines(engine: QueryEngine, answer: Answer, columns: Sequence[str]) -> list[list[str]]:
    return [
        [
            str(row["rank"]),
            f"{row['distance']:.4f}",
            printable(row["identity"] or "-"),
            *(_text(row[name]) for name in columns),
            printable(row["path"]),
        ]
        for row in result_rows(engine, answer)
    ]


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)
