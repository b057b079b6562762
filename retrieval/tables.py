"""Text in columns."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """The text on one line: control characters of odd file names are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object) -> str:
    """A value of a table; '-' for one that is not known."""
    return "-" if value is None else printable(str(value))


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with columns of equal width, the last one free."""
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]) - 1)]
    return ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in table]
