"""What can be asked of a face and of its results, checked. This module must stay light: commands look here first."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from faceedit.attributes import TASKS, AttributeSpace
from faceedit.errors import AttributeValueError, UsageError
from index.errors import WhereError
from index.where import Condition, parse
from retrieval.checks import is_unicode

Where = str | Condition | None
"""Which images compete: a condition, its text, or all."""
DISTINCT = ("identity", "content", "photo")


def asked_for(pose: int | None, illumination: int | None, inpaint: bool) -> dict[str, int]:
    """Attribute name to value, one of the attribute's own. Raises AttributeValueError for an unknown value."""
    given = {"inpainting": 0 if inpaint else None, "illumination": illumination, "pose": pose}
    spaces = [(TASKS[name], value) for name, value in given.items() if value is not None]
    for space, value in spaces:
        if not isinstance(value, Real):  # such as "30", which would be told to be none of ..., 30
            known = ", ".join(map(str, space.values))
            raise AttributeValueError(f"{space.name} {value!r} is no number: give one of {known}")
    return {space.name: space.values[space.index(value)] for space, value in spaces}


def require_wish(asked: dict[str, int]) -> None:
    """Raise UsageError where nothing is asked."""
    if not asked:
        raise UsageError("say how to see the face: pose=30, illumination=9 or inpaint=True")


def swept(name: str, asked: dict[str, int]) -> list[dict[str, int]]:
    """What is asked at each value of an attribute. Raises UsageError where a value of it is asked already."""
    attribute = attribute_named(name)
    if name in asked:
        raise UsageError(f"{attribute.text(asked[name])} in a sweep over every {name}: choose one")
    return [{**asked, name: value} for value in attribute.values]


def attribute_named(name: str) -> AttributeSpace:
    """Raises UsageError for an attribute that there is none of."""
    if not isinstance(name, str) or name not in TASKS:
        raise UsageError(f"no task {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]


def condition_of(where: Where) -> Condition | None:
    """Raises WhereError for a text that cannot be read, UsageError for what is no condition."""
    if where is not None and not isinstance(where, str | Condition):
        raise UsageError(f"{where!r} is no condition: give one such as \"identity = 'anna'\"")
    if isinstance(where, str) and not is_unicode(where):
        raise WhereError(f"the condition {where!r} is not valid Unicode: give it in UTF-8")
    return parse(where) if isinstance(where, str) else where


@dataclass(frozen=True)
class Selection:
    """Which results are shown. k: how many; where: which images compete; distinct: one of DISTINCT, of which a result
    may show each value once ('content': files with the same bytes, 'photo': faces in one file; images without an
    identity are all unlike);
    max_distance: results that are farther are left out."""

    k: int = 5
    where: Condition | None = None
    distinct: str | None = None
    max_distance: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.k, Integral) or self.k < 1:
            raise UsageError(f"k is {self.k!r}: give how many results to find, 1 or more")
        require_distinct(self.distinct)
        require_distance(self.max_distance)


def require_distance(far: float | None) -> None:
    """Raise UsageError for what is no distance of two vectors of length 1."""
    number = isinstance(far, Real) and not isinstance(far, bool)
    if far is not None and not (number and 0 <= far <= 2):  # nor for NaN
        raise UsageError(f"the largest distance is {far!r}: give a number from 0 to 2, where opposite faces are")


def require_distinct(name: str | None) -> None:
    """Raise UsageError for a name that is not among DISTINCT."""
    if name is not None and name not in DISTINCT:
        raise UsageError(f"no --distinct {name!r}: choose one of {', '.join(DISTINCT)}")
