"""Tables of labels as people have them: what did not find its picture is told, and what may be meant is understood."""

from __future__ import annotations

import json
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faceedit.errors import ManifestError, UsageError
from index.care.restore import restore
from index.gallery import Gallery, Labels
from retrieval.face_search import FaceSearch
from retrieval.levels import same_names
from retrieval.run_reports import IndexReport
from tests.conftest import blob_face
from tests.stand_ins import ReadsHere, stand_in_search

NFD = unicodedata.normalize("NFD", "Jürgen")
NAMES = ("anna/1.png", "anna/2.png", "bob/1.png", "bob/2.png", f"{NFD}/1.png")


def put(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(len(list(folder.rglob("*.png"))), 0, 0)).save(path)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put(tmp_path / "g", *NAMES)


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as made:
        yield made


def table(tmp_path: Path, *lines: str, name: str = "l.csv", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def identities(faces: FaceSearch) -> dict[str, str | None]:
    return {unicodedata.normalize("NFC", face.path): face.identity for face in faces.gallery.faces()}


def labels_of(report: IndexReport) -> Any:
    return json.loads(json.dumps(report.as_json()))["labels"]


# --- rows and pictures that do not find each other ---


def test_rows_and_pictures_without_each_other_are_counted_and_the_first_shown(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    rows = [f"g/bob/{n}3O.png,Bob" for n in range(5)]
    report = faces.index(photos, table(tmp_path, "path,identity", "g/anna/1.png,Anna B.", *rows, "g/bob/1.png,Bob"))
    assert labels_of(report) == {
        "rows": 7,
        "rows_without_picture": {"count": 5, "first": [f"g/bob/{n}3O.png" for n in range(5)]},
        "pictures_without_row": {"count": 3, "first": [str(photos / name) for name in sorted(NAMES)[:1]]}
        | {"first": [str(photos / name) for name in (f"{NFD}/1.png", "anna/2.png", "bob/2.png")]},
        "pictures_with_several_rows": {"count": 0, "first": []},
        "rows_of_other_files": 0,
        "unknown_columns": [],
    }
    nameless, unnamed = report.warnings()
    assert nameless.startswith("5 of 7 rows of ") and nameless.endswith(
        "g/bob/03O.png, g/bob/13O.png, g/bob/23O.png, ..."
    )
    assert "3 pictures without a row" in unnamed and "anna/2.png" in unnamed
    found = identities(faces)
    assert found == {"anna/1.png": "Anna B.", "anna/2.png": "anna", "bob/1.png": "Bob", "bob/2.png": "bob"} | {
        "Jürgen/1.png": NFD
    }


def test_a_text_too_long_for_a_label_is_refused_with_its_line(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    longest = table(tmp_path, "path,identity", "g/anna/1.png," + "x" * 1_000)
    faces.index(photos, longest)
    assert identities(faces)["anna/1.png"] == "x" * 1_000
    longer = table(tmp_path, "path,identity", "g/anna/1.png,", "g/anna/2.png," + "x" * 1_001)
    with pytest.raises(ManifestError, match=r"line 3: the identity of g/anna/2\.png has more than 1,000 characters"):
        faces.index(photos, longer)


def test_a_text_that_not_every_database_keeps_is_refused(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"line 2: the identity of g/anna/1\.png has a zero byte in it"):
        faces.index(photos, table(tmp_path, "path,identity", "g/anna/1.png,B\0"))
    faces.index(photos)
    with pytest.raises(UsageError, match="has a zero byte in it"):
        faces.label("anna/1.png", expression="sm\0ile")


def test_a_table_that_fits_is_told_of_with_no_word(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    report = faces.index(
        photos, table(tmp_path, "path,identity,split,session", *[f"g/{name},x,test,1" for name in NAMES])
    )
    assert report.warnings() == [] and labels_of(report)["rows"] == len(NAMES)
    assert labels_of(faces.index(photos)) is None


def test_rows_of_pictures_elsewhere_are_no_fault(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    """As when a part of a data set is indexed with the table of all of it."""
    report = faces.index(photos / "anna", table(tmp_path, "path,identity", *[f"g/{name},x" for name in NAMES]))
    assert report.warnings() == [] and labels_of(report)["rows_of_other_files"] == 3


def test_rows_that_do_not_agree_are_refused_with_their_lines(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    lines = ["path,identity,pose", "g/anna/1.png,Anna,0", "", "g/anna/../anna/1.png,Carl,45", "g\\bob\\1.png,Bob,0"]
    with pytest.raises(
        ManifestError, match=r"l\.csv: 1 picture with rows that do not agree: .*1\.png \(lines 2 and 4\)"
    ):
        faces.index(photos, table(tmp_path, *lines))
    with pytest.raises(ManifestError, match=r"2 pictures with rows that do not agree"):
        faces.index(photos, table(tmp_path, *lines, "g/bob/1.png,Bob,15"))
    assert not (tmp_path / "db" / "gallery.db").exists()


def test_rows_that_agree_are_told_of(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    rows = [f"g/{name},x,0" for name in NAMES]
    report = faces.index(photos, table(tmp_path, "path,identity,pose", *rows, "./g/bob/1.png,x,+0.0"))
    assert labels_of(report)["pictures_with_several_rows"] == {"count": 1, "first": ["g/bob/1.png"]}
    assert report.warnings() == ["1 picture with the same row twice: g/bob/1.png"]


def test_columns_that_nothing_is_made_of_are_named(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    rows = [f"g/{name},x,0,24,f" for name in NAMES]
    report = faces.index(photos, table(tmp_path, "path,identity,Pose,age,split", *rows))
    assert labels_of(report)["unknown_columns"] == ["Pose", "age"]
    [line] = report.warnings()
    assert line.endswith("l.csv has 2 columns that nothing is made of: Pose, age")


def test_a_mapping_is_matched_as_a_table_is(faces: FaceSearch, photos: Path) -> None:
    given = {photos / "Jürgen" / "1.png": Labels.given("file", identity="J"), photos / "none.png": Labels()}
    report = faces.index(photos, given)
    assert identities(faces)["Jürgen/1.png"] == "J"
    assert (labels_of(report)["rows_without_picture"]["count"], labels_of(report)["rows"]) == (1, 2)


# --- what may be meant ---


def test_separators_of_windows_and_names_of_macs_are_understood(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    lines = ["path,identity", "g\\anna\\1.png,A", ".\\g\\bob\\1.png,B", "g/Jürgen/1.png,J", f"{photos}/anna/2.png,A2"]
    report = faces.index(photos, table(tmp_path, *lines))
    found = identities(faces)
    assert [found[name] for name in ("anna/1.png", "bob/1.png", "Jürgen/1.png", "anna/2.png")] == ["A", "B", "J", "A2"]
    assert labels_of(report)["rows_without_picture"]["count"] == 0


def test_a_name_with_a_backslash_is_meant_before_a_separator(faces: FaceSearch, tmp_path: Path) -> None:
    photos = put(tmp_path / "g", "a\\b.png", "a/b.png")
    faces.index(photos, table(tmp_path, "path,identity", "g/a\\b.png,backslash", "g/a/b.png,folder"))
    assert identities(faces) == {"a\\b.png": "backslash", "a/b.png": "folder"}


def test_names_that_differ_by_composition_alone_are_told_apart(faces: FaceSearch, tmp_path: Path) -> None:
    photos = put(tmp_path / "g", "Jürgen.png", f"{NFD}.png")
    faces.index(photos, table(tmp_path, "path,identity", "g/Jürgen.png,NFC", f"g/{NFD}.png,NFD"))
    assert {face.path: face.identity for face in faces.gallery.faces()} == {"Jürgen.png": "NFC", f"{NFD}.png": "NFD"}


def test_a_table_beside_a_link_to_the_folder_is_understood(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "photos").symlink_to(photos)
    rows = table(tmp_path / "lists", "path,identity", "photos/anna/1.png,A")
    faces.index(photos, rows)
    assert identities(faces)["anna/1.png"] == "A"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", [(), ("sep={}",)])
def test_any_delimiter_and_blank_lines_are_read(
    faces: FaceSearch, photos: Path, tmp_path: Path, delimiter: str, first: tuple[str, ...]
) -> None:
    lines = ["path,identity,pose", "", "  ", "g/anna/1.png,Anna,45.0", ",,", "g/bob/1.png,Bob,-15.", "g/bob/2.png,Bob,"]
    given = [line.replace(",", delimiter) for line in lines]
    path = table(tmp_path, *(line.format(delimiter) for line in first), *given, encoding="utf-8-sig")
    faces.index(photos, path)
    found = {face.path: (face.identity, face.pose) for face in faces.gallery.faces()}
    assert [found[name] for name in ("anna/1.png", "bob/1.png", "bob/2.png")] == [
        ("Anna", 45),
        ("Bob", -15),
        ("Bob", None),
    ]


@pytest.mark.parametrize(
    ("lines", "encoding", "words"),
    [
        (["path,identity,pose", "g/anna/1.png,A,45.5"], "utf-8", "line 2: pose '45.5' is not a whole number"),
        (["path,identity,pose", "g/anna/1.png,A,1e2"], "utf-8", "line 2: pose '1e2' is not a whole number"),
        (["path;identity;pose", "g/anna/1.png;A;45,5"], "utf-8", "line 2: pose '45,5' is not a whole number"),
        (["path;identity;pose", "", "g/anna/1.png;A"], "utf-8", "line 3 has 2 values for 3 columns.*semicolons"),
        (["path,identity", "g/anna/1.png,A"], "utf-16", "not readable as UTF-8"),
        (["path identity", "g/anna/1.png A"], "utf-8", "no column 'path', 'identity'"),
        (["Path,Identity", "g/anna/1.png,A"], "utf-8", "no column 'path', 'identity'.*it has Path, Identity"),
    ],
)
def test_what_cannot_be_read_is_named(
    faces: FaceSearch, photos: Path, tmp_path: Path, lines: list[str], encoding: str, words: str
) -> None:
    with pytest.raises(ManifestError, match=words):
        faces.index(photos, table(tmp_path, *lines, encoding=encoding))


# --- which folder names a person ---


@pytest.fixture
def years(tmp_path: Path) -> Path:
    return put(tmp_path / "g", "anna/2019/1.png", "bob/2019/1.png", "bob/2020/1.png", "carl/1.png", "group.png")


PEOPLE = {
    "last": ("2019", "2019", "2020", "carl", None),
    "first": ("anna", "bob", "bob", "carl", None),
    "1": ("anna", "bob", "bob", "carl", None),
    "2": ("2019", "2019", "2020", "carl", None),
    "9": ("2019", "2019", "2020", "carl", None),
}


@pytest.mark.parametrize("level", [*PEOPLE, 2])
def test_the_level_says_which_folder_names_a_person(faces: FaceSearch, years: Path, level: str | int) -> None:
    faces.index(years, identity_level=level)
    assert tuple(face.identity for face in faces.gallery.faces()) == PEOPLE[str(level)]


def test_a_level_is_remembered_and_another_names_people_anew_but_for_what_a_hand_said(
    faces: FaceSearch, years: Path, tmp_path: Path
) -> None:
    faces.index(years, identity_level="first")
    faces.label("bob/2020/1.png", identity="Robert")
    put(years, "dora/2021/1.png")
    faces.index(years)
    assert identities(faces)["dora/2021/1.png"] == "dora"
    report = faces.index(years, identity_level="last")
    assert (report.relabelled, report.unchanged) == (3, 6)
    assert set(identities(faces).values()) == {"2019", "2021", "Robert", "carl", None}
    assert faces.index(years, identity_level="last").relabelled == 0
    faces.gallery.export(tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "again", None)
    with Gallery.open(tmp_path / "again") as again:
        assert again.identity_level == "last"


def test_a_picture_without_a_row_is_named_by_that_folder(faces: FaceSearch, years: Path, tmp_path: Path) -> None:
    faces.index(years, table(tmp_path, "path,identity", "g/carl/1.png,Carl"), identity_level="first")
    assert tuple(face.identity for face in faces.gallery.faces()) == ("anna", "bob", "bob", "Carl", None)


@pytest.mark.parametrize("level", ["0", "-1", "middle", "", "1.5", "1000", "2 "])
def test_what_is_no_level_is_refused_before_anything_is_done(faces: FaceSearch, years: Path, level: str) -> None:
    with pytest.raises(UsageError, match="give first, last, or which folder from the top"):
        faces.index(years, identity_level=level)
    assert not faces.folder.exists()


def test_one_name_below_several_folders_is_told_with_both_readings(faces: FaceSearch, years: Path) -> None:
    report = faces.index(years)
    [line] = report.warnings()
    assert line == (
        "the folders anna/2019, bob/2019 are taken for one person, 2019. If the people are anna, bob, say "
        "--identity-level first; if it is 2019, --identity-level last: either is remembered"
    )
    assert report.as_json()["same_names"] == [{"identity": "2019", "folders": ["anna/2019", "bob/2019"]}]
    assert faces.index(years).warnings() == []  # nothing is new
    put(years, "gustav/3.png", "anna/2019/7.png")
    assert faces.index(years).warnings() == []  # it was told
    put(years, "emil/2019/1.png")
    assert "emil/2019" in faces.index(years).warnings()[0]
    put(years, "emil/2019/2.png")
    assert faces.index(years).warnings() == []
    faces.index(years, identity_level="last")
    put(years, "fritz/2019/1.png")
    assert faces.index(years).warnings() == []  # somebody said so


def test_what_a_run_that_was_interrupted_did_not_tell_is_told_by_the_next(faces: FaceSearch, years: Path) -> None:
    def interrupt(what: str, done: int, of: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faces.index(years, progress=interrupt)
    put(years, "zoe/1.png")
    assert len(faces.gallery) > 2 and "anna/2019" in faces.index(years).warnings()[0]


def test_what_was_told_is_told_again_where_that_is_not_known_any_more(faces: FaceSearch, years: Path) -> None:
    faces.index(years)
    (faces.folder / "told.json").write_text("damaged")
    put(years, "zoe/1.png")
    assert "anna/2019" in faces.index(years).warnings()[0]


def test_the_level_that_tells_people_apart_is_the_one_that_is_named(faces: FaceSearch, tmp_path: Path) -> None:
    photos = put(
        tmp_path / "g",
        "photos/anna/2019/1.png",
        "photos/bob/2019/1.png",
        "photos/bob/raw/2020/1.png",
        "photos/x/2020/1.png",
    )
    [line] = faces.index(photos).warnings()
    assert (
        "photos/bob/2019 (and 1 name more) are taken" in line and "people are anna, bob, say --identity-level 2" in line
    )


ONE = [("Jürgen/1.png", f"{NFD}/2.png"), ("Anna/1.png", "ANNA/2.png"), ("a/x/1.png", "a/y/2.png")]


@pytest.mark.parametrize("names", [*ONE, ("a/1.png", "a/A/2.png")])
def test_names_that_are_one_anyway_are_not_told_of(faces: FaceSearch, tmp_path: Path, names: tuple[str, ...]) -> None:
    assert faces.index(put(tmp_path / "g", *names)).warnings() == []


@pytest.mark.slow
def test_folders_deep_in_one_another_are_compared_in_little_memory() -> None:
    names = [f"{'d/' * depth}1.png" for depth in range(1, 1_500)]
    tracemalloc.start()
    try:
        assert same_names(names) == []
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()


def test_composed_and_decomposed_names_are_one_person(faces: FaceSearch, tmp_path: Path) -> None:
    photos = put(tmp_path / "g", "Jürgen/1.png", f"{NFD}/2.png", "bob/1.png")
    faces.index(photos)
    assert faces.info().people == 2
    for asked in ("Jürgen", NFD, "JÜRGEN"):
        found = faces.query(photos / "bob" / "1.png", k=5, where=f"identity = '{asked}'")
        assert len(found) == 2
        assert len(faces.query(photos / "bob" / "1.png", k=5, where=f"path like '{asked}%'")) == 2
        assert len(faces.query(photos / "bob" / "1.png", k=5, where=f"path = '{asked}/1.png'")) == (asked != "JÜRGEN")
    assert len(faces.query(photos / "bob" / "1.png", k=5, distinct="identity")) == 1


def test_a_path_is_meant_composed_or_not(faces: FaceSearch, photos: Path) -> None:
    faces.index(photos)
    assert faces.label("Jürgen/1.png", str(photos / NFD / "1.png"), identity="J") == 1
    assert faces.label(str(photos / "Jürgen" / "1.png"), identity="K") == 1
    assert identities(faces)["Jürgen/1.png"] == "K"


@pytest.mark.parametrize(("level", "after"), [("first", "3"), ("2", "4"), ("last", "last"), (None, None)])
def test_under_a_higher_root_people_and_conditions_are_as_before(
    faces: FaceSearch, tmp_path: Path, level: str | None, after: str | None
) -> None:
    put(tmp_path / "All" / "Ünder" / "g", "anna/2019/1.png", "bob/2019/IMG.PNG", "bob/2019/2.png")
    faces.index(tmp_path / "All" / "Ünder" / "g", identity_level=level)
    before = [face.identity for face in faces.gallery.faces()]
    faces.relocate(tmp_path / "All")
    assert faces.gallery.identity_level == after and faces.gallery.verify().sound
    path = tmp_path / "All" / "Ünder" / "g" / "bob" / "2019" / "2.png"
    path.touch()
    faces.index(tmp_path / "All")
    assert [face.identity for face in faces.gallery.faces()] == before
    for text, count in (("path like 'ünder/g/BOB/%/img.png'", 1), ("path like 'ÜNDER%'", 3)):
        assert len(faces.query(path, k=5, where=text)) == count - text.endswith("ÜNDER%'")  # the query is one of them


@pytest.mark.parametrize(("level", "after"), [("first", "1"), ("2", "2"), ("last", "last"), (None, None)])
def test_a_root_given_too_high_is_taken_back(
    faces: FaceSearch, tmp_path: Path, level: str | None, after: str | None
) -> None:
    root = tmp_path / "All" / "under" / "g"
    put(root, "anna/2019/1.png", "bob/2019/1.png", "g/g/1.png", "under/g/1.png", "under/g/under/g/1.png")
    (root / "note.txt").write_text("no picture")
    (root / "bad.png").write_text("no picture")
    faces.index(root, identity_level=level)
    before = list(faces.gallery.faces())
    faces.relocate(tmp_path / "All")
    (tmp_path / "All" / "other.png").write_text("no picture")
    faces.index(tmp_path / "All")
    assert faces.relocate(root) == 0
    assert (list(faces.gallery.faces()), faces.gallery.identity_level) == (before, after)
    assert [problem.path for problem in faces.gallery.problems()] == ["bad.png"]
    assert list(faces.gallery.passed()) == ["note.txt"] and faces.gallery.verify().sound
    assert faces.index(root).unchanged == 5


def test_a_root_is_not_put_below_images_or_people(faces: FaceSearch, tmp_path: Path) -> None:
    root = put(tmp_path / "g", "people/anna/1.png", "people/bob/1.png")
    faces.index(root, identity_level="2")
    with pytest.raises(UsageError, match="holds none of the gallery's 2 images"):
        faces.relocate(root / "people" / "anna")
    faces.relocate(root / "people")
    assert faces.gallery.identity_level == "1"
    faces.relocate(root)
    faces.index(root, identity_level="first")
    with pytest.raises(UsageError, match=r"named by a folder that .*people is or lies in \(identity level first\)"):
        faces.relocate(root / "people")
    assert faces.gallery.config.image_root == root


def test_rows_of_folders_of_nothing_and_of_other_files_are_counted(faces: FaceSearch, tmp_path: Path) -> None:
    root = put(tmp_path / "g", "anna/1.png", "bob/1.png")
    put(tmp_path, "other.png"), (root / "note.txt").write_text("no picture")
    rows = ["anna/1.png,A", "bob,B", ",C", ".,D", "bob/,E", "note.txt,F", "../other.png,G", "nowhere.png,H"]
    (root / "l.csv").write_text("path,identity\n" + "\n".join(rows) + "\n")
    report = faces.index(root, root / "l.csv")
    assert report.rows is not None
    assert report.rows.nameless == [
        "bob (a folder)",
        "line 4 (its path is empty)",
        ". (a folder)",
        "bob/ (a folder)",
        "nowhere.png",
    ]
    assert report.rows.warnings()[0].startswith(
        f"5 of 8 rows of {root / 'l.csv'} name no picture: bob (a folder), line 4 (its path is empty), . (a folder)"
    )
    assert f"2 rows of {root / 'l.csv'} are of files that are no pictures here" in report.lines("db", 1.0)
    assert report.as_json()["labels"]["rows_of_other_files"] == 2
