"""Attribute spaces: what an editor can change, as data (a name, its values, and what a pair must share)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import AttributeValueError

_MUCH, _UNSEEN = 3.0, 5.0  # times as well; a squared error below which nothing was changed to speak of


@dataclass(frozen=True)
class AttributeSpace:
    """One editable attribute.

    name: the task, and the manifest column that holds the value; values: every value, in the order of the one-hot
    vector; shared: manifest columns in which a source and its target must agree;
    shared_where_known: more of them, in data sets that have such a column.
    occlusion: no column holds the value. Every picture of a data set has the first value, and its counterpart with the
    second is made from it by laying a pattern over it (`faceedit.occlusion`), so that only the first can be asked of
    the other. words: what each value means, where a number says little.
    """

    name: str
    values: tuple[int, ...]
    shared: tuple[str, ...]
    shared_where_known: tuple[str, ...] = ("expression", "session")
    occlusion: bool = False
    words: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def index(self, value: int) -> int:
        """Position of a value in the one-hot vector; raises AttributeValueError for an unknown value."""
        if value not in self.values:
            known = ", ".join(str(v) for v in self.values)
            raise AttributeValueError(f"{self.name} {value} is not one of {known}: give one of these")
        return self.values.index(value)

    def text(self, value: int) -> str:
        """'pose 30', 'illumination 7', 'complete'"""
        return self.words[self.index(value)] if self.words else f"{self.name} {value}"

    def leads(self, source: int, target: int) -> bool:
        """Whether the picture at position `source` determines the one at position `target`: where an occlusion would
        lie on a complete face cannot be known."""
        return not self.occlusion or source == target or target == 0

    @property
    def mirrored(self) -> tuple[int, ...] | None:
        """Position of each value in a mirrored picture: a face at -30 degrees becomes one at 30. None where that cannot
        be said, as of a database's lights, or of poses to one side."""
        if self.name != "pose":
            return tuple(range(len(self))) if self.occlusion else None
        if any(-value not in self.values for value in self.values):
            return None
        return tuple(self.values.index(-value) for value in self.values)

    def scores(
        self, errors: NDArray[np.floating], estimate: NDArray[np.floating] | None = None
    ) -> NDArray[np.floating]:
        """How unlikely each value is (N, n_a), up to a constant of each picture: the logarithm of its reconstruction
        error (N, n_a), as independent pixels with normal noise have it.

        A complete face is reconstructed well as a complete and as an occluded one, an occluded face only as occluded:
        it counts as occluded when that is much better. estimate: what is known besides, weighted log probabilities
        (N, n_a).
        """
        against = np.log(np.maximum(errors, _UNSEEN if self.occlusion else 1e-6))
        if estimate is not None:
            against = against - estimate
        return np.asarray(against + np.log((1, _MUCH)) if self.occlusion else against)

    def decide(self, errors: NDArray[np.floating], estimate: NDArray[np.floating] | None = None) -> NDArray[np.int64]:
        """Positions (N,) of the values that pictures have, those with the least of `scores`."""
        return np.asarray(self.scores(errors, estimate).argmin(1), dtype=np.int64)

    @property
    def columns(self) -> tuple[str, ...]:
        """The manifest columns that pairs are made from."""
        return self.shared if self.occlusion else (self.name, *self.shared)


POSE = AttributeSpace("pose", (-45, -30, -15, 0, 15, 30, 45), ("identity", "illumination"))
ILLUMINATION = AttributeSpace("illumination", tuple(range(20)), ("identity", "pose"))
INPAINTING = AttributeSpace("inpainting", (0, 1), ("path",), (), occlusion=True, words=("complete", "occluded"))

TASKS = {space.name: space for space in (POSE, ILLUMINATION, INPAINTING)}
