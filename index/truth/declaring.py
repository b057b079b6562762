"""Classes that say what tables have, as SQLAlchemy's own would, whose rows are plain values."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Column, Integer, MetaData, String, Table

_KINDS: dict[str, type[Any]] = {"int": Integer, "str": String}


class Declared:
    """Base of the base of some tables: what a class below that says becomes a table, its names that table's columns.

    Rows are plain values. SQLAlchemy's own classes for them would be loaded by every command, a tenth of what a short
    one takes, and double what a query takes. An object of such a class is one row that was read.
    """

    metadata: ClassVar[MetaData]
    __table__: ClassVar[Table]
    __tablename__: ClassVar[str]
    __table_args__: ClassVar[tuple[Any, ...]] = ()

    def __init_subclass__(cls) -> None:
        if "__tablename__" not in vars(cls):  # the base of some tables
            return
        said = {name: str(kind) for name, kind in cls.__annotations__.items()}
        columns = [_named(name, kind, vars(cls).get(name)) for name, kind in said.items()]
        *rules, options = cls.__table_args__ if cls.__table_args__ else ({},)
        if not isinstance(options, dict):
            rules, options = [*rules, options], {}
        cls.__table__ = Table(cls.__tablename__, cls.metadata, *columns, *rules, **options)
        for column in columns:
            setattr(cls, column.name, column)

    def __init__(self, **columns: Any) -> None:
        """Raises TypeError for a name that is no column."""
        unknown = columns.keys() - self.__table__.columns.keys()
        if unknown:
            raise TypeError(f"{sorted(unknown)} are no columns of {self.__tablename__}")
        vars(self).update(columns)

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError: a row that was read is a value, and nothing would write what it is given."""
        raise AttributeError(f"{name} of a row of {self.__tablename__}: write it with `state.change` or `rows.rewrite`")

    @classmethod
    def __clause_element__(cls) -> Table:
        """What statements about the class are about."""
        return cls.__table__


def column(*said: Any, **options: Any) -> Any:
    """A column, as far as its annotation does not say it."""
    return said, options


def _named(name: str, annotation: str, given: Any) -> Column[Any]:
    """A column whose annotation is Mapped[KIND] or, where it may hold NULL, Mapped[KIND | None]."""
    said, options = given or ((), {})
    kind = annotation.removeprefix("Mapped[").removesuffix("]")
    plain = kind.removesuffix(" | None")
    if plain in _KINDS and not said:  # a foreign key has the type of what it leads to
        said = (_KINDS[plain],)
    return Column(name, *said, nullable=plain != kind, **options)
