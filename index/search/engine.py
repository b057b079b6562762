"""An engine beside the truth that searches reduced descriptors: what it must do.

It holds a row for each face: the id, the reduced descriptor, and the labels that conditions ask for. It is derived: it
may be lost at any time, and is made anew from the truth. It never decides: it names those that may be nearest, and what
is found are the nearest of these by their whole descriptors, as the truth has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from index.errors import EngineError
from index.search.plan import ENGINE_FLAT, ENGINE_HNSW
from index.truth.engine import EngineAbout, Entry
from index.values import FloatArray, IdArray
from index.where import Condition

FLAT, HNSW = ENGINE_FLAT, ENGINE_HNSW
LONGEST = 16_384  # of a list that an engine gives: Milvus gives no longer one


class Engine(Protocol):
    """All raise EngineError where the engine does not answer, or refuses. May be shared by threads."""

    def token(self) -> str | None:
        """What was given when the rows that are there were begun; None where nothing is there. Raises EngineError
        where that is nothing of ours."""

    def require_free(self) -> None:
        """Raise EngineError unless a new gallery may have its rows here."""

    def begin(self, token: str, dimensions: int, kind: str) -> None:
        """Make room for vectors of so many numbers in place of what was there. kind: FLAT or HNSW."""

    def use(self, kind: str) -> None:
        """Search by another kind of index, and wait until it is built."""

    def apply(self, entries: Sequence[Entry], gone: Sequence[int]) -> None:
        """Let these rows, with reduced descriptors, be there as they are here, and none of the ids `gone`, for every
        search that begins after that; doing so again changes nothing."""

    def settle(self) -> None:
        """Wait until all that was applied is searched as fast as it will be."""

    def expresses(self, where: Condition, attribute: str) -> bool:
        """Whether `search` can take this condition; attribute: the gallery's own, which in it means the label or,
        without one, what was decided."""

    def in_truth(self) -> bool:
        """Whether it lies in the truth's own database, where a search sees exactly what its session sees."""

    def search(
        self,
        queries: FloatArray,
        length: int,
        effort: int,
        where: Condition | None,
        attribute: str,
        session: Connection | None = None,
    ) -> list[IdArray]:
        """For each reduced query (n, dimensions) the ids of the `length` nearest rows that pass, in any order. effort:
        how far a graph is walked; session: the transaction that reads the truth for this search."""

    def stamps(self, first: int, last: int) -> dict[int, int]:
        """The stamps of its rows with ids from one to another, both included, by id."""

    def drop(self) -> None:
        """Take away all that is there of ours."""

    def close(self) -> None:
        """Let go of what is open."""


def require_ours(engine: Engine, about: EngineAbout) -> None:
    """Raise EngineError unless what is in the engine was built for this gallery."""
    there = engine.token()
    if there is None:
        raise EngineError(
            "the engine holds nothing of the gallery any more: `facesearch gallery repair` builds it anew"
        )
    if there != about.token:
        raise EngineError(
            "the engine's collection belongs to another gallery, or to this one as it was before a backup: give each "
            "gallery its own; `facesearch gallery repair` builds this one's anew where it is its own"
        )
