"""Photographs in a gallery: every face, whose label it has, and what stays when their files change."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import Landmarks, align
from faceedit.cropping import Cropper, CropSettings
from faceedit.describes import Described, Who
from faceedit.errors import MissingPackageError, UsageError
from faceedit.face_detector import Face, Faces
from index.gallery import Gallery
from index.values import Box, FloatArray, share_of
from retrieval.face_search import FaceSearch
from retrieval.one_file import Crops, Read, read, read_by
from retrieval.same_faces import Seen, same_again, same_faces, same_places
from tests.stand_ins import HashEditor, ReadsHere, Sees

SQUARES = {(200, 30, 30): 0, (30, 200, 30): 1, (30, 30, 200): 2}  # the colours that stand for faces
SKY = (120, 150, 180)
PERSON = Path(__file__).resolve().parent.parent / "sample_db" / "gallery" / "0113" / "0113_+00_00.png"


class Squares(Sees):
    """Stands in for the detector: finds squares of the three colours, each with its eyes and mouth where a crop's are,
    in a photograph however it is turned: the red one is always upright when it is left of the others."""

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        pixels = np.asarray(photograph)[::2, ::2].astype(np.int16)  # boxes are right within two pixels
        found = []
        for colour in SQUARES:
            rows, columns = np.nonzero((np.abs(pixels - colour) < 25).all(2))
            if len(rows) > 25:
                left, top, right, bottom = (
                    2 * float(n) for n in (*(a.min() for a in (columns, rows)), *(a.max() + 1 for a in (columns, rows)))
                )
                found.append(face(left, top, right - left, bottom - top))
        return Faces(photograph, 0, tuple(sorted(found, key=lambda one: -one.area)))


def face(left: float, top: float, width: float, height: float) -> Face:
    points = ((0.3, 0.35), (0.7, 0.35), (0.35, 0.7), (0.65, 0.7))
    return Face((left, top, width, height), Landmarks(*((left + x * width, top + y * height) for x, y in points)), 0.9)


def scene(path: Path, *squares: tuple[int, int, int], size: tuple[int, int] = (900, 500)) -> Path:
    """A photograph with squares: which colour, left, and side; quality as cameras have it."""
    made = Image.new("RGB", size, SKY)
    for (colour, left, side), _ in zip(squares, range(9), strict=False):
        made.paste(list(SQUARES)[colour], (left, 100, left + side, 100 + side))
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path, quality=92)
    return path


def squares(crops: Crops) -> ReadsHere:
    cropper = Cropper(CropSettings(faces=crops.faces), Squares)
    return ReadsHere(crops=lambda path: read_by(cropper, path))


class ReadsSquares(ReadsHere):
    """Reads with that detector, as it is told."""

    def __init__(self, crops: Crops = Crops(), paths: list[Path] | None = None) -> None:  # noqa: B008
        cropper = Cropper(CropSettings(faces=crops.faces), Squares)
        super().__init__(crops=lambda path: read_by(cropper, path), name=crops.faces)
        self.paths = [] if paths is None else paths

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        self.paths += paths
        return super().ahead(paths, batch)

    def cropping(self, crops: Crops, /) -> ReadsSquares:
        return ReadsSquares(crops, self.paths)


class KnowsColours(HashEditor):
    """Who somebody is, is the colour of the crop: 6 of 16 numbers."""

    def __init__(self, name: str = "colours") -> None:
        super().__init__(name)
        self.who = Who(0, 6)

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        made = super().describe(images)
        descriptors = np.zeros_like(made.descriptors)
        for row, image in enumerate(images):
            colour = image[20:40, 20:40].reshape(-1, 3).mean(0)
            descriptors[row, np.argmin([np.abs(colour - one).sum() for one in SQUARES])] = 1
        return Described(descriptors, made.best, made.errors)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A party of three in anna's folder, ben alone, a wall, and a crop of ben."""
    root = tmp_path / "photos"
    scene(root / "anna" / "party.jpg", (0, 50, 120), (1, 300, 240), (2, 650, 160))
    scene(root / "ben" / "alone.jpg", (1, 200, 200))
    scene(root / "ben" / "wall.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "ben" / "crop.png")
    return root


@pytest.fixture
def search(tmp_path: Path, photos: Path) -> Iterator[FaceSearch]:
    cropper = Cropper(load=Squares)
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsSquares(), finder=cropper) as faces:
        yield faces


def shown(gallery: Gallery) -> dict[str, str | None]:
    return {face.name: face.identity for face in gallery.faces()}


INDEXED = {
    "anna/party.jpg#1": None,
    "anna/party.jpg#2": None,
    "anna/party.jpg#3": None,
    "ben/alone.jpg#1": "ben",
    "ben/crop.png": "ben",
}


def test_every_face_is_in_the_gallery_and_a_folder_names_the_only_one(search: FaceSearch, photos: Path) -> None:
    report = search.index(photos)
    assert shown(search.gallery) == INDEXED
    assert (report.images, report.photos, report.described, report.skipped) == (5, 3, 5, [])
    [(path, reason)] = report.faceless
    assert path == photos / "ben" / "wall.jpg" and reason.startswith(f"no face is found in {path}")
    assert report.lines("db", 1)[0].startswith("db: 5 faces in 3 photographs; 5 described")
    assert "1 photograph without a face" in report.lines("db", 1)[1]
    first = search.gallery.known()["anna/party.jpg"]
    assert (first.photo.width, first.photo.height, first.photo.turn) == (900, 500, 0)
    assert first.box == pytest.approx((300, 100, 240, 240), abs=2) and search.gallery.verify().sound


def test_nothing_is_read_again_while_it_stays(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    reader = ReadsSquares()
    with FaceSearch(search.folder, describer=HashEditor(), reader=reader) as again:
        report = again.index(photos)
        assert (reader.paths, report.unchanged, report.described, len(report.faceless)) == ([], 3, 0, 1)
        scene(photos / "ben" / "wall.jpg", (0, 100, 150))
        report = again.index(photos)
        assert (report.described, report.faceless, reader.paths) == (1, [], [photos / "ben" / "wall.jpg"])
        assert shown(again.gallery) == {**INDEXED, "ben/wall.jpg#1": "ben"}


def test_the_largest_may_have_the_folders_name(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    search.gallery.update_labels({})
    report = search.index(photos, identity_of="largest")
    named = {**INDEXED, "anna/party.jpg#1": "anna"}
    assert shown(search.gallery) == named and report.relabelled == 1
    scene(photos / "anna" / "two.jpg", (0, 50, 120), (1, 300, 240))
    search.index(photos)  # which it remembers
    assert shown(search.gallery) == {**named, "anna/two.jpg#1": "anna", "anna/two.jpg#2": None}
    search.index(photos, identity_of="only")
    assert shown(search.gallery) == {**INDEXED, "anna/two.jpg#1": None, "anna/two.jpg#2": None}


@pytest.mark.parametrize(
    ("faces", "names"),
    [
        ("largest", ["anna/party.jpg#1", "ben/alone.jpg#1", "ben/crop.png"]),
        ("aligned", ["anna/party.jpg", "ben/alone.jpg", "ben/crop.png", "ben/wall.jpg"]),
        ("all", ["anna/party.jpg#1", "anna/party.jpg#2", "anna/party.jpg#3", "ben/alone.jpg#1"]),
    ],
)
def test_what_is_done_with_pictures_is_remembered(
    search: FaceSearch, photos: Path, faces: str, names: list[str]
) -> None:
    search.index(photos, faces=faces)
    assert sorted(shown(search.gallery)) == names
    scene(photos / "more.jpg", (0, 50, 120), (1, 300, 240))
    report = search.index(photos)
    more = {"largest": 1, "aligned": 1, "all": 2}[faces]
    assert (report.described, report.otherwise, search.gallery.crops.faces) == (more, 0, faces)
    report = search.index(photos, faces="auto")
    assert report.otherwise == report.unchanged > 0 and "index into another --db" in report.warnings()[-1]


def test_what_there_is_no_such_thing_of_is_refused(search: FaceSearch, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no --faces 'some': choose one of auto, all, largest, aligned"):
        search.index(photos, faces="some")
    with pytest.raises(UsageError, match="no --identity-of 'all': choose one of only, largest"):
        search.index(photos, identity_of="all")
    with pytest.raises((UsageError, MissingPackageError)):
        search.index(photos, detector=tmp_path / "none.onnx")
    assert not search.folder.exists()


@pytest.mark.parametrize("change", ["again", "larger", "smaller", "renamed", "touched"])
def test_faces_keep_what_was_said_of_them_while_they_are_the_same(
    search: FaceSearch, photos: Path, change: str
) -> None:
    search.index(photos)
    ids = search.gallery.all_ids_of(["anna/party.jpg"])["anna/party.jpg"]
    for id_, name in zip(ids, ("first", "second", "third"), strict=True):
        search.label(id_, identity=name)
    party = photos / "anna" / "party.jpg"
    name = "anna/party.jpg"
    if change == "renamed":
        name = "party 2026.jpg"
        party.rename(photos / name)
    elif change == "touched":
        party.touch()
    else:
        image = Image.open(party)
        share = {"again": 1, "larger": 2, "smaller": 0.8}[change]
        image.resize((round(share * image.width), round(share * image.height))).save(party, quality=80)
    report = search.index(photos)
    named = {f"{name}#1": "first", f"{name}#2": "second", f"{name}#3": "third"}
    assert {one: who for one, who in shown(search.gallery).items() if "party" in one} == named
    assert (report.renamed, report.changed) == (int(change == "renamed"), int(change in ("again", "larger", "smaller")))
    assert search.gallery.verify().sound


def test_a_face_that_came_and_one_that_went_take_no_others_name(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    first, second, third = search.gallery.all_ids_of(["anna/party.jpg"])["anna/party.jpg"]
    search.label(first, identity="first")
    search.label(third, identity="third")
    search.label(second, identity="second")
    scene(photos / "anna" / "party.jpg", (1, 300, 240), (2, 650, 160))  # the smallest went
    assert search.index(photos).others == ["anna/party.jpg#3"]  # its label waits for the content
    assert {who for name, who in shown(search.gallery).items() if "party" in name} == {"first", "second"}
    scene(photos / "anna" / "party.jpg", (0, 50, 120), (1, 300, 240), (2, 650, 160))
    search.index(photos)
    found = {name: who for name, who in shown(search.gallery).items() if "party" in name}
    assert found == {"anna/party.jpg#1": "first", "anna/party.jpg#2": "second", "anna/party.jpg#3": "third"}


@pytest.fixture
def knowing(search: FaceSearch) -> FaceSearch:
    return FaceSearch(search.folder, describer=KnowsColours(), reader=ReadsSquares())


def test_what_a_hand_said_does_not_go_to_another_person_and_comes_back_with_the_picture(
    knowing: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    knowing.index(photos)
    alone = photos / "ben" / "alone.jpg"
    knowing.label("ben/alone.jpg", identity="benjamin", expression="smile")
    shutil.copy(alone, tmp_path / "kept.jpg")
    scene(alone, (0, 200, 200))  # somebody else, in the same place
    report = knowing.index(photos)
    face = knowing.gallery.known()["ben/alone.jpg"]
    assert (face.identity, face.expression) == ("ben", None)  # as its folder says
    assert report.others == ["ben/alone.jpg#1"] and report.as_json()["others"] == report.others
    assert report.warnings()[0].startswith(
        "what a hand said of 1 face did not stay, since the file shows another person"
    )
    assert knowing.gallery.count_kept() == 1 and knowing.gallery.verify().sound
    shutil.copy(tmp_path / "kept.jpg", alone)
    report = knowing.index(photos)
    face = knowing.gallery.known()["ben/alone.jpg"]
    assert (face.identity, face.expression, report.returned, report.others) == ("benjamin", "smile", 1, [])


def test_a_table_says_who_is_at_a_path_whoever_is_seen_there(knowing: FaceSearch, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,identity\nphotos/ben/alone.jpg,benno\n", encoding="utf-8")
    knowing.index(photos, table)
    knowing.label("ben/alone.jpg", expression="smile")
    scene(photos / "ben" / "alone.jpg", (0, 200, 200))
    knowing.index(photos)
    face = knowing.gallery.known()["ben/alone.jpg"]
    assert (face.identity, face.expression) == ("benno", None)


def test_another_model_cannot_tell_whether_a_changed_file_shows_the_same_person_and_says_so(
    knowing: FaceSearch, photos: Path
) -> None:
    knowing.index(photos)
    knowing.label("ben/alone.jpg", identity="benjamin")
    scene(photos / "ben" / "alone.jpg", (0, 200, 200))
    knowing.close()
    with FaceSearch(knowing.folder, describer=KnowsColours("other"), reader=ReadsSquares()) as other:
        report = other.redescribe()
        assert (report.changed, report.finished) == (["ben/alone.jpg#1"], True)
        assert report.lines("db")[-1].endswith("whether they show the same people: look at ben/alone.jpg#1")


def test_a_photograph_that_shows_nobody_any_more_is_without_a_face(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    scene(photos / "anna" / "party.jpg")
    report = search.index(photos)
    assert (len(report.faceless), report.changed, report.images) == (2, 1, 2)
    assert search.gallery.count_faceless() == 2 and search.gallery.verify().sound


def test_what_a_hand_said_comes_back_to_each_face(search: FaceSearch, photos: Path, tmp_path: Path) -> None:
    search.index(photos)
    ids = search.gallery.all_ids_of(["anna/party.jpg"])["anna/party.jpg"]
    search.label(ids[2], identity="third")
    search.label(ids[0], pose=15)
    shutil.move(photos / "anna", tmp_path / "away")
    assert search.index(photos, prune=True, sure=True).pruned == 1 and len(search.gallery) == 2
    shutil.move(tmp_path / "away", photos / "zoe")
    report = search.index(photos)
    said = {face.name: (face.identity, face.pose) for face in search.gallery.faces() if "party" in face.path}
    assert said == {"zoe/party.jpg#1": (None, 15), "zoe/party.jpg#2": (None, None), "zoe/party.jpg#3": ("third", None)}
    assert report.returned == 2 and search.gallery.count_kept() == 0


def test_a_copy_shares_what_was_described(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    shutil.copy(photos / "anna" / "party.jpg", photos / "copy.jpg")
    report = search.index(photos)
    assert (report.described, report.duplicates) == (0, 3)
    ids = search.gallery.all_ids_of(["anna/party.jpg", "copy.jpg"])
    one, other = (search.gallery.descriptors(some) for some in ids.values())
    assert np.array_equal(one, other)


def test_a_crop_is_what_its_photographs_landmarks_say(search: FaceSearch, photos: Path) -> None:
    """What is described is the crop by the points that the gallery holds."""
    search.index(photos)
    first = search.gallery.known()["ben/alone.jpg"]
    assert first.place is not None
    points = np.reshape(first.place.landmarks, (4, 2)).tolist()
    crop = align(Image.open(photos / "ben" / "alone.jpg"), Landmarks(*map(tuple, points)), 60)
    [read_again] = squares(Crops()).ahead([photos / "ben" / "alone.jpg"], 1)
    assert np.abs(read_again[0].faces[0].crop.astype(int) - crop).max() <= 3


def test_faces_that_wait_are_described_again_under_their_ids(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    before = list(search.gallery.faces())
    descriptors = search.gallery.descriptors([face.id for face in before])
    damaged = search.gallery.all_ids_of(["anna/party.jpg"])["anna/party.jpg"][1:]
    search.label(*damaged, expression="smile")
    content = bytearray((search.folder / "descriptors-1.f16").read_bytes())
    for id_ in damaged:
        content[32 * (id_ - 1)] ^= 0xFF  # records of 16 numbers, in the order of ids
    search.close()
    (search.folder / "descriptors-1.f16").write_bytes(content)
    with Gallery.open(search.folder, damaged=True) as gallery:
        assert len(gallery.repair().waiting) == 2
    assert search.index(photos).described == 3
    after = list(search.gallery.faces())
    assert [face.id for face in after] == [face.id for face in before]
    assert [face.expression for face in after if face.id in damaged] == ["smile", "smile"]
    assert np.array_equal(search.gallery.descriptors([face.id for face in after]), descriptors)
    assert search.gallery.verify().sound and search.gallery.problems()[0].faceless


@pytest.mark.parametrize(
    "damage", ["photo SET width = 7, turn = 3 WHERE width > 0", "face SET box = '[1,2,3,4]' WHERE number = 2"]
)
def test_faces_whose_places_were_damaged_are_found_again_at_once(search: FaceSearch, photos: Path, damage: str) -> None:
    search.index(photos)
    before = list(search.gallery.faces())
    search.label(before[1].id, expression="smile")
    expected = list(search.gallery.faces())
    search.close()
    with sqlite3.connect(search.folder / "gallery.db") as connection:
        connection.execute(f"UPDATE {damage}")
    connection.close()
    with Gallery.open(search.folder, damaged=True) as gallery:
        assert gallery.repair().waiting
    assert not search.index(photos).warned
    assert list(search.gallery.faces()) == expected
    assert search.index(photos).described == 0 and search.gallery.verify().sound


def test_who_waits_and_is_a_photograph_of_several_now_is_all_of_them(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    [alone] = search.gallery.all_ids_of(["ben/alone.jpg"])["ben/alone.jpg"]
    content = bytearray((search.folder / "descriptors-1.f16").read_bytes())
    content[32 * (alone - 1)] ^= 0xFF
    search.close()
    (search.folder / "descriptors-1.f16").write_bytes(content)
    with Gallery.open(search.folder, damaged=True) as gallery:
        assert len(gallery.repair().waiting) == 1
    scene(photos / "ben" / "alone.jpg", (1, 200, 200), (2, 500, 150))
    search.index(photos)
    assert shown(search.gallery) == {**INDEXED, "ben/alone.jpg#1": None, "ben/alone.jpg#2": None}
    assert search.index(photos).described == 0 and search.gallery.verify().sound


def test_another_model_cuts_every_face_out_again(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    before = list(search.gallery.faces())
    search.close()
    other = FaceSearch(search.folder, describer=HashEditor("other"), reader=ReadsSquares())
    with other:
        report = other.redescribe()
        assert (report.described, report.finished) == (5, True)
        after = list(other.gallery.faces())
        assert [replace(face, decision=before[0].decision) for face in after] == [
            replace(face, decision=before[0].decision) for face in before
        ]
        assert other.gallery.verify().sound and other.index(photos).unchanged == 3


def test_who_came_into_a_photograph_before_another_model_described_it_comes_with_the_next_run(
    search: FaceSearch, photos: Path
) -> None:
    search.index(photos)
    search.close()
    scene(photos / "ben" / "alone.jpg", (1, 200, 200), (2, 500, 150))
    with FaceSearch(search.folder, describer=HashEditor("other"), reader=ReadsSquares()) as other:
        assert other.redescribe().finished and other.gallery.verify().sound
        other.index(photos)
        assert shown(other.gallery) == {**INDEXED, "ben/alone.jpg#1": None, "ben/alone.jpg#2": None}
        assert other.index(photos).described == 0 and other.gallery.verify().sound


def test_a_face_that_is_not_found_again_is_told(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    search.close()
    scene(photos / "anna" / "party.jpg", (0, 50, 120), (1, 300, 240))
    with FaceSearch(search.folder, describer=HashEditor("other"), reader=ReadsSquares()) as other:
        report = other.redescribe()
        reason = "anna/party.jpg#2 is not found in its photograph again"
        assert (report.unread, report.finished) == ([("anna/party.jpg#2", reason)], False)
        assert other.redescribe(drop=True).dropped == 1 and other.gallery.verify().sound


def test_the_faces_of_the_querys_own_photograph_do_not_count(search: FaceSearch, photos: Path) -> None:
    search.index(photos)
    answer = search.query(photos / "anna" / "party.jpg", face=2, k=9)
    assert {result.face.name for result in answer} == {"ben/alone.jpg#1", "ben/crop.png"}


def test_without_the_extra_a_photograph_is_refused_and_a_crop_is_not(tmp_path: Path, photos: Path) -> None:
    def missing() -> Squares:
        raise MissingPackageError("pip install '.[photos]'")

    cropper = Cropper(load=missing)
    reader = ReadsHere(crops=lambda path: read_by(cropper, path))
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=reader) as faces:
        report = faces.index(photos)
        assert shown(faces.gallery) == {"ben/crop.png": "ben"}
        assert [reason for _, reason in report.skipped] == [
            f"{path} has 900 x 500 pixels and is no crop of a face; pip install '.[photos]'"
            for path in sorted(photos.glob("*/*.jpg"))
        ]


# --- which face is which ---


def seen(number: int, box: Box, size: tuple[int, int], descriptor: FloatArray | None = None) -> Seen:
    return Seen(number, share_of(box, size), descriptor)


def test_the_only_face_of_both_is_the_same() -> None:
    assert same_faces([Seen(1)], [seen(1, (1, 2, 3, 4), (9, 9))]) == {0: 0}
    assert same_places([seen(2, (1, 1, 2, 2), (9, 9))], [seen(1, (5, 5, 2, 2), (9, 9))]) == {}


def test_those_that_look_the_same_are_wherever_they_are() -> None:
    looks = np.eye(3, dtype=np.float32)
    size = (100, 100)
    before = [seen(n + 1, (30 * n, 10, 20, 20), size, looks[n]) for n in range(3)]
    mirrored = [seen(n + 1, (80 - 30 * n, 10, 20, 20), size, looks[n]) for n in (2, 0, 1)]
    assert same_faces(before, mirrored) == {0: 2, 1: 0, 2: 1}


def test_else_those_in_the_same_place_are_whatever_the_size() -> None:
    before = [seen(1, (0, 0, 40, 40), (100, 100)), seen(2, (60, 0, 30, 30), (100, 100))]
    after = [seen(1, (120, 0, 64, 60), (200, 200)), seen(2, (0, 100, 60, 60), (200, 200))]
    assert same_faces(before, after) == {0: 1}


def test_of_the_same_content_the_number_says_it_where_the_place_does_not() -> None:
    after = [seen(1, (10, 10, 40, 40), (400, 240)), seen(2, (300, 10, 40, 40), (400, 240))]
    before = [seen(1, (10, 10, 40, 40), (7, 240)), seen(2, (300, 10, 40, 40), (7, 240))]
    assert same_again(before, after) == {0: 0, 1: 1} and same_faces(before, after) == {}


def test_crops_and_photographs_are_compared_by_number() -> None:
    assert same_faces([Seen(1)], [seen(1, (1, 1, 2, 2), (9, 9)), seen(2, (5, 5, 2, 2), (9, 9))]) == {0: 0}


def test_two_people_are_two_wherever_they_are() -> None:
    first, second = np.eye(2, 4, dtype=np.float32)
    for place in (None, (0.1, 0.1, 0.4, 0.4)):
        before, after = Seen(1, place, first), Seen(1, place, second)
        assert same_faces([before], [after]) == {0: 0}
        assert same_faces([before], [after], Who(0, 2)) == {}
        assert same_faces([before, Seen(2)], [after, Seen(3)], Who(0, 2)) == {}
        assert same_faces([before], [after], Who(2, 4)) == {}  # what says nothing there is of nobody


def test_a_crop_is_read_as_it_is() -> None:
    file = read(PERSON)
    assert len(file.faces) == 1 and file.faces[0].place is None and (file.width, file.turn) == (0, 0)
