"""Whether two pictures show one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from faceedit.describes import Accepted, Edits, Usual
from faceedit.errors import NoFaceError, UsageError
from retrieval.describing import require_sound
from retrieval.source import GIVEN, Source

FALSE_ACCEPTS = 0.001
"""the share of strangers that may be taken for one person, unless somebody says another"""


@dataclass(frozen=True)
class Likeness:
    """distance: between what two pictures say of who it is, 0 to 2; accepted: how far it may be for so large a share of
    strangers; usual: where that was measured."""

    distance: float
    accepted: Accepted
    usual: Usual

    @property
    def same(self) -> bool:
        """Whether they are near enough to be of one person."""
        return self.distance <= self.accepted.distance

    @property
    def false_accepts(self) -> float | None:
        """The smallest measured share of strangers that includes so near ones; None: more than the largest of them."""
        return min((one.rate for one in self.usual.accepted if self.distance <= one.distance), default=None)

    def __str__(self) -> str:
        within = "within" if self.same else "beyond"
        return (
            f"{'same' if self.same else 'not the same'}: {self.distance:.3f} apart, {within} the "
            f"{self.accepted.distance:.3f} of {_share(self.accepted.rate)} strangers"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "distance": round(self.distance, 6),
            "false_accepts": self.false_accepts,
            "threshold": {"false_accepts": self.accepted.rate, "distance": self.accepted.distance},
            "measured_on": self.usual.data,
        }


def compared(one: Source, other: Source, describer: Edits, false_accepts: float = FALSE_ACCEPTS) -> Likeness:
    """Raises UsageError where the model has no part that says who it is, or nobody measured how far it may be for that
    share of strangers, NoFaceError for a picture in which nobody is seen."""
    who, usual = describer.who, describer.usual_who
    if who is None:
        raise UsageError("this model does not say who somebody is: give another --model, or an encoder with --identity")
    accepted = {} if usual is None else {each.rate: each for each in usual.accepted}
    if usual is None or false_accepts not in accepted:
        known = ", ".join(f"{rate:g}" for rate in accepted)
        raise UsageError(
            f"nobody measured how near strangers are in {false_accepts:g} of pairs"
            + (f": choose one of {known}" if known else ": `facesearch evaluate --record` does, for this model")
        )
    for source in (one, other):
        if not source.seen:
            raise NoFaceError(f"nobody is seen in {source.name or GIVEN}: give pictures that show a face each")
    descriptors = describer.describe(np.stack([one.crop, other.crop])).descriptors
    require_sound(describer, descriptors)
    return Likeness(who.apart(*descriptors), accepted[false_accepts], usual)


def _share(rate: float) -> str:
    return f"1 in {round(1 / rate):,}"
