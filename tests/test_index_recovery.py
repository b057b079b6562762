"""Crashes, damage, other processes: what is on disk is either sound or refused by name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import (
    GalleryBusyError,
    GalleryCorruptError,
    GalleryLockedError,
    GalleryStorageError,
    UnknownImageError,
)
from index.gallery import Face, FileStamp, Gallery, GalleryConfig
from tests.damage import full_disk
from tests.databases import At, Crash, CrashAt, stepped
from tests.faces import new_face, numbered

SIZE = 16
READS_OF_A_SEARCH = 6  # that builds the index and saves it
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        yield made


def rows(*numbers: int) -> list[Face]:
    return [new_face(f"{number}.jpg", CONFIG.values[number % 3], (1.0, 2.0, 3.0)) for number in numbers]


def vectors(*numbers: int) -> NDArray[np.float32]:
    return numbered(SIZE, *numbers)


def nearest_path(gallery: Gallery, number: int) -> str:
    return gallery.search(vectors(number)[0], 1)[0].face.path


def saved_indexes(gallery: Gallery) -> list[Path]:
    return sorted(gallery.folder.glob("exact-*"))


def test_orphan_tail_of_a_crash_is_never_seen_and_is_overwritten(gallery: Gallery) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    with stepped(gallery.folder) as (dying, database), pytest.raises(Crash):
        database.step = CrashAt(0, "commit")
        dying.add(rows(2, 3, 4), vectors(2, 3, 4))
    file = gallery.folder / "descriptors-1.f16"
    assert file.stat().st_size == 5 * SIZE * 2
    with Gallery.open(gallery.folder) as again:
        assert len(again) == 2
        assert nearest_path(again, 3) in {"0.jpg", "1.jpg"}
        ids = again.add(rows(5), vectors(5))
        np.testing.assert_array_equal(again.descriptors(ids), vectors(5).astype(np.float16))
        assert nearest_path(again, 5) == "5.jpg"
    records = np.fromfile(file, np.float16).reshape(-1, SIZE)
    np.testing.assert_array_equal(records[:3], vectors(0, 1, 5).astype(np.float16))


def test_removal_zeroes_the_descriptor_and_deletes_the_index_that_held_it(gallery: Gallery) -> None:
    ids = gallery.add(rows(0, 1, 2), vectors(0, 1, 2))
    gallery.search(vectors(0)[0], 1)
    assert len(saved_indexes(gallery)) == 1
    gallery.remove(ids[1:2])
    assert saved_indexes(gallery) == []
    records = np.fromfile(gallery.folder / "descriptors-1.f16", np.float16).reshape(3, SIZE)
    assert not records[1].any()
    np.testing.assert_array_equal(records[[0, 2]], vectors(0, 2).astype(np.float16))


def test_erasure_cut_off_by_a_crash_is_finished_by_the_next_writer(gallery: Gallery) -> None:
    ids = gallery.add(rows(0, 1), vectors(0, 1))
    with stepped(gallery.folder) as (dying, database), pytest.raises(Crash):
        database.step = CrashAt(0, "have written")
        dying.remove(ids[:1])
    assert np.fromfile(gallery.folder / "descriptors-1.f16", np.float16).reshape(2, SIZE)[0].any()
    with Gallery.open(gallery.folder) as again:
        assert len(again) == 1
        with again.writing():
            pass
    records = np.fromfile(gallery.folder / "descriptors-1.f16", np.float16).reshape(2, SIZE)
    assert not records[0].any()
    np.testing.assert_array_equal(records[1:], vectors(1).astype(np.float16))


def test_replacing_the_last_image_does_not_erase_its_successor(gallery: Gallery) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    ids = gallery.add(rows(1), vectors(7), replace=True)
    np.testing.assert_array_equal(gallery.descriptors(ids), vectors(7).astype(np.float16))


def test_crash_while_replacing_keeps_the_old_image(gallery: Gallery) -> None:
    ids = gallery.add(rows(0, 1), vectors(0, 1))
    with stepped(gallery.folder) as (dying, database), pytest.raises(Crash):
        database.step = CrashAt(0, "commit")
        dying.add(rows(1), vectors(7), replace=True)
    np.testing.assert_array_equal(gallery.descriptors(ids), vectors(0, 1).astype(np.float16))


def test_saved_index_is_used_again_and_old_ones_are_deleted(gallery: Gallery) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    nearest_path(gallery, 0)
    [first] = saved_indexes(gallery)
    (gallery.folder / "exact-1-0123abcd.faiss.123.tmp").write_bytes(b"cut off")
    gallery.add(rows(2), vectors(2))
    assert nearest_path(gallery, 2) == "2.jpg"
    [second] = saved_indexes(gallery)
    assert second != first
    saved = FileStamp.of(second.stat())
    with Gallery.open(gallery.folder) as again:
        assert nearest_path(again, 2) == "2.jpg"
    assert FileStamp.of(second.stat()) == saved  # one that is built anew is also saved anew


@pytest.mark.parametrize("damage", ["deleted", "cut", "garbage", "empty", "of other ids"])
def test_damaged_index_is_rebuilt(gallery: Gallery, tmp_path: Path, damage: str) -> None:
    gallery.add(rows(0, 1, 2), vectors(0, 1, 2))
    expected = gallery.search(vectors(1)[0], 3)
    [path] = saved_indexes(gallery)
    sound = path.read_bytes()
    with Gallery.create(tmp_path / "other", CONFIG) as other:
        other.add(rows(4, 5), vectors(4, 5))
        other.search(vectors(4)[0], 1)
        strange = saved_indexes(other)[0].read_bytes()
    path.unlink()
    contents = {"cut": sound[:-9], "garbage": b"x" * 999, "empty": b"", "of other ids": strange}
    if damage in contents:
        path.write_bytes(contents[damage])
    with Gallery.open(gallery.folder) as again:
        assert again.search(vectors(1)[0], 3) == expected
    assert path.read_bytes() == sound


def test_index_of_a_later_generation_is_not_taken_for_a_restored_database(gallery: Gallery) -> None:
    folder = gallery.folder
    gallery.close()
    copy = (folder / "gallery.db").read_bytes()
    with Gallery.open(folder) as later:
        later.add(rows(0, 1), vectors(0, 1))
        later.search(vectors(0)[0], 1)
    (folder / "gallery.db").write_bytes(copy)
    with Gallery.open(folder) as restored:
        restored.add(rows(8, 9), vectors(8, 9))
        assert restored.generation == 1
        match = restored.search(vectors(8)[0], 1)[0]
        assert (match.face.path, match.distance < 0.01) == ("8.jpg", True)


def test_folder_of_a_deleted_database_can_be_used_again(gallery: Gallery) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    nearest_path(gallery, 0)
    gallery.close()
    (gallery.folder / "gallery.db").unlink()
    with Gallery.create(gallery.folder, CONFIG) as fresh:
        assert saved_indexes(fresh) == []
        fresh.add(rows(3), vectors(3))
        assert nearest_path(fresh, 0) == "3.jpg"


def test_index_that_cannot_be_saved_still_answers(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    with full_disk():
        assert nearest_path(gallery, 1) == "1.jpg"
    assert "is not saved" in caplog.text and "File too large" in caplog.text
    assert saved_indexes(gallery) == []


def test_failed_creation_leaves_room_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "gallery.db.new").write_bytes(b"half of one")
    Gallery.create(folder, CONFIG).close()
    assert {path.name for path in folder.iterdir()} == {
        "checked.json",
        "gallery.db",
        "gallery.lock",
        "gallery.lock.holder",
    }


def test_database_that_is_none_is_corrupt(gallery: Gallery) -> None:
    gallery.close()
    path = gallery.folder / "gallery.db"
    path.write_bytes(b"not a database at all, but long enough" * 200)
    with pytest.raises(GalleryCorruptError, match="not a database"):
        Gallery.open(gallery.folder)
    path.write_bytes(b"")
    with pytest.raises(GalleryCorruptError, match="no such table"):
        Gallery.open(gallery.folder)


def test_missing_descriptors_are_corrupt(gallery: Gallery) -> None:
    gallery.add(rows(0), vectors(0))
    (gallery.folder / "descriptors-1.f16").unlink()
    with Gallery.open(gallery.folder) as again:
        assert len(list(again.faces())) == 1
        with pytest.raises(GalleryCorruptError, match=r"descriptors-1\.f16 has 0 bytes.*facesearch gallery repair"):
            again.search(vectors(0)[0], 1)


def test_a_file_that_was_cut_off_costs_what_was_cut_off(gallery: Gallery) -> None:
    gallery.add(rows(0, 1, 2, 3), vectors(0, 1, 2, 3))
    os.truncate(gallery.folder / "descriptors-1.f16", 4 * SIZE * 2 - 5)
    with Gallery.open(gallery.folder) as again:
        assert again.verify().damaged == ["3.jpg"]
        assert again.repair().waiting == ["3.jpg"]
        assert again.verify().sound and len(again) == 4 and again.undescribed() == {4}
        assert nearest_path(again, 2) == "2.jpg"


def test_a_gallery_that_cannot_be_written_to_can_be_read(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.add(rows(0, 1, 2), vectors(0, 1, 2))
    gallery.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = {path.name for path in gallery.folder.iterdir()}
    with Gallery.open(gallery.folder) as again:
        assert nearest_path(again, 1) == "1.jpg" and len(again) == 3 and again.verify().sound
        assert {path.name for path in gallery.folder.iterdir()} == before
        with pytest.raises(GalleryStorageError, match="readonly"):
            again.add(rows(3), vectors(3))
    (gallery.folder / "gallery.db-wal").write_bytes(b"not folded in")
    with pytest.raises(GalleryStorageError, match=r"cannot be written to and holds gallery\.db-wal: somebody"):
        Gallery.open(gallery.folder)


def test_a_lock_that_cannot_be_written_is_told(gallery: Gallery) -> None:
    (gallery.folder / "gallery.lock").unlink()
    (gallery.folder / "gallery.lock").mkdir()
    with pytest.raises(GalleryStorageError, match=r"gallery\.lock cannot be written \(Is a directory\): give"):
        gallery.add(rows(0), vectors(0))


def test_own_copies_in_the_gallery_s_folder_stay(gallery: Gallery) -> None:
    ids = gallery.add(rows(0, 1), vectors(0, 1))
    own = [gallery.folder / name for name in ("descriptors-backup.f16", "descriptors (copy).f16", "gallery.db.vorher")]
    for path in own:
        path.write_bytes(b"mine")
    gallery.remove(ids[:1])
    gallery.compact()
    assert all(path.read_bytes() == b"mine" for path in own)


def test_second_writer_is_refused_by_pid_until_the_first_one_dies(gallery: Gallery) -> None:
    code = (
        "import sys; from pathlib import Path; from index.gallery import Gallery\n"
        "with Gallery.open(Path(sys.argv[1])) as gallery, gallery.writing():\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
    )
    ids = gallery.add(rows(0), vectors(0))
    with subprocess.Popen(
        [sys.executable, "-c", code, str(gallery.folder)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        with pytest.raises(GalleryLockedError, match=f"process {other.pid};"):
            gallery.remove(ids)
        assert nearest_path(gallery, 0) == "0.jpg"  # readers need no lock
        other.kill()
    assert gallery.remove(ids) == 1


def test_second_gallery_object_may_write_once_the_first_is_done(gallery: Gallery) -> None:
    with Gallery.open(gallery.folder) as second:
        with gallery.writing():
            gallery.add(rows(0), vectors(0))
            with pytest.raises(GalleryLockedError, match=f"process {os.getpid()};"):
                second.add(rows(1), vectors(1))
        second.add(rows(1), vectors(1))
        assert nearest_path(gallery, 1) == nearest_path(second, 1) == "1.jpg"


@pytest.mark.parametrize("moment", range(READS_OF_A_SEARCH))
def test_a_removal_at_any_moment_of_a_search_is_seen_or_has_not_been_yet(gallery: Gallery, moment: int) -> None:
    """Also while the index is built and saved, and between the slots and their bytes, which are zeros then."""
    ids = gallery.add(rows(*range(40)), vectors(*range(40)))
    before = gallery.search(np.zeros(SIZE), 40)
    after = [match for match in before if match.face.id not in ids[3:6]]
    for path in saved_indexes(gallery):
        path.unlink()
    with stepped(gallery.folder) as (reader, database):
        database.step = at = At(moment, lambda: gallery.remove(ids[3:6]), "have read")
        found = reader.search(np.zeros(SIZE), 40)
        assert at.done and found == (after if at.later else before)
        assert reader.search(np.zeros(SIZE), 40) == after
    # what was removed lies in no index
    assert all(path.name.startswith(f"exact-{gallery.generation}-") for path in saved_indexes(gallery))


def test_a_search_that_removals_overtake_again_and_again_gives_up(gallery: Gallery) -> None:
    ids = gallery.add(rows(*range(80)), vectors(*range(80)))
    with stepped(gallery.folder) as (reader, database):

        def remove_one(moment: str) -> None:
            gallery.remove([ids.pop()])

        before, database.step = database.step, remove_one
        with pytest.raises(GalleryBusyError, match="5 times"):
            reader.search(np.zeros(SIZE), 80)
        database.step = before
        assert {match.face.id for match in reader.search(np.zeros(SIZE), 80)} == set(ids)


def test_an_index_in_memory_goes_on_to_hold_when_few_images_are_removed(gallery: Gallery) -> None:
    ids = gallery.add(rows(*range(40)), vectors(*range(40)))
    assert nearest_path(gallery, 7) == "7.jpg"
    gallery.remove(ids[7:9])
    found = [match.face.path for match in gallery.search(vectors(7)[0], 40)]
    assert len(found) == 38 and not {"7.jpg", "8.jpg"} & set(found)
    assert saved_indexes(gallery) == []  # none was built, which would lie here
    with Gallery.open(gallery.folder) as fresh:
        assert [match.face.path for match in fresh.search(vectors(7)[0], 40)] == found


@pytest.mark.parametrize("moment", range(2))
def test_a_descriptor_zeroed_during_its_read_is_never_returned(gallery: Gallery, moment: int) -> None:
    ids = gallery.add(rows(0, 1), vectors(0, 1))
    with stepped(gallery.folder) as (reader, database):
        database.step = at = At(moment, lambda: gallery.remove(ids[:1]), "have read")
        with pytest.raises(UnknownImageError, match=f"no image {ids[0]}"):
            reader.descriptors(ids)
        assert at.done


def test_searches_go_on_while_another_thread_adds_and_removes(gallery: Gallery) -> None:
    gallery.add(rows(0, 1), vectors(0, 1))
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(10, 22, 2):
                ids = gallery.add(rows(number, number + 1), vectors(number, number + 1))
                gallery.remove(ids[:1])
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=write)
    thread.start()
    try:
        while thread.is_alive():
            try:
                assert nearest_path(gallery, 0) == "0.jpg"
            except GalleryBusyError:
                continue
    finally:
        thread.join()
    assert failures == []
    assert len(gallery) == 2 + 6
