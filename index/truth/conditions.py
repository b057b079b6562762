"""Conditions on faces as expressions of SQLAlchemy; never a string of SQL."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, not_, or_
from sqlalchemy.types import LargeBinary

from index.truth.schema import FaceRow, PhotoRow
from index.values import identity_key
from index.where import Both, Comparison, Condition, Not

_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "id": FaceRow.id.expression,
    "pose": FaceRow.pose.expression,
    "illumination": FaceRow.illumination.expression,
    "decided": FaceRow.decided.expression,
    "size": PhotoRow.size.expression,
    "identity": FaceRow.identity_key.expression,
    "expression": FaceRow.expression.expression,
    "path": PhotoRow.path.expression,
    # as text, so that it may be compared and ordered like any; SQLite's hex makes an empty one of NULL
    "sha256": func.nullif(func.lower(func.hex(cast(PhotoRow.sha256, LargeBinary))), ""),
}
_LABELS = {"pose", "illumination", "identity", "expression"}


def expression(condition: Condition, attribute: str) -> ColumnElement[bool]:
    """What a condition says of a face joined with its photo.

    attribute: the gallery's own. It means the label or, without one, what the network decided.
    """
    if isinstance(condition, Not):
        return not_(expression(condition.condition, attribute))
    if isinstance(condition, Both):
        parts = [expression(part, attribute) for part in condition.conditions]
        return and_(*parts) if condition.word == "and" else or_(*parts)
    return _compared(condition, attribute)


def _compared(given: Comparison, attribute: str) -> ColumnElement[bool]:
    column = _COLUMNS[given.field]
    if given.operator == "null":
        missing: ColumnElement[bool] = column.is_(None)  # the label itself
        return missing
    if given.field == attribute and given.field in _LABELS:
        column = func.coalesce(column, FaceRow.decided)
    values = [identity_key(str(value)) for value in given.values] if given.field == "identity" else given.values
    value = values[0]
    if given.operator == "=":
        return column.is_not_distinct_from(value)
    if given.operator == "!=":
        return column.is_distinct_from(value)
    if given.operator == "in":
        compared = column.in_(values)
    elif given.operator == "like":
        compared = column.like(str(value))
    else:
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[given.operator]
        compared = compare(column, value)
    return func.coalesce(compared, False)  # without a label it is neither
