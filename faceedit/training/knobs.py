"""Turn the knobs of a settings dataclass by name, as an ablation does: 'blur=0', 'network.mixing=2', 'mirror=off'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from faceedit.errors import UsageError

Settings = TypeVar("Settings")
Value = bool | int | float
_LARGEST = 10**12
ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


def knobs_of(settings: Any) -> dict[str, Value]:
    """Name and value of every switch and number of a dataclass, those of the dataclasses within it included; but none
    that it names in `not_knobs`."""
    return {path.rpartition(".")[2]: value for path, value in _paths(settings)}


def _paths(settings: Any, above: str = "") -> Iterator[tuple[str, Value]]:
    """The same by full names, such as 'network.mixing'."""
    kept: frozenset[str] = getattr(settings, "not_knobs", frozenset())
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, bool | int | float):
            yield above + field.name, value
        elif hasattr(value, "__dataclass_fields__"):
            inner = _paths(value, f"{above}{field.name}.")
            yield from ((path, number) for path, number in inner if path.rpartition(".")[2] not in kept)


def turned(settings: Settings, texts: Sequence[str], also: Sequence[str] = ()) -> Settings:
    """A copy of the dataclass with knobs set by texts NAME=VALUE, all at once: their order says nothing. A name may be
    the full one. also: more of them, that nobody typed.

    Raises UsageError for an unknown name, a value that the knob cannot have, or values that do not go together.
    """
    values = dict(_read(settings, text) for text in (*also, *texts))
    if not values:
        return settings
    try:
        return _set(settings, values)  # type: ignore[no-any-return]
    except ValueError as error:
        raise UsageError(f"--knob {' --knob '.join(texts)}: {error}") from error


def _read(settings: Any, text: str) -> tuple[str, Value]:
    """Name, without what it lies in, and value of one text."""
    given, _, value = (part.strip() for part in text.partition("="))
    paths, name = dict(_paths(settings)), given.rpartition(".")[2]
    known = knobs_of(settings)
    if name not in known or ("." in given and given not in paths):
        raise UsageError(f"no knob {given!r}: choose among {', '.join(sorted(known))}, as in NAME=VALUE")
    try:
        return name, _parsed(value, known[name])
    except ValueError as error:
        raise UsageError(f"--knob {text}: {error}") from error


def _set(settings: Any, values: dict[str, Value]) -> Any:
    changed: dict[str, Any] = {}
    for field in fields(settings):
        inner = getattr(settings, field.name)
        if field.name in values:
            changed[field.name] = values[field.name]
        elif hasattr(inner, "__dataclass_fields__"):
            changed[field.name] = _set(inner, values)
    return replace(settings, **changed)


def is_off(text: str) -> bool:
    """Whether this value leaves a knob's part out, a number's or a switch's: 'off', '0', '0.0', ..."""
    try:
        return float(text) == 0
    except ValueError:
        return text.lower() in OFF


def _parsed(text: str, before: Value) -> Value:
    if isinstance(before, bool):
        if text.lower() not in (*ON, *OFF):
            raise ValueError("give on or off")
        return text.lower() in ON
    try:
        value = int(text) if isinstance(before, int) else float(text)
    except ValueError:
        raise ValueError(f"give a {'whole ' if isinstance(before, int) else ''}number, such as {before}") from None
    if not 0 <= value < _LARGEST:  # nor what is no number
        raise ValueError(f"give a number of 0 or more, below {_LARGEST:,}")
    return value
