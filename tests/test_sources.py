"""Readers of other layouts, and the import that makes a data set of them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.attributes import POSE
from faceedit.cropping import Cropper, CropSettings
from faceedit.errors import ImportSourceError
from faceedit.images import read_crop
from faceedit.manifest import read_manifest
from faceedit.sources.folders import list_folders
from faceedit.sources.importing import LandmarkFile, import_photographs
from faceedit.sources.multipie import CAMERAS, list_multipie
from faceedit.sources.table import list_table
from faceedit.training.pairs import load_pairs
from tests.depths import fill_deepest, remove

HEADER: list[object] = [
    "path",
    *(f"{p}_{a}" for p in ("eye_left", "eye_right", "mouth_left", "mouth_right", "chin") for a in "xy"),
]

AS_THEY_ARE = Cropper(CropSettings(faces="aligned"))


def face(shade: int) -> Image.Image:
    """A grey photograph with a square of one shade where the face is, its eyes at (60, 50) and (100, 50)."""
    image = Image.new("RGB", (160, 120), (10, 10, 10))
    image.paste((shade, shade, shade), (50, 30, 110, 110))
    return image


def row(name: str) -> list[object]:
    return [name, 60, 50, 100, 50, 68, 80, 92, 80, 80, 100]


def write_csv(file: Path, rows: list[list[object]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return file


@pytest.fixture
def multipie(tmp_path: Path) -> Path:
    """Three subjects in Multi-PIE's own folders: the third lacks two cameras, one light and a readable file."""
    root = tmp_path / "Multi-Pie" / "data"
    for subject in (1, 2, 7):
        for camera in [*CAMERAS, "11_0"]:
            if subject == 7 and camera in ("04_1", "19_0"):
                continue
            for light in range(20):
                if subject == 7 and camera == "05_1" and light == 3:
                    continue
                folder = root / f"session01/multiview/{subject:03d}/01/{camera}"
                folder.mkdir(parents=True, exist_ok=True)
                name = f"{subject:03d}_01_01_{camera.replace('_', '')}_{light:02d}.png"
                face(40 + 10 * light).save(folder / name)
    (root / "session01/multiview/007/01/05_1/007_01_01_051_04.png").write_bytes(b"not a picture")
    (root / "session01/multiview/001/01/05_1/Thumbs.db").write_bytes(b"x")
    (root / "session01/multiview/001/01/05_1/001_01_01_051_00 copy.png").write_bytes(b"x")
    (root / "session01/multiview/001/01/05_1/001_01_01_993_00.png").write_bytes(b"x")
    (root / "session01/multiview/001/01/05_1/001_01_01_051_44.png").write_bytes(b"x")
    second = root / "session02/multiview/001/01/05_1"
    second.mkdir(parents=True)
    face(9).save(second / "001_02_01_051_07.png")
    return root


def multipie_landmarks(folder: Path) -> Path:
    """One line for each shot, not for each light, and none for subject 2's camera 08_0."""
    shots = [f"{s:03d}_01_01_{c.replace('_', '')}" for s in (1, 2, 7) for c in CAMERAS]
    return write_csv(folder / "points.csv", [HEADER, *(row(shot) for shot in shots if shot != "002_01_01_080")])


def reasons(listing_or_import: object) -> dict[str, str]:
    return {Path(entry.path).name: entry.reason for entry in listing_or_import.skipped}  # type: ignore[attr-defined]


def test_multipie_s_names_give_every_label(multipie: Path) -> None:
    listing = list_multipie(multipie)
    by_name = {p.path.name: p.labels for p in listing.photographs}
    assert len(by_name) == 7 * 20 * 2 + 5 * 20 - 1
    assert by_name["001_01_01_080_07.png"] == {
        "identity": "001",
        "pose": "-45",
        "illumination": "7",
        "session": "01",
        "expression": "recording 01",
        "split": "train",
    }
    poses = {p.path.parent.name: int(p.labels["pose"]) for p in listing.photographs}
    assert poses == {"08_0": -45, "13_0": -30, "14_0": -15, "05_1": 0, "05_0": 15, "04_1": 30, "19_0": 45}
    assert {p.labels["identity"]: p.labels["split"] for p in listing.photographs} == {
        "001": "train",
        "002": "test",
        "007": "test",
    }


def test_what_multipie_s_reader_leaves_out_has_its_reason(multipie: Path) -> None:
    listing = list_multipie(multipie)
    found = reasons(listing)
    assert "is not SUBJECT_SESSION" in found["Thumbs.db"]
    assert "is not SUBJECT_SESSION" in found["001_01_01_051_00 copy.png"]
    assert "no camera 99_3" in found["001_01_01_993_00.png"]
    assert "light 44 is none of" in found["001_01_01_051_44.png"]
    assert found["007_01_01"] == "no photograph of camera 04_1, 19_0"
    assert found["007_01_01 camera 05_1"] == "no light 3"
    assert "camera 11_0 is none of the seven" in found["001_01_01_110_00.png"]
    assert "session 2, recording 1 was not asked for" in found["001_02_01_051_07.png"]
    expected = {Path(entry.path).name for entry in listing.skipped if entry.expected}
    assert len(expected) == 3 * 20 + 1  # another camera and another session are no problem, the others are
    assert len(list_multipie(multipie, sessions=(1, 2)).photographs) == len(listing.photographs) + 1


def test_the_first_hundred_of_249_subjects_train(tmp_path: Path) -> None:
    for subject in range(1, 250):
        (tmp_path / f"{subject:03d}_01_01_051_00.png").touch()
    splits = [p.labels["split"] for p in list_multipie(tmp_path).photographs]
    assert splits == ["train"] * 100 + ["test"] * 149


def test_a_folder_without_multipie_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="holds no Multi-PIE photograph"):
        list_multipie(tmp_path)
    with pytest.raises(ImportSourceError, match="is no folder"):
        list_multipie(tmp_path / "nothing")


def test_an_import_goes_on_and_follows_whatever_changed(tmp_path: Path) -> None:
    root, out = tmp_path / "people", tmp_path / "out"
    for name in ("a", "b", "c"):
        (root / "anna").mkdir(parents=True, exist_ok=True)
        face(100).save(root / "anna" / f"{name}.png")
    import_photographs(list_folders(root), out, cropper=AS_THEY_ARE)
    crop = out / "images/anna/a.png"
    os.utime(crop, ns=(1, 1))
    (out / "images/anna/b.png").unlink()
    face(255).save(root / "anna/c.png")
    os.utime(root / "anna/c.png", ns=(5, 5))  # older than its crop, as after `cp -p`
    face(30).save(root / "anna/d.png")
    made = import_photographs(list_folders(root), out, cropper=AS_THEY_ARE)
    assert made.crops == 4
    assert crop.stat().st_mtime_ns == 1  # not made again
    assert (out / "images/anna/b.png").is_file()
    assert read_crop(out / "images/anna/c.png")[30, 30, 0] == 255
    import_photographs(list_folders(root), out, cropper=Cropper(CropSettings(size=80, faces="aligned")))
    with Image.open(crop) as image:
        assert image.size == (80, 80)
    points = write_csv(tmp_path / "points.csv", [HEADER, row("anna/a.png"), row("b.png")])
    aligned = import_photographs(list_folders(root), out, LandmarkFile(points), Cropper(CropSettings(size=80)))
    assert aligned.crops == 2 and not (out / "images/anna/c.png").exists()  # no landmarks: no crop, not an old one


def test_a_name_that_two_photographs_have_names_neither(tmp_path: Path) -> None:
    for person in ("anna", "ben"):
        (tmp_path / person).mkdir()
        face(100).save(tmp_path / person / "1.png")
    points = LandmarkFile(write_csv(tmp_path / "points.csv", [HEADER, row("1.png"), row("ben/1.png")]))
    made = import_photographs(list_folders(tmp_path), tmp_path / "out", points)
    assert made.crops == 1
    assert [entry.path for entry in made.problems] == ["anna/1.png"]
    assert "has no landmarks for it" in made.problems[0].reason
    twice = write_csv(tmp_path / "twice.csv", [HEADER, row("1.png"), row("1.png")])
    with pytest.raises(ImportSourceError, match=r"line 3 names 1\.png a second time"):
        LandmarkFile(twice)


def test_two_recordings_can_be_learnt_from(multipie: Path, tmp_path: Path) -> None:
    for camera in CAMERAS:
        folder = multipie / f"session01/multiview/001/02/{camera}"
        folder.mkdir(parents=True)
        for light in range(2):
            face(90).save(folder / f"001_01_02_{camera.replace('_', '')}_{light:02d}.png")
    listing = list_multipie(multipie, recordings=(1, 2))
    listing.photographs = [p for p in listing.photographs if p.labels["identity"] == "001"]
    made = import_photographs(listing, tmp_path / "out", cropper=AS_THEY_ARE)
    pairs = load_pairs(read_manifest(made.manifest), POSE)
    assert pairs.groups.shape == (22, 7) and (pairs.groups >= 0).all()
    assert "session 9" in {Path(e.path).name for e in list_multipie(multipie, sessions=(1, 9)).skipped}


def test_names_that_no_table_can_bear_become_others(tmp_path: Path) -> None:
    root = tmp_path / "people"
    for name in ("caf\udce9", "line\nfeed"):
        try:
            (root / name).mkdir(parents=True)
            face(100).save(root / name / "a\udcff.png")
        except OSError:
            pytest.skip("the file system takes Unicode names only")
    made = import_photographs(list_folders(root), tmp_path / "out", cropper=AS_THEY_ARE)
    assert all(path.is_file() for path in read_manifest(made.manifest).paths())


def test_folders_of_people(tmp_path: Path) -> None:
    root = tmp_path / "people"
    for name in ("anna/one.png", "anna/holiday/two.jpg", "ben/one.png", "ben/one.jpg", "stray.png", "ben/.hidden.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        face(100).save(root / name)
    (root / "ben/notes.txt").write_text("x")
    (root / "ben/broken.png").write_bytes(b"x")
    listing = list_folders(root)
    assert [(p.name, p.labels["identity"]) for p in listing.photographs] == [
        ("anna/holiday/two", "anna"),
        ("anna/one", "anna"),
        ("ben/broken", "ben"),
        ("ben/one", "ben"),
        ("ben/one_2", "ben"),
    ]
    assert {k: v[:20] for k, v in reasons(listing).items()} == {
        "notes.txt": "its suffix '.txt' is",
        "stray.png": "it lies in no person",
    }
    assert [Path(entry.path).name for entry in listing.skipped if not entry.expected] == ["stray.png"]
    made = import_photographs(listing, tmp_path / "out", cropper=AS_THEY_ARE)  # no landmarks: aligned already
    assert made.crops == 4
    assert "is not an image" in reasons(made)["broken.png"]
    np.testing.assert_array_equal(read_crop(tmp_path / "out/images/anna/one.png"), read_crop(root / "anna/one.png"))
    with pytest.raises(ImportSourceError, match="holds no picture in a person's folder"):
        list_folders(root / "ben")


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Path]:
    """A picture of anna's."""
    root = tmp_path / "people"
    (root / "anna").mkdir(parents=True)
    (root / "anna" / "1.png").write_bytes(picture_bytes())
    yield root
    for folder in (root, tmp_path / "out"):
        if folder.exists():
            remove(folder)


def picture_bytes() -> bytes:
    out = io.BytesIO()
    face(200).save(out, "PNG")
    return out.getvalue()


def test_what_lies_deeper_than_paths_reach_is_passed_over_by_name(people: Path, tmp_path: Path) -> None:
    fill_deepest(people / "anna", 45, "d" * 100, picture_bytes())
    made = import_photographs(list_folders(people), tmp_path / "out", cropper=AS_THEY_ARE)
    assert made.crops == 1
    [skipped] = made.problems
    assert skipped.path.startswith(f"anna/{'d' * 100}/") and skipped.reason == "it cannot be read (File name too long)"


def test_a_row_of_a_path_that_no_system_opens_is_passed_over(people: Path) -> None:
    long = "/".join(["anna", *["d" * 100] * 45, "2.png"])
    table = write_csv(people / "t.csv", [["path", "identity"], ["anna/1.png", "anna"], [long, "anna"]])
    [skipped] = list_table(table).skipped
    assert skipped.path == f"t.csv line 3: {long}"
    assert skipped.reason == "its path is longer than a system opens"


def test_a_picture_far_below_others_or_of_a_long_name_becomes_a_crop(people: Path, tmp_path: Path) -> None:
    fill_deepest(people / "anna", 1_100, "d", picture_bytes())
    (people / "anna" / f"{'n' * 250}.png").write_bytes(picture_bytes())
    made = import_photographs(list_folders(people), tmp_path / "out", cropper=AS_THEY_ARE)
    assert (made.crops, made.skipped) == (3, [])


def test_a_table_of_photographs_with_its_own_landmarks(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        face(150).save(tmp_path / name)
    rows: list[list[object]] = [
        [*HEADER, "identity", "pose", "mood"],
        [*row("a.png"), "anna", "30", "glad"],
        [*row("b.png"), "", "30", "glad"],
        [*row("c.png"), "ben", "left", "sad"],
        [*row("gone.png"), "ben", "0", "sad"],
        ["b.png", "x", *row("b.png")[2:], "ben", "0", "sad"],
        [*row("b.png"), "../ben", "", ""],
    ]
    listing = list_table(write_csv(tmp_path / "people.csv", rows))
    assert [(p.name, dict(p.labels)) for p in listing.photographs] == [
        ("anna/a", {"identity": "anna", "pose": "30", "mood": "glad"}),
        ("_/ben/b", {"identity": "../ben", "pose": "", "mood": ""}),
    ]
    said = [entry.reason for entry in listing.skipped]
    assert ["identity is empty" in said[0], "'left' is not a whole" in said[1], "does not exist" in said[2]] == [
        True
    ] * 3
    assert "eye_left_x is 'x'" in said[3]
    made = import_photographs(listing, tmp_path / "out", cropper=AS_THEY_ARE)
    assert read_manifest(made.manifest).columns["pose"] == ("30", "")
    assert not (tmp_path / "ben").exists() and not (tmp_path / "out" / "ben").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,who\na.png,anna\n", "path and identity must be among them"),
        ("path,identity\na.png\n", "line 2 has 1 values for 2 columns"),
        ("path,identity,identity\na.png,a,b\n", "names the column identity twice"),
        ("path,identity\ngone.png,anna\n", "names no usable photograph"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "people.csv"
    file.write_text(text)
    with pytest.raises(ImportSourceError, match=message):
        list_table(file)


def test_an_import_never_writes_into_something_else(multipie: Path, tmp_path: Path) -> None:
    listing = list_folders(multipie / "session01/multiview")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(ImportSourceError, match="is not empty and holds no import"):
        import_photographs(listing, full, cropper=AS_THEY_ARE)
    import_photographs(listing, tmp_path / "out", cropper=AS_THEY_ARE)
    with pytest.raises(ImportSourceError, match=r"holds an import of folders .*multiview, not of folders"):
        import_photographs(list_folders(multipie / "session01/multiview/001"), tmp_path / "out", cropper=AS_THEY_ARE)
    (tmp_path / "out/import.json").write_text("[]")
    with pytest.raises(ImportSourceError, match="is no import's record"):
        import_photographs(listing, tmp_path / "out", cropper=AS_THEY_ARE)
