"""Faces of a gallery as rows: of a table, of comma-separated values, or as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from faceedit.text import cell, printable
from index.gallery import Face, Gallery, Problem
from index.labels import SUGGESTION
from retrieval.gallery_info import face_details
from retrieval.tables import aligned, aligned_pages, called, plain, shown

LISTED = ("id", "path", "identity", "pose", "illumination", "expression", "decided")
SHOWN = ("id", "path", "face", "box", *LISTED[2:], "person", "suggested")


def row_of(face: Face) -> dict[str, Any]:
    """What is said of a face, by the names of SHOWN."""
    box = None if face.box is None else list(face.box)
    labels = {name: getattr(face, name) for name in LISTED[2:]}
    who = {"person": face.person, "suggested": face.labels.origin("identity") == SUGGESTION}
    return {"id": face.id, "path": face.path, "face": face.number, "box": box} | labels | who


def listed(faces: Iterable[Face], form: str) -> Iterator[str]:
    """A line for each: of a table, csv (with a header, and no formula), or jsonl."""
    if form == "jsonl":
        yield from (json.dumps(row_of(face)) for face in faces)
    elif form == "csv":
        yield _csv(SHOWN)
        yield from (_csv(cell(plain(value)) for value in row_of(face).values()) for face in faces)
    else:
        yield from aligned_pages(LISTED, (_line(face) for face in faces))


def details(gallery: Gallery, faces: Iterable[Face]) -> list[dict[str, Any]]:
    """Everything that is known of each."""
    return [{**row_of(face), **face_details(gallery, face)} for face in faces]


def detail_lines(rows: Iterable[dict[str, Any]]) -> str:
    """The same for people."""
    told = (aligned([[name, shown(plain(value))] for name, value in row.items()]) for row in rows)
    return "\n\n".join(map("\n".join, told))


def problem_lines(problems: Iterable[Problem], root: Path, as_json: bool) -> Iterator[str]:
    """Files below a root that gave no image: one JSON list, or a line for each."""
    if as_json:
        yield json.dumps([_problem_row(one, root) for one in problems])
    else:
        yield from (f"{printable(one.path)}  {printable(one.told(root))}" for one in problems)


def _problem_row(problem: Problem, root: Path) -> dict[str, Any]:
    reason, without_face = problem.told(root), problem.faceless
    return {"path": problem.path, "reason": reason, "found": problem.found, "without_face": without_face}


def _line(face: Face) -> list[str]:
    """By the name by which the other commands take it."""
    row = row_of(face)
    who = called(row["identity"], row["suggested"]) if row["identity"] else None
    return [shown(value) for value in ({**row, "path": face.name, "identity": who}[name] for name in LISTED)]


def _csv(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
