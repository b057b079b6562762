"""Conditions on images, as users write them: identity != 'anna' and pose between -15 and 15.

    condition  = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" condition ")" | comparison
    comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
               | field [ "not" ] "between" value "and" value
               | field [ "not" ] "in" "(" value { "," value } ")"
               | field [ "not" ] "like" text          in either case; % is anything, _ one character
               | field "is" [ "not" ] "null"
    value      = whole number | text
    text       = 'in single quotes; '' is one of them' | "or in double ones"

`added` is compared with days, as text: '2026-11-26' is all of that day, where this machine is.

Words are read in either case. Labels that are texts, and sha256, are compared without regard to case in every script,
and in their composed form (NFC): by `index.labels.text_key`. So is a path by `like`; by other comparisons it is that
very path, composed or not. `face` is the number of a face in its photo, from 1, the largest, and `faces` how many are
there; `person` is the number of the group of faces that it is in. `like` looks at the key, so `_` is one character of
that. An image without a label is unlike every value: `identity != 'anna'` lets it pass, `pose < 0` does not. What is
parsed here becomes expressions of SQLAlchemy (`index.truth.conditions`), never a string of SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NoReturn

from index.errors import WhereError
from index.labels import LABEL_KINDS, TEXT_LABELS

_WHOLE = (name for name, kind in LABEL_KINDS.items() if kind is int)
NUMBERS = ("id", *_WHOLE, "decided", "size", "face", "faces", "person")
TEXTS = (*TEXT_LABELS, "path", "sha256")
DAYS = ("added",)
FIELDS = (*NUMBERS, *DAYS, *TEXTS)
LONGEST = 10_000  # characters
DEEPEST = 50  # nested conditions
MOST = 500  # comparisons
LARGEST = 2**63  # numbers that SQLite can hold are smaller
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?\d+(?![\w.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<word>[^\W\d]\w*)
    |(?P<sign><=|>=|!=|<>|==|[=<>(),]))""",
    re.VERBOSE,
)

Value = int | str


@dataclass(frozen=True)
class Comparison:
    """field, operator ('=', '!=', '<', '<=', '>', '>=', 'in', 'like', 'null') and what it is compared with."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    condition: Condition


@dataclass(frozen=True)
class Both:
    """All of them ('and') or any ('or')."""

    word: str
    conditions: tuple[Condition, ...]


Condition = Comparison | Not | Both


def fields(condition: Condition) -> set[str]:
    """What a condition asks of."""
    if isinstance(condition, Not):
        return fields(condition.condition)
    if isinstance(condition, Both):
        return set().union(*map(fields, condition.conditions))
    return {condition.field}


@dataclass(frozen=True)
class _Token:
    kind: str  # number, text, word, sign, end
    text: str
    at: int


def parse(text: str) -> Condition:
    """The condition that a text says. Raises WhereError with the place that cannot be read."""
    if len(text) > LONGEST:
        raise WhereError(f"the condition has {len(text):,} characters; expected up to {LONGEST:,}")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    def whole(self) -> Condition:
        condition = self._any()
        if self._peek().kind != "end":
            self._fail("'and', 'or' or the end")
        return condition

    def _any(self) -> Condition:
        return self._joined("or", [self._all()])

    def _all(self) -> Condition:
        return self._joined("and", [self._one()])

    def _joined(self, word: str, parts: list[Condition]) -> Condition:
        while self._took(word):
            parts.append(self._all() if word == "or" else self._one())
        return parts[0] if len(parts) == 1 else Both(word, tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise WhereError(f"the condition is nested more than {DEEPEST} deep; write it flatter")
        try:
            if self._took("not"):
                return Not(self._one())
            if self._took("("):
                condition = self._any()
                self._expect(")")
                return condition
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        self._comparisons += 1
        if self._comparisons > MOST:
            raise WhereError(f"the condition has more than {MOST} comparisons; use `in (...)`, or ask several times")
        token = self._take()
        field = token.text.lower()
        if token.kind != "word" or field not in FIELDS:
            self._fail(f"one of {', '.join(FIELDS)}", token)
        if self._took("is"):
            missing = not self._took("not")
            self._expect("null")
            return _perhaps(Comparison(field, "null", ()), missing)
        truly = not self._took("not")
        if self._took("between"):
            low = self._value(field)
            self._expect("and")
            ends = _compared(field, ">=", low), _compared(field, "<=", self._value(field))
            return _perhaps(Both("and", ends), truly)
        if self._took("in"):
            self._expect("(")
            values = [self._value(field)]
            while self._took(","):
                values.append(self._value(field))
            self._expect(")")
            return _perhaps(_compared(field, "in", *values), truly)
        if self._took("like"):
            if field not in TEXTS:
                self._fail(f"a comparison of numbers, since {field} is one", self._tokens[self._next - 1])
            return _perhaps(Comparison(field, "like", (self._value(field),)), truly)
        token = self._take()
        operator = {"<>": "!=", "==": "="}.get(token.text, token.text)
        if operator not in _OPERATORS or not truly:
            self._fail("= != < <= > >= between, in, like or is", token)
        return _compared(field, operator, self._value(field))

    def _value(self, field: str) -> Value:
        token = self._take()
        if field in NUMBERS:
            if token.kind != "number" or len(token.text) > 20 or abs(int(token.text)) >= LARGEST:
                self._fail(f"a whole number to compare {field} with", token)
            return int(token.text)
        if token.kind != "text":
            self._fail(f"text in quotes to compare {field} with", token)
        quote = token.text[0]
        text = token.text[1:-1].replace(quote * 2, quote)
        if field in DAYS and _day(text) is None:
            self._fail(f"a day to compare {field} with, such as '2026-11-26'", token)
        return text

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _took(self, word: str) -> bool:
        token = self._peek()
        if token.kind in ("word", "sign") and token.text.lower() == word:
            self._next += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._took(word):
            self._fail(repr(word))

    def _fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        token = token or self._peek()
        found = "it ends" if token.kind == "end" else f"there is {token.text}"
        raise WhereError(f"in the condition {self._text!r}, at character {token.at + 1}, {found}; expected {expected}")


def _compared(field: str, operator: str, *values: Value) -> Condition:
    """A comparison; of days, with the seconds at which they begin and the next one does."""
    if field not in DAYS:
        return Comparison(field, operator, values)
    days = [(_seconds(day, 0), _seconds(day, 1)) for day in map(_day, map(str, values)) if day]
    within = [
        Both("and", (Comparison(field, ">=", (first,)), Comparison(field, "<", (after,)))) for first, after in days
    ]
    if operator in ("=", "!=", "in"):
        one = within[0] if len(within) == 1 else Both("or", tuple(within))
        return _perhaps(one, operator != "!=")
    first, after = days[0]
    sign, end = {"<": ("<", first), "<=": ("<", after), ">": (">=", after), ">=": (">=", first)}[operator]
    return Comparison(field, sign, (end,))


def _day(text: str) -> date | None:
    """None for what is none, or too near the ends of time to have seconds everywhere."""
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-11-26") else None
    except ValueError:
        return None
    return found if found is not None and 1970 <= found.year < 9999 else None


def _seconds(day: date, later: int) -> int:
    """Since 1970 until a day begins here, or one so many days later."""
    return int(datetime.combine(day + timedelta(later), time()).timestamp())


def _perhaps(condition: Condition, truly: bool) -> Condition:
    return condition if truly else Not(condition)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise WhereError(
                f"the condition {text!r} cannot be read from character {start + 1} on: expected a field, a value, a "
                "comparison, or a quote that is closed"
            )
        kind = found.lastgroup
        assert kind is not None
        yield _Token(kind, found[kind], found.start(kind))
        at = found.end()
    yield _Token("end", "", len(text))
