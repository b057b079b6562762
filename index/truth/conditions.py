"""Conditions on faces as expressions of SQLAlchemy; never a string of SQL."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, not_, or_, select
from sqlalchemy.types import LargeBinary

from index.labels import LABEL_KINDS, LABELS, TEXT_LABELS, text_key
from index.truth.schema import Base, FaceRow, PhotoRow
from index.values import path_forms
from index.where import Both, Comparison, Condition, Not

_OTHER = Base.metadata.tables["face"].alias()
_FACES = select(func.count()).select_from(_OTHER).where(_OTHER.c.photo_id == FaceRow.photo_id).scalar_subquery()
_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    **{name: getattr(FaceRow, f"{name}_key" if name in TEXT_LABELS else name).expression for name in LABELS},
    "id": FaceRow.id.expression,
    "decided": FaceRow.decided.expression,
    "size": PhotoRow.size.expression,
    "face": FaceRow.number.expression,
    "faces": _FACES,
    "path": PhotoRow.path.expression,
    # as text, so that it may be compared and ordered like any; SQLite's hex makes an empty one of NULL
    "sha256": func.nullif(func.lower(func.hex(cast(PhotoRow.sha256, LargeBinary))), ""),
}
_PATH_KEY = func.coalesce(PhotoRow.path_key, PhotoRow.path)
_BY_KEY = {*TEXT_LABELS, "sha256"}
_ESCAPE = "\x1a"  # stands in no pattern that means something; without one, PostgreSQL would take a backslash


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
    if given.field == attribute and LABEL_KINDS.get(given.field) is int:
        column = func.coalesce(column, FaceRow.decided)
    if given.operator == "like":
        pattern = text_key(str(given.values[0])).replace(_ESCAPE, 2 * _ESCAPE)
        column = _PATH_KEY if given.field == "path" else column
        return func.coalesce(column.like(pattern, escape=_ESCAPE), False)
    values = [text_key(str(value)) for value in given.values] if given.field in _BY_KEY else given.values
    if given.field == "path" and given.operator in ("=", "!=", "in"):
        found = column.in_([form for value in values for form in path_forms(str(value))])
        return not_(found) if given.operator == "!=" else found
    value = values[0]
    if given.operator == "=":
        return column.is_not_distinct_from(value)
    if given.operator == "!=":
        return column.is_distinct_from(value)
    if given.operator == "in":
        compared = column.in_(values)
    else:
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[given.operator]
        compared = compare(column, value)
    return func.coalesce(compared, False)  # without a label it is neither
