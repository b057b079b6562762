"""manifest.csv: which pictures a data set has, and who, how and where each one is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import ManifestError

INTEGER_COLUMNS = frozenset({"pose", "illumination"})


@dataclass(frozen=True)
class Manifest:
    """A data set's table. root: the folder that its relative paths start from; columns: text by column name."""

    root: Path
    columns: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.columns["path"])

    def paths(self) -> list[Path]:
        return [self.root / path for path in self.columns["path"]]

    def integers(self, column: str) -> NDArray[np.int64]:
        """A column of whole numbers, (rows,)."""
        return np.array([int(value) for value in self.columns[column]], dtype=np.int64)

    def require(self, columns: Sequence[str]) -> None:
        """Raise ManifestError when a column is missing."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise ManifestError(
                f"the manifest in {self.root} has no column {', '.join(map(repr, missing))}: "
                f"it has {', '.join(self.columns)}; add the column to its first line and to every row"
            )

    def where(self, column: str, value: str) -> Manifest:
        """The rows whose column holds this text."""
        keep = [i for i, text in enumerate(self.columns[column]) if text == value]
        rows = {name: tuple(texts[i] for i in keep) for name, texts in self.columns.items()}
        return Manifest(self.root, rows)


def read_manifest(path: Path, required: Sequence[str] = ("path", "identity")) -> Manifest:
    """Read a manifest.csv, or the one in a folder.

    Raises ManifestError for a missing file, a missing column, an uneven row, or text where a number belongs.
    """
    file = path / "manifest.csv" if path.is_dir() else path
    if not file.is_file():
        raise ManifestError(f"no manifest at {file}: give a folder with a manifest.csv, or the file itself")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream, strict=True))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise ManifestError(f"{file} is not readable as UTF-8 CSV ({error})") from error
    if not rows:
        raise ManifestError(f"{file} is empty: its first line names the columns, path and identity at least")
    header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if row]
    for line, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ManifestError(f"{file} line {line} has {len(row)} values for {len(header)} columns")
    columns = {name: tuple(row[i].strip() for row in body) for i, name in enumerate(header)}
    manifest = Manifest(file.parent, columns)
    manifest.require(required)
    _check_integers(file, manifest)
    return manifest


def _check_integers(file: Path, manifest: Manifest) -> None:
    for name in INTEGER_COLUMNS & manifest.columns.keys():
        for line, text in enumerate(manifest.columns[name], start=2):
            if not text.lstrip("+-").isdecimal():
                raise ManifestError(f"{file} line {line}: {name} {text!r} is not a whole number")
