"""People without labels: faces grouped into persons, what a hand says of them, and what becomes of that."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceedit.errors import ImageError, UsageError
from index.care.restore import restore
from index.errors import UnknownPersonError
from index.gallery import Gallery
from index.labels import SUGGESTION
from retrieval.errors import NothingFoundError
from retrieval.face_search import FaceSearch
from retrieval.grouping import grouped
from retrieval.people import parts
from retrieval.people_by_hand import _nearer
from tests.people import ANNA, BEN, CARL, Alike, direction, save, search


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures of each of three people, and one of somebody who is like none of them, all in one folder."""
    for name, person in (("a", ANNA), ("b", BEN), ("c", CARL)):
        for number in range(4):
            save(tmp_path / "photos" / f"{name}{number}.png", person, number)
    save(tmp_path / "photos" / "stranger.png", 7, 0)
    return tmp_path / "photos"


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    with search(tmp_path / "db") as made:
        made.index(photos)
        yield made


def who(faces: FaceSearch) -> dict[str, int | None]:
    """By path, the person."""
    return {face.path: face.person for face in faces.gallery.faces()}


def together(faces: FaceSearch) -> set[frozenset[str]]:
    """Which pictures are one person's."""
    found: dict[int, set[str]] = {}
    for path, person in who(faces).items():
        if person is not None:
            found.setdefault(person, set()).add(path)
    return {frozenset(paths) for paths in found.values()}


def names(letter: str, *numbers: int) -> frozenset[str]:
    return frozenset(f"{letter}{number}.png" for number in numbers or range(4))


# --- grouping ---


def test_pictures_of_one_person_are_one_person_and_a_stranger_is_nobody(faces: FaceSearch) -> None:
    done = faces.group()
    assert (done.persons, done.faces, done.alone, done.new, done.moved) == (3, 12, 1, 13, 0)
    assert together(faces) == {names("a"), names("b"), names("c")} and who(faces)["stranger.png"] is None
    assert [(one.number, one.name, one.faces, one.title) for one in faces.people()] == [
        (number, None, 4, f"person {number}") for number in (1, 2, 3)
    ]
    assert faces.gallery.verify().sound


def test_the_same_faces_are_the_same_people_whatever_came_first(photos: Path, tmp_path: Path) -> None:
    seen: list[set[frozenset[str]]] = []
    for backwards in (False, True):
        with search(tmp_path / str(len(seen))) as faces:
            (tmp_path / f"some{len(seen)}").mkdir()
            for path in sorted(photos.glob("*.png"), reverse=backwards):
                shutil.copy2(path, tmp_path / f"some{len(seen)}")
                faces.index(tmp_path / f"some{len(seen)}")
                faces.group()
            seen.append(together(faces))
    assert seen[0] == seen[1] == {names("a"), names("b"), names("c")}


def test_who_comes_later_joins_and_only_that_is_looked_at(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    before = who(faces)
    save(photos / "a4.png", ANNA, 4)
    save(photos / "d0.png", 200, 0)
    save(photos / "d1.png", 200, 1)
    faces.index(photos)
    assert faces.gallery.people.count_new() == 3 and who(faces)["a4.png"] is None
    asked: list[int] = []
    done = faces.group(progress=lambda what, done, of: asked.append(of))
    assert (done.new, done.moved, done.persons, set(asked)) == (3, 0, 4, {3})
    now = who(faces)
    assert {path: now[path] for path in before} == before
    assert (now["a4.png"], now["d0.png"], now["d1.png"]) == (before["a0.png"], 4, 4)
    again = faces.group()
    assert (again.new, again.moved, who(faces)) == (0, 0, now)


def test_numbers_stay_when_all_are_grouped_anew(faces: FaceSearch) -> None:
    faces.group()
    before = who(faces)
    assert faces.group(anew=True).moved == 0 and who(faces) == before


def test_a_number_is_never_given_twice(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    faces.remove(where="path like 'c%'")
    save(photos / "d0.png", 200, 0)
    save(photos / "d1.png", 200, 1)
    faces.index(photos)
    faces.remove(where="path like 'c%'")
    faces.group()
    assert [one.number for one in faces.people()] == [1, 2, 4]


def test_by_another_model_people_are_grouped_anew_under_their_numbers(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    faces.not_same(1, 2)
    before = who(faces)
    faces.close()
    with search(faces.folder, Alike("another")) as other:
        other.redescribe()
        assert who(other) == before  # until somebody groups
        asked: list[int] = []
        other.group(progress=lambda what, done, of: asked.append(of))
        assert set(asked) == {13} and who(other) == before


def test_what_nobody_measured_groups_nobody(photos: Path, tmp_path: Path) -> None:
    with search(tmp_path / "db", Alike("unmeasured", usual_who=None)) as faces:
        faces.index(photos)
        with pytest.raises(UsageError, match="nobody measured how near strangers come by this encoder"):
            faces.group()
        assert faces.people() == []


def test_groups_of_two_who_are_known_never_become_one() -> None:
    vectors = np.stack([direction(16, 1)] * 4).astype(np.float32)
    rows, nobody = np.arange(4), np.full(4, -1)
    everyone = np.ones(4, np.bool_)
    free = grouped(vectors, rows, nobody, everyone, 0.5, lambda done, of: None)
    assert free.tolist() == [0, 0, 0, 0]
    bound = grouped(vectors, rows, np.array([5, -1, 6, -1]), everyone, 0.5, lambda done, of: None)
    assert bound[0] != bound[2] and len(set(bound.tolist())) == 2


def test_groups_are_those_of_average_linkage() -> None:
    """Against the definition, every pair of groups compared at every step."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(6, 8)).repeat(5, 0) + 0.6 * rng.normal(size=(30, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    squares = 2 - 2 * vectors @ vectors.T
    for near in (0.6, 0.8, 1.0, 1.2):
        groups = [[row] for row in range(30)]
        while True:
            pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
            far = {(i, j): squares[np.ix_(groups[i], groups[j])].mean() for i, j in pairs}
            nearest = min(far, key=lambda pair: far[pair], default=None)
            if nearest is None or far[nearest] > near * near:
                break
            i, j = nearest
            groups[j] += groups.pop(i)
        found = grouped(vectors, np.arange(30), np.full(30, -1), np.ones(30, np.bool_), near, lambda done, of: None)
        assert {frozenset(np.flatnonzero(found == one).tolist()) for one in found} == set(map(frozenset, groups))


# --- names ---


def test_a_name_goes_to_new_faces_as_a_suggestion_and_no_further(faces: FaceSearch, photos: Path) -> None:
    faces.label(where="path like '%'", identity="")  # the folder said photos
    faces.group()
    assert faces.label(person=who(faces)["a0.png"], identity="Anna") == 4
    save(photos / "more" / "a9.png", ANNA, 9)
    faces.index(photos)
    faces.label("more/a9.png", identity="")
    done = faces.group()
    assert done.suggested == 1
    face = faces.gallery.faces_at(["more/a9.png"])["more/a9.png"]
    assert (face.identity, face.labels.origin("identity")) == ("Anna", SUGGESTION)
    [result] = [one for one in faces.query(photos / "a0.png", k=12) if one.path.name == "a9.png"]
    assert (result.suggested, result.called, result.as_json()["suggested"]) == (True, "Anna?", True)
    [anna] = [one for one in faces.people() if one.name]
    assert (anna.title, anna.faces, anna.suggested) == ("Anna", 5, 1)
    faces.label(person=anna.number, identity="Annabel")
    assert faces.people()[0].suggested == 0  # a hand said it of all of them
    faces.label("more/a9.png", identity="")
    assert faces.gallery.faces_at(["more/a9.png"])["more/a9.png"].identity == "Annabel"
    faces.split(anna.number, "more/a9.png")
    assert faces.gallery.faces_at(["more/a9.png"])["more/a9.png"].identity is None


def test_a_folder_names_a_person_only_where_it_is_of_one(photos: Path, tmp_path: Path) -> None:
    (photos / "anna").mkdir()
    for number in range(4):
        shutil.move(photos / f"a{number}.png", photos / "anna")
    save(photos / "x" / "deep.png", ANNA, 8)
    with search(tmp_path / "db") as faces:
        faces.index(photos)
        faces.label("x/deep.png", identity="")
        faces.group()
        names = {one.name for one in faces.people()}
        assert names == {"anna", None}  # photos holds two people
        assert faces.gallery.faces_at(["x/deep.png"])["x/deep.png"].identity == "anna"


def test_names_by_hand_part_and_join_people(faces: FaceSearch) -> None:
    faces.group()
    faces.label("a0.png", "a1.png", identity="Anna")
    faces.label("a2.png", identity="Bea")
    faces.label("b0.png", identity="ANNA")
    faces.group()
    now = who(faces)
    assert now["a0.png"] == now["a1.png"] == now["b0.png"] != now["a2.png"]
    assert now["a3.png"] in (now["a0.png"], now["a2.png"])
    assert now["b1.png"] == now["b0.png"]  # the rest of a person comes along


# --- what a hand says ---


def test_persons_who_are_one_stay_one(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    made = faces.merge(1, 2)
    assert (made.number, made.faces) == (1, 8)
    for _ in range(2):
        faces.group(anew=True)
        assert {len(some) for some in together(faces)} == {8, 4}
    with pytest.raises(UnknownPersonError, match="no person 2: `facesearch gallery people`"):
        faces.merge(1, 2)
    with pytest.raises(UsageError, match="at least two persons"):
        faces.merge(1, 1)


def test_persons_with_two_names_are_not_made_one(faces: FaceSearch) -> None:
    faces.group()
    faces.label(person=1, identity="Anna")
    faces.label(person=2, identity="Ben")
    with pytest.raises(UsageError, match=r"faces of person 1 are called anna, of person 2 ben: say first .*--person 2"):
        faces.merge(1, 2)
    assert len(together(faces)) == 3


def test_faces_that_are_somebody_else_stay_so_and_what_is_like_them_goes_along(photos: Path, tmp_path: Path) -> None:
    for number in range(4):
        save(photos / f"ab{number}.png", ANNA, number + 20, BEN)  # as like Anna as Ben
        (photos / f"b{number}.png").unlink()
    with search(tmp_path / "db") as faces:
        faces.index(photos)
        faces.group()
        assert names("a") | names("ab") in together(faces)
        person = who(faces)["a0.png"]
        assert person is not None
        made, along = faces.split(person, "ab0.png")
        assert (made.faces, along) == (4, 3)
        parted = {names("a"), names("ab"), names("c")}
        assert together(faces) == parted
        for _ in range(2):
            faces.group(anew=True)
            assert together(faces) == parted and who(faces)["ab0.png"] == made.number
        with pytest.raises(UsageError, match=r"c0\.png is no face of person"):
            faces.split(person, "c0.png")
        with pytest.raises(UsageError, match=r"all 4 faces of person"):
            faces.split(person, *sorted(names("a")))


def test_split_and_asked_for_are_persons_some_of_whose_descriptors_wait_to_be_made_again(
    photos: Path, tmp_path: Path
) -> None:
    with search(tmp_path / "db") as faces:
        faces.index(photos)
        faces.group()
        ids = {face.path: face.id for face in faces.gallery.faces()}
        person = who(faces)["a0.png"]
    assert person is not None
    given_up(tmp_path / "db", ids["a1.png"], ids["a2.png"])
    with search(tmp_path / "db") as faces:
        assert faces.gallery.undescribed() == {ids["a1.png"], ids["a2.png"]}
        made, along = faces.split(person, "a1.png")  # what waits says nothing: neither what goes nor what stays
        assert (made.faces, along) == (1, 0)
        made, along = faces.split(person, "a0.png")
        assert (made.faces, along) == (1, 0) and together(faces) >= {names("a", 2, 3), names("a", 0)}
        assert [one.path.name for one in faces.query(person=person, k=2)][:1] != ["a2.png"]
    given_up(tmp_path / "db", ids["a3.png"])
    with search(tmp_path / "db") as faces:
        assert faces.query(person=person, k=1)[0].path.name == "a0.png"  # by its pictures, nobody else is as like them
        faces.index(photos)
        assert not faces.gallery.undescribed() and together(faces) >= {names("a", 2, 3), names("a", 0), names("a", 1)}


def test_what_descriptors_say_stands_in_the_rows_of_their_faces(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search(tmp_path / "db") as faces:
        faces.index(photos)
        ids = [face.id for face in faces.gallery.faces()]
        stored = faces.gallery.descriptors(ids)
    given_up(tmp_path / "db", ids[1], ids[4])
    who = Alike().who
    assert who is not None
    wanted = stored[:, who.start : who.stop] / np.linalg.norm(stored[:, who.start : who.stop], axis=1, keepdims=True)
    wanted[[1, 4]] = 0
    with search(tmp_path / "db") as faces:
        assert faces.gallery.described([*ids, 999]) == set(ids) - {ids[1], ids[4]}
        for page in (1, 2, 1_000):
            monkeypatch.setattr("retrieval.people._PAGE", page)
            np.testing.assert_allclose(parts(faces.gallery, ids, who), wanted, atol=1e-6)


def test_those_go_along_who_are_far_nearer_and_say_something() -> None:
    anna, ben, nobody = direction(64, 1), direction(64, 2), np.zeros(64)

    def told(away: list[NDArray[np.float64]], rest: list[NDArray[np.float64]]) -> list[bool]:
        return _nearer(np.stack([*away, *rest]).astype(np.float32), len(away))

    aside = [anna + 0.3 * ben, *(ben + many * direction(64, 5) for many in (0.5, -0.5))]
    near, *others = (one / np.linalg.norm(one) for one in aside)
    assert told([anna], [near, *others]) == [True, False, False]
    assert told([nobody, anna, nobody], [nobody, near, *others]) == [False, True, False, False]  # zeros are no mean's
    assert told([nobody], [near, *others]) == [False] * 3 and told([anna], [near]) == [False]
    assert told([ben, ben], others) == [False] * 2  # all of them would go


def given_up(folder: Path, *ids: int) -> None:
    """The descriptors of these faces are damaged, which is found and mended."""
    with Gallery.open(folder) as gallery:
        size = gallery.config.descriptor_size
    content = bytearray((folder / "descriptors-1.f16").read_bytes())
    for face in ids:
        content[(face - 1) * 2 * size + 5] ^= 16
    (folder / "descriptors-1.f16").write_bytes(content)
    with Gallery.open(folder, damaged=True) as gallery:
        gallery.repair()
        assert gallery.undescribed() >= set(ids)


def test_persons_who_are_not_the_same_are_never_joined(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    one, other = who(faces)["a0.png"], who(faces)["b0.png"]
    assert one and other
    assert [person.number for person in faces.not_same(one, other)] == [one, other]
    for number in range(12):
        save(photos / f"ab{number}.png", ANNA, number + 20, BEN)
    faces.index(photos)
    faces.group()
    now = who(faces)
    assert now["a0.png"] == one and now["b0.png"] == other
    with pytest.raises(UsageError, match="who are not the same"):
        faces.not_same(one)


def decided(faces: FaceSearch) -> dict[str, int | None]:
    """What a hand said: a and c are one, and b3 is somebody else."""
    faces.group()
    faces.merge(1, 3)
    faces.split(2, "b3.png")
    return who(faces)


def test_what_a_hand_said_holds_when_files_are_renamed(faces: FaceSearch, photos: Path) -> None:
    before = decided(faces)
    shutil.move(photos / "b3.png", photos / "z.png")
    shutil.move(photos / "a0.png", photos / "y.png")
    faces.index(photos)
    faces.group(anew=True)
    now = who(faces)
    assert (now["z.png"], now["y.png"]) == (before["b3.png"], before["a0.png"])


def test_what_a_hand_said_holds_when_pictures_are_pruned_and_return(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    before = decided(faces)
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in ("b3.png", "a0.png", "a1.png", "a2.png", "a3.png"):
        shutil.move(photos / name, aside)
    faces.index(photos, prune=True, sure=True)
    faces.group(anew=True)
    assert "b3.png" not in who(faces)
    for path in aside.iterdir():
        shutil.move(path, photos)
    faces.index(photos)
    faces.group()
    assert who(faces) == before
    assert faces.gallery.verify().sound


def test_what_a_hand_said_goes_with_faces_that_are_removed(faces: FaceSearch, photos: Path) -> None:
    decided(faces)
    faces.remove("b3.png", "a0.png")
    contents = {face.photo.sha256 for face in faces.gallery.faces()}
    assert {one.sha256 for one in faces.gallery.people.placements()} <= contents
    faces.index(photos)
    faces.group()
    assert who(faces)["b3.png"] == who(faces)["b0.png"]  # nobody remembers


def test_what_a_hand_said_goes_through_an_export(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    before = decided(faces)
    placements = faces.gallery.people.placements()
    faces.gallery.export(tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "back", photos)
    with search(tmp_path / "back") as back:
        assert who(back) == before and back.gallery.people.placements() == placements
        back.group()
        assert who(back) == before and back.gallery.verify().sound
        back.gallery.people.write({}, [[1]], [])
        assert back.people()[-1].number == 5  # 1 to 4 were given


def test_a_person_s_group_is_removed_with_its_name(faces: FaceSearch, photos: Path) -> None:
    faces.label(where="path like '%'", identity="")
    faces.group()
    person = who(faces)["a0.png"]
    faces.label("a0.png", identity="Anna")
    faces.not_same(1, 2)
    assert faces.remove(identity="anna").images == 4  # three of them by suggestion
    assert person not in who(faces).values()
    assert person not in {one.person for one in faces.gallery.people.placements()}


def test_conditions_know_persons(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    answer = faces.query(photos / "a0.png", k=20, where="person = 2 or person is null")
    assert {one.person for one in answer} == {2, None} and len(answer) == 5
    assert faces.label(where="person = 2", expression="smile") == 4
    with pytest.raises(UsageError, match="a person with paths"):
        faces.label("a0.png", person=1, identity="x")
    with pytest.raises(UnknownPersonError, match="no person 99"):
        faces.label(person=99, identity="x")


def test_somebody_of_the_gallery_is_asked_for_by_name_or_number(faces: FaceSearch) -> None:
    faces.group()
    faces.label(person=2, identity="Ben")
    by_number, by_name = faces.query(person=2, k=4), faces.query(person="ben", k=4)
    assert {one.path.name for one in by_number} == names("b") and list(by_number) == list(by_name)
    assert by_name.query == "ben" and by_name.at_any_look and by_name.near
    assert list(faces.query(person="2", k=4)) == list(by_number)
    faces.label("c0.png", identity="2")  # a name wins over a number
    assert {one.path.name for one in faces.query(person="2", k=4)} == names("c")


def test_a_person_is_the_mean_of_its_faces_and_looks_like_the_mean_of_a_few_edits(faces: FaceSearch) -> None:
    faces.group()
    describer = Alike()
    half = describer.descriptor_size // 2
    ids = faces.gallery.people.faces_of([1])[1]
    stored = faces.gallery.descriptors(ids)
    edits = [describer.edit(faces.read_face(id_).crop, 30).descriptor for id_ in ids]
    assert len(edits) == 4
    look = np.mean([edit[half:] for edit in edits], axis=0)
    who = np.mean([one[:half] / np.linalg.norm(one[:half]) for one in stored], axis=0)
    share = np.sqrt(np.mean([edit[:half] @ edit[:half] for edit in edits]))
    rest = np.sqrt(np.mean([edit[half:] @ edit[half:] for edit in edits]))
    wanted = np.concatenate([share * who / np.linalg.norm(who), rest * look / np.linalg.norm(look)])
    far = np.linalg.norm(stored - wanted / np.linalg.norm(wanted), axis=1)
    found = {one.face.id: one.distance for one in faces.query(person=1, pose=30, k=13)}
    np.testing.assert_allclose([found[id_] for id_ in ids], far, atol=2e-3)
    assert len(faces.sweep(attribute="pose", person=1)) == 7


def test_nobody_is_asked_for_in_one_line(faces: FaceSearch, photos: Path) -> None:
    faces.group()
    for person, error, words in (
        ("zoe", NothingFoundError, "nobody is called 'zoe', and no person has that number"),
        (77, NothingFoundError, "no person has the number 77"),
        ("", UsageError, "is nobody: give a name, or a number"),
        (True, UsageError, "is nobody"),
    ):
        with pytest.raises(error, match=words):
            faces.query(person=person)
    for both in ({}, {"picture": photos / "a0.png", "person": 1}, {"person": 1, "face": 1}):
        with pytest.raises(UsageError, match="say whom to ask for"):
            faces.query(**both)
    for path in photos.glob("a*"):
        path.unlink()
    with pytest.raises(ImageError, match=r"the file of a\d\.png is gone"):
        faces.query(person=1, pose=30)


def test_what_is_damaged_of_people_is_found_and_mended(faces: FaceSearch) -> None:
    decided(faces)
    faces.close()
    connection = sqlite3.connect(faces.folder / "gallery.db")
    connection.execute("UPDATE member SET person = 3 WHERE face_id = 1")
    connection.execute("UPDATE placement SET person = 3 WHERE id = 2")
    connection.commit()
    connection.close()
    with Gallery.open(faces.folder, damaged=True) as gallery:
        assert len(gallery.verify().findings) == 2
        before = len(gallery.people.placements())
        gallery.repair()
        assert gallery.verify().sound
        assert len(gallery.people.placements()) == before  # their digests prove what they said
        assert gallery.people.known()[0].person == 1
