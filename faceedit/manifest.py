"""manifest.csv: which pictures a data set has, and who, how and where each one is."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import FaceEditError, ManifestError
from faceedit.files import require_inside

PATH_COLUMNS = frozenset({"path", "mask", "background", "places"})
INTEGER_COLUMNS = frozenset({"pose", "illumination"})  # what networks are trained for and measured by
COLUMNS = frozenset({*PATH_COLUMNS, "identity", "pose", "illumination", "expression", "session", "split", "view"})
_BETWEEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Manifest:
    """A data set's table. root: the folder that its relative paths start from; columns: text by column name."""

    root: Path
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...] = ()
    """of the file, for each row, where it was read from one"""

    def __len__(self) -> int:
        return len(self.columns["path"])

    def paths(self) -> list[Path]:
        return [self.root / path for path in self.columns["path"]]

    def integers(self, column: str) -> NDArray[np.int64]:
        """A column of whole numbers, (rows,). Raises ManifestError for an empty cell, or one that is none."""
        for path, text in zip(self.columns["path"], self.columns[column], strict=True):
            if not text:
                raise ManifestError(f"{path} has no {column}: fill it in, or leave the row out")
            if not is_integer(text):
                raise ManifestError(f"{path} has {column} {text!r:.40}, which is no whole number: write one")
        return np.array([int(text) for text in self.columns[column]], dtype=np.int64)

    def labels(self, column: str) -> tuple[str, ...]:
        """A column as labels to compare: whole numbers without leading zeros, other text as it is."""
        texts = self.columns[column]
        return tuple(str(int(text)) if text else "" for text in texts) if column in INTEGER_COLUMNS else texts

    def require(self, columns: Sequence[str]) -> None:
        """Raise ManifestError when a column is missing."""
        missing = [name for name in dict.fromkeys(columns) if name not in self.columns]
        if missing:
            raise ManifestError(
                f"the manifest in {self.root} has no column {', '.join(map(repr, missing))}: "
                f"it has {', '.join(self.columns)}; add the column to its first line and to every row"
            )

    def where(self, column: str, value: str) -> Manifest:
        """The rows whose column holds this text."""
        return self.part([i for i, text in enumerate(self.columns[column]) if text == value])

    def part(self, rows: Sequence[int]) -> Manifest:
        """These rows, in this order."""
        columns = {name: tuple(texts[i] for i in rows) for name, texts in self.columns.items()}
        return Manifest(self.root, columns, tuple(self.lines[i] for i in rows) if self.lines else ())


def join(manifests: Sequence[Manifest]) -> Manifest:
    """Several data sets as one: paths become absolute, people of different sets stay different people, and a column
    that a set does not have is empty there."""
    if len(manifests) == 1:
        return manifests[0]
    names = list(dict.fromkeys(name for manifest in manifests for name in manifest.columns))
    columns: dict[str, list[str]] = {name: [] for name in names}
    for number, manifest in enumerate(manifests, 1):
        for name in names:
            texts = manifest.columns.get(name, ("",) * len(manifest))
            if name in PATH_COLUMNS:
                texts = tuple(str((manifest.root / text).absolute()) if text else "" for text in texts)
            elif name == "identity":
                texts = tuple(f"{number}:{text}" for text in texts)
            columns[name] += texts
    return Manifest(manifests[0].root, {name: tuple(texts) for name, texts in columns.items()})


def read_manifest(
    path: Path,
    required: Sequence[str] = ("path", "identity"),
    *,
    names_only: bool = False,
    integers: Collection[str] = INTEGER_COLUMNS,
) -> Manifest:
    """Read a manifest.csv, or the one in a folder.

    integers: columns of whole numbers (`45.0` is one, too), of which an empty cell is an unknown one. names_only: no
    file is opened by what it names, so that they may lie anywhere. Raises ManifestError for a missing file, a missing
    column, an uneven row, text where a number belongs, or a picture outside the manifest's folder.
    """
    file = path / "manifest.csv" if path.is_dir() else path
    if not file.is_file():
        raise ManifestError(f"no manifest at {file}: give a folder with a manifest.csv, or the file itself")
    header, body = read_rows(file, ManifestError, ", path and identity at least")
    columns = {name: tuple(row[i] for _, row in body) for i, name in enumerate(header)}
    for name in columns.keys() & integers:
        _check_integers(file, name, [(line, row[header.index(name)]) for line, row in body])
        columns[name] = tuple(map(without_zeros, columns[name]))
    manifest = Manifest(file.parent, columns, tuple(line for line, _ in body))
    manifest.require(required)
    for name in () if names_only else sorted(PATH_COLUMNS & columns.keys()):
        require_inside(dict.fromkeys(columns[name]), file, ManifestError)
    return manifest


def read_rows(file: Path, error: type[FaceEditError], least: str = "") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV, and every line's number and cells, without blanks around them; blank lines are left out.

    Values may stand between semicolons, tabs or bars as well, which the first line tells. Raises `error` for text that
    is not UTF-8 CSV, an empty file (`least`: what its first line has to name), a column named twice or an uneven row.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            delimiter, skipped = _delimiter(stream)
            reader = csv.reader(stream, strict=True, delimiter=delimiter)
            cells = ((reader.line_num + skipped, [cell.strip() for cell in row]) for row in reader)
            rows = [(line, row) for line, row in cells if any(row)]
    except (UnicodeDecodeError, csv.Error, OSError) as problem:
        raise error(f"{file} is not readable as UTF-8 CSV ({problem}): save the table as that") from problem
    if not rows:
        raise error(f"{file} is empty: its first line names the columns{least}")
    header, body = rows[0][1], rows[1:]
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise error(f"{file} names the column {', '.join(twice)} twice: keep one of them")
    for line, row in body:
        if len(row) != len(header):
            raise error(
                f"{file} line {line} has {len(row)} values for {len(header)} columns: give a table "
                f"whose first line names the columns, and every line one value for each, between {_BETWEEN[delimiter]}"
            )
    return header, body


def _delimiter(stream: TextIO) -> tuple[str, int]:
    """What stands between the values of a CSV, and how many lines to leave out before its first: spreadsheets write
    one that says `sep=;`. The stream is at the first line then."""
    first = stream.readline()
    said = re.fullmatch(r'"?sep=(.)"?\s*', first)
    if said and said[1] in _BETWEEN:
        return said[1], 1
    stream.seek(0)
    return max(_BETWEEN, key=lambda one: len(next(csv.reader([first], delimiter=one), []))), 0  # the first of equals


def is_integer(text: str) -> bool:
    """Whether a cell is a whole number, of nine digits at most; 45.0 is one, as tables of floats write it."""
    return re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", text) is not None


def without_zeros(text: str) -> str:
    """A whole number without a point and zeros behind it."""
    return text.partition(".")[0]


def _check_integers(file: Path, name: str, cells: list[tuple[int, str]]) -> None:
    for line, text in cells:
        if text and not is_integer(text):
            raise ManifestError(
                f"{file} line {line}: {name} {text!r:.40} is not a whole number: write one, or leave it empty"
            )
