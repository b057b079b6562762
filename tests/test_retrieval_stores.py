"""Photographs in a store, by fsspec: a folder like any, and a store that does not answer is believed nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from index.errors import AddressError
from index.gallery import Gallery
from index.labels import Labels
from index.store_answers import StoreError
from index.stored import is_address, place_of
from retrieval.answers import THERE, UNREADABLE
from retrieval.errors import NoImagesError, PruneError
from retrieval.face_search import FaceSearch
from retrieval.run_reports import IndexReport
from tests.failing_store import ROOT, Failing, failing_store, png  # noqa: F401
from tests.stand_ins import HashEditor, ReadsHere


def search(place: Path) -> FaceSearch:
    return FaceSearch(place, describer=HashEditor(), reader=ReadsHere())


def index(place: Path, root: str = ROOT, **wishes: Any) -> IndexReport:
    with search(place) as faces:
        return faces.index(root, **wishes)


@pytest.mark.usefixtures("store")
def test_a_store_is_indexed_as_a_folder_is(tmp_path: Path) -> None:
    first = index(tmp_path / "db")
    assert (first.described, first.unchanged, first.skipped) == (6, 0, [])
    assert [name for name, _ in first.passed] == ["read.me"]
    again = index(tmp_path / "db")
    assert (again.described, again.unchanged) == (0, 6)
    with Gallery.open(tmp_path / "db") as gallery:
        assert str(gallery.config.image_root) == ROOT
        assert sorted(face.path for face in gallery.faces()) == [f"p{n % 3}/{n}.png" for n in (0, 3, 1, 4, 2, 5)]
        assert {face.identity for face in gallery.faces()} == {"p0", "p1", "p2"}


def test_what_changed_moved_or_went_is_found(store: Any, tmp_path: Path) -> None:
    index(tmp_path / "db")
    store.pipe_file("/bucket/photos/p0/0.png", png(7) + b"\0")  # another size
    store.mv("/bucket/photos/p1/1.png", "/bucket/photos/p1/moved.png")
    store.rm_file("/bucket/photos/p2/2.png")
    report = index(tmp_path / "db", prune=True)
    assert (report.described, report.changed, report.renamed, report.pruned) == (1, 1, 1, 1)
    with Gallery.open(tmp_path / "db") as gallery:
        assert len(gallery) == 5


def test_nothing_is_believed_of_a_store_that_does_not_answer(store: Any, tmp_path: Path) -> None:
    index(tmp_path / "db")
    Failing.down = True
    attempts: list[dict[str, Any]] = [{}, {"prune": True}, {"prune": True, "sure": True}]
    for wishes in attempts:
        with pytest.raises(NoImagesError, match=r"failing://bucket/photos: the store does not answer \(.*nobody"):
            index(tmp_path / "db", **wishes)
    with Gallery.open(tmp_path / "db") as gallery:
        assert len(gallery) == 6 and not gallery.problems()
    Failing.down = False
    assert index(tmp_path / "db").unchanged == 6


def test_a_bucket_that_is_not_there_has_lost_no_picture(store: Any, tmp_path: Path) -> None:
    index(tmp_path / "db")
    store.rm("/bucket", recursive=True)
    with pytest.raises(NoImagesError, match="there is no bucket"):
        index(tmp_path / "db", prune=True, sure=True)
    with Gallery.open(tmp_path / "db") as gallery:
        assert len(gallery) == 6


def test_an_emptied_folder_is_asked_about(store: Any, tmp_path: Path) -> None:
    index(tmp_path / "db")
    store.pipe_file("/bucket/other", b"x")
    store.rm("/bucket/photos", recursive=True)
    with pytest.raises(PruneError, match="is a disk missing"):
        index(tmp_path / "db", prune=True)
    assert index(tmp_path / "db", prune=True, sure=True).pruned == 6


@pytest.mark.usefixtures("store")
def test_a_connection_that_breaks_is_no_fault_of_the_file(tmp_path: Path) -> None:
    Failing.breaks = "3.png"
    report = index(tmp_path / "db")
    assert report.described == 5 and [str(path) for path, _ in report.skipped] == [f"{ROOT}/p0/3.png"]
    assert "tries it again" in report.skipped[0][1] and "abc" not in report.skipped[0][1]
    with Gallery.open(tmp_path / "db") as gallery:
        assert not gallery.problems()
    Failing.breaks = ""
    assert index(tmp_path / "db").described == 1


@pytest.mark.usefixtures("store")
def test_a_picture_is_found_and_shown_by_its_address(tmp_path: Path) -> None:
    index(tmp_path / "db")
    with search(tmp_path / "db") as faces:
        answer = faces.query(f"{ROOT}/p0/0.png", pose=0, k=6)
        assert all(str(result.path).startswith(f"{ROOT}/p") for result in answer.results)
        assert {result.file for result in answer.results} == {THERE}
        assert len(answer.results) == 5  # its own file is none
        face = answer.results[0].face
        assert faces.photo(face.id, 60).shape == (60, 60, 3)
        Failing.down = True
        assert {result.file for result in faces.query(png(1), pose=0).results} == {UNREADABLE}


@pytest.mark.usefixtures("store")
def test_labels_name_pictures_by_address(tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    table.write_text(f"path,identity\n{ROOT}/p0/0.png,anna\n")
    index(tmp_path / "db", labels=table)
    index(tmp_path / "other", labels={place_of(f"{ROOT}/p1/1.png"): Labels(identity="bert")})
    for place, who in (("db", "anna"), ("other", "bert")):
        with Gallery.open(tmp_path / place) as gallery:
            assert who in {face.identity for face in gallery.faces()}


@pytest.mark.usefixtures("store")
def test_a_gallery_of_a_store_that_nobody_named_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(tmp_path / "db")
    with search(tmp_path / "db") as faces:  # this machine was told of it
        assert faces.info().images == 6
    other = (tmp_path / "db").rename(tmp_path / "from a stranger")
    with Gallery.open(other) as gallery:
        gallery.set_image_root(place_of("failing://evil/photos"))
    for there in (True, False):
        monkeypatch.setenv("FACESEARCH_STORES", "failing://evil" if there else "failing://evilest failing://e")
        if there:
            Gallery.open(other).close()
            continue
        with pytest.raises(AddressError, match="failing://evil/photos, which nobody has named on this machine"):
            Gallery.open(other)


@pytest.mark.usefixtures("store")
def test_a_folder_moves_into_a_store_and_back(tmp_path: Path) -> None:
    for n in range(6):
        path = tmp_path / "photos" / f"p{n % 3}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n))
    index(tmp_path / "db", str(tmp_path / "photos"))
    with search(tmp_path / "db") as faces:
        assert faces.relocate(ROOT) == 0
        report = faces.index(ROOT)
        assert (report.described, report.unchanged) == (0, 6)
        assert faces.relocate(tmp_path / "photos") == 0
        assert faces.index(tmp_path / "photos").unchanged == 6


@pytest.mark.usefixtures("store")
def test_an_export_fetches_its_pictures(tmp_path: Path) -> None:
    index(tmp_path / "db")
    with Gallery.open(tmp_path / "db") as gallery:
        assert not gallery.export(tmp_path / "export", True).missing
    assert (tmp_path / "export" / "pictures" / "p1" / "4.png").read_bytes() == png(4)


@pytest.mark.usefixtures("store")
def test_an_address_is_a_path() -> None:
    root = place_of(ROOT)
    picture = root / "p0" / "0.png"
    assert str(picture) == f"{ROOT}/p0/0.png" and picture.relative_to(root).as_posix() == "p0/0.png"
    assert pickle.loads(pickle.dumps(picture)) == picture == place_of(str(picture)) == picture.resolve()
    assert type(picture.parent) is type(root) and root.is_absolute() and root in picture.parents
    assert root.is_dir() and picture.is_file() and not (root / "none").exists() and not picture.is_dir()
    with picture.open("rb") as file:
        assert Image.open(file).size == (60, 60)
    with pytest.raises(OSError, match="only read"):
        picture.open("wb")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://", "is no address"),
        ("s3:///key", "is no address"),
        ("file:///etc", "is no address"),
        ("simplecache::s3://bucket", "is no address"),
        ("sftp://anna:secret@host/photos", "shows a password"),
    ],
)
def test_what_is_no_address_is_refused(text: str, told: str) -> None:
    with pytest.raises(AddressError, match=told) as refused:
        place_of(text)
    assert "secret" not in str(refused.value)


def test_a_path_made_of_an_address_is_told() -> None:
    with pytest.raises(AddressError, match="give it as text"):
        place_of(Path("s3://bucket/photos"))
    assert type(place_of("photos")) is type(Path("photos")) and not is_address("/a://b") and not is_address("")


def test_an_unknown_store_says_what_is_missing() -> None:
    with pytest.raises(StoreError, match=r"need fsspec .*Protocol not known: nowhere.*pip install"):
        place_of("nowhere://host/photos").exists()
