"""Text that strangers wrote, as it may be shown: on one line for people, as no formula to spreadsheets."""

from __future__ import annotations

_FORMULA = tuple("=+-@＝＋－＠")  # what begins one, in full width too  # noqa: RUF001
_BEFORE_IT = ("\t", "\r", "\n")
_LONGEST = 4_000  # characters of a message


def printable(text: str) -> str:
    """The text on one line: control characters, marks of direction and what else nobody sees are escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def cell(value: object) -> object:
    """A value of a comma-separated line: text on one line, and none that a spreadsheet takes for a formula: an
    apostrophe goes before it, which spreadsheets take for the mark of a text. Numbers stay."""
    if not isinstance(value, str):
        return value
    formula = value.startswith(_BEFORE_IT) or value.lstrip().startswith(_FORMULA)
    return printable(f"'{value}" if formula else value)


def message(text: str) -> str:
    """An error on one line; of one longer than a screen its beginning and its end, where it says how to mend it."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def lines_of(error: object) -> list[str]:
    """What an error says, line by line, without blank ones."""
    return [line.strip() for line in str(error).splitlines() if line.strip()]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
