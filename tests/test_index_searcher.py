"""What every Searcher promises, whichever it is, against NumPy; and the two exact searches against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.config import State
from index.search import exact
from index.search.exact import build_index, nearest
from index.search.plan import FLAT, HNSW, IVF, Option, Plan, Requirements
from index.search.prepare import build
from index.search.scan import Scan, scan
from index.search.searcher import Rows, Searcher
from index.values import FloatArray, HalfArray, IdArray

SIZE, COUNT, PEOPLE, QUERIES = 768, 4_000, 400, 24  # more numbers than a shortlist would rather compare in full
COPIES = slice(2_000, 2_005)  # rows with one descriptor
STATE = State(7, "0123abcd", 3, ("a" * 64, SIZE))
RECALL = 0.95
Maker = Callable[[HalfArray, IdArray, IdArray], Searcher]


def shortlist(kind: str) -> Maker:
    """Build the index of reduced descriptors of this kind, whatever a plan would choose."""

    def make(records: HalfArray, ids: IdArray, slots: IdArray) -> Searcher:
        needs = Requirements(recall=RECALL, max_ms=10_000)
        plan = Plan(len(ids), SIZE, 64, needs, (Option(kind, 0, 0.0, 0.0, "", False),))
        return build(records, ids, slots, plan, STATE.removals)

    return make


SEARCHERS: dict[str, tuple[Maker, float]] = {  # how it is made, and the share of the nearest that it promises
    "scan": (lambda records, ids, slots: Scan(STATE, ids, slots), 1.0),
    "exact": (lambda records, ids, slots: exact.build(STATE, records, ids, slots), 1.0),
    FLAT: (shortlist(FLAT), RECALL),
    IVF: (shortlist(IVF), RECALL),
    HNSW: (shortlist(HNSW), RECALL),
}


@dataclass(frozen=True)
class Case:
    """A searcher, what it was made from, queries, and how far each row is from each of them, to all digits."""

    searcher: Searcher
    promised: float
    records: HalfArray
    ids: IdArray
    slots: IdArray
    queries: FloatArray
    distances: NDArray[np.float64]

    def expected(self, query: int, k: int, competing: Rows | None = None) -> list[int]:
        rows = np.arange(COUNT) if competing is None else np.flatnonzero(competing)
        order = np.lexsort((self.ids[rows], self.distances[query, rows]))
        return [int(id_) for id_ in self.ids[rows[order[:k]]]]

    def check(self, k: int, competing: Rows | None = None) -> None:
        """That as many as there are come, the right ones as often as promised, in order, with their true distances."""
        found = self.searcher.search(self.records, self.queries, k, competing)
        there = COUNT if competing is None else int(competing.sum())
        allowed = set((self.ids if competing is None else self.ids[competing]).tolist())
        hits = []
        assert len(found) == QUERIES
        for query, (distances, ids) in enumerate(found):
            expected = self.expected(query, k, competing)
            assert len(distances) == len(ids) == len(set(ids.tolist())) == len(expected) == min(k, there)
            assert set(ids.tolist()) <= allowed
            true = self.distances[query, np.searchsorted(self.ids, ids)]
            np.testing.assert_allclose(distances, true, rtol=1e-5, atol=2e-4)
            assert [*zip(distances, ids, strict=True)] == sorted(zip(distances, ids, strict=True))
            hits.append(len(set(expected) & set(ids.tolist())) / max(len(expected), 1))
            if self.promised == 1:
                assert ids.tolist() == expected
        if there:
            assert np.mean(hits) >= self.promised


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """Descriptors in a file with gaps, in no order; most of their length lies in few directions."""
    random = np.random.default_rng(0)
    spread = (np.arange(SIZE) + 1.0) ** -0.7
    array = random.normal(size=(PEOPLE, SIZE))[np.arange(COUNT) % PEOPLE] + 0.6 * random.normal(size=(COUNT, SIZE))
    array *= spread
    array[COPIES] = array[COPIES.start]
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    slots = random.permutation(COUNT + 500)[:COUNT]
    records = random.normal(size=(COUNT + 500, SIZE)).astype(np.float16)  # what lies in the gaps is never found
    records[slots] = array
    some = random.choice(COUNT, QUERIES, replace=False)
    queries = array[some] + 0.3 * (array[some - PEOPLE] - array[some - 2 * PEOPLE])
    queries[-1] = array[COPIES.start]
    queries = queries.astype(np.float32)
    stored = records[slots].astype(np.float64)
    distances = np.stack([np.sqrt(((stored - query) ** 2).sum(1)) for query in queries.astype(np.float64)])
    ids = np.cumsum(random.integers(1, 4, COUNT)).astype(np.int64)
    return {"records": records, "ids": ids, "slots": slots, "queries": queries, "distances": distances}


@pytest.fixture(scope="module", params=list(SEARCHERS))
def case(request: pytest.FixtureRequest, made: dict[str, Any]) -> Case:
    make, promised = SEARCHERS[request.param]
    return Case(make(made["records"], made["ids"], made["slots"]), promised, **made)


def test_it_knows_its_rows_and_the_state_that_it_was_made_for(case: Case) -> None:
    assert (np.diff(case.searcher.ids) > 0).all()
    np.testing.assert_array_equal(case.searcher.ids, case.ids)
    np.testing.assert_array_equal(case.searcher.slots, case.slots)
    assert case.searcher.fits(STATE)
    assert not case.searcher.fits(replace(STATE, generation=8, stamp="4567cdef", removals=4))


@pytest.mark.parametrize("k", [1, 10, 50])
def test_the_nearest_are_found_with_their_distances(case: Case, k: int) -> None:
    case.check(k)


@pytest.mark.parametrize("one_in", [12, 7, 2])
def test_only_rows_that_compete_are_found(case: Case, one_in: int) -> None:
    numbers = np.arange(COUNT)
    case.check(10, numbers % one_in != 0)
    case.check(10, numbers % one_in == 0)


def test_where_fewer_compete_than_are_asked_for_all_of_them_come(case: Case) -> None:
    competing = np.zeros(COUNT, bool)
    competing[[3, 77, 2_001, 2_003, 3_999]] = True
    case.check(10, competing)


def test_more_than_there_are_gives_all_in_order(case: Case) -> None:
    [(distances, ids)] = case.searcher.search(case.records, case.queries[:1], COUNT + 5)
    assert len(ids) == COUNT and sorted(ids.tolist()) == case.ids.tolist()
    np.testing.assert_allclose(distances, np.sort(case.distances[0]), rtol=1e-5)


def test_where_none_competes_nothing_is_found(case: Case) -> None:
    for distances, ids in case.searcher.search(case.records, case.queries, 10, np.zeros(COUNT, bool)):
        assert (distances.shape, ids.shape) == ((0,), (0,))


def test_nobody_who_asks_gets_no_answer(case: Case) -> None:
    assert case.searcher.search(case.records, case.queries[:0], 10) == []


def test_equals_come_by_id(case: Case) -> None:
    [(distances, ids)] = case.searcher.search(case.records, case.queries[-1:], 6)
    assert ids.tolist()[:5] == case.ids[COPIES].tolist() and len(set(distances[:5].tolist())) == 1
    competing = np.ones(COUNT, bool)
    competing[COPIES.start] = False
    [(_, ids)] = case.searcher.search(case.records, case.queries[-1:], 4, competing)
    assert ids.tolist() == case.ids[COPIES].tolist()[1:]
    [(_, ids)] = case.searcher.search(case.records, case.queries[-1:], 2)  # the border goes through the equals
    assert ids.tolist() == case.ids[COPIES].tolist()[:2]


# --- the two exact searches ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("count", "size", "length"), [(300, 7, 1.0), (3_000, 64, 1.0), (3_000, 64, 100.0), (320, 28_800, 1.0)]
)
def test_the_scan_and_the_index_of_everything_find_the_same(
    count: int, size: int, length: float, dtype: type[np.floating[Any]]
) -> None:
    """Of records that half precision can hold, in either type; 320 of 28,800 numbers are more than one part."""
    random = np.random.default_rng(1)
    array = random.normal(size=(count, size)).astype(np.float32) * (length / size**0.5)
    array[20:30] = array[5]
    records = array.astype(np.float16).astype(dtype)
    slots = random.permutation(count)[: count - 20]
    ids = np.arange(len(slots), dtype=np.int64) * 2 + 1
    queries = array[::-1][:4] + 0.1 * array[:4]
    queries[0] = array[5]
    index = build_index(records, ids, slots)
    for k in (1, 10, len(slots)):
        twin = zip(*nearest(index, queries, k, ids), strict=True)
        for (distances, found), (others, same) in zip(scan(records, slots, ids, queries, k), twin, strict=True):
            np.testing.assert_allclose(distances, others, rtol=1e-4, atol=2e-4 * length)
            if k <= 10:
                np.testing.assert_array_equal(found, same)
            assert set(found.tolist()) == set(same.tolist())
