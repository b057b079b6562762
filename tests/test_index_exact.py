"""The descriptor file and the exact index, against NumPy."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from index.config import State
from index.descriptors import DescriptorFile, checked_descriptors
from index.errors import DescriptorShapeError, DescriptorValueError, FaissMissingError, GalleryCorruptError
from index.search.exact import build, build_index, index_ids, nearest, read_index, save
from index.search.faiss_files import write_index
from index.search.scan import scan
from tests.damage import full_disk

MOST = 10**6  # bytes of an index


def unit_vectors(n: int, size: int, seed: int = 0) -> NDArray[np.float32]:
    array = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return array


def rounded(array: NDArray[np.float32]) -> NDArray[np.float64]:
    return array.astype(np.float16).astype(np.float64)


def brute_force(
    stored: NDArray[np.float32], ids: NDArray[np.int64], query: NDArray[np.float32], k: int
) -> tuple[list[float], list[int]]:
    """Distances in double precision, one vector at a time; equals by id."""
    pairs = [
        (float(np.sqrt(((query.astype(np.float64) - vector) ** 2).sum())), int(id_))
        for vector, id_ in zip(rounded(stored), ids, strict=True)
    ]
    best = sorted(pairs)[:k]
    return [distance for distance, _ in best], [id_ for _, id_ in best]


@pytest.mark.parametrize(("n", "size"), [(300, 7), (500, 64), (40, 28_800)])
def test_exact_index_agrees_with_brute_force_on_half_precision_vectors(n: int, size: int) -> None:
    stored, queries = unit_vectors(n, size), unit_vectors(5, size, seed=1)
    ids = np.arange(n, dtype=np.int64) * 3 + 11
    index = build_index(stored, ids)
    distances, found = nearest(index, queries, 10, ids)
    for row, query in enumerate(queries):
        expected_distances, expected_ids = brute_force(stored, ids, query, 10)
        assert found[row].tolist() == expected_ids
        np.testing.assert_allclose(distances[row], expected_distances, rtol=1e-5)


@pytest.mark.parametrize("size", [33, 28_800])
def test_each_vector_is_its_own_nearest_neighbour(size: int) -> None:
    stored = unit_vectors(30, size)
    ids = np.arange(30, dtype=np.int64)
    distances, found = nearest(build_index(stored, ids), stored, 1, ids)
    assert found[:, 0].tolist() == ids.tolist()
    assert distances.max() < 1e-3  # only the rounding to half precision


def test_index_of_many_chunks_holds_every_descriptor() -> None:
    stored = unit_vectors(320, 28_800)  # 37 MB in full precision: several chunks
    ids = np.arange(320, dtype=np.int64)
    index = build_index(stored, ids)
    assert index_ids(index).tolist() == ids.tolist()
    some = ids[::29]
    distances, found = nearest(index, stored[some], 1, ids)
    assert found[:, 0].tolist() == some.tolist() and distances.max() < 1e-3


def test_slots_choose_the_rows_of_the_descriptors() -> None:
    stored = unit_vectors(9, 8)
    ids, slots = np.array([5, 6, 7], dtype=np.int64), np.array([8, 0, 4], dtype=np.int64)
    _, found = nearest(build_index(stored, ids, slots), stored[slots], 1, ids)
    assert found[:, 0].tolist() == [5, 6, 7]


@pytest.mark.parametrize("copies", [3, 17, 60])
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_among_equals_the_lowest_ids_win_wherever_they_were_inserted(copies: int, k: int) -> None:
    stored = np.concatenate([np.repeat(unit_vectors(1, 24), copies, axis=0), unit_vectors(9, 24)])
    order = np.random.default_rng(copies).permutation(len(stored))
    ids = order.astype(np.int64)
    query = unit_vectors(1, 24)
    _, found = nearest(build_index(stored[order], ids), query, k, np.sort(ids))
    _, expected = brute_force(stored, np.arange(len(stored)), query[0], k)
    assert found[0].tolist() == expected


def test_only_the_given_ids_compete() -> None:
    stored, ids = unit_vectors(100, 12), np.arange(100, dtype=np.int64)
    allowed = np.array([3, 50, 51, 99], dtype=np.int64)
    _, found = nearest(build_index(stored, ids), stored[:2], 3, allowed)
    for row in (0, 1):
        expected = brute_force(stored[allowed], allowed, stored[row], 3)[1]
        assert found[row].tolist() == expected
    assert nearest(build_index(stored, ids), stored[:2], 3, allowed[:0])[1].shape == (2, 0)


def test_written_index_is_read_back_from_a_non_ascii_path(tmp_path: Path) -> None:
    stored, ids = unit_vectors(30, 20), np.arange(30, dtype=np.int64) * 2
    index, path = build_index(stored, ids), tmp_path / "gesicht-ß-顔.faiss"
    write_index(index, path)
    again = read_index(path, MOST)
    assert index_ids(again).tolist() == ids.tolist()
    for before, after in zip(nearest(index, stored, 4, ids), nearest(again, stored, 4, ids), strict=True):
        np.testing.assert_array_equal(before, after)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checked.json", path.name]


@pytest.mark.parametrize("keep", [0, 1, 40, 200, -1])
def test_cut_index_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "index"
    write_index(build_index(unit_vectors(30, 20), np.arange(30, dtype=np.int64)), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GalleryCorruptError, match="rebuilds"):
        read_index(path, MOST)


def test_another_kind_of_index_is_refused(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    write_index(faiss.IndexFlatIP(8), tmp_path / "index")
    with pytest.raises(GalleryCorruptError):
        read_index(tmp_path / "index", MOST)


def test_failed_write_keeps_the_old_index_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path, ids = tmp_path / "index", np.arange(3, dtype=np.int64)
    write_index(build_index(unit_vectors(3, 4), ids), path)
    old = path.read_bytes()
    with full_disk(), pytest.raises(OSError, match="too large"):
        write_index(build_index(unit_vectors(3, 4, seed=1), ids), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_files() -> Iterator[None]:
    """Writes beyond 100 kB into a file fail, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_full_disk_is_reported_as_an_os_error(tmp_path: Path) -> None:
    many = unit_vectors(2_000, 400)
    with pytest.raises(OSError, match=r"too large"):
        write_index(build_index(many, np.arange(2_000, dtype=np.int64)), tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f"index.{os.getpid()}.tmp").symlink_to(tmp_path / "precious")
    write_index(build_index(unit_vectors(3, 4), np.arange(3, dtype=np.int64)), tmp_path / "index")
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "index").is_symlink()


def test_descriptor_file_returns_what_was_appended_rounded_to_half(tmp_path: Path) -> None:
    file, array = DescriptorFile(tmp_path / "d.f16", 5), unit_vectors(7, 5)
    assert file.append(array[:3], committed=0) == 0
    assert file.append(array[3:].astype(np.float16), committed=3) == 3
    slots = np.array([6, 0, 3], dtype=np.int64)
    read = file.records(committed=7)[slots]
    assert read.dtype == np.float16
    np.testing.assert_array_equal(read, rounded(array)[slots])
    np.testing.assert_array_equal(file.records(7), array.astype(np.float16))
    assert file.path.stat().st_size == 7 * 5 * 2


def test_append_overwrites_what_lies_behind_the_committed_slots(tmp_path: Path) -> None:
    file, array = DescriptorFile(tmp_path / "d.f16", 5), unit_vectors(8, 5)
    file.append(array[:2], committed=0)
    with file.path.open("ab") as handle:
        handle.write(b"\xff" * 37)  # three records and a piece
    assert file.append(array[2:3], committed=2) == 2
    np.testing.assert_array_equal(file.records(3), array[:3].astype(np.float16))


def test_zeroed_slot_is_zero_and_its_neighbours_are_untouched(tmp_path: Path) -> None:
    file, array = DescriptorFile(tmp_path / "d.f16", 4), unit_vectors(5, 4)
    file.append(array, committed=0)
    file.zero([1, 3])
    expected = array.astype(np.float16)
    expected[[1, 3]] = 0
    np.testing.assert_array_equal(file.records(5), expected)


def test_descriptor_file_shorter_than_the_database_says_is_corrupt(tmp_path: Path) -> None:
    file = DescriptorFile(tmp_path / "d.f16", 4)
    assert file.records(0).shape == (0, 4)
    file.append(unit_vectors(2, 4), committed=0)
    for operation in (lambda: file.records(3), lambda: file.append(unit_vectors(1, 4), 3)):
        with pytest.raises(GalleryCorruptError, match=r"16 bytes.*at least 24"):
            operation()


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (1, 2, 4)])
def test_descriptors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DescriptorShapeError, match=r"expected \(n, 4\)"):
        checked_descriptors(np.zeros(shape, np.float32), 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 70_000.0])
def test_numbers_that_half_precision_cannot_hold_are_refused(value: float) -> None:
    array = np.zeros((3, 4), np.float32)
    array[1, 2] = value
    with pytest.raises(DescriptorValueError, match="descriptor 1 of 3"):
        checked_descriptors(array, 4)


def test_missing_faiss_names_both_ways_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(FaissMissingError, match=r"pip install \'\.\[cpu\]\', or \'\.\[gpu\]\'"):
        build_index(unit_vectors(2, 3), np.arange(2, dtype=np.int64))


def test_a_part_alone_is_compared_as_if_there_were_nothing_else() -> None:
    rng = np.random.default_rng(5)
    records = rng.normal(size=(300, 24)).astype(np.float16)
    records[7, 4:12] = 0  # says nothing there
    queries = rng.normal(size=(3, 24)).astype(np.float32)
    ids = np.arange(1_000, 1_300)
    parts = records[:, 4:12].astype(np.float32)
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-9)
    asked = queries[:, 4:12] / np.linalg.norm(queries[:, 4:12], axis=1, keepdims=True)
    for slots in (np.arange(300), rng.permutation(300)[:200]):
        found = scan(records, slots, ids[: len(slots)], queries, 10, (4, 12))
        for one, (distances, nearest_ids) in zip(asked, found, strict=True):
            far = np.linalg.norm(parts[slots] - one, axis=1)
            np.testing.assert_allclose(distances, np.sort(far)[:10], atol=1e-5)
            np.testing.assert_array_equal(nearest_ids, ids[np.argsort(far, kind="stable")[:10]])
    whole = scan(records, np.arange(300), ids, queries, 10)
    assert not np.array_equal(whole[0][1], scan(records, np.arange(300), ids, queries, 10, (4, 12))[0][1])


def test_an_index_that_another_process_took_for_half_a_one_is_nothing_to_worry_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever saves one of the same state deletes all others of it, those that are being written among them."""
    records, ids = unit_vectors(20_000, 64).astype(np.float16), np.arange(20_000)
    made = build(State(3, "0" * 8, 0, ("a" * 64, 64)), records, ids, ids)

    def delete() -> bool:
        while saving.is_alive():
            for half in tmp_path.glob("exact-3-*.tmp"):
                with suppress(FileNotFoundError):
                    half.unlink()
                    return True
        return False

    taken = False
    while not taken:  # it may have got its name before
        for whole in tmp_path.glob("exact-*"):
            whole.unlink()
        saving = Thread(target=save, args=(tmp_path, made))
        saving.start()
        taken = delete()
        saving.join()
    assert caplog.text == "" and not list(tmp_path.glob("exact-*"))
