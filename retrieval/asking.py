"""Ask for a person of the gallery: by a name, or by the number that a grouping gave."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from faceedit.cropping import Cropper
from faceedit.describes import Who
from faceedit.errors import ImageError, UsageError
from index.gallery import Gallery
from index.values import FloatArray
from index.where import LARGEST, Comparison
from retrieval.checks import is_unicode
from retrieval.errors import NothingFoundError
from retrieval.looking import read_known
from retrieval.people import parts
from retrieval.query import Asked, Question
from retrieval.sought import Sought
from retrieval.source import Source
from retrieval.wishes import Selection

PICTURES = 5
"""of a person, whose edits are made: more change little"""


def asked_for_person(
    gallery: Gallery, who: Who | None, person: int | str, asked: Sequence[Asked], selection: Selection, finder: Cropper
) -> list[Question]:
    """Questions for a person, each with something else asked: who it is, by the mean of all its faces; how it looks, by
    the edits of up to five, those nearest to that mean whose files can be read. finder: see `read_known`. Raises
    UsageError, NothingFoundError, ImageError where no file of it can."""
    ids = faces_of(gallery, person)
    mean, order = _mean(gallery, who, ids)
    first, *others = _pictures(gallery, [ids[row] for row in order], PICTURES, finder)
    sought = Sought(str(person), tuple(others), mean)
    return [Question(first, one, selection, sought) for one in asked]


def faces_of(gallery: Gallery, person: int | str) -> list[int]:
    """The ids of a person's faces: a name wins over a number. Raises UsageError, NothingFoundError."""
    number = isinstance(person, Integral) and not isinstance(person, bool)
    if not number and not (isinstance(person, str) and person and is_unicode(person)):
        raise UsageError(f"person {person!r} is nobody: give a name, or a number that `gallery people` lists")
    found = [] if number else gallery.ids(Comparison("identity", "=", (str(person),))).tolist()
    digits = str(person)
    if not found and digits.isdecimal() and int(digits) < LARGEST:
        found = gallery.ids(Comparison("person", "=", (int(digits),))).tolist()
    if not found:
        raise NothingFoundError(
            f"nobody is called {person!r}, and no person has that number: `facesearch gallery people` lists them"
            if not number
            else f"no person has the number {person}: `facesearch gallery people` lists them"
        )
    return [int(one) for one in found]


def _mean(gallery: Gallery, who: Who | None, ids: list[int]) -> tuple[FloatArray | None, list[int]]:
    """The mean of what these faces say of who it is, (d,), None where none says it, and their rows, the nearest to it
    first."""
    said = None if who is None else parts(gallery, ids, who)
    if said is None or not said.any():
        return None, list(range(len(ids)))
    mean = said.mean(0)
    return mean, np.argsort(-(said @ mean), kind="stable").tolist()


def _pictures(gallery: Gallery, ids: list[int], most: int, finder: Cropper) -> list[Source]:
    """The first so many of these faces that can be read. Raises ImageError with the reason of the first, where none."""
    found: list[Source] = []
    refused: ImageError | None = None
    for face in gallery.get(ids):
        if len(found) == most:
            break
        try:
            found.append(read_known(gallery, face, finder))
        except ImageError as error:
            refused = refused or error
    if not found:
        assert refused is not None
        raise refused
    return found
