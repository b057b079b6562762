"""Several faces in one photo: added, counted, asked for, moved, removed, exported, and kept each for itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.care.restore import restore
from index.errors import DuplicatePathError, GalleryCorruptError, ImageRowError
from index.gallery import CropPolicy, Face, FileStamp, Gallery, GalleryConfig, Labels, Place, Problem
from index.labels import HAND
from index.stamps import file_hash
from index.where import parse
from tests.faces import in_photograph, new_face, unit_vectors

SIZE = 8
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
WALL = Problem("wall.jpg", FileStamp(7, 8, 9, 10), "no face is found in it", "reader 1", faceless=True)


def several(path: str, count: int, **given: Any) -> list[Face]:
    return [in_photograph(new_face(path, **given), n + 1, 100 + 120 * n) for n in range(count)]


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """A crop, and a photograph of three: ids 1, and 2 to 4."""
    with Gallery.create(tmp_path / "g", CONFIG) as gallery:
        gallery.add([new_face("crop.png"), *several("party.jpg", 3, sha256="ab" * 32)], unit_vectors(4, SIZE))
        yield gallery


def test_faces_of_one_photo_come_back_as_they_went_in(gallery: Gallery) -> None:
    crop, *faces = gallery.faces()
    assert (crop.number, crop.place, crop.name, crop.photo.width) == (1, None, "crop.png", 0)
    assert [(one.id, one.number, one.name) for one in faces] == [(n + 1, n, f"party.jpg#{n}") for n in (1, 2, 3)]
    assert [replace(one, id=0, photo=replace(one.photo, stamp=FileStamp())) for one in faces] == several(
        "party.jpg", 3, sha256="ab" * 32
    )
    assert (len(gallery), gallery.count_photos(), gallery.count_faceless()) == (4, 2, 0)
    assert set(gallery.known()) == {"crop.png", "party.jpg"} and gallery.several() == {"party.jpg"}
    assert gallery.ids_of(["party.jpg", "crop.png"]) == {"party.jpg": 2, "crop.png": 1}
    assert gallery.all_ids_of(["party.jpg"]) == {"party.jpg": [2, 3, 4]} and gallery.siblings([3]) == [2, 3, 4]
    assert gallery.verify().sound


@pytest.mark.parametrize(
    ("condition", "ids"),
    [("face = 2", [3]), ("faces = 3", [2, 3, 4]), ("faces > 1 and face >= 2", [3, 4]), ("faces = 1", [1])],
)
def test_conditions_ask_for_faces_by_number_and_by_company(gallery: Gallery, condition: str, ids: list[int]) -> None:
    assert [face.id for face in gallery.faces(parse(condition))] == ids
    found = gallery.search(unit_vectors(1, SIZE)[0], 9, where=parse(condition))
    assert sorted(match.face.id for match in found) == ids


def test_one_of_several_is_removed_and_labelled_alone(gallery: Gallery) -> None:
    gallery.update_labels({3: Labels.given(HAND, identity="anna")})
    assert gallery.remove([2]) == 1
    assert [(face.id, face.number, face.identity) for face in gallery.faces()][1:] == [(3, 2, "anna"), (4, 3, None)]
    assert gallery.known()["party.jpg"].id == 3 and gallery.several() == {"party.jpg"}
    assert gallery.remove([4]) == 1 and gallery.several() == set() and gallery.remove([3]) == 1
    assert (gallery.count_photos(), gallery.verify().sound) == (1, True)


def test_a_photo_moves_with_all_its_faces(gallery: Gallery) -> None:
    first = gallery.known()["party.jpg"]
    moved = replace(first, photo=replace(first.photo, path="2026/party.jpg"))
    gallery.move([moved])
    assert [face.path for face in gallery.faces()][1:] == ["2026/party.jpg"] * 3


def test_other_faces_of_the_same_photo_take_the_place_of_all(gallery: Gallery) -> None:
    assert gallery.add(several("party.jpg", 2), unit_vectors(2, SIZE, 1), replace=True) == [5, 6]
    assert (len(gallery), gallery.verify().sound) == (3, True)
    with pytest.raises(DuplicatePathError, match="is in the gallery already, as image 5"):
        gallery.add(several("party.jpg", 3)[2:], unit_vectors(1, SIZE))
    with pytest.raises(DuplicatePathError, match="is given 2 times"):
        gallery.add([*several("x.jpg", 1), *several("x.jpg", 1)], unit_vectors(2, SIZE))


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"place": Place((1, 2, 0, 4), (1.0,) * 8, 0.5)},
        {"place": Place((1, 2, float("nan"), 4), (1.0,) * 8, 0.5)},
        {"place": Place((1, 2, 3, 4), (1.0,) * 7, 0.5)},
        {"place": Place((1, 2, 3, 4), (1.0,) * 8, 1.5)},
    ],
)
def test_what_can_be_no_place_is_refused(gallery: Gallery, wrong: dict[str, object]) -> None:
    with pytest.raises(ImageRowError):
        gallery.add([replace(several("x.jpg", 1)[0], **wrong)], unit_vectors(1, SIZE))  # type: ignore[arg-type]


def test_a_photo_without_a_face_is_remembered_until_it_has_one(gallery: Gallery) -> None:
    gallery.note_problems([WALL])
    assert gallery.problems() == [replace(WALL, found=gallery.problems()[0].found)]
    assert (gallery.count_faceless(), gallery.count_photos(), gallery.verify().sound) == (1, 2, True)
    gallery.add(several("wall.jpg", 1), unit_vectors(1, SIZE))
    assert (gallery.count_faceless(), gallery.problems(), gallery.verify().sound) == (0, [], True)


def test_what_a_hand_said_is_kept_for_each_face(gallery: Gallery) -> None:
    gallery.update_labels({2: Labels.given(HAND, identity="anna"), 4: Labels.given(HAND, identity="ben")})
    gallery.remove([2, 3, 4], keep_labels=True)
    kept = gallery.kept(["ab" * 32])
    assert [(one.number, one.box, one.labels.identity) for one in kept] == [
        (1, (100, 200, 80, 100), "anna"),
        (3, (340, 200, 80, 100), "ben"),
    ]


def test_an_export_brings_every_face_its_place_and_what_is_done_with_pictures(gallery: Gallery, tmp_path: Path) -> None:
    gallery.set_crops(CropPolicy("largest", "cd" * 32, "largest"))
    gallery.update_labels({2: Labels.given(HAND, identity="anna"), 4: Labels.given(HAND, identity="ben")})
    gallery.add(several("pruned.jpg", 2, sha256="ef" * 32, identity="zoe"), unit_vectors(2, SIZE, 3))
    gallery.remove([5, 6], keep_labels=True)
    assert gallery.export(tmp_path / "out").images == 4
    restore(tmp_path / "out", tmp_path / "back", None)
    with Gallery.open(tmp_path / "back") as back:
        assert list(back.faces()) == list(gallery.faces()) and back.verify().sound
        assert np.array_equal(back.descriptors([1, 2, 3, 4]), gallery.descriptors([1, 2, 3, 4]))
        assert back.crops == gallery.crops == CropPolicy("largest", "cd" * 32, "largest")
        assert [replace(one, id=0) for one in back.kept(["ef" * 32])] == [
            replace(one, id=0) for one in gallery.kept(["ef" * 32])
        ]


def rewrite(out: Path, change: dict[int, dict[str, object]], without: tuple[str, ...] = ()) -> None:
    """Let lines of an export say something else, and gallery.json believe it."""
    lines = [json.loads(line) for line in (out / "faces.jsonl").read_text().splitlines()]
    for at, said in change.items():
        lines[at] = {name: value for name, value in (lines[at] | said).items() if name not in without}
    (out / "faces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    about = json.loads((out / "gallery.json").read_text())
    about["sha256"]["faces.jsonl"] = file_hash(out / "faces.jsonl")
    (out / "gallery.json").write_text(json.dumps(about))


@pytest.mark.parametrize("wrong", [{"box": [1, 2, 3]}, {"number": 0}, {"score": "x"}, {"landmarks": None}, {"turn": 9}])
def test_an_export_whose_places_are_none_is_refused(gallery: Gallery, tmp_path: Path, wrong: dict[str, object]) -> None:
    out = tmp_path / "out"
    gallery.export(out)
    rewrite(out, {2: wrong})
    with pytest.raises(GalleryCorruptError, match="line 3"):
        restore(out, tmp_path / "back", None)


@pytest.mark.parametrize("wrong", [{"width": 90_000}, {"sha256": "cd" * 32}, {"size": 3}, {"turn": 2}])
def test_an_export_that_says_two_things_of_one_photograph_is_refused(
    gallery: Gallery, tmp_path: Path, wrong: dict[str, object]
) -> None:
    out = tmp_path / "out"
    gallery.export(out)
    rewrite(out, {3: wrong})
    with pytest.raises(GalleryCorruptError, match=r"line 4: it says otherwise of party\.jpg than a line before"):
        restore(out, tmp_path / "back", None)


@pytest.mark.parametrize("line", [1, 2, 3])
def test_an_export_of_a_crop_with_several_faces_is_refused(gallery: Gallery, tmp_path: Path, line: int) -> None:
    """A photo without a size would show faces that lie nowhere."""
    out = tmp_path / "out"
    gallery.export(out)
    rewrite(out, {line: {}}, without=("box",))
    with pytest.raises(GalleryCorruptError, match="an id or a path stands there twice"):
        restore(out, tmp_path / "back", None)
    assert not (tmp_path / "back").exists()


def test_pictures_of_an_export_are_copied_once(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (root / "party.jpg").write_bytes(b"content")
    sha256 = file_hash(root / "party.jpg")
    with Gallery.create(tmp_path / "g", replace(CONFIG, image_root=root)) as gallery:
        gallery.add(several("party.jpg", 3, sha256=sha256, size=7), unit_vectors(3, SIZE))
        gallery.add(several("gone.jpg", 2, sha256=sha256, size=7), unit_vectors(2, SIZE))
        assert gallery.export(tmp_path / "out", pictures=True).missing == ["gone.jpg"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE face SET box = '[1,2]' WHERE id = 3",
        "UPDATE face SET landmarks = NULL WHERE id = 3",
        "UPDATE face SET score = 7 WHERE id = 3",
        "UPDATE face SET number = 9 WHERE id = 3",
        "UPDATE face SET photo_id = 99 WHERE id = 3",
        "UPDATE photo SET width = 0 WHERE path = 'party.jpg'",
        "UPDATE photo SET turn = 7 WHERE path = 'party.jpg'",
        "UPDATE face SET number = -1, box = 'x' WHERE id = 3",
    ],
)
def test_repair_leaves_every_face_in_its_photo(gallery: Gallery, statement: str) -> None:
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    plain.execute(statement)
    plain.commit()
    plain.close()
    folder = gallery.folder
    gallery.close()
    with Gallery.open(folder, damaged=True) as damaged:
        assert not damaged.verify().sound
        damaged.repair()
        assert damaged.verify().sound
        faces = list(damaged.faces())
        assert [(face.id, face.path) for face in faces] == [(1, "crop.png"), *((n, "party.jpg") for n in (2, 3, 4))]
        assert len({face.number for face in faces[1:]}) == 3
