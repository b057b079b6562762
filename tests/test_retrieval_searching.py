"""Rows found in a gallery of a test set, and by pixels, against plain loops; and descriptions that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.gallery import Gallery
from retrieval.evaluation.searching import decided_values, gallery_of, nearest_rows, nearest_vectors, without_own
from tests.conftest import blob_face
from tests.stand_ins import HashEditor

NOBODY = -1


def faces(count: int) -> NDArray[np.uint8]:
    return np.stack([blob_face(i % 9, 15 * (i % 7) - 45, i) for i in range(count)])


@pytest.fixture
def describer() -> HashEditor:
    return HashEditor(batch=10)


def brute_force(queries: NDArray[Any], stored: NDArray[Any], own: NDArray[np.int64], k: int) -> list[list[int]]:
    out = []
    for query, self_row in zip(queries.astype(np.float64), own, strict=True):
        ranked = sorted(
            (float(((row.astype(np.float64) - query) ** 2).sum()), number)
            for number, row in enumerate(stored)
            if number != self_row
        )
        out.append([number for _, number in ranked[:k]])
    return out


def test_rows_of_a_gallery_are_those_of_a_plain_loop_and_of_its_own_exclusion(
    describer: HashEditor, tmp_path: Path
) -> None:
    pictures, own = faces(24), np.array([0, 5, NOBODY, 23])
    noise = 0.01 * np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    asked = describer.describe(pictures[own]).descriptors + noise
    with gallery_of(describer, pictures) as gallery:
        stored = gallery.descriptors([face.id for face in gallery.faces()])
        assert decided_values(gallery).tolist() == describer.describe(pictures).best.tolist()
        for k in (1, 7, 23):
            found = nearest_rows(gallery, asked, own, k)
            assert found.tolist() == brute_force(asked, stored, own, k)
        ids = {int(face.path): face.id for face in gallery.faces()}
        alone = gallery.search(asked[1], 7, exclude=[ids[5]])
        assert nearest_rows(gallery, asked, own, 7)[1].tolist() == [int(match.face.path) for match in alone]
        folder = gallery.folder
    assert not folder.exists()  # it was a temporary one


def test_pixels_are_compared_as_a_plain_loop_does() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 60, 60, 3), dtype=np.uint8)
    pictures[7] = pictures[3]  # equals come by row
    shown, own = pictures[[3, 7, 0]].copy(), np.array([NOBODY, 7, 0])
    shown[2, :30] = pictures[11, :30]
    flat, asked = pictures.reshape(20, -1), shown.reshape(3, -1)
    for k in (1, 2, 19):
        found = nearest_vectors(flat, asked, own, k)
        assert found.tolist() == brute_force(asked, flat, own, k)
    assert nearest_vectors(flat, asked, own, 1).tolist() == [[3], [3], [11]]


def test_a_query_s_own_row_never_counts_and_the_next_comes_up() -> None:
    rows = np.array([[4, 2, 9], [1, 4, 2], [7, 8, 4]])
    assert without_own(rows, np.array([4, 4, 4]), 2).tolist() == [[2, 9], [1, 2], [7, 8]]
    assert without_own(rows, np.array([NOBODY, 4, NOBODY]), 3).tolist() == [[4, 2], [1, 2], [7, 8]]
    assert without_own(rows, np.full(3, NOBODY), 3).tolist() == rows.tolist()
    assert without_own(np.array([[0]]), np.array([0]), 5).shape == (1, 0)  # the only one


def test_an_interrupted_description_goes_on(describer: HashEditor, tmp_path: Path) -> None:
    pictures, folder = faces(34), tmp_path / "gallery"

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), gallery_of(describer, pictures, folder, stop):
        raise AssertionError("not to be reached")
    done: list[int] = []
    with gallery_of(describer, pictures, folder, lambda now, total: done.append(now)) as gallery:
        resumed = gallery.descriptors([face.id for face in gallery.faces()])
    assert done == [30, 34]  # twenty were kept
    np.testing.assert_array_equal(resumed, describer.describe(pictures).descriptors.astype(np.float16))
    with gallery_of(describer, pictures, folder, lambda now, total: done.append(now)):
        assert done == [30, 34]


def test_what_is_of_other_pictures_or_another_model_or_no_gallery_is_thrown_away(
    describer: HashEditor, tmp_path: Path
) -> None:
    pictures, folder = faces(12), tmp_path / "gallery"
    with gallery_of(describer, pictures, folder) as gallery:
        first = gallery.descriptors([face.id for face in gallery.faces()])
    done: list[int] = []
    other = pictures.copy()
    other[11] = 255 - other[11]
    with gallery_of(describer, other, folder, lambda now, total: done.append(now)) as gallery:
        assert done == [10, 12] and len(gallery) == 12
    with gallery_of(describer, other[:4], folder) as gallery:  # fewer of the same: no others may be found
        assert len(gallery) == 4
    another = HashEditor("another", batch=10)
    with gallery_of(another, pictures, folder) as gallery:
        assert gallery.config.model_digest == another.digest
        assert not np.array_equal(gallery.descriptors([face.id for face in gallery.faces()]), first)
    (folder / "gallery.db").write_bytes(b"nothing of the kind" * 100)
    with gallery_of(describer, pictures, folder) as gallery:
        np.testing.assert_array_equal(gallery.descriptors([face.id for face in gallery.faces()]), first)
    with Gallery.open(folder) as gallery:
        assert len(gallery) == 12
