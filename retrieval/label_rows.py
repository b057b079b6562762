"""Which picture each row of a table of labels means, and what of the two did not find the other."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceedit.errors import ManifestError
from faceedit.text import printable
from index.labels import Labels
from retrieval.tables import counted

_SHOWN = 3  # rows or pictures named in a warning
_LISTED = 10  # and in JSON


@dataclass(frozen=True)
class Row:
    """What a table says of one picture. line: of its file, 0 where it has none; name: the picture's path as it stands
    there; path: absolute."""

    line: int
    name: str
    path: str
    labels: Labels


@dataclass
class LabelRows:
    """How a table of labels and the pictures of a folder met.

    table: its file, as it was given; rows: how many; nameless: rows that name no picture, but nothing, a folder, or
    what is not there; unnamed: pictures without a row, which keep what their folder says; twice: pictures with several
    rows that agree; elsewhere: how many rows name a file that is not among the pictures; unknown: columns that are no
    label.
    """

    table: str = ""
    rows: int = 0
    nameless: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    elsewhere: int = 0
    unknown: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {
            "rows": self.rows,
            "rows_without_picture": _listed(self.nameless),
            "pictures_without_row": _listed(self.unnamed),
            "pictures_with_several_rows": _listed(self.twice),
            "rows_of_other_files": self.elsewhere,
            "unknown_columns": self.unknown,
        }

    def lines(self) -> list[str]:
        """What need not be mended, a line each."""
        if not self.elsewhere:
            return []
        rows, table = counted(self.elsewhere, "row"), self.table or "the labels"
        which = (
            "is of a file that is no picture here" if self.elsewhere == 1 else "are of files that are no pictures here"
        )
        return [printable(f"{rows} of {table} {which}")]

    def warnings(self) -> list[str]:
        """What somebody may want to mend, a line each."""
        table, found = self.table or "the labels", []
        if self.nameless:
            rows = f"{len(self.nameless):,} of {counted(self.rows, 'row')} of {table}"
            found.append(f"{rows} {_names(len(self.nameless))} no picture: {_first(self.nameless)}")
        if self.unnamed:
            found.append(
                f"{counted(len(self.unnamed), 'picture')} without a row in {table}, named by the folder alone: "
                f"{_first(self.unnamed)}"
            )
        if self.twice:
            found.append(f"{counted(len(self.twice), 'picture')} with the same row twice: {_first(self.twice)}")
        if self.unknown:
            found.append(
                f"{table} has {counted(len(self.unknown), 'column')} that nothing is made of: {', '.join(self.unknown)}"
            )
        return [printable(line) for line in found]


def matched(rows: Sequence[Row], images: Sequence[Path], told: LabelRows) -> dict[Path, Labels]:
    """The labels of those of the images that a row means.

    A row means the picture at its path; or, where there is none, with the separators of Windows, composed otherwise (as
    a Mac writes names), or behind links. Raises ManifestError where rows that mean one picture do not agree.
    """
    pictures = _Pictures(images)
    found: dict[Path, list[Row]] = {}
    for row in rows:
        image = pictures.meant(row.path)
        if image is not None:
            found.setdefault(image, []).append(row)
        elif row.name and _is_there(row.path) and not _is_folder(row.path):
            told.elsewhere += 1
        else:
            told.nameless.append(_shown(row))
    told.rows += len(rows)
    told.unnamed += [str(image) for image in images if image not in found]
    _require_agreement(found, told)
    told.twice += [some[0].name for some in found.values() if len(some) > 1]
    return {image: some[0].labels for image, some in found.items()}


def _require_agreement(found: Mapping[Path, list[Row]], told: LabelRows) -> None:
    """Raise ManifestError for the pictures whose rows do not agree, since nobody knows which is right, and with all
    else that is to be told."""
    bad = [(image, some) for image, some in found.items() if any(row.labels != some[0].labels for row in some)]
    if not bad:
        return
    shown = [f"{image} ({_lines(some)})" for image, some in bad[:_SHOWN]]
    more = ", ..." if len(bad) > _SHOWN else ""
    also = "".join(f"; {line}" for line in told.warnings())
    raise ManifestError(
        f"{told.table or 'the labels'}: {counted(len(bad), 'picture')} with rows that do not agree: "
        f"{', '.join(shown)}{more}: keep one row for each picture{also}"
    )


def _lines(rows: Iterable[Row]) -> str:
    some = list(rows)
    if not all(row.line for row in some):
        return f"{len(some)} rows"
    return f"lines {', '.join(str(row.line) for row in some[:-1])} and {some[-1].line}"


class _Pictures:
    """The pictures of a folder by every path that may mean one."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._at = {str(image): image for image in images}
        self._composed: dict[str, Path | None] | None = None  # None: several

    def meant(self, path: str) -> Path | None:
        """The picture of a path, None where there is none."""
        exact = self._at.get(path)
        if exact is not None:
            return exact
        for other in dict.fromkeys((path, path.replace("\\", "/"))):
            plain = os.path.normpath(other)
            found = self._at.get(plain) or self._by_composition(plain) or self._behind_links(plain)
            if found is not None:
                return found
        return None

    def _by_composition(self, path: str) -> Path | None:
        if self._composed is None:
            self._composed = {}
            for name, image in self._at.items():
                key = unicodedata.normalize("NFC", name)
                self._composed[key] = None if key in self._composed else image
        return self._composed.get(unicodedata.normalize("NFC", path))

    def _behind_links(self, path: str) -> Path | None:
        return self._at.get(_real(path) or "")


def _shown(row: Row) -> str:
    """A row that names no picture, and why where that is not plain."""
    if not row.name:
        return f"line {row.line} (its path is empty)"
    return f"{row.name} (a folder)" if _is_folder(row.path) else row.name


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112, which raises for a name that no system opens


def _is_there(path: str) -> bool:
    return _real(path) is not None


def _real(path: str) -> str | None:
    """Where a file truly lies; None where there is none."""
    try:
        return os.path.realpath(path, strict=True)
    except (OSError, ValueError):  # ValueError: no system opens such a name
        return None


def _listed(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "first": names[:_LISTED]}


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _names(count: int) -> str:
    return "names" if count == 1 else "name"
