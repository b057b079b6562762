"""exact_nearest against a plain loop and against Faiss, by NumPy and by PyTorch as on a GPU."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from index.descriptors import build_exact, nearest
from retrieval.evaluation.nearest import by_torch, exact_nearest

NOBODY = -1


@pytest.fixture(params=["numpy", "torch"], autouse=True)
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs twice."""
    if request.param == "torch":
        monkeypatch.setitem(globals(), "exact_nearest", partial(by_torch, device="cpu"))


def vectors(n: int, size: int = 20, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def brute_force(
    queries: NDArray[np.float32], gallery: NDArray[np.floating], own: NDArray[np.int64], k: int
) -> list[list[int]]:
    out = []
    for query, self_row in zip(queries.astype(np.float64), own, strict=True):
        ranked = sorted(
            (float(((row.astype(np.float64) - query) ** 2).sum()), number)
            for number, row in enumerate(gallery)
            if number != self_row
        )
        out.append([number for _, number in ranked[:k]])
    return out


@pytest.mark.parametrize("k", [1, 5, 39])
def test_rows_are_those_of_a_plain_loop(k: int) -> None:
    gallery, queries = vectors(40), vectors(12, seed=1)
    own = np.array([NOBODY, 3, 39, 0] * 3, np.int64)
    found = exact_nearest(queries, gallery, own, k)
    assert found.tolist() == brute_force(queries, gallery, own, k)


def test_rows_are_those_of_faiss_on_half_precision_descriptors() -> None:
    gallery, queries = vectors(300, 64).astype(np.float16), vectors(20, 64, seed=1)
    rows = np.arange(300, dtype=np.int64)
    _, expected = nearest(build_exact(gallery, rows), queries, 10, rows)
    found = exact_nearest(queries, gallery, np.full(20, NOBODY, np.int64), 10)
    assert found.tolist() == expected.tolist()


def test_a_half_precision_gallery_is_compared_in_full_precision() -> None:
    # squared lengths of about 80,000 are infinite in half precision
    gallery, queries = (40 * vectors(30, 50)).astype(np.float16), 40 * vectors(6, 50, seed=1)
    own = np.full(6, NOBODY, np.int64)
    assert exact_nearest(queries, gallery, own, 7).tolist() == brute_force(queries, gallery, own, 7)


def test_a_gallery_of_several_blocks_is_searched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, queries = vectors(50), vectors(8, seed=1)
    own = np.arange(40, 48, dtype=np.int64)
    monkeypatch.setattr("retrieval.evaluation.nearest._BLOCK", 7)
    monkeypatch.setattr("retrieval.evaluation.nearest._DEVICE_BLOCK", 7)
    assert exact_nearest(queries, gallery, own, 9).tolist() == brute_force(queries, gallery, own, 9)


def test_each_vector_is_its_own_nearest_neighbour_unless_it_is_left_out() -> None:
    gallery = vectors(25)
    rows = np.arange(25, dtype=np.int64)
    assert exact_nearest(gallery, gallery, np.full(25, NOBODY, np.int64), 1)[:, 0].tolist() == rows.tolist()
    assert not (exact_nearest(gallery, gallery, rows, 24) == rows[:, None]).any()


@pytest.mark.parametrize(("own", "count"), [(NOBODY, 4), (2, 3)])
def test_k_beyond_the_gallery_gives_every_row_that_may_count(own: int, count: int) -> None:
    gallery, queries = vectors(4), vectors(2, seed=1)
    found = exact_nearest(queries, gallery, np.full(2, own, np.int64), 10)
    assert found.shape == (2, count)
    assert found.tolist() == brute_force(queries, gallery, np.full(2, own), 10)


def test_the_only_row_of_a_gallery_is_not_its_own_neighbour() -> None:
    assert exact_nearest(vectors(1), vectors(1), np.zeros(1, np.int64), 5).shape == (1, 0)


@pytest.mark.parametrize("k", [1, 3, 8, 19])
def test_equals_come_by_row_also_at_the_border_of_k(k: int) -> None:
    gallery = np.zeros((20, 4), np.float32)
    gallery[[1, 7]] = 9  # whole numbers, so that equal distances are equal to the bit
    queries, own = np.zeros((2, 4), np.float32), np.array([NOBODY, 0], np.int64)
    assert exact_nearest(queries, gallery, own, k).tolist() == brute_force(queries, gallery, own, k)


def test_a_shuffled_gallery_gives_the_same_neighbours() -> None:
    gallery, queries = vectors(60), vectors(5, seed=1)
    order = np.random.default_rng(2).permutation(60)
    nobody = np.full(5, NOBODY, np.int64)
    plain, shuffled = exact_nearest(queries, gallery, nobody, 6), exact_nearest(queries, gallery[order], nobody, 6)
    assert order[shuffled].tolist() == plain.tolist()
