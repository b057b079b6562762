"""Turn the knobs of a settings dataclass by name, as an ablation does: 'blur=0', 'mirror=off'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from faceedit.errors import UsageError

Settings = TypeVar("Settings")
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


def knobs_of(settings: Any) -> dict[str, bool | int | float]:
    """Name and value of every switch and number of a dataclass, those of a dataclass within it included."""
    found: dict[str, bool | int | float] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, bool | int | float):
            found[field.name] = value
        elif hasattr(value, "__dataclass_fields__"):
            found |= knobs_of(value)
    return found


def turned(settings: Settings, texts: Sequence[str]) -> Settings:
    """A copy of the dataclass with knobs set by texts NAME=VALUE, all at once: their order says nothing.

    Raises UsageError for an unknown name, a value that the knob cannot have, or values that do not go together.
    """
    known = knobs_of(settings)
    values: dict[str, bool | int | float] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in known:
            raise UsageError(f"no knob {name!r}: choose among {', '.join(sorted(known))}, as in NAME=VALUE")
        try:
            values[name] = _parsed(value, known[name])
        except ValueError as error:
            raise UsageError(f"--knob {text}: {error}") from error
    if not values:
        return settings
    try:
        return _set(settings, values)  # type: ignore[no-any-return]
    except ValueError as error:
        raise UsageError(f"--knob {' --knob '.join(texts)}: {error}") from error


def _set(settings: Any, values: dict[str, bool | int | float]) -> Any:
    changed: dict[str, Any] = {}
    for field in fields(settings):
        inner = getattr(settings, field.name)
        if field.name in values:
            changed[field.name] = values[field.name]
        elif hasattr(inner, "__dataclass_fields__"):
            changed[field.name] = _set(inner, values)
    return replace(settings, **changed)


def _parsed(text: str, before: bool | int | float) -> bool | int | float:
    if isinstance(before, bool):
        if text.lower() not in (*_ON, *_OFF):
            raise ValueError("give on or off")
        return text.lower() in _ON
    try:
        value = int(text) if isinstance(before, int) else float(text)
    except ValueError:
        raise ValueError(f"give a {'whole ' if isinstance(before, int) else ''}number, such as {before}") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError("give a number of 0 or more")
    return value
