"""What lies beside the situations that users of such programs report: folders, names, tables and distances as they are.

Kinds are numbered as in the list of what is promised (docs/galleries.md says most of it); metadata of pictures is in
test_images_metadata.py, streams and full disks are in test_cli.py.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.describes import Usual
from faceedit.errors import ManifestError, UsageError
from retrieval.answers import THERE
from retrieval.errors import PruneError
from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor, KnowsPeople, ReadsHere


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with FaceSearch(tmp_path / "db", describer=HashEditor(descriptor_size=16), reader=ReadsHere()) as opened:
        yield opened


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "PNG")
    return path


def alike(*paths: Path) -> None:
    """Give files one size and one date."""
    most = max(path.stat().st_size for path in paths)
    for path in paths:
        path.write_bytes(path.read_bytes().ljust(most, b"\0"))
        os.utime(path, ns=(0, 10**18))


def told(faces: FaceSearch) -> dict[str, str | None]:
    return {face.path: face.identity for face in faces.gallery.faces()}


# --- 1: dates, and pictures that look alike from outside ---


@pytest.mark.parametrize("date", [-1, -(10**9), -(2**63) + 10**9, 0])
def test_a_date_before_all_dates_is_one(faces: FaceSearch, photos: Path, date: int) -> None:
    path = save(photos / "anna" / "1.png", 1)
    try:
        os.utime(path, ns=(date, date))
    except OSError:
        pytest.skip("this disk keeps no such date")
    assert faces.index(photos).described == 1
    assert faces.index(photos).unchanged == 1


def test_a_link_that_leads_to_another_picture_of_the_same_size_and_date_is_seen(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    one, other = save(tmp_path / "one.png", 1), save(tmp_path / "other.png", 2)
    alike(one, other)
    link = photos / "anna" / "1.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(one)
    faces.index(photos)
    link.unlink()
    link.symlink_to(other)
    assert faces.index(photos).described == 1


def test_two_pictures_that_change_names_keep_what_a_hand_said(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    one, other = save(photos / "anna" / "1.png", 1), save(photos / "ben" / "1.png", 2)
    alike(one, other)
    faces.index(photos)
    faces.label("anna/1.png", expression="smile")
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    report = faces.index(photos)
    assert (report.described, report.renamed) == (0, 2)
    assert {face.path: (face.identity, face.expression) for face in faces.gallery.faces()} == {
        "anna/1.png": ("anna", None),
        "ben/1.png": ("ben", "smile"),
    }


# --- 2: what the system refuses today, and folders that are something else ---


def test_links_that_lead_nowhere_are_counted_and_followed_when_they_lead_somewhere(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    save(photos / "anna" / "1.png", 1)
    (photos / "anna" / "loop.png").symlink_to("loop.png")
    (photos / "anna" / "later.png").symlink_to(tmp_path / "later.png")
    first = faces.index(photos)
    assert (first.described, len([line for line in first.passed_lines() if line.endswith("broken links")])) == (1, 2)
    save(tmp_path / "later.png", 2)
    (photos / "anna" / "loop.png").unlink()
    save(photos / "anna" / "loop.png", 3)
    assert (faces.index(photos).described, faces.gallery.problems()) == (2, [])


@pytest.mark.parametrize("instead", ["a file", "an empty folder", "a folder of a person is a file"])
def test_a_prune_is_not_sure_of_a_folder_that_is_something_else(faces: FaceSearch, photos: Path, instead: str) -> None:
    for n in range(8):
        save(photos / f"p{n % 4}" / f"{n}.png", n)
    faces.index(photos)
    gone = photos / "p0" if "person" in instead else photos
    gone.rename(photos.parent / "aside")
    gone.mkdir() if "empty" in instead else gone.write_text("no folder")
    with pytest.raises(PruneError, match=r"--prune would remove (2|8) of 8 images"):
        faces.index(photos, prune=True)
    assert len(faces.gallery) == 8


# --- 3: what is a picture ---


def test_a_pipe_or_a_socket_of_a_pictures_name_is_never_waited_for(faces: FaceSearch, photos: Path) -> None:
    save(photos / "anna" / "1.PNG", 1)
    for name in ("pipe.jpg", "pipe"):
        os.mkfifo(photos / "anna" / name)
    report = faces.index(photos)
    assert report.described == 1
    assert sorted(report.passed_lines()) == ["anna/pipe.jpg: no regular files", "anna/pipe: no regular files"]


def test_names_that_shells_and_globs_read_otherwise_are_names(faces: FaceSearch, photos: Path) -> None:
    names = ["[1].png", "-rf.png", "new\nline.png", 'q"u.png', " first.png", "x*.png", "dots...png", "%s.png"]
    for seed, name in enumerate(names):
        save(photos / "a b" / name, seed)
    report = faces.index(photos, exclude=["[[]1].png"])
    assert (report.described, report.passed_lines()) == (7, ["a b/[1].png: excluded"])
    assert set(told(faces)) == {f"a b/{name}" for name in names[1:]}


# --- 5: names ---


@pytest.mark.parametrize(
    ("asked", "count"),
    [("groß", 2), (unicodedata.normalize("NFD", "한국"), 2), ("i̇bo", 2), ("anna", 1), ("ａnna", 1)],  # noqa: RUF001
)
def test_case_and_composition_are_folded_in_every_script_and_forms_are_not(
    faces: FaceSearch, photos: Path, asked: str, count: int
) -> None:
    people = ["Groß", "GROSS", unicodedata.normalize("NFD", "한국"), "한국", "İbo", "i̇bo", "Ａnna", "Anna"]  # noqa: RUF001
    for seed, name in enumerate(people):
        save(photos / name / f"{seed}.png", seed)
    faces.index(photos)
    assert len(faces.query(photos / "Anna" / "7.png", pose=15, k=9, where=f"identity = '{asked}'").results) == (
        count - (asked == "anna")  # a picture of the gallery does not find itself
    )


def test_a_level_below_which_a_picture_lies_takes_its_own_folder(faces: FaceSearch, photos: Path) -> None:
    for seed, path in enumerate(("1.png", "a/2.png", "a/b/3.png")):
        save(photos / path, seed)
    faces.index(photos, identity_level=2)
    assert told(faces) == {"1.png": None, "a/2.png": "a", "a/b/3.png": "b"}
    faces.index(photos, identity_level="first")
    assert told(faces) == {"1.png": None, "a/2.png": "a", "a/b/3.png": "a"}


# --- 6: tables of labels ---


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(b"path,identity\ra/0.png,Ben\r", id="lines of an old Mac"),
        pytest.param(b"path\tidentity\na/0.png\tBen\n", id="tabs"),
        pytest.param(b"path , identity\na/0.png , Ben\n", id="spaces"),
        pytest.param(b"path,identity\n../photos/a/0.png,Ben\n", id="a path around"),
    ],
)
def test_a_table_as_other_programs_write_it_is_read(faces: FaceSearch, photos: Path, table: bytes) -> None:
    save(photos / "a" / "0.png", 0)
    (photos / "l.csv").write_bytes(table)
    faces.index(photos, photos / "l.csv")
    assert told(faces) == {"a/0.png": "Ben"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("path,identity\na/0.png,Zoë\n".encode("utf-16"), "is not readable as UTF-8 CSV"),
        (b"path,identity,identity\na/0.png,X,Y\n", "names the column identity twice"),
        ("path,identity,pose\na/0.png,X,３０\n".encode(), "is not a whole number"),  # noqa: RUF001
        (b"path,identity,pose\na/0.png,X,1e1\n", "is not a whole number"),
        (b"path,identity\na/0.png," + b"x" * 200_000, "field larger than field limit"),
        (b'path,identity\n"a/0.png,X\n', "unexpected end of data"),
        (b"Path,Identity\na/0.png,X\n", "has no column 'path', 'identity': it has Path, Identity"),
    ],
)
def test_a_table_that_is_none_says_so_by_name(faces: FaceSearch, photos: Path, table: bytes, words: str) -> None:
    save(photos / "a" / "0.png", 0)
    (photos / "l.csv").write_bytes(table)
    with pytest.raises(ManifestError, match=words) as raised:
        faces.index(photos, photos / "l.csv")
    assert "\n" not in str(raised.value)


# --- 7: depth ---


def test_a_path_that_no_system_opens_costs_that_picture_alone(
    faces: FaceSearch, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(photos / ("x" * 255) / f"{'y' * 251}.png", 1)
    monkeypatch.chdir(photos)
    for _ in range(30):
        os.mkdir("z" * 200)  # noqa: PTH102
        os.chdir("z" * 200)
    save(Path("deep.png"), 2)
    monkeypatch.chdir("/")
    first, again = faces.index(photos), faces.index(photos)
    assert (first.described, len(first.skipped), again.unchanged, len(again.skipped)) == (1, 1, 1, 1)


def test_a_loop_of_links_is_looked_into_once(faces: FaceSearch, photos: Path) -> None:
    save(photos / "a" / "1.png", 1)
    (photos / "a" / "up").symlink_to(photos)
    (photos / "b").symlink_to(photos / "a")
    faces.index(photos, follow_links=True)
    assert list(told(faces)) == ["a/1.png"]


# --- 9: results that are something else now ---


@pytest.mark.parametrize("instead", ["a folder", "a link to itself", "an empty file"])
def test_a_result_that_is_no_picture_any_more_is_marked(
    faces: FaceSearch, photos: Path, tmp_path: Path, instead: str
) -> None:
    for n in range(3):
        save(photos / "a" / f"{n}.png", n)
    faces.index(photos)
    changed = photos / "a" / "1.png"
    changed.unlink()
    if instead == "a folder":
        changed.mkdir()
    elif instead == "an empty file":
        changed.touch()
    else:
        changed.symlink_to(changed.name)
    answer = faces.query(save(tmp_path / "q.png", 9), pose=15)
    assert {one.path.name for one in answer.results if one.file != THERE} == {"1.png"}
    assert "1.png (" in str(answer)


def test_the_parent_of_what_is_a_link_can_be_given(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    save(photos / "sub" / "1.png", 1)
    (tmp_path / "link").symlink_to(photos / "sub")
    faces.index(tmp_path / "link")
    assert faces.relocate(photos) == 0
    assert faces.index(photos).unchanged == 1 and list(told(faces)) == ["sub/1.png"]


# --- 10: distances ---


@pytest.fixture
def indexed(photos: Path, tmp_path: Path) -> Callable[..., FaceSearch]:
    for n in range(6):
        save(photos / "a" / f"{n}.png", n)

    def made(describer: HashEditor) -> FaceSearch:
        opened = FaceSearch(tmp_path / describer.digest[:8], describer=describer, reader=ReadsHere())
        opened.index(photos)
        return opened

    return made


def test_a_model_that_was_not_measured_says_nothing_of_near_and_leaves_out_what_is_farther(
    indexed: Callable[..., FaceSearch], tmp_path: Path
) -> None:
    query = save(tmp_path / "q.png", 9)
    with indexed(HashEditor(descriptor_size=16)) as faces:
        answer = faces.query(query, pose=15, k=6)
        assert answer.near is None and answer.as_json()["near"] is None
        far = [one.distance for one in answer.results]
        assert len(faces.query(query, pose=15, k=6, max_distance=far[2]).results) == 3
        assert faces.query(query, pose=15, max_distance=0).results == ()
    usual = Usual("people", "2026-11-26", 100, 0.1, 0.2, 0.3)
    with indexed(HashEditor("measured", descriptor_size=16, usual=usual)) as faces:
        answer = faces.query(query, pose=15)
        assert answer.near is False and answer.as_json()["near"] is False


def test_a_sweep_leaves_out_at_each_value_what_is_farther(indexed: Callable[..., FaceSearch], tmp_path: Path) -> None:
    query = save(tmp_path / "q.png", 9)
    with indexed(HashEditor(descriptor_size=16)) as faces:
        near = [answer.results[0].distance for answer in faces.sweep(query)]
        limit = sorted(near)[3]
        left = [len(answer.results) for answer in faces.sweep(query, max_distance=limit)]
        assert left == [int(one <= limit) for one in near] and sum(left) == 4


@pytest.mark.parametrize("far", [-1, float("nan"), float("inf"), "x", -1e-9])
def test_what_is_no_distance_is_refused(indexed: Callable[..., FaceSearch], tmp_path: Path, far: float) -> None:
    with indexed(HashEditor(descriptor_size=16)) as faces, pytest.raises(UsageError, match="the largest distance is"):
        faces.query(save(tmp_path / "q.png", 9), pose=15, max_distance=far)


def test_by_who_alone_distances_are_of_that_alone(indexed: Callable[..., FaceSearch], tmp_path: Path) -> None:
    query = save(tmp_path / "q.png", 9)
    with indexed(KnowsPeople(descriptor_size=16)) as faces:
        far = [one.distance for one in faces.query(query, k=6).results]
        assert len(far) == 6 and far == sorted(far)
        assert len(faces.query(query, k=6, max_distance=far[1]).results) == 2
