"""Text for people: values, counts and columns."""

from __future__ import annotations

from collections.abc import Sequence

from faceedit.text import printable


def shown(value: object) -> str:
    """A value of a table; '-' for one that is not known."""
    return "-" if value is None else printable(str(value))


def counted(number: int, what: str) -> str:
    """'1 image', '1,114 images'"""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with columns of equal width, the last one free; none ends in blanks of the table's own."""
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]) - 1)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in table]
    return [line if row[-1] else line.rstrip() for line, row in zip(lines, table, strict=True)]
