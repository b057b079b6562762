"""What is said about a face: labels, where they come from, and how texts among them are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

HAND, FILE, FOLDER, SUGGESTION = "hand", "file", "folder", "suggestion"
ORIGINS = ("", HAND, FILE, FOLDER, SUGGESTION)
"""Where a label may come from: nowhere (there is none), a person's hand, a table, the folder's name, a suggestion."""


def no_origins() -> tuple[str, ...]:
    """Of labels that nobody gave."""
    return ("",) * len(LABELS)


@dataclass(frozen=True, slots=True)
class Labels:
    """What is said about a face, and by whom. None: not known.

    A field before `origins` is a label: what it is called and whether it is a whole number or text stands here and
    nowhere else (LABEL_KINDS); the table face has a column for it, and one more for the key of a text.
    """

    identity: str | None = None
    pose: int | None = None
    illumination: int | None = None
    expression: str | None = None
    origins: tuple[str, ...] = field(default_factory=no_origins)
    """for each of LABELS one of ORIGINS; "" where there is no label"""

    @classmethod
    def given(cls, origin: str, **labels: str | int | None) -> Labels:
        """Labels that all come from one place."""
        origins = tuple("" if labels.get(name) is None else origin for name in LABELS)
        return cls(**labels, origins=origins)  # type: ignore[arg-type]

    def changed(self, origin: str, **labels: Any) -> Labels:
        """The same labels but for these, which come from `origin`; None takes one away."""
        origins = tuple(
            before if name not in labels else "" if labels[name] is None else origin
            for name, before in zip(LABELS, self.origins, strict=True)
        )
        return replace(self, **labels, origins=origins)

    def origin(self, name: str) -> str:
        """Where the label of this name comes from."""
        return self.origins[LABELS.index(name)]


LABEL_KINDS: Mapping[str, type[int] | type[str]] = {
    one.name: int if str(one.type).startswith("int") else str for one in fields(Labels) if one.name != "origins"
}
"""Every label, in the order that it has in tables, and whether it is a whole number or text."""
LABELS = tuple(LABEL_KINDS)
LONGEST_LABEL = 1_000  # characters of a text: more name nobody
TEXT_LABELS = tuple(name for name, kind in LABEL_KINDS.items() if kind is str)


def text_key(text: str) -> str:
    """What conditions compare of a text: composed, and without case in every script, so that every engine gives one
    answer (Unicode 15, section 3.13, with its characters composed)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
