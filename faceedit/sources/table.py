"""A CSV with one line per photograph: path, identity, and any of the manifest's other columns, perhaps landmarks."""

from __future__ import annotations

import os
from pathlib import Path

from faceedit.errors import ImportSourceError, LandmarkError
from faceedit.files import LONGEST_PATH, leads_out
from faceedit.manifest import INTEGER_COLUMNS, is_integer, read_rows, without_zeros
from faceedit.sources.landmark_columns import landmark_columns
from faceedit.sources.listing import Listing, Photograph, free_name


def list_table(file: Path) -> Listing:
    """Every line whose photograph is there and whose labels make sense; the others are listed as skipped.

    Paths start from the CSV's own folder; landmarks may have several names (`landmark_columns`). Raises
    ImportSourceError for an unreadable CSV, one without the columns path and identity, or when nothing is left.
    """
    header, rows = read_table(file)
    landmarks = landmark_columns(file, header)
    points_of = frozenset() if landmarks is None else landmarks.all
    labels = tuple(name for name in header if name != "path" and name not in points_of)
    if "path" not in header or "identity" not in header:
        raise ImportSourceError(f"{file} has the columns {', '.join(header)}: path and identity must be among them")
    listing = Listing(f"csv {file.resolve()}", labels)
    taken: set[str] = set()
    for line, cells in rows:
        shown = f"{file.name} line {line}"
        problem = _problem(file.parent, cells, labels)
        if problem:
            listing.skip(f"{shown}: {cells.get('path', '')}", problem)
            continue
        try:
            points = None if landmarks is None else landmarks.of(cells)
        except LandmarkError as error:
            listing.skip(f"{shown}: {cells['path']}", str(error))
            continue
        path = file.parent / cells["path"]
        name = free_name(f"{cells['identity']}/{path.stem}", taken)
        keys = (cells["path"],)
        own = {n: without_zeros(cells[n]) if n in INTEGER_COLUMNS else cells[n] for n in labels}
        listing.photographs.append(Photograph(path, name, own, keys, points, f"{shown}: {cells['path']}"))
    if not listing.photographs:
        reason = f": {listing.skipped[0].reason}" if listing.skipped else ""
        raise ImportSourceError(f"{file} names no usable photograph{reason}")
    return listing


def read_table(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and every line's number and cells. Raises ImportSourceError for anything but an even UTF-8 CSV."""
    if not file.is_file():
        raise ImportSourceError(f"{file} is no file: give a CSV whose first line names its columns")
    header, rows = read_rows(file, ImportSourceError)
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def _problem(root: Path, cells: dict[str, str], labels: tuple[str, ...]) -> str:
    if not cells["path"]:
        return "the path is empty"
    if not cells["identity"]:
        return "the identity is empty"
    if leads_out(cells["path"]):
        long = len(os.fsencode(cells["path"])) > LONGEST_PATH
        return "its path is longer than a system opens" if long else "it is no path below the table's own folder"
    if not _is_file(root / cells["path"]):
        return f"{root / cells['path']} does not exist"
    for name in INTEGER_COLUMNS & set(labels):
        if cells[name] and not is_integer(cells[name]):
            return f"{name} {cells[name]!r:.40} is not a whole number"
    return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no disk can hold
        return False
