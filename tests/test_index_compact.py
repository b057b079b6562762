"""Compaction gives space back, changes no answer, and survives being cut off anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import GalleryStorageError
from index.gallery import Face, Gallery, GalleryConfig
from tests.damage import full_disk
from tests.databases import At, Crash, CrashAt, stepped
from tests.faces import new_face, numbered

SIZE = 16
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())


def vectors(*numbers: int) -> NDArray[np.float32]:
    return numbered(SIZE, *numbers)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Ten images, of which the fourth, the sixth and the last have been removed."""
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        ids = made.add(
            [new_face(f"{n}.jpg", CONFIG.values[n % 3], (1.0, 2.0, 3.0)) for n in range(10)], vectors(*range(10))
        )
        made.remove([ids[3], ids[5], ids[9]])
        yield made


LEFT = (0, 1, 2, 4, 6, 7, 8)


def content(gallery: Gallery) -> tuple[list[Face], bytes]:
    faces = list(gallery.faces())
    return faces, gallery.descriptors([face.id for face in faces]).tobytes()


def files(gallery: Gallery) -> list[Path]:
    return sorted(gallery.folder.glob("descriptors*"))


def test_space_is_given_back_and_nothing_else_changes(gallery: Gallery) -> None:
    before, found = content(gallery), gallery.search(vectors(6)[0], 7)
    sizes = gallery.compact()
    [file] = files(gallery)
    assert file.stat().st_size == len(LEFT) * SIZE * 2
    assert sizes.before - sizes.after >= 3 * SIZE * 2
    assert content(gallery) == before
    assert gallery.search(vectors(6)[0], 7) == found
    assert gallery.verify().sound
    [new] = gallery.add([new_face("new.jpg", 0, (None,) * 3)], vectors(77))
    assert new == 11  # as if nothing had been removed: an id is never given twice
    with Gallery.open(gallery.folder) as again:
        assert again.search(vectors(77)[0], 1)[0].face.path == "new.jpg"
        assert again.verify().checked == 8


def test_a_gallery_without_gaps_keeps_its_file(gallery: Gallery) -> None:
    gallery.compact()
    [file] = files(gallery)
    gallery.compact()
    assert files(gallery) == [file]


def test_what_a_crash_left_behind_the_last_record_is_given_back(gallery: Gallery) -> None:
    gallery.compact()
    [file] = files(gallery)
    with file.open("ab") as stream:
        stream.write(b"x" * 100)
    gallery.compact()
    [file] = files(gallery)
    assert file.stat().st_size == len(LEFT) * SIZE * 2


def test_an_empty_gallery_can_be_compacted(gallery: Gallery) -> None:
    gallery.remove([face.id for face in gallery.faces()])
    gallery.compact()
    assert sum(file.stat().st_size for file in files(gallery)) == 0
    [id_] = gallery.add([new_face("new.jpg", 0, (None,) * 3)], vectors(77))
    np.testing.assert_array_equal(gallery.descriptors([id_]), vectors(77).astype(np.float16))


@pytest.mark.slow
def test_cut_off_anywhere_the_gallery_is_as_before(gallery: Gallery, tmp_path: Path) -> None:
    before, left = content(gallery), set()
    gallery.close()
    for moment in count():
        shutil.copytree(gallery.folder, folder := tmp_path / str(moment))
        with suppress(Crash), stepped(folder) as (dying, database):
            database.step = end = CrashAt(moment)
            dying.compact()
        with Gallery.open(folder) as again:
            left.add(tuple(file.name for file in files(again)))
            assert content(again) == before
            with again.writing():
                assert len(files(again)) == 1
            assert content(again) == before and again.verify().sound
        if not end.done:
            break
    assert left == {("descriptors-1.f16",), ("descriptors-1.f16", "descriptors-2.f16"), ("descriptors-2.f16",)}


def test_a_full_disk_is_found_out_before_anything_is_written(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10, used=10, free=0))
    with pytest.raises(GalleryStorageError, match=r"needs 0\.0 GB on its disk for a moment"):
        gallery.compact()
    assert gallery.verify().sound and len(files(gallery)) == 1


def test_a_disk_that_fills_up_meanwhile_changes_nothing(gallery: Gallery) -> None:
    before = content(gallery)
    with gallery.writing(), full_disk():
        with pytest.raises(GalleryStorageError, match=r"cannot be written anew \(File too large\)"):
            gallery.compact()
    assert len(files(gallery)) == 1
    assert content(gallery) == before and gallery.verify().sound


@pytest.mark.slow
def test_descriptors_are_right_at_whatever_moment_the_gallery_is_compacted(gallery: Gallery, tmp_path: Path) -> None:
    """Also between the slots and their file, which is gone then."""
    ids, later = [face.id for face in gallery.faces()], list[int]()
    expected = gallery.descriptors(ids)
    gallery.close()
    for moment in count():
        shutil.copytree(gallery.folder, folder := tmp_path / str(moment))
        with Gallery.open(folder) as other, stepped(folder, closely=True) as (reader, database):
            database.step = at = At(moment, other.compact)
            np.testing.assert_array_equal(reader.descriptors(ids), expected)
            database.step = At(0, lambda: None)
            assert [match.face.path for match in reader.search(vectors(6)[0], 1)] == ["6.jpg"]
        if not at.done:
            break
        later.append(at.later)
    assert len(later) > 6 and max(later) > len(later)  # it was read again


def test_the_new_file_holds_what_is_left_in_the_order_that_it_had(gallery: Gallery) -> None:
    gallery.compact()
    [file] = files(gallery)
    assert file.name == "descriptors-2.f16"
    np.testing.assert_array_equal(np.fromfile(file, "<f2").reshape(-1, SIZE), vectors(*LEFT).astype(np.float16))
    np.testing.assert_array_equal(gallery.descriptors([7, 1]), vectors(6, 0).astype(np.float16))
