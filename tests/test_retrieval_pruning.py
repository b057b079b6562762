"""Images whose files have gone: what is removed without a word, what is asked first, and what of them comes back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UsageError
from index.care.restore import restore
from index.gallery import Gallery, Labels
from index.labels import FOLDER, HAND
from retrieval.errors import NoImagesError, PruneError
from retrieval.face_search import FaceSearch
from retrieval.pruning import Gone
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, ReadsHere


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten pictures of two people, one of whom lies on a drive of her own; others of a third."""
    root = tmp_path / "g"
    for name, count in {"anna": 4, "nas/bob": 2, "nas/bob/old": 1, "carl": 5}.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            Image.fromarray(blob_face(sum(name.encode()) + n, 0, 0)).save(root / name / f"{n}.png")
    return root


@pytest.fixture
def faces(tmp_path: Path, root: Path) -> Iterator[FaceSearch]:
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as opened:
        opened.index(root)
        yield opened


def name_of(faces: FaceSearch, path: str) -> str | None:
    return faces.gallery.known()[path].identity


# --- what is asked first ---


def unmount(root: Path) -> None:
    """What is left of a drive that is not there: the folder that it is mounted at."""
    (root / "nas").rename(root.parent / "away")
    (root / "nas").mkdir()


def with_a_note(root: Path) -> None:
    unmount(root)
    (root / "nas" / "NOT MOUNTED.txt").write_text("mount me")


def without_folder(root: Path) -> None:
    shutil.rmtree(root / "nas")


def file_instead(root: Path) -> None:
    shutil.rmtree(root / "nas")
    (root / "nas").write_text("")


def emptied(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.unlink()


def lost_root(root: Path) -> None:
    shutil.rmtree(root)


def most(root: Path) -> None:
    for path in [*root.rglob("[1-3].png"), root / "nas/bob/0.png"]:
        path.unlink()


DOUBTS: dict[Callable[[Path], None], tuple[int, str]] = {
    unmount: (3, "g/nas is empty (3 images)"),
    with_a_note: (3, "g/nas holds no picture any more (3 images)"),
    without_folder: (3, "g/nas is not there (3 images)"),
    file_instead: (3, "g/nas is not there (3 images)"),
    emptied: (12, "g holds no picture any more (12 images)"),
    lost_root: (12, "g is not there (12 images)"),
    most: (8, "it is most of the gallery"),
}


@pytest.mark.parametrize("damage", DOUBTS)
def test_whole_folders_are_not_removed_without_saying_so_and_asking(
    faces: FaceSearch, root: Path, damage: Callable[[Path], None]
) -> None:
    before = faces.gallery.known()
    damage(root)
    count, doubt = DOUBTS[damage]
    with pytest.raises(PruneError) as refused:
        faces.index(root, prune=True)
    assert f"would remove {count} of 12 images: " in str(refused.value) and f"{doubt}: is a disk" in str(refused.value)
    asked: list[int] = []

    def no(gone: Gone) -> bool:
        asked.append(len(gone.images))
        return False

    report = faces.index(root, prune=True, sure=no)
    assert (asked, report.pruned, report.vanished) == ([count], 0, count)
    assert faces.gallery.known() == before
    assert faces.index(root, prune=True, sure=True).pruned == count
    assert len(faces.gallery) == 12 - count and faces.gallery.verify().sound


@pytest.mark.parametrize("lost", [emptied, lost_root])
def test_without_prune_a_folder_without_pictures_is_refused_as_ever(
    faces: FaceSearch, root: Path, lost: Callable[[Path], None]
) -> None:
    lost(root)
    with pytest.raises(NoImagesError, match=r"does not exist|holds no image"):
        faces.index(root)
    assert len(faces.gallery) == 12


def test_a_new_gallery_needs_pictures_even_with_prune(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with FaceSearch(tmp_path / "new", describer=HashEditor(), reader=ReadsHere()) as faces:
        for place in ("empty", "nowhere"):
            with pytest.raises(NoImagesError):
                faces.index(tmp_path / place, prune=True, sure=True)
    assert not (tmp_path / "new").exists()


def test_nothing_was_described_when_somebody_has_to_say_yes_first(faces: FaceSearch, root: Path) -> None:
    unmount(root)
    Image.fromarray(blob_face(99, 0, 0)).save(root / "anna" / "9.png")
    with pytest.raises(PruneError, match="Nothing was removed or described"):
        faces.index(root, prune=True)
    assert len(faces.gallery) == 12


def test_single_pictures_go_without_a_question(faces: FaceSearch, root: Path) -> None:
    for name in ("anna/0.png", "nas/bob/1.png"):
        (root / name).unlink()
    assert faces.index(root, prune=True).pruned == 2


def test_links_that_lead_nowhere_are_asked_about(faces: FaceSearch, root: Path, tmp_path: Path) -> None:
    shutil.move(root / "anna" / "0.png", tmp_path / "0.png")
    (root / "anna" / "0.png").symlink_to(tmp_path / "0.png")
    assert faces.index(root).unchanged == 12
    (tmp_path / "0.png").unlink()
    with pytest.raises(PruneError, match=r"anna/0\.png is a link that leads nowhere"):
        faces.index(root, prune=True)


def test_a_folder_that_was_read_in_part_is_asked_about(
    faces: FaceSearch, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a disk fails in the middle of a listing."""
    (root / "anna" / "0.png").unlink()
    scan = os.scandir

    class Failing:
        def __init__(self, place: str) -> None:
            self._entries = list(scan(place))

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            yield self._entries[0]
            raise OSError(5, "Input/output error")

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda place: Failing(place) if str(place).endswith("anna") else scan(place))
    with pytest.raises(PruneError, match="anna cannot be read"):
        faces.index(root, prune=True)
    assert len(faces.gallery) == 12


# --- what would go ---


def test_what_would_go_is_said_and_nothing_changes(faces: FaceSearch, root: Path) -> None:
    (root / "anna" / "0.png").rename(root / "carl" / "from_anna.png")
    (root / "anna" / "1.png").unlink()
    before = faces.gallery.known(), faces.gallery.generation
    gone = faces.would_prune(root)
    assert ([face.path for face in gone.images], gone.of, gone.doubts) == (["anna/1.png"], 12, ())
    unmount(root)
    gone = faces.would_prune(root)
    assert len(gone.images) == 4 and gone.doubts == (f"{root}/nas is empty (3 images)",)
    assert (faces.gallery.known(), faces.gallery.generation) == before
    assert faces.index(root, prune=True, sure=True).pruned == 4


# --- what comes back ---


def test_labels_given_by_hand_come_back_with_their_content(faces: FaceSearch, root: Path) -> None:
    assert faces.label(where="identity = 'bob'", identity="Bob Meier", pose=30) == 2
    unmount(root)
    assert faces.index(root, prune=True, sure=True).pruned == 3
    assert faces.gallery.count_kept() == 2 and faces.gallery.verify().sound
    (root / "nas").rmdir()
    (root.parent / "away").rename(root / "elsewhere")
    report = faces.index(root)
    assert (report.described, report.returned, faces.gallery.count_kept()) == (3, 2, 0)
    back = faces.gallery.known()["elsewhere/bob/0.png"].labels
    assert (back.identity, back.pose, back.origin("identity"), back.origin("pose")) == ("Bob Meier", 30, HAND, HAND)
    assert faces.gallery.known()["elsewhere/bob/old/0.png"].labels == Labels.given(FOLDER, identity="old")


def test_copies_with_labels_of_their_own_get_each_its_own_back(faces: FaceSearch, root: Path) -> None:
    shutil.copy(root / "anna/0.png", root / "anna/9.png")
    faces.index(root)
    faces.label("anna/0.png", identity="first"), faces.label("anna/9.png", identity="second")
    for n in (0, 9):
        (root / f"anna/{n}.png").rename(root.parent / f"{n}.png")
    assert faces.index(root, prune=True).pruned == 2
    shutil.copy(root.parent / "9.png", root / "anna/9.png")
    shutil.copy(root.parent / "9.png", root / "carl/moved.png")
    shutil.copy(root.parent / "9.png", root / "carl/third.png")
    assert faces.index(root).returned == 2
    found = [name_of(faces, path) for path in ("anna/9.png", "carl/moved.png", "carl/third.png")]
    assert found == ["second", "first", "carl"]


def test_what_a_manifest_says_goes_before_what_was_kept(faces: FaceSearch, root: Path) -> None:
    faces.label("anna/0.png", identity="by hand", pose=15)
    content = (root / "anna/0.png").read_bytes()
    (root / "anna/0.png").unlink()
    faces.index(root, prune=True)
    (root / "anna/0.png").write_bytes(content)
    (root / "people.csv").write_text("path,identity\nanna/0.png,by table\n")
    faces.index(root, labels=root / "people.csv")
    assert (name_of(faces, "anna/0.png"), faces.gallery.known()["anna/0.png"].pose) == ("by table", None)
    assert faces.gallery.count_kept() == 0


def test_what_was_corrected_since_is_what_counts(faces: FaceSearch, root: Path) -> None:
    content = (root / "anna/0.png").read_bytes()
    for name in ("once", "twice"):
        faces.label("anna/0.png", identity=name)
        (root / "anna/0.png").unlink()
        faces.index(root, prune=True)
        (root / "anna/0.png").write_bytes(content)
        faces.index(root)
        assert name_of(faces, "anna/0.png") == name
    shutil.copy(root / "anna/0.png", root / "carl/copy.png")
    faces.index(root)
    assert name_of(faces, "carl/copy.png") == "carl"  # what came back is kept no more


def test_a_picture_that_others_were_copied_over_gets_its_labels_back(faces: FaceSearch, root: Path) -> None:
    faces.label("anna/0.png", identity="by hand")
    shutil.copy(root / "anna/0.png", root.parent / "aside.png")
    (root / "anna/1.png").replace(root / "anna/0.png")
    faces.index(root)
    shutil.copy(root.parent / "aside.png", root / "carl/back.png")
    faces.index(root)
    assert name_of(faces, "carl/back.png") == "by hand"


def test_remove_erases_what_is_kept_of_the_same_content_and_of_all_where_asked(faces: FaceSearch, root: Path) -> None:
    shutil.copy(root / "anna/0.png", root / "carl/copy.png")
    faces.index(root)
    for n in (0, 1):
        faces.label(f"anna/{n}.png", identity=f"Anna {n}")
        (root / f"anna/{n}.png").unlink()
    faces.index(root, prune=True)
    assert faces.gallery.count_kept() == 2 and faces.info().kept == 2
    faces.remove("carl/copy.png")
    assert faces.gallery.count_kept() == 1
    assert faces.forget_kept() == 1 and faces.gallery.count_kept() == 0
    faces.close()
    names = b"Anna 0", b"Anna 1"
    assert not any(name in path.read_bytes() for path in (faces.folder).iterdir() if path.is_file() for name in names)


def test_what_is_kept_is_exported_and_imported(faces: FaceSearch, root: Path, tmp_path: Path) -> None:
    faces.label("anna/0.png", identity="Änna", expression="smile")
    content = faces.gallery.known()["anna/0.png"].photo.sha256
    (root / "anna/0.png").unlink()
    faces.index(root, prune=True)
    faces.gallery.export(tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "again", None)
    with Gallery.open(tmp_path / "again") as again:
        [kept] = again.kept([content])
        assert (kept.path, kept.labels) == ("anna/0.png", Labels.given(HAND, identity="Änna", expression="smile"))
        assert again.verify().sound


@pytest.mark.parametrize("column", ["identity", "sha256", "path", "id"])
def test_damage_to_what_is_kept_is_found_and_mended(faces: FaceSearch, root: Path, column: str) -> None:
    for n in (0, 1):
        faces.label(f"anna/{n}.png", identity="Anna")
        (root / f"anna/{n}.png").unlink()
    faces.index(root, prune=True)
    faces.close()
    database = sqlite3.connect(faces.folder / "gallery.db")
    value = {"identity": "Bnna", "sha256": bytes(32), "path": "anna/7.png", "id": 9}[column]
    database.execute(f"UPDATE kept SET {column} = ? WHERE id = 1", (value,))
    database.commit()
    database.close()
    with Gallery.open(faces.folder, damaged=True) as gallery:
        assert "the row of kept" in gallery.verify().findings[0]
        gallery.repair()
        assert gallery.verify().sound
        assert gallery.count_kept() in (1, 2)
        contents = [kept.labels.identity for kept in gallery.kept([str(np.zeros(1))[:0].ljust(64, "0")])]
        assert contents == []  # what nobody can prove is not believed


@pytest.mark.parametrize("exclude", ["", ("a", "")])
def test_globs_are_checked_before_anything_else(faces: FaceSearch, root: Path, exclude: str | tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="exclude"):
        faces.index(root, exclude=exclude if isinstance(exclude, tuple) else [exclude])


# --- what is said of a part ---


def test_what_went_elsewhere_is_no_folder_that_went(faces: FaceSearch, root: Path) -> None:
    """A picture of anna's goes, whose others are there, while only carl's folder is looked through."""
    (root / "anna" / "0.png").unlink()
    assert faces.would_prune(root / "carl").doubts == ()
    assert faces.index(root / "carl", prune=True).pruned == 1


def test_of_a_part_only_the_folders_are_told_that_hold_no_picture(faces: FaceSearch, root: Path) -> None:
    (root / "anna" / "0.png").unlink()
    unmount(root)
    gone = faces.would_prune(root / "carl")
    assert (len(gone.images), gone.doubts) == (4, (f"{root / 'nas'} is empty (3 images)",))


def test_pictures_without_a_suffix_or_behind_links_are_enough_for_a_folder(
    faces: FaceSearch, root: Path, tmp_path: Path
) -> None:
    for n in range(4):
        (root / "anna" / f"{n}.png").rename(root / "anna" / "a picture")
    assert faces.would_prune(root / "carl").doubts == ()
    (root / "anna" / "a picture").write_text("a text")
    shutil.copytree(root / "carl", tmp_path / "elsewhere")
    (root / "anna" / "link").symlink_to(tmp_path / "elsewhere")
    assert faces.would_prune(root / "carl").doubts == (f"{root / 'anna'} holds no picture any more (4 images)",)
    assert faces.would_prune(root / "carl", follow_links=True).doubts == ()
