"""What can be asked of a face and of its results, checked. This module must stay light: commands look here first."""

from __future__ import annotations

from faceedit.attributes import TASKS, AttributeSpace
from faceedit.errors import UsageError

DISTINCT = ("identity", "content")


def asked_for(pose: int | None, illumination: int | None, inpaint: bool) -> dict[str, int]:
    """Attribute name to value, checked. Raises AttributeValueError for an unknown value."""
    given = {"inpainting": 0 if inpaint else None, "illumination": illumination, "pose": pose}
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        TASKS[name].index(value)
    return asked


def attribute_named(name: str) -> AttributeSpace:
    """Raises UsageError for an attribute that there is none of."""
    if name not in TASKS:
        raise UsageError(f"no task {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]


def require_distinct(name: str | None) -> None:
    """Raise UsageError for a name that is not among DISTINCT."""
    if name is not None and name not in DISTINCT:
        raise UsageError(f"no --distinct {name!r}: choose one of {', '.join(DISTINCT)}")
