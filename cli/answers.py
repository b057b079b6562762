"""Answers for people and machines: tables, JSON, sheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceedit.attributes import AttributeSpace
    from retrieval.query import Answer, QueryEngine

_SHOWN = ("pose", "illumination")  # what a gallery may know of a picture


def print_answer(engine: QueryEngine, answer: Answer, image: Path, as_json: bool) -> None:
    """The results as a table, or as one JSON object."""
    if as_json:
        print(json.dumps({"query": str(image), **_content(engine, answer)}))
        return
    columns = _columns([answer])
    print("\n".join(aligned([["rank", "distance", "identity", *columns, "path"], *_lines(engine, answer, columns)])))


def print_sweep(
    engine: QueryEngine, space: AttributeSpace, answers: Sequence[Answer], image: Path, as_json: bool
) -> None:
    """The results of every value, one below the other."""
    if as_json:
        print(json.dumps({"query": str(image), "answers": [_content(engine, answer) for answer in answers]}))
        return
    columns = _columns(answers)
    table = [["asked", "rank", "distance", "identity", *columns, "path"]]
    for answer in answers:
        table.extend([space.text(answer.asked[space.name]), *line] for line in _lines(engine, answer, columns))
    print("\n".join(aligned(table)))


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
    from retrieval.sheet import GREY, Cell, draw_sheet

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


def _content(engine: QueryEngine, answer: Answer) -> dict[str, Any]:
    return {"asked": answer.asked, "results": result_rows(engine, answer)}


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
