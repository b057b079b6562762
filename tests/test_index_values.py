"""The values of a gallery: when two stamps mean one file, whose labels count, which identities are one."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest

from index.gallery import Face, FileStamp, Gallery, GalleryConfig, Labels
from index.labels import LABEL_KINDS, LABELS, TEXT_LABELS, text_key
from index.truth.schema import FaceRow
from index.where import parse
from tests.faces import new_face

KNOWN = FileStamp(size=10, mtime_ns=20, inode=30, ctime_ns=40)


def test_a_stamp_is_of_the_file_that_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    found = path.stat()
    stamp = FileStamp.of(found)
    assert astuple(stamp) == (7, found.st_mtime_ns, found.st_ino & (2**63 - 1), found.st_ctime_ns)
    assert stamp.same_as(FileStamp.of(path.stat()))
    other = path.with_name("b.png")
    other.write_bytes(b"picture")
    assert not stamp.same_as(FileStamp.of(other.stat()))


@pytest.mark.parametrize("name", [field.name for field in fields(FileStamp)])
def test_stamps_that_differ_in_anything_known_are_of_two_files(name: str) -> None:
    other = replace(KNOWN, **{name: 99})
    assert KNOWN.same_as(KNOWN)
    assert not KNOWN.same_as(other) and not other.same_as(KNOWN)


@pytest.mark.parametrize("unknown", [("inode",), ("ctime_ns",), ("inode", "ctime_ns")])
def test_what_one_stamp_does_not_know_says_nothing(unknown: tuple[str, ...]) -> None:
    other = replace(KNOWN, **dict.fromkeys(unknown, 0))
    assert KNOWN.same_as(other) and other.same_as(KNOWN)
    assert not KNOWN.same_as(replace(other, mtime_ns=21))


@pytest.mark.parametrize("name", ["size", "mtime_ns"])
def test_size_and_date_are_always_compared(name: str) -> None:
    other = replace(KNOWN, **{name: 0})
    assert not KNOWN.same_as(other) and not other.same_as(KNOWN)


def test_given_labels_all_come_from_one_place() -> None:
    labels = Labels.given("file", identity="anna", pose=0)
    assert (labels.identity, labels.pose, labels.illumination, labels.expression) == ("anna", 0, None, None)
    assert [labels.origin(name) for name in LABELS] == ["file", "file", "", ""]
    assert Labels.given("hand") == Labels()


def test_changed_labels_come_from_elsewhere_and_the_others_stay() -> None:
    before = Labels.given("folder", identity="anna", pose=30)
    after = before.changed("hand", pose=15, expression="smile")
    assert after == Labels("anna", 15, None, "smile", ("folder", "hand", "", "hand"))
    assert before == Labels("anna", 30, None, None, ("folder", "folder", "", ""))
    assert after.changed("suggestion") == after


def test_a_label_that_is_taken_away_comes_from_nowhere() -> None:
    after = Labels.given("hand", identity="anna", pose=30).changed("file", identity=None)
    assert after == Labels(pose=30, origins=("", "hand", "", ""))


def test_a_label_of_another_name_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Labels.given("hand", colour="red")


def test_every_label_has_its_column_and_a_text_one_more_for_its_key() -> None:
    columns = FaceRow.__table__.columns
    assert [columns[name].type.python_type for name in LABELS] == list(LABEL_KINDS.values())
    assert [name for name in columns.keys() if name.endswith("_key")] == [f"{name}_key" for name in TEXT_LABELS]
    assert set(LABELS) == {one.name for one in fields(Labels)} - {"origins"}


SAME = [
    ("Anna", "ANNA"),
    ("\u00c9va", "E\u0301va"),
    ("\u00e9va", "E\u0301VA"),
    ("Strau\u00df", "STRAUSS"),
    ("\u03a3\u03af", "\u03c3\u03af"),
]
OTHERS = [("Anna", "Anne"), ("Eva", "\u00c9va"), ("Straus", "Strau\u00df"), ("", " ")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_and_composition_make_no_other_identity(one: str, other: str) -> None:
    assert text_key(one) == text_key(other) == text_key(text_key(one))


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_letters_make_another_identity(one: str, other: str) -> None:
    assert text_key(one) != text_key(other)


def config(folder: Path) -> GalleryConfig:
    return GalleryConfig("a" * 64, "pose", (0,), 4, folder)


def people(*identities: str) -> list[Face]:
    return [new_face(f"{n}.png", 0, (1.0,), identity=identity) for n, identity in enumerate(identities)]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_conditions_on_identity_ignore_case_and_composition(tmp_path: Path, one: str, other: str) -> None:
    with Gallery.create(tmp_path / "g", config(tmp_path)) as gallery:
        gallery.add(people(one, other, "nobody"), np.eye(4, dtype=np.float32)[:3])
        assert [face.identity for face in gallery.faces()] == [one, other, "nobody"]  # kept as they were given
        assert gallery.count_identities() == 2
        for asked in (one, other):
            for text in (f"identity = '{asked}'", f"identity in ('{asked}')", f"identity like '{asked[:-1]}%'"):
                assert [face.id for face in gallery.faces(parse(text))] == [1, 2]
            assert [face.id for face in gallery.faces(parse(f"identity != '{asked}'"))] == [3]
            assert len(gallery.search(np.ones(4), 3, where=parse(f"identity = '{asked}'"))) == 2


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_conditions_on_identity_tell_other_letters_apart(tmp_path: Path, one: str, other: str) -> None:
    with Gallery.create(tmp_path / "g", config(tmp_path)) as gallery:
        gallery.add(people(one, other), np.eye(4, dtype=np.float32)[:2])
        assert [face.id for face in gallery.faces(parse(f"identity = '{one}'"))] == [1]
        assert gallery.count_identities() == 2
