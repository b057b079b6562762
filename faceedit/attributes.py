"""Attribute spaces: what an editor can change, as data (a name, its values, and what a pair must share)."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.errors import AttributeValueError


@dataclass(frozen=True)
class AttributeSpace:
    """One editable attribute.

    name: the manifest column that holds it; values: every value, in the order of the one-hot vector;
    unit: for messages; shared: manifest columns in which a source and its target must agree; shared_where_known: more
    of them, in data sets that have such a column.
    """

    name: str
    values: tuple[int, ...]
    unit: str
    shared: tuple[str, ...]
    shared_where_known: tuple[str, ...] = ("expression", "session")

    def __len__(self) -> int:
        return len(self.values)

    def index(self, value: int) -> int:
        """Position of a value in the one-hot vector; raises AttributeValueError for an unknown value."""
        if value not in self.values:
            known = ", ".join(str(v) for v in self.values)
            raise AttributeValueError(f"{self.name} {value} is not one of {known}: give one of these")
        return self.values.index(value)


POSE = AttributeSpace("pose", (-45, -30, -15, 0, 15, 30, 45), "degrees", ("identity", "illumination"))

TASKS = {POSE.name: POSE}
