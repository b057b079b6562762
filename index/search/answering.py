"""An answer of a search: faces of one state of the gallery, or it is made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from index.search.searcher import Found
from index.values import Face, Match

ATTEMPTS = 5  # at one search, where others change the gallery meanwhile


class OvertakenError(Exception):
    """What was read is not of one state, or has gone meanwhile: it is to be read again."""


def matches(faces: Mapping[int, Face], found: Sequence[Found]) -> list[list[Match]]:
    """Results with their faces, by id."""
    return [
        [Match(faces[id_], distance) for id_, distance in zip(ids.tolist(), distances.tolist(), strict=True)]
        for distances, ids in found
    ]
