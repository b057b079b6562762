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
    """A copy of the dataclass with knobs set by texts NAME=VALUE.

    Raises UsageError for an unknown name, or a value that the knob cannot have.
    """
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        known = knobs_of(settings)
        if name not in known:
            raise UsageError(f"no knob {name!r}: choose among {', '.join(sorted(known))}, as in NAME=VALUE")
        try:
            settings = _set(settings, name, _parsed(value, known[name]))
        except ValueError as error:
            raise UsageError(f"--knob {text}: {error}") from error
    return settings


def _set(settings: Any, name: str, value: bool | int | float) -> Any:
    for field in fields(settings):
        inner = getattr(settings, field.name)
        if field.name == name:
            return replace(settings, **{name: value})
        if hasattr(inner, "__dataclass_fields__") and name in knobs_of(inner):
            return replace(settings, **{field.name: _set(inner, name, value)})
    raise AssertionError(name)


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
