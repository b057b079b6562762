"""Conditions as expressions of Milvus, where it can say the same; else the truth answers them.

It has no null that compares as ours does, so beside each label stands whether there is one. It cannot say `like` as we
mean it, nor knows it of paths, people, sizes and days.
"""

from __future__ import annotations

import re

from index.labels import LABEL_KINDS, TEXT_LABELS, text_key
from index.truth.engine import COLUMNS
from index.where import Both, Comparison, Condition, Not, Value

TEXTS = frozenset(TEXT_LABELS)
FLAGGED = tuple(LABEL_KINDS)
"""Columns that may be missing: `has_NAME` says whether there is one."""
_FIELDS = {"id", *COLUMNS}
_SIGNS = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\\ud800-\udfff]*")  # a text that means itself between quotes
_MOST_VALUES = 1_000  # of one `in`


def expression(where: Condition, attribute: str) -> str | None:
    """What Milvus is asked; None where it cannot say that. attribute: the gallery's own, which means the label or,
    without one, what was decided."""
    if isinstance(where, Not):
        inner = expression(where.condition, attribute)
        return None if inner is None else f"not ({inner})"
    if isinstance(where, Both):
        parts = [expression(one, attribute) for one in where.conditions]
        known = [one for one in parts if one is not None]
        return None if len(known) < len(parts) else f" {where.word} ".join(f"({one})" for one in known)
    return _compared(where, attribute)


def _compared(given: Comparison, attribute: str) -> str | None:
    name = given.field
    if name not in _FIELDS or given.operator == "like":
        return None
    if name == attribute and LABEL_KINDS.get(name) is int and given.operator != "null":
        return _or_decided(given)
    if name not in FLAGGED:
        return "id < 0" if given.operator == "null" else _plain(given)
    if given.operator == "null":
        return f"has_{name} == false"
    plain = _plain(given)
    if plain is None:
        return None
    return f"has_{name} == false or {plain}" if given.operator == "!=" else f"has_{name} == true and {plain}"


def _or_decided(given: Comparison) -> str | None:
    """Of the gallery's own attribute."""
    label, seen = _plain(given), _plain(Comparison("decided", given.operator, given.values))
    return f"(has_{given.field} == true and {label}) or (has_{given.field} == false and {seen})"


def _plain(given: Comparison) -> str | None:
    values = [_literal(given.field, value) for value in given.values]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or len(values) > _MOST_VALUES:
        return None
    if given.operator == "in":
        return f"{given.field} in [{', '.join(known)}]"
    return f"{given.field} {_SIGNS[given.operator]} {known[0]}"


def _literal(field: str, value: Value) -> str | None:
    if field not in TEXTS:
        return str(int(value))
    key = text_key(str(value))
    return f'"{key}"' if _PLAIN.fullmatch(key) else None
