"""Readers never wait for a writer, and are never wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.together import measure
from index.gallery import Gallery, GalleryConfig
from index.where import parse
from tests.faces import new_face


@pytest.mark.slow
def test_a_thousand_searches_while_another_process_adds_and_removes(tmp_path: Path) -> None:
    found = measure(tmp_path, images=3_000, size=64, queries=1_000)
    assert (found.queries, found.wrong) == (1_000, 0)
    assert found.added > 100 and found.states > 10, "the other process hardly wrote"
    assert found.waits.max() < 1.0


def indexes_in(folder: Path) -> dict[str, int]:
    """The indexes on the disk, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("exact-*.faiss")}


def test_what_is_added_is_searched_beside_the_index_and_finds_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 16)).astype(np.float32)
    vectors[55] = vectors[3]  # a copy: of equals, the first one comes first
    config = GalleryConfig("a" * 64, "pose", (0, 1), 16, tmp_path)
    rows = [new_face(f"{n}.png", n % 2, (1.0, 2.0), identity=str(n % 3)) for n in range(60)]
    with Gallery.create(tmp_path / "db", config) as gallery:
        gallery.add(rows[:55], vectors[:55])
        gallery.search(vectors[0], 1)
        built = indexes_in(tmp_path / "db")
        assert len(built) == 1
        gallery.add(rows[55:57], vectors[55:57])
        gallery.search(vectors[0], 1)
        gallery.search(vectors[1], 1)
        gallery.add(rows[57:], vectors[57:])
        found = gallery.search_many(vectors, 12)
        assert indexes_in(tmp_path / "db") == built  # it was not built again
        assert [match.face.path for match in found[3][:2]] == ["3.png", "55.png"]
        with Gallery.open(tmp_path / "db") as fresh:
            assert fresh.search_many(vectors, 12) == found
            where = parse("identity = '1'")
            assert fresh.search_many(vectors, 12, where=where) == gallery.search_many(vectors, 12, where=where)
        gallery.add([new_face("last.png", 0, (1.0, 2.0))], vectors[:1])  # now more than one in ten is new
        gallery.search(vectors[0], 1)
        assert len(indexes_in(tmp_path / "db").keys() - built.keys()) == 1
