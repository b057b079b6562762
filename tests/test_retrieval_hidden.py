"""Faces that were removed and stay away: in renamed, copied and saved-again photographs, by another model, through
exports and repairs; and having them back."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import Landmarks
from faceedit.cropping import Cropper
from faceedit.describes import Described
from faceedit.errors import UsageError
from faceedit.face_detector import Face, Faces
from index.care.restore import restore
from index.errors import DuplicatePathError, GalleryCorruptError, UnknownImageError
from index.gallery import Gallery
from retrieval.face_search import FaceSearch
from retrieval.one_file import Read, read_by
from tests.faces import in_photograph, new_face, unit_vectors
from tests.stand_ins import HashEditor, ReadsHere, Sees

USUAL, ELSEWHERE = ((0.1, 0.2, 0.3), (0.6, 0.3, 0.2)), ((0.45, 0.5, 0.3), (0.8, 0.05, 0.15))
RED = (255, 0, 0)  # of its first pixel, in a photograph whose faces are elsewhere
EDITOR = HashEditor("a", descriptor_size=16)


class TwoPlaces(Sees):
    """Stands in for the detector: two faces in shares of a photograph, whatever its size."""

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        width, height = photograph.size
        red, green, _ = np.asarray(photograph)[0, 0].tolist()
        places = ELSEWHERE if red > 200 > 100 > green else USUAL
        return Faces(photograph, 0, tuple(_face(x * width, y * height, side * width) for x, y, side in places))


def _face(left: float, top: float, side: float) -> Face:
    places = ((0.3, 0.35), (0.7, 0.35), (0.35, 0.7), (0.65, 0.7))
    return Face((left, top, side, side), Landmarks(*((left + x * side, top + y * side) for x, y in places)), 0.9)


def read_two(path: Path) -> Read:
    return read_by(Cropper(load=TwoPlaces), path)


def write(path: Path, seed: int, size: tuple[int, int] = (400, 240), corner: tuple[int, int, int] = (0, 90, 0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size)
    image.paste(corner, (0, 0, 2, 2))
    image.save(path, compress_level=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    write(root / "trip" / "party.png", 1)
    write(root / "trip" / "lake.png", 2)
    for n in range(3):
        write(root / "anna" / f"{n}.png", 10 + n, (60, 60))
    return root


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    with searching(tmp_path / "db") as opened:
        opened.index(photos)
        yield opened


def searching(db: Path, editor: HashEditor = EDITOR) -> FaceSearch:
    return FaceSearch(db, describer=editor, reader=ReadsHere(crops=read_two))


def names(faces: FaceSearch) -> list[str]:
    return sorted(face.name for face in faces.gallery.faces())


def hidden(faces: FaceSearch) -> list[str]:
    return [one.name for one in faces.hidden()]


ALL = [f"anna/{n}.png" for n in range(3)] + [f"trip/{name}.png#{n}" for name in ("lake", "party") for n in (1, 2)]
PARTY = "trip/party.png"


def but(*left_out: str) -> list[str]:
    return [name for name in ALL if name not in left_out]


# --- what is removed and stays away ---


def test_a_face_of_several_that_is_removed_stays_away_whatever_becomes_of_its_file(
    faces: FaceSearch, photos: Path
) -> None:
    assert names(faces) == ALL
    assert faces.remove(f"{PARTY}#2").hidden == (f"{PARTY}#2",)
    assert names(faces) == but(f"{PARTY}#2") and hidden(faces) == [f"{PARTY}#2"]
    first = faces.gallery.ids_of([PARTY])[PARTY]
    write(photos / PARTY, 1, (800, 480))  # saved again, larger
    report = faces.index(photos)
    assert (report.changed, report.hidden, report.described) == (1, 1, 1)
    assert names(faces) == but(f"{PARTY}#2") and hidden(faces) == [f"{PARTY}#2"]
    assert faces.gallery.ids_of([PARTY]) != {PARTY: first}
    (photos / PARTY).rename(photos / "renamed.png")
    assert faces.index(photos, prune=True, sure=True).renamed == 1
    write(photos / "renamed.png", 3, (400, 240))  # and saved again under that name
    faces.index(photos)
    assert [name for name in names(faces) if "renamed" in name] == ["renamed.png#1"]
    assert hidden(faces) == ["renamed.png#2"] and faces.gallery.verify().sound


def test_a_photo_whose_every_face_is_hidden_is_not_read_again_and_none_comes_back(
    faces: FaceSearch, photos: Path
) -> None:
    done = faces.remove(PARTY, "anna/1.png", hide=True)
    assert sorted(done.hidden) == ["anna/1.png", f"{PARTY}#1", f"{PARTY}#2"]
    report = faces.index(photos)
    assert (report.hidden, report.described, len(report.faceless)) == (3, 0, 2)
    assert all("hidden" in reason for _, reason in report.faceless)
    again = faces.index(photos)
    assert (again.hidden, again.described, len(again.faceless)) == (0, 0, 2)  # they were as before
    assert names(faces) == but("anna/1.png", f"{PARTY}#1", f"{PARTY}#2") and faces.gallery.verify().sound
    (photos / "anna" / "1.png").rename(photos / "anna" / "new.png")
    (photos / PARTY).rename(photos / "new.png")
    assert faces.index(photos).hidden == 3
    assert sorted(hidden(faces)) == ["anna/new.png", "new.png#1", "new.png#2"]  # it follows its file
    write(photos / "new.png", 1, (300, 180))
    assert faces.index(photos).hidden == 2
    assert len(hidden(faces)) == 3 and not [one.path for one in faces.gallery.faces() if "new" in one.path]


def test_a_photo_that_is_removed_whole_comes_back_unless_one_says_so(faces: FaceSearch, photos: Path) -> None:
    assert faces.remove("anna/0.png", PARTY).hidden == ()
    assert faces.index(photos).hidden == 0 and names(faces) == ALL
    assert faces.remove("anna/0.png", f"{PARTY}#1", hide=False).hidden == () and hidden(faces) == []
    write(photos / PARTY, 1, (800, 480))
    faces.index(photos)
    assert names(faces) == ALL


def test_of_a_person_nothing_is_hidden_unless_one_says_so(faces: FaceSearch, photos: Path) -> None:
    faces.label(f"{PARTY}#2", identity="Anna")
    assert faces.remove(identity="ANNA").images == 4 and hidden(faces) == []
    faces.index(photos)
    faces.label(where="path like 'trip/%'", identity="Ben")
    assert sorted(faces.remove(identity="ben", hide=True).hidden) == [
        *(f"trip/lake.png#{n}" for n in (1, 2)),
        f"{PARTY}#1",  # its second was removed with Anna, and its photo stayed as it was
    ]
    assert faces.index(photos).hidden == 3


def test_copies_stay_away_and_those_that_are_there_stay(faces: FaceSearch, photos: Path) -> None:
    shutil.copy(photos / PARTY, photos / "copy.png")
    faces.index(photos)
    faces.remove(f"{PARTY}#2")
    shutil.copy(photos / PARTY, photos / "another.png")
    assert faces.index(photos).hidden == 1
    assert {"copy.png#2", "another.png#1"} < set(names(faces)) and "another.png#2" not in names(faces)
    assert hidden(faces) == [f"{PARTY}#2", "another.png#2"]
    assert len(faces.unhide("another.png#2").faces) == 2  # what was hidden with it comes, too
    assert {f"{PARTY}#2", "another.png#2"} < set(names(faces)) and hidden(faces) == []


def test_another_photograph_under_the_name_shows_its_faces(faces: FaceSearch, photos: Path) -> None:
    faces.remove(f"{PARTY}#2")
    write(photos / PARTY, 50, corner=RED)  # nobody is where somebody was
    assert faces.index(photos).hidden == 0
    assert f"{PARTY}#2" in names(faces) and hidden(faces) == [f"{PARTY}#2"]
    write(photos / PARTY, 1)  # and the first one is there again
    assert faces.index(photos).hidden == 1 and f"{PARTY}#2" not in names(faces)


def test_another_crop_under_the_name_shows_its_face(faces: FaceSearch, photos: Path) -> None:
    """Nothing but the name says that it is the same: who overwrites a crop means another."""
    faces.remove("anna/0.png", hide=True)
    write(photos / "anna" / "0.png", 77, (60, 60))
    assert faces.index(photos).hidden == 0 and "anna/0.png" in names(faces)


def test_another_model_a_move_and_a_compaction_bring_nobody_back(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    faces.remove(f"{PARTY}#1", "anna/2.png", hide=True)
    faces.compact()
    faces.close()
    with searching(tmp_path / "db", HashEditor("b", descriptor_size=24)) as other:
        assert other.redescribe().finished
        shutil.move(photos, tmp_path / "above" / "moved")
        other.relocate(tmp_path / "above" / "moved")
        other.relocate(tmp_path / "above")
        assert all(one.path.startswith("moved/") for one in other.hidden())
        other.index(tmp_path / "above")
        left = [f"moved/{name}" for name in but(f"{PARTY}#1", "anna/2.png")]
        assert names(other) == left and len(hidden(other)) == 2


def test_what_is_hidden_is_exported_and_imported(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    faces.remove(f"{PARTY}#2", "anna/1.png", hide=True)
    before = [(one.path, one.sha256, one.number, one.share, one.since) for one in faces.hidden()]
    faces.gallery.export(tmp_path / "out")
    faces.close()
    restore(tmp_path / "out", tmp_path / "again", photos)
    with searching(tmp_path / "again") as again:
        assert [(one.path, one.sha256, one.number, one.share, one.since) for one in again.hidden()] == before
        assert again.index(photos).hidden == 1 and names(again) == but(f"{PARTY}#2", "anna/1.png")
        assert again.gallery.verify().sound
    lines = (tmp_path / "out" / "hidden.jsonl").read_text(encoding="utf-8").splitlines()
    assert {frozenset(json.loads(line)) for line in lines} == {  # no more of a face than tells it from others
        frozenset(("path", "sha256", "number", "since", "share")),
        frozenset(("path", "sha256", "number", "since")),
    }


@pytest.mark.parametrize(
    ("column", "value"),
    [("sha256", b"x"), ("path", "../x"), ("number", -1), ("share", "[1]"), ("since", "x"), ("digest", 7)],
)
def test_damage_to_what_is_hidden_is_found_and_mended(
    faces: FaceSearch, tmp_path: Path, column: str, value: object
) -> None:
    faces.remove(f"{PARTY}#2", "anna/1.png", hide=True)
    before = hidden(faces)
    faces.close()
    database = sqlite3.connect(tmp_path / "db" / "gallery.db")
    database.execute(f"UPDATE hidden SET {column} = ? WHERE id = 2", (value,))
    database.commit()
    database.close()
    with pytest.raises(GalleryCorruptError, match="the row of hidden with id 2"):
        Gallery.open(tmp_path / "db")
    with Gallery.open(tmp_path / "db", damaged=True) as gallery:
        assert "the row of hidden" in gallery.verify().findings[0]
        gallery.repair()
        assert gallery.verify().sound
        left = [one.name for one in gallery.hidden.all()]
        assert left in (before, before[:1])  # it says what it said where its digest proves that; else it is forgotten


# --- having them back ---


def test_a_hidden_face_comes_back_at_once_and_beside_the_others(faces: FaceSearch, photos: Path) -> None:
    looked = {face.name: face.decision for face in faces.gallery.faces()}
    faces.label(f"{PARTY}#2", identity="Zoe")
    faces.remove(f"{PARTY}#2")
    first = faces.gallery.ids_of([PARTY])
    [back] = faces.unhide(f"{PARTY}#2").faces
    assert back > 7 and faces.gallery.ids_of([PARTY]) == first  # ids are never given again, and others stay
    face = faces.gallery.get([back])[0]
    assert (face.name, face.decision, face.identity) == (f"{PARTY}#2", looked[f"{PARTY}#2"], None)
    assert names(faces) == ALL and hidden(faces) == [] and faces.gallery.verify().sound
    report = faces.index(photos)
    assert (report.unchanged, report.described, report.hidden) == (5, 0, 0)
    found = faces.query(photos / "anna" / "0.png", k=7, where="path like 'trip/%'").results
    assert back in [one.face.id for one in found]


def test_a_photo_comes_back_with_the_faces_that_are_not_hidden_still(faces: FaceSearch, photos: Path) -> None:
    faces.remove(PARTY, "anna/1.png", hide=True)
    faces.index(photos)
    assert len(faces.unhide(f"{PARTY}#1").faces) == 1
    assert names(faces) == but(f"{PARTY}#2", "anna/1.png")
    assert len(faces.unhide(PARTY, "anna/1.png").faces) == 2
    assert names(faces) == ALL and hidden(faces) == [] and faces.gallery.verify().sound
    assert [face.identity for face in faces.gallery.faces() if face.path == "anna/1.png"] == ["anna"]
    assert faces.index(photos).faceless == []


def test_copies_whose_every_face_is_hidden_all_come_back(faces: FaceSearch, photos: Path) -> None:
    shutil.copy(photos / "trip" / "party.png", photos / "trip" / "copy.png")
    faces.index(photos)
    for name in ("copy", "party"):
        faces.remove(f"trip/{name}.png#1", f"trip/{name}.png#2", hide=True)
    faces.index(photos)
    assert "trip/party.png#1" not in names(faces)
    faces.unhide(*hidden(faces))
    faces.index(photos)
    back = {f"trip/{name}.png#{number}" for name in ("copy", "party") for number in (1, 2)}
    assert back <= set(names(faces)) and not hidden(faces)


class Interrupted(HashEditor):
    """Who waits for a description goes away."""

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        raise KeyboardInterrupt


def test_what_was_cut_off_on_its_way_back_is_hidden_still_and_can_be_brought_back_again(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    """It would never have come: no run looks again at a photo that is there as it was."""
    faces.remove(f"{PARTY}#2", "trip/lake.png", hide=True)
    away = sorted(hidden(faces))
    with searching(tmp_path / "db", Interrupted("a", descriptor_size=16)) as cut_off:
        for name in (f"{PARTY}#2", "trip/lake.png"):
            with pytest.raises(KeyboardInterrupt):
                cut_off.unhide(name)
    assert sorted(hidden(faces)) == away and len(away) == 3
    faces.index(photos)
    assert len(faces.unhide(*away).faces) == 3
    assert names(faces) == ALL and hidden(faces) == [] and faces.gallery.verify().sound


def test_what_cannot_be_read_now_waits_or_stays_hidden(faces: FaceSearch, photos: Path) -> None:
    faces.remove(f"{PARTY}#2", "anna/1.png", hide=True)
    for name in (PARTY, "anna/1.png"):
        (photos / name).rename(photos.parent / Path(name).name)
    done = faces.unhide(PARTY, "anna/1.png")
    assert (done.faces, done.waiting, done.stay) == ([], ["anna/1.png"], [f"{PARTY}#2"])
    assert hidden(faces) == [f"{PARTY}#2"]  # its photograph is known, so that no run would look at it
    for name in (PARTY, "anna/1.png"):
        (photos.parent / Path(name).name).rename(photos / name)
    faces.index(photos)
    assert names(faces) == but(f"{PARTY}#2")
    assert len(faces.unhide(PARTY).faces) == 1 and names(faces) == ALL


def test_names_that_mean_nothing_are_refused_and_nothing_is_changed(faces: FaceSearch) -> None:
    faces.remove(f"{PARTY}#2")
    for wrong in (f"{PARTY}#1", "nobody.png", ""):
        with pytest.raises(UsageError, match="gallery hidden"):
            faces.unhide(PARTY, wrong)
    assert hidden(faces) == [f"{PARTY}#2"]


def test_faces_are_added_beside_others_of_a_photo_that_is_there_alone(tmp_path: Path) -> None:
    with searching(tmp_path / "db") as faces:
        write(tmp_path / "photos" / "a.png", 1)
        faces.index(tmp_path / "photos")
        gallery, vector = faces.gallery, unit_vectors(1, 16)
        errors = (1.0,) * len(gallery.config.values)
        there = in_photograph(new_face("a.png", errors=errors), 2)
        with pytest.raises(DuplicatePathError, match=r"a\.png#2.* is in the gallery already"):
            gallery.add_beside([there], vector)
        with pytest.raises(UnknownImageError, match="no photo of the gallery"):
            gallery.add_beside([in_photograph(new_face("b.png", errors=errors), 3)], vector)
        assert len(gallery) == 2 and gallery.verify().sound
