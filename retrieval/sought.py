"""A person of the gallery who is asked for instead of a picture: what several of its faces say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceedit.describes import Who
from index.values import FloatArray
from retrieval.source import Source


@dataclass(frozen=True)
class Sought:
    """name: what people call it; others: further pictures of the person, whose edits count like the first one's; who
    (d,): the mean of what all its faces say of who it is, None where descriptors have no such part, or all wait to be
    made again."""

    name: str
    others: tuple[Source, ...] = ()
    who: FloatArray | None = field(default=None, repr=False, compare=False)


def joined(
    descriptors: FloatArray, first: Sequence[int], sought: Sequence[Sought | None], who: Who | None
) -> FloatArray:
    """(Q, D) of those of all pictures (N, D): what those of one question say together; first: where each begins, and
    the last ends."""
    made = [
        descriptors[start] if one is None else together(descriptors[start:stop], who, one.who)
        for one, start, stop in zip(sought, first, first[1:], strict=False)
    ]
    return np.stack(made)


def together(descriptors: FloatArray, who: Who | None, mean: FloatArray | None) -> FloatArray:
    """(D,) of length 1: the mean of descriptors (n, D), but for what says who it is, which is that of all faces; each
    part with the length that it has in one."""
    whole = descriptors.mean(0)
    if who is None or mean is None:
        return np.asarray(whole / _length(whole), np.float32)
    made, is_who = whole.copy(), np.zeros(len(whole), np.bool_)
    is_who[who.start : who.stop] = True
    made[is_who] = mean
    for part in (is_who, ~is_who):
        share = np.sqrt((descriptors[:, part] ** 2).sum(1).mean())
        made[part] *= share / _length(made[part])
    return np.asarray(made / _length(made), np.float32)


def _length(vector: FloatArray) -> float:
    return float(np.linalg.norm(vector)) or 1.0
