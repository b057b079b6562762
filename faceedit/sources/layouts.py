"""Other people's layouts by name."""

from __future__ import annotations

from pathlib import Path

from faceedit.errors import UsageError
from faceedit.sources.folders import list_folders
from faceedit.sources.listing import Listing
from faceedit.sources.multipie import list_multipie
from faceedit.sources.table import list_table


def list_layout(layout: str, root: Path, sessions: str = "1", recordings: str = "1") -> Listing:
    """What lies below a root in this layout: multipie (these sessions and recordings, such as "1,2"), folders or csv.

    Raises UsageError for another layout, ImportSourceError.
    """
    numbers = _numbers(sessions, "--sessions"), _numbers(recordings, "--recordings")
    if layout == "multipie":
        return list_multipie(root, *numbers)
    if layout == "folders":
        return list_folders(root)
    if layout == "csv":
        return list_table(root)
    raise UsageError(f"no layout {layout!r}: choose one of multipie, folders, csv")


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text!r}: give whole numbers, such as 1 or 1,2") from None
