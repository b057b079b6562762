"""Conditions on faces as expressions of SQLAlchemy; never a string of SQL. They say the same on every engine: texts are
compared by their bytes, whole numbers have 64 bits, and a comparison is true or false, never null."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, and_, false, func, not_, or_, select, true, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from index.labels import LABEL_KINDS, LABELS, TEXT_LABELS, text_key
from index.paths import path_forms
from index.truth.schema import Base, FaceRow, PhotoRow
from index.where import TEXTS, Both, Comparison, Condition, Not, Value, fields


class _Hexadecimal(FunctionElement[str]):
    """A hash as text, so that it may be compared and ordered like any."""

    type = Text()
    inherit_cache = True


@compiles(_Hexadecimal, "sqlite")
def _by_sqlite(element: _Hexadecimal, compiler: SQLCompiler, **given: Any) -> str:
    return f"nullif(lower(hex({compiler.process(element.clauses, **given)})), '')"  # its hex makes "" of null


@compiles(_Hexadecimal, "postgresql")
def _by_postgresql(element: _Hexadecimal, compiler: SQLCompiler, **given: Any) -> str:
    return f"encode({compiler.process(element.clauses, **given)}, 'hex') COLLATE \"C\""


def _number(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Compared with numbers of 64 bits, whatever the column was declared as."""
    return type_coerce(column, BigInteger)


_OTHER = Base.metadata.tables["face"].alias()
_FACES = select(func.count()).select_from(_OTHER).where(_OTHER.c.photo_id == FaceRow.photo_id).scalar_subquery()
_MEMBER = Base.metadata.tables["member"].alias()
_PERSON = select(_MEMBER.c.person).where(_MEMBER.c.face_id == FaceRow.id).scalar_subquery()
_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    **{name: getattr(FaceRow, f"{name}_key" if name in TEXT_LABELS else name).expression for name in LABELS},
    "id": FaceRow.id.expression,
    "decided": FaceRow.decided.expression,
    "size": PhotoRow.size.expression,
    "added": PhotoRow.added.expression,
    "face": FaceRow.number.expression,
    "faces": _FACES,
    "person": _PERSON,
    "path": PhotoRow.path.expression,
    "sha256": _Hexadecimal(PhotoRow.sha256),
}
_PATH_KEY = func.coalesce(PhotoRow.path_key, PhotoRow.path)
_OF_PHOTOS = {"size", "added", "path", "sha256"}
_BY_KEY = {*TEXT_LABELS, "sha256"}
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_NUL = "\0"
_ESCAPE = "\x1a"  # stands in no pattern that means something; without one, PostgreSQL would take a backslash


def that_pass(query: Select[Any], where: Condition | None, attribute: str) -> Select[Any]:
    """A query of faces, of those that pass alone. Their photos are joined only where the condition asks of them: among
    a million faces that takes longer than all else."""
    if where is None:
        return query
    if not _OF_PHOTOS.isdisjoint(fields(where)):
        query = query.join(PhotoRow, PhotoRow.id == FaceRow.photo_id)
    return query.where(expression(where, attribute))


def expression(
    condition: Condition, attribute: str, columns: Mapping[str, ColumnElement[Any]] = _COLUMNS
) -> ColumnElement[bool]:
    """What a condition says of a face joined with its photo.

    attribute: the gallery's own. It means the label or, without one, what the network decided. columns: of another
    table, which has all that the condition asks of.
    """
    if isinstance(condition, Not):
        return not_(expression(condition.condition, attribute, columns))
    if isinstance(condition, Both):
        parts = [expression(part, attribute, columns) for part in condition.conditions]
        return and_(*parts) if condition.word == "and" else or_(*parts)
    return _compared(condition, attribute, columns)


def _compared(given: Comparison, attribute: str, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    column = columns[given.field]
    if given.operator == "null":
        missing: ColumnElement[bool] = column.is_(None)  # the label itself
        return missing
    if given.field not in TEXTS:
        known = given.field == attribute and LABEL_KINDS.get(given.field) is int
        return _ordered(
            _number(func.coalesce(column, columns["decided"]) if known else column), given.operator, given.values
        )
    values = [text_key(str(value)) if given.field in _BY_KEY else str(value) for value in given.values]
    if given.operator == "like":
        return _like(_PATH_KEY if given.field == "path" else column, text_key(values[0]))
    if given.field == "path" and given.operator in ("=", "!=", "in"):
        found = column.in_([form for value in values for form in path_forms(value) if _NUL not in form])
        return not_(found) if given.operator == "!=" else found
    return _ordered(column, given.operator, values)


def _like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    if _NUL in pattern:  # SQLite would stop there, and PostgreSQL refuse it
        return false()
    found = column.like(pattern.replace(_ESCAPE, 2 * _ESCAPE), escape=_ESCAPE)
    return and_(found, column.is_not(None))


def _ordered(column: ColumnElement[Any], how: str, values: Sequence[Value]) -> ColumnElement[bool]:
    """Without a label it is unlike every value, and neither before nor behind any. An index may find what is equal."""
    if how == "!=":
        return or_(column != values[0], column.is_(None)) if _is_kept(values[0]) else true()
    if how == "in":
        found: ColumnElement[bool] = column.in_([value for value in values if _is_kept(value)])
    elif how == "=":
        found = column == values[0] if _is_kept(values[0]) else false()
    elif _is_kept(values[0]):
        found = _ORDERS[how](column, values[0])
    else:  # it lies just behind what stands before its first NUL
        start = str(values[0]).split(_NUL)[0]
        found = column <= start if how in ("<", "<=") else column > start
    return and_(found, column.is_not(None))


def _is_kept(value: Value) -> bool:
    """Whether a row may hold it: no text of ours has a NUL."""
    return not (isinstance(value, str) and _NUL in value)
