"""Whether each descriptor is what was stored, and such as models make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from index.descriptors import are_one, lengths_of
from index.truth import descriptor_slots
from index.truth.database import Database
from index.truth.descriptor_slots import Hashed


def descriptor_pages(folder: Path, database: Database) -> Iterator[list[tuple[Hashed, str]]]:
    """The descriptors of all faces, by slot, in pages; with what is wrong with each, empty where nothing is."""
    for page in descriptor_slots.hashed_records(folder, database):
        lengths = lengths_of([one.record for one in page])
        measured = zip(page, lengths.tolist(), are_one(lengths).tolist(), strict=True)
        yield [(one, _wrong(one, length, sound)) for one, length, sound in measured]


def _wrong(one: Hashed, length: float, sound: bool) -> str:
    if one.noted != one.actual:
        return "is not what was stored"
    return "" if sound else f"has length {length:.3g}, not 1"


def damaged_descriptors(folder: Path, database: Database) -> Iterator[tuple[Hashed, str]]:
    """Those with which something is wrong, and what."""
    for page in descriptor_pages(folder, database):
        yield from ((one, wrong) for one, wrong in page if wrong)
