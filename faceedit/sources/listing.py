"""What a reader of a data set's layout finds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faceedit.align import Landmarks


@dataclass(frozen=True)
class Photograph:
    """One photograph. name: its crop's path below images/, without suffix; labels: manifest columns; keys: names by
    which a landmark file may call it, the most exact first; landmarks: where the reader itself knows them; told: how it
    is named to people, where that is not the first key."""

    path: Path
    name: str
    labels: Mapping[str, str]
    keys: tuple[str, ...]
    landmarks: Landmarks | None = None
    told: str = ""


@dataclass(frozen=True)
class Skipped:
    """Something that does not become a crop, and why. expected: the data set has it, and it was not asked for."""

    path: str
    reason: str
    expected: bool = False


@dataclass
class Listing:
    """All that was found. source: the layout and where it lies; columns: the labels that every photograph has."""

    source: str
    columns: tuple[str, ...]
    photographs: list[Photograph] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: Path | str, reason: str, expected: bool = False) -> None:
        self.skipped.append(Skipped(str(path), reason, expected))


def free_name(wanted: str, taken: set[str]) -> str:
    """The wanted path with characters replaced that a file or a table might not bear, and a number where it is taken
    already; it is added to `taken`."""
    safe = "/".join(re.sub(r"[^\w.+-]", "_", part).strip(".") or "_" for part in wanted.split("/"))
    name, number = safe, 1
    while name in taken:
        number += 1
        name = f"{safe}_{number}"
    taken.add(name)
    return name
