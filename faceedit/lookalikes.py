"""Places in a photograph that a detector takes for faces and that are left out: where, why, and how that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

Box = tuple[float, float, float, float]
"""Left, top, width, height, in pixels."""
Size = tuple[int, int]
"""Width, height, in pixels."""

SHAPE = "not shaped like an upright face"
UNSEEN = "not seen again at a second look"
SMALL = "too small to know anybody by"


@dataclass(frozen=True)
class Lookalike:
    """A place that was left out. box: in the upright photograph; reason: one of those above."""

    box: Box
    reason: str


def moved(lookalikes: Iterable[Lookalike], old: Size, turns: int, new: Size) -> tuple[Lookalike, ...]:
    """The same places of a photograph of one size after so many quarter turns to the left, and in another size."""
    places = list(lookalikes)
    for _ in range(turns % 4):
        places = [replace(one, box=_turned(one.box, old)) for one in places]
        old = old[::-1]
    across, down = (after / before for after, before in zip(new, old, strict=True))
    return tuple(replace(one, box=_scaled(one.box, across, down)) for one in places)


def apart(lookalikes: Iterable[Lookalike], faces: Iterable[Box]) -> tuple[Lookalike, ...]:
    """Each place once, and none where a face is."""
    taken, kept = list(faces), list[Lookalike]()
    for one in lookalikes:
        if not any(is_in(one.box, other) for other in taken):
            kept.append(one)
            taken.append(one.box)
    return tuple(kept)


def is_in(box: Box, other: Box) -> bool:
    """Whether the middle of one of both lies in the other."""
    return any(
        left <= x <= left + width and top <= y <= top + height
        for (left, top, width, height), (x, y) in ((box, middle_of(other)), (other, middle_of(box)))
    )


def middle_of(box: Box) -> tuple[float, float]:
    """Of a box."""
    left, top, width, height = box
    return left + width / 2, top + height / 2


def told(reasons: Counter[str], where: Box | None = None) -> str:
    """How many places were left out for which reasons, most first; where: the only one."""
    number, why = reasons.total(), reasons.most_common()
    each = ", ".join(f"{count:,} {reason}" for reason, count in why) if len(why) > 1 else why[0][0]
    if number > 1:
        return f"{number:,} places look like faces and were left out ({each})"
    at = "" if where is None else ", at {:.0f},{:.0f},".format(*middle_of(where))
    return f"1 place{at} looks like a face and was left out ({each})"


def told_of(lookalikes: tuple[Lookalike, ...]) -> str:
    """The same of these, in the photograph that somebody gave."""
    return told(Counter(one.reason for one in lookalikes), lookalikes[0].box)


def _turned(box: Box, size: Size) -> Box:
    """After a quarter turn to the left of a picture of that size."""
    left, top, width, height = box
    return top, size[0] - left - width, height, width


def _scaled(box: Box, across: float, down: float) -> Box:
    left, top, width, height = box
    return left * across, top * down, width * across, height * down
