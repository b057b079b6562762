"""What is removed of a person is in no file of the gallery any more: descriptors, boxes, names, what is kept of pruned
images, what another model made of it, indexes, and the database's log and free pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceedit.errors import UsageError
from index.gallery import Decision, Gallery, GalleryConfig
from index.search.plan import Planner, Requirements
from index.truth.schema import numbers_text
from retrieval.errors import NothingFoundError
from retrieval.face_search import FaceSearch
from tests.faces import in_photograph, new_face, unit_vectors
from tests.stand_ins import HashEditor, ReadsHere

SIZE = 32
NAME, OTHER = "Anna Unverwechselbar", "Ben Bleibt"
SAID = "Sie lacht Tränen"  # a label by which she could be told
CONTENT = "a7" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery that knows all it can know of her, and of somebody else in the same photograph."""
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, (tmp_path / "photos").absolute())
    folder = tmp_path / "db"
    with Gallery.create(folder, config) as gallery:
        her = [
            in_photograph(new_face("party.jpg", identity=NAME, expression=SAID, sha256="b1" * 32), 1, left=123.4),
            new_face(f"{NAME}/crop.png", identity=NAME.upper(), sha256=CONTENT),
        ]
        him = [in_photograph(new_face("party.jpg", identity=OTHER, sha256="b1" * 32), 2, left=567.8)]
        rest = [new_face(f"{n}.png", identity=OTHER) for n in range(40)]
        gallery.add([*her, *him, *rest], unit_vectors(43, SIZE))
        pruned = [new_face("gone.png", identity=NAME, expression=SAID, sha256="c3" * 32)]
        [gone] = gallery.add(pruned, unit_vectors(1, SIZE, 9))
        gallery.people.write({}, [[1, 2, gone], [3]], range(4, 44))
        gallery.people.place_apart([2], {1: 1, gone: 1, 3: 2})
        gallery.remove([gone], keep_labels=True)
        planner = Planner({**dict.fromkeys(("exact", "flat", "ivf", "hnsw"), 10**9), "flat": 0})
        gallery.prepare(Requirements(recall=0.5, max_ms=10_000), planner=planner)
        gallery.search(unit_vectors(1, SIZE)[0], 3)
        gallery.redescribing.begin(replace(config, model_digest="b" * 64))
        staged = [replace(face, decision=Decision(0, (1.25, 2.5, 3.75))) for face in gallery.get([1, 2, 3])]
        gallery.redescribing.stage(staged, unit_vectors(3, SIZE, 7))
    return folder


def secrets(folder: Path) -> dict[str, bytes]:
    """What could tell of her, as it lies on the disk."""
    numbers = unit_vectors(43, SIZE)[:2].astype(np.float16), unit_vectors(3, SIZE, 7)[:2].astype(np.float16)
    records = {f"descriptor {n}": one.tobytes() for n, one in enumerate([*numbers[0], *numbers[1]])}
    whole = {f"float descriptor {n}": one.tobytes() for n, one in enumerate(unit_vectors(43, SIZE)[:2])}
    return {
        **records,
        **whole,
        "name": NAME.encode(),
        "name in capitals": NAME.upper().encode(),
        "name as it is compared": NAME.casefold().encode(),
        "label": SAID.encode(),
        "box": numbers_text([123.4, 200.0, 80.0, 100.0]).encode(),
        "content of her crop": bytes.fromhex(CONTENT),
        "content that is kept": bytes.fromhex("c3" * 32),
    }


def found(folder: Path) -> set[str]:
    """Which of it stands in which file."""
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {what for what, said in secrets(folder).items() for content in contents.values() if said in content}


@pytest.fixture
def faces(folder: Path) -> Iterator[FaceSearch]:
    with FaceSearch(folder, describer=HashEditor(descriptor_size=SIZE), reader=ReadsHere()) as faces:
        yield faces


def test_it_would_be_found_if_it_were_there(folder: Path) -> None:
    """Else the tests below could not fail."""
    missing = {what for what in secrets(folder) if what.startswith("float")}  # only an exact index may hold those
    assert found(folder) == set(secrets(folder)) - missing
    assert list(folder.glob("search-*"))


def test_nothing_of_a_person_stays(faces: FaceSearch, folder: Path) -> None:
    removal = faces.remove(identity=NAME.title())
    assert (removal.images, removal.forgotten) == (2, 1)
    assert found(folder) == set()  # while the gallery is open
    faces.close()
    assert found(folder) == set()
    with Gallery.open(folder) as gallery:
        assert gallery.verify().sound and len(gallery) == 41 and gallery.count_kept() == 0
        assert next(gallery.faces()).identity == OTHER
        assert [(one.number, one.faces) for one in gallery.people.all()] == [(2, 1)]
        assert [one.sha256 for one in gallery.people.placements()] == ["b1" * 32]
        assert gallery.all_ids_of(["party.jpg"]) == {"party.jpg": [3]}


def test_nothing_stays_while_somebody_reads_but_the_log_until_they_are_done(faces: FaceSearch, folder: Path) -> None:
    with Gallery.open(folder) as other:
        reading = other.faces()
        next(reading)
        faces.remove(identity=NAME)
        list(reading)
    faces.close()
    assert found(folder) == set()


def test_a_face_that_is_removed_by_its_number_leaves_nothing_either(faces: FaceSearch, folder: Path) -> None:
    assert faces.remove("party.jpg#1", f"{NAME}/crop.png").images == 2
    faces.forget_kept()
    faces.close()
    assert found(folder) == set()


def test_of_a_hidden_face_no_more_is_kept_than_tells_it_from_the_others(faces: FaceSearch, folder: Path) -> None:
    """Her crop's content must be, or it could not be told; what she looks like, who she is and what was said: not."""
    assert sorted(faces.remove(identity=NAME, hide=True).hidden) == [f"{NAME}/crop.png", "party.jpg#1"]
    faces.close()
    assert found(folder) == {"name", "content of her crop"}  # the name is a part of the path
    with Gallery.open(folder) as gallery:
        kept = {one.name: (one.number, one.share) for one in gallery.hidden.all()}
        assert kept == {"party.jpg#1": (1, (0.137, 0.333, 0.089, 0.167)), f"{NAME}/crop.png": (1, None)}
        gallery.hidden.change([one.id for one in gallery.hidden.all()])
    assert found(folder) == set()


def test_a_label_that_is_taken_away_is_gone(faces: FaceSearch, folder: Path) -> None:
    faces.label("party.jpg#1", expression="")
    faces.forget_kept()
    faces.close()
    assert "label" not in found(folder) and "name" in found(folder)


def test_a_copy_that_is_compacted_or_exported_has_nothing_of_her(
    faces: FaceSearch, folder: Path, tmp_path: Path
) -> None:
    faces.remove(identity=NAME)
    faces.give_up_redescription()
    faces.compact()
    faces.gallery.export(tmp_path / "out")
    faces.close()
    shutil.copytree(tmp_path / "out", folder / "out")
    assert found(folder) == set()


def test_what_is_not_said_clearly_removes_nothing(faces: FaceSearch) -> None:
    with pytest.raises(NothingFoundError, match="nobody is called 'Zoe'"):
        faces.remove(identity="Zoe")
    with pytest.raises(UsageError, match="choose one"):
        faces.remove("party.jpg", identity=NAME)
    with pytest.raises(UsageError, match="choose one"):
        faces.remove(identity=NAME, where="pose = 1")
    with pytest.raises(UsageError, match="is no name"):
        faces.remove(identity="")
    assert len(faces.gallery) == 43


def test_what_the_owner_was_told_of_names_goes_with_them(faces: FaceSearch, folder: Path) -> None:
    (folder / "told.json").write_text('{"same_names": ["2881174f"]}', encoding="utf-8")
    faces.remove(identity=NAME)
    assert not (folder / "told.json").exists()
