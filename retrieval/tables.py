"""Text for people: values, counts and columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from faceedit.text import printable

_PAGE = 1_000  # rows that are aligned with one another, so that a long table is told while it is made


def shown(value: object) -> str:
    """A value of a table; '-' for one that is not known."""
    return "-" if value is None else printable(str(value))


def called(identity: str | None, suggested: bool) -> str:
    """A name; one that is only suggested as a question."""
    return shown(identity) + ("?" if identity and suggested else "")


def plain(value: object) -> object:
    """A list as numbers with spaces between them, for a cell of a table."""
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list | tuple) else value


def held(faces: int, photos: int) -> str:
    """How many faces in how many photos, as people count them: where each photo has one face, images."""
    if faces == photos:
        return counted(faces, "image")
    return f"{counted(faces, 'face')} in {counted(photos, 'photograph')}"


def counted(number: int, what: str) -> str:
    """'1 image', '1,114 images'"""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with columns of equal width, the last one free; none ends in blanks of the table's own."""
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]) - 1)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in table]
    return [line if row[-1] else line.rstrip() for line, row in zip(lines, table, strict=True)]


def aligned_pages(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a long table under one header, aligned a page at a time: columns are as wide as on the widest page so
    far."""
    cells, widest, first = iter(rows), list(header), True
    while page := list(islice(cells, _PAGE)):
        widest = [max(column, key=len) for column in zip(widest, *page, strict=True)]
        yield from aligned([widest, header, *page])[1 if first else 2 :]
        first = False
