"""Whether each descriptor is what was stored, and such as models make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from index.descriptors import are_one, lengths_of
from index.truth import descriptor_slots
from index.truth.database import Database
from index.truth.descriptor_slots import Hashed


def descriptor_pages(folder: Path, database: Database) -> Iterator[tuple[int, dict[int, str]]]:
    """The descriptors of all faces, by slot, in pages: how many are in one, and what is wrong with those of which."""
    for page in descriptor_slots.hashed_records(folder, database):
        yield len(page.ids), _damage(page)


def _damage(page: Hashed) -> dict[int, str]:
    lengths = lengths_of(page.records)
    found = {}
    for id_, noted, actual, length, sound in zip(
        page.ids, page.noted, page.actual, lengths.tolist(), are_one(lengths).tolist(), strict=True
    ):
        if noted != actual:
            found[id_] = "is not what was stored"
        elif not sound:
            found[id_] = f"has length {length:.3g}, not 1"
    return found


def damaged_descriptors(folder: Path, database: Database) -> list[int]:
    """The faces with whose descriptors something is wrong."""
    return [id_ for _, damaged in descriptor_pages(folder, database) for id_ in damaged]
