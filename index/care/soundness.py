"""Whether each descriptor is what was stored, and such as models make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from index.truth import descriptor_slots
from index.truth.database import Database
from index.truth.descriptor_slots import Hashed
from index.values import HalfArray

_UNIT = 0.01  # descriptors have length 1, rounded to half precision


def descriptor_pages(folder: Path, database: Database) -> Iterator[list[tuple[Hashed, str]]]:
    """The descriptors of all faces, by slot, in pages; with what is wrong with each, empty where nothing is."""
    for page in descriptor_slots.hashed_records(folder, database):
        lengths = _lengths([one.record for one in page])
        yield [(one, _wrong(one, length)) for one, length in zip(page, lengths, strict=True)]


_AT_A_TIME = 2**16  # numbers: a page of the paper's descriptors in single precision is 115 MB, which is slow to get


def _lengths(records: list[HalfArray]) -> list[float]:
    made: list[float] = []
    many = max(1, _AT_A_TIME // len(records[0]))
    for start in range(0, len(records), many):
        with np.errstate(all="ignore"):
            vectors = np.stack(records[start : start + many]).astype(np.float32)
            made += np.sqrt(np.einsum("ij,ij->i", vectors, vectors)).tolist()
    return made


def _wrong(one: Hashed, length: float) -> str:
    if one.noted != one.actual:
        return "is not what was stored"
    return "" if abs(length - 1) < _UNIT else f"has length {length:.3g}, not 1"


def damaged_descriptors(folder: Path, database: Database) -> Iterator[tuple[Hashed, str]]:
    """Those with which something is wrong, and what."""
    for page in descriptor_pages(folder, database):
        yield from ((one, wrong) for one, wrong in page if wrong)
