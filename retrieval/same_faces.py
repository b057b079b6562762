"""Which face of a photograph is which of those that were known in it before: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from faceedit.describes import Who
from index.values import Box, FloatArray

_OVERLAP = 0.5  # of two boxes of one face, as a share of what both cover together
_ALIKE = 0.6  # Euclidean distance of the descriptors of one face in copies of a photograph: 99 % of them, no strangers
_TWO = 0.7  # of what says who it is, each brought to length 1: 99.5 % of copies of renders lie within, no strangers do


@dataclass(frozen=True)
class Seen:
    """A face as it was seen once. number: in its photograph; share: its box in shares of that one's sides, None: it is
    all of it; descriptor: (D,), where that is known."""

    number: int
    share: Box | None = None
    descriptor: FloatArray | None = None


def same_faces(before: Sequence[Seen], after: Sequence[Seen], who: Who | None = None) -> dict[int, int]:
    """By the position of a face now, that of the same one before: those that look the same, nearest first; then those
    in the same place of the photograph, whatever its size; then, where one of both was all of its photograph, those of
    the same number. The only face of both is the same.

    who: where the descriptors say who somebody is; two that are far apart there are of two people, wherever they are.
    """
    alone = len(before) == len(after) == 1
    steps = [[(0, 0)]] if alone else [_alike(before, after), _overlapping(before, after), _numbered(before, after)]
    return _matched([(new, old) for new, old in step if not _are_two(before[old], after[new], who)] for step in steps)


def same_places(before: Sequence[Seen], after: Sequence[Seen]) -> dict[int, int]:
    """As `same_faces`, by place and number alone: for the same content, where other faces of it may be unknown."""
    return _matched((_overlapping(before, after), _numbered(before, after)))


def same_again(before: Sequence[Seen], after: Sequence[Seen]) -> dict[int, int]:
    """As `same_faces`, of the same content that was looked at once more: its faces have the numbers that they had, also
    where what is known of their places is damaged."""
    numbers = (
        (new, old) for new, one in enumerate(after) for old, two in enumerate(before) if one.number == two.number
    )
    return _matched((_overlapping(before, after), numbers))


def _matched(steps: Iterable[Iterable[tuple[int, int]]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for new, old in chain.from_iterable(steps):
        if new not in found and old not in found.values():
            found[new] = old
    return found


def _are_two(one: Seen, other: Seen, who: Who | None) -> bool:
    """Whether two faces are of two people, as far as that is known."""
    if who is None or one.descriptor is None or other.descriptor is None:
        return False
    return who.apart(one.descriptor, other.descriptor) > _TWO


def _alike(before: Sequence[Seen], after: Sequence[Seen]) -> Iterable[tuple[int, int]]:
    far = {
        (new, old): float(np.linalg.norm(one.descriptor - other.descriptor))
        for new, one in enumerate(after)
        for old, other in enumerate(before)
        if one.descriptor is not None and other.descriptor is not None
    }
    return _in_order({pair: -distance for pair, distance in far.items() if distance <= _ALIKE})


def _overlapping(before: Sequence[Seen], after: Sequence[Seen]) -> Iterable[tuple[int, int]]:
    shares = {
        (new, old): _overlap(one.share, other.share)
        for new, one in enumerate(after)
        for old, other in enumerate(before)
        if one.share is not None and other.share is not None
    }
    return _in_order({pair: share for pair, share in shares.items() if share >= _OVERLAP})


def _numbered(before: Sequence[Seen], after: Sequence[Seen]) -> Iterable[tuple[int, int]]:
    for new, one in enumerate(after):
        for old, other in enumerate(before):
            if (one.share is None or other.share is None) and one.number == other.number:
                yield new, old


def _in_order(scores: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The pairs, best first."""
    return sorted(scores, key=lambda pair: (-scores[pair], pair))


def _overlap(one: Box | None, other: Box | None) -> float:
    """What two boxes share, of what they cover together."""
    assert one is not None and other is not None
    both = 1.0
    for axis in (0, 1):
        ends = min(one[axis] + one[axis + 2], other[axis] + other[axis + 2])
        both *= max(0.0, ends - max(one[axis], other[axis]))
    return both / (one[2] * one[3] + other[2] * other[3] - both)
