"""Parts of a folder that several processes describe at once: together they make what one run makes."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faceedit.errors import UsageError
from index.errors import GalleryChangedError
from index.gallery import Face, Gallery
from index.writing import PATIENT, Patience
from retrieval.face_search import FaceSearch
from retrieval.run_reports import IndexReport
from retrieval.shards import Shard, read_shard
from tests.conftest import blob_face
from tests.servers import new_address
from tests.stand_ins import HashEditor, ReadsHere, believing

NewPlace = Callable[[], str]


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.cluster)])
def new_place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewPlace:
    """Where a gallery can be made, of either kind."""
    numbers = iter(range(100))
    if request.param == "folder":
        return lambda: str(tmp_path / f"db{next(numbers)}")
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    server = request.getfixturevalue("postgres")
    return lambda: new_address(server)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """60 pictures of five people: copies, one that is none, one by its content alone, a note, a small one."""
    folder = tmp_path / "photos"
    for person in range(5):
        for n in range(12):
            save(folder / f"p{person}" / f"{n}.png", 100 * person + n)
    for n in range(4):
        shutil.copy(folder / "p0" / f"{n}.png", folder / "p1" / f"copy{n}.png")
    (folder / "p2" / "bad.png").write_bytes(b"\x89PNG no picture")
    (folder / "p3" / "0.png").rename(folder / "p3" / "nameless")
    (folder / "p4" / "note").write_text("no picture")
    return folder


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blob_face(seed, 0, 0)).save(path)
    return path


def search_in(place: str, slow: float = 0.0, patience: Patience = PATIENT) -> FaceSearch:
    reader = ReadsHere(most=3, crops=None)
    if slow:
        read = believing()

        def slowly(path: Path) -> Any:
            time.sleep(slow)
            return read(path)

        reader = ReadsHere(most=3, crops=slowly)
    return FaceSearch(place, describer=HashEditor(), reader=reader, patience=patience)


def index(place: str, photos: Path, shard: str | None = None, **wishes: Any) -> IndexReport:
    with search_in(place) as faces:
        return faces.index(photos, shard=shard, **wishes)


def said(face: Face) -> tuple[Any, ...]:
    """All but ids and when it was added."""
    return face.number, face.labels, face.decision, face.photo.sha256, face.photo.stamp, face.place


def everything(place: str, ids: bool = False) -> dict[str, Any]:
    with Gallery.open(place) as gallery:
        faces = list(gallery.faces())
        looks = gallery.descriptors([face.id for face in faces])
        rows = {(face.path, face.number): (said(face), look.tobytes()) for face, look in zip(faces, looks, strict=True)}
        assert len(rows) == len(faces) == len(gallery)
        assert gallery.verify().sound
        kept = sorted((one.path, one.sha256, str(one.labels)) for one in gallery.kept([f.photo.sha256 for f in faces]))
        problems = [(one.path, one.reason, one.stamp) for one in gallery.problems()]
        return {
            "rows": rows,
            "problems": problems,
            "passed": sorted(gallery.passed()),
            "kept": kept,
            "ids": {face.path: face.id for face in faces} if ids else None,
        }


# --- which file is whose ---


def test_every_path_belongs_to_one_shard_and_shards_are_of_one_size() -> None:
    paths = [f"p{n % 17}/{n}.jpg" for n in range(20_000)]
    parts = [Shard(number, 16).among(paths) for number in range(16)]
    assert sorted(path for part in parts for path in part) == sorted(paths)
    assert all(1_100 < len(part) < 1_400 for part in parts)


def test_a_path_belongs_to_the_same_shard_on_every_machine() -> None:
    assert [[n for n in range(64) if Shard(n, 64).has(path)] for path in ("a.jpg", "p/Ärger.png", "\udcff.png")] == [
        [9],
        [4],
        [4],
    ]


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/3", "3/3", "-1/3", "1/0", "a/b", "1/3/5", "1/200000", "0x1/3", "٣/٤"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"shard"):
        read_shard(text)


# --- all together ---


def test_shards_in_any_order_some_twice_make_what_one_run_makes(new_place: NewPlace, photos: Path) -> None:
    whole, parts = new_place(), new_place()
    one = index(whole, photos)
    order = [*range(6), 2, 5]
    random.Random(3).shuffle(order)
    reports = [index(parts, photos, f"{n}/6") for n in order]
    assert everything(parts) == everything(whole)
    assert sum(report.described for report in reports) == one.described == 60
    assert sum(report.duplicates for report in reports) == one.duplicates == 4
    first = {str(n): reports[order.index(n)] for n in range(6)}
    assert sorted(path for report in first.values() for path, _ in report.skipped) == [photos / "p2" / "bad.png"]
    assert sorted(passed for report in first.values() for passed in report.passed) == sorted(one.passed)
    last = index(parts, photos)
    assert (last.described, last.unchanged, last.search is not None) == (0, 64, True)


@pytest.mark.slow
def test_shards_at_the_same_time_make_what_one_run_makes(new_place: NewPlace, photos: Path) -> None:
    whole, parts = new_place(), new_place()
    index(whole, photos)
    with ThreadPoolExecutor(8) as threads:
        wanted = [*range(6), 2, 5]
        reports = list(threads.map(lambda n: index(parts, photos, f"{n}/6"), wanted))
    assert everything(parts) == everything(whole)
    assert sum(report.described + report.duplicates for report in reports) >= 64


def test_shards_that_begin_together_in_an_empty_gallery_of_another_folder(new_place: NewPlace, photos: Path) -> None:
    """As `gallery create` makes one: the first takes the photos' folder for it, all others find that."""
    place = new_place()
    with search_in(place) as faces:
        (photos.parent / "elsewhere").mkdir()
        faces.create(photos.parent / "elsewhere", vectors="faiss")
    with ThreadPoolExecutor(6) as threads:
        reports = list(threads.map(lambda n: index(place, photos, f"{n}/6"), range(6)))
    assert sum(report.described + report.duplicates for report in reports) == 64
    with Gallery.open(place) as gallery:
        assert len(gallery) == 64 and gallery.config.image_root == photos


def test_labels_of_a_table_and_a_level_reach_every_shard(new_place: NewPlace, photos: Path, tmp_path: Path) -> None:
    whole, parts = new_place(), new_place()
    table = tmp_path / "labels.csv"
    table.write_text(f"path,identity,pose\n{photos}/p0/1.png,anna,15\n{photos}/p3/3.png,ben,\n")
    wishes: dict[str, Any] = {"labels": table, "identity_level": "first", "faces": "largest"}
    for place in (whole, parts):
        index(place, photos, labels=None)
    index(whole, photos, **wishes)
    for n in range(5):
        index(parts, photos, f"{n}/5", **wishes)
    assert everything(parts) == everything(whole)
    with Gallery.open(parts) as gallery:
        assert gallery.identity_level == "first" and gallery.crops.faces == "largest"


def test_a_folder_in_the_images_folder_has_the_same_shards(new_place: NewPlace, photos: Path) -> None:
    place = new_place()
    for n in range(3):
        index(place, photos, f"{n}/3")
    for n in range(3):
        report = index(place, photos / "p1", f"{n}/3")
        assert (report.described, report.vanished, report.left_out.count) == (0, 0, 0)


# --- what changes ---


def test_what_changed_is_found_by_the_shard_that_it_belongs_to(new_place: NewPlace, photos: Path) -> None:
    whole, parts = new_place(), new_place()
    for place in (whole, parts):
        index(place, photos)
        with search_in(place) as faces:
            faces.label("p0/5.png", identity="hand")
            faces.label("p4/7.png", identity="other hand")
    save(photos / "p0" / "5.png", 999)  # another one
    (photos / "p2" / "3.png").unlink()
    (photos / "p4" / "7.png").rename(photos / "p1" / "moved.png")
    os.utime(photos / "p3" / "4.png")
    (photos / "p2" / "bad.png").unlink()
    (photos / "p4" / "note").unlink()
    one = index(whole, photos)
    reports = [index(parts, photos, f"{n}/7") for n in (4, 1, 0, 6, 5, 2, 3)]
    assert everything(parts, ids=True)["ids"].keys() == everything(whole, ids=True)["ids"].keys()
    assert everything(parts) == everything(whole)
    assert (one.vanished, one.renamed, one.changed) == (1, 1, 1)
    assert sum(report.renamed for report in reports) == 1
    assert sum(report.changed for report in reports) == 1
    gone = [index(parts, photos, f"{n}/7").vanished for n in range(7)]
    assert sum(gone) == 1 and gone[next(n for n in range(7) if Shard(n, 7).has("p2/3.png"))] == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_two_files_that_swap_their_names_keep_what_a_hand_said(photos: Path, tmp_path: Path, count: int) -> None:
    place = str(tmp_path / "db")
    index(place, photos)
    with search_in(place) as faces:
        faces.label("p0/1.png", identity="one")
        faces.label("p3/1.png", identity="three")
    one, three = photos / "p0" / "1.png", photos / "p3" / "1.png"
    one.rename(photos / "x")
    three.rename(one)
    (photos / "x").rename(three)
    for path in (one, three):
        os.utime(path, ns=(1, 1 if path == one else 2))
    for n in range(count):
        index(place, photos, f"{n}/{count}")
    with Gallery.open(place) as gallery:
        found = gallery.faces_at(["p0/1.png", "p3/1.png"])
        assert {path: face.labels.identity for path, face in found.items()} == {"p0/1.png": "three", "p3/1.png": "one"}
        assert gallery.verify().sound and gallery.count_kept() == 0


def test_a_label_that_a_hand_gives_while_a_shard_runs_stays(photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "db")
    index(place, photos)
    for path in photos.rglob("*.png"):
        os.utime(path, ns=(5, 5))
    told: list[int] = []

    def label(what: str, done: int, of: int) -> None:
        if not told:
            with search_in(place) as others:
                told.append(others.label("p1/1.png", identity="meanwhile"))

    save(photos / "p1" / "new.png", 777)
    with search_in(place) as faces:
        faces.index(photos, shard="0/1", progress=label)
    with Gallery.open(place) as gallery:
        assert gallery.faces_at(["p1/1.png"])["p1/1.png"].labels.identity == "meanwhile" and told == [1]


def test_another_run_that_was_faster_costs_nothing_but_time(photos: Path, tmp_path: Path) -> None:
    """The files of a shard are described by a whole run between its look at them and its batches."""
    place = str(tmp_path / "db")
    reports: list[IndexReport] = []

    def run_over_all(what: str, done: int, of: int) -> None:
        if not reports:
            reports.append(index(place, photos))
            with search_in(place) as others:
                others.label("p0/2.png", identity="hand")

    before = index(place, photos, "0/3").described
    with search_in(place) as faces:
        report = faces.index(photos, shard="0/1", progress=run_over_all)
    assert before + reports[0].described == 60 and before > 0
    assert report.described == 0 and report.unchanged == 64
    found = everything(place)["rows"]
    assert len(found) == 64 and found["p0/2.png", 1][0][1].identity == "hand"


def test_a_gallery_that_is_redescribed_meanwhile_is_left_alone(photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "db")
    before = index(place, photos, "0/2").images

    def redescribe(what: str, done: int, of: int) -> None:
        if what == "describing images" and done == 0:
            with FaceSearch(place, describer=HashEditor("other"), reader=ReadsHere()) as others:
                others.redescribe()

    with search_in(place) as faces, pytest.raises(GalleryChangedError, match="redescribed"):
        faces.index(photos, shard="1/2", progress=redescribe)
    with Gallery.open(place) as gallery:
        assert len(gallery) == before and gallery.verify().sound


@pytest.mark.slow
def test_a_shard_that_is_killed_is_run_again(new_place: NewPlace, photos: Path) -> None:
    whole, parts = new_place(), new_place()
    index(whole, photos)
    index(parts, photos, "1/2")
    with Gallery.open(parts) as gallery:
        before = len(gallery)
    process = multiprocessing.get_context("spawn").Process(target=run_slowly, args=(parts, photos))
    process.start()
    try:
        for _ in range(400):
            time.sleep(0.05)  # to look takes three milliseconds of computing
            with Gallery.open(parts) as gallery:
                if len(gallery) > before:
                    break
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    with Gallery.open(parts) as gallery:
        assert before < len(gallery) < 64
    again = index(parts, photos, "0/2")
    assert 0 < again.described < 60 and again.unchanged > 0
    assert everything(parts) == everything(whole)


def run_slowly(place: str, photos: Path) -> None:
    with search_in(place, slow=0.05) as faces:
        faces.index(photos, shard="0/2")
