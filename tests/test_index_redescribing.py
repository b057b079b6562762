"""A redescription by another model: everything at once or nothing, ids and labels kept, resumable."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import (
    DescriptorShapeError,
    GalleryChangedError,
    GalleryCorruptError,
    GalleryError,
    ImageRowError,
    UnknownImageError,
)
from index.gallery import Decision, Face, FileStamp, Gallery, GalleryConfig, Labels, Photo
from index.truth import descriptor_slots
from index.where import Condition, parse
from tests.databases import At, stepped
from tests.faces import new_face, numbered

OLD = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 8, Path("/photos").absolute())
SHA, SHA_NOW = "01" * 32, "02" * 32
NEW = GalleryConfig("b" * 64, "illumination", (1, 2), 12, Path("/photos").absolute())


def vectors(size: int, *numbers: int) -> NDArray[np.float32]:
    return numbered(size, *numbers)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", OLD) as made:
        rows = [
            new_face(f"{n}.jpg", OLD.values[n % 3], (1.0, 2.0, 3.0), identity="anna", pose=15, sha256=SHA, size=1)
            for n in range(5)
        ]
        made.add(rows, vectors(8, *range(5)))
        yield made


def redescribed(faces: list[Face]) -> list[Face]:
    photo = {face.id: Photo(face.path, SHA_NOW, FileStamp(2, 3)) for face in faces}
    return [replace(face, photo=photo[face.id], decision=Decision(1 + face.id % 2, (None, 4.0))) for face in faces]


def stage(gallery: Gallery, count: int | None = None) -> list[Face]:
    faces = list(gallery.redescribing.waiting())[:count]
    gallery.redescribing.stage(redescribed(faces), vectors(12, *(100 + face.id for face in faces)))
    return faces


def redescribe(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    stage(gallery)
    gallery.redescribing.finish()


def files(gallery: Gallery) -> list[str]:
    return sorted(path.name for path in gallery.folder.glob("descriptors*"))


def test_a_redescription_takes_over_in_one_step_and_keeps_ids_and_labels(gallery: Gallery) -> None:
    before = {face.id: face for face in gallery.faces()}
    gallery.redescribing.begin(NEW)
    stage(gallery, 3)
    assert gallery.config == OLD and gallery.search(vectors(8, 4)[0], 1)[0].face.path == "4.jpg"
    under_way = gallery.redescribing.under_way()
    assert under_way is not None and (under_way.staged, under_way.model_digest) == (3, "b" * 64)
    stage(gallery)
    gallery.redescribing.finish()
    assert gallery.redescribing.under_way() is None and gallery.config == NEW
    assert len(files(gallery)) == 1
    with Gallery.open(gallery.folder) as again:
        assert again.config == NEW
        faces = list(again.faces())
        assert [face.id for face in faces] == list(before)
        for face in faces:
            assert (face.path, face.identity, face.pose) == (before[face.id].path, "anna", 15)
            assert face.decision == Decision(1 + face.id % 2, (None, 4.0))
            assert (face.photo.sha256, face.photo.stamp) == (SHA_NOW, FileStamp(2, 3))
        expected = vectors(12, *(100 + id_ for id_ in before)).astype(np.float16)
        np.testing.assert_array_equal(again.descriptors(list(before)), expected)
        assert again.search(expected[2], 1)[0].face.id == list(before)[2]
        assert again.verify().sound and again.verify().checked == 5


def test_a_redescription_goes_on_where_it_was_interrupted(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    done = stage(gallery, 2)
    with Gallery.open(gallery.folder) as again:
        again.redescribing.begin(NEW)
        left = list(again.redescribing.waiting())
    assert len(left) == 3 and not {face.id for face in left} & {face.id for face in done}


def test_one_to_another_model_must_be_given_up_first(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    stage(gallery, 3)
    third = GalleryConfig("c" * 64, "pose", (0, 1), 12, NEW.image_root)
    with pytest.raises(GalleryError, match=r"model bbbbbbbbbbbb \(12 numbers\) is under way, with 3 images described"):
        gallery.redescribing.begin(third)
    assert len(list(gallery.redescribing.waiting())) == 2 and len(files(gallery)) == 2
    gallery.redescribing.give_up()
    assert files(gallery) == ["descriptors-1.f16"]
    gallery.redescribing.begin(third)
    assert len(list(gallery.redescribing.waiting())) == 5
    gallery.redescribing.give_up()
    assert gallery.redescribing.under_way() is None and list(gallery.redescribing.waiting()) == list(gallery.faces())


def test_what_was_changed_behind_our_back_does_not_become_the_gallery_s(gallery: Gallery, tmp_path: Path) -> None:
    gallery.redescribing.begin(NEW)
    stage(gallery)
    with closing(sqlite3.connect(gallery.folder / "gallery.db")) as connection:
        connection.execute("UPDATE redescription SET model_digest = ?", ("f" * 64,))
        connection.commit()
    with pytest.raises(GalleryCorruptError, match="row of redescription"):
        gallery.redescribing.finish()
    assert gallery.config.model_digest != "f" * 64


def test_it_does_not_take_over_before_every_image_is_described(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match="no redescription is under way"):
        gallery.redescribing.finish()
    gallery.redescribing.begin(NEW)
    stage(gallery, 4)
    with pytest.raises(GalleryError, match=r"'4.jpg' is not described by the new model yet"):
        gallery.redescribing.finish()
    assert gallery.config == OLD and gallery.verify().sound


@pytest.mark.parametrize("damage", ["cut off", "changed"])
def test_a_damaged_description_never_takes_over(gallery: Gallery, damage: str) -> None:
    gallery.redescribing.begin(NEW)
    stage(gallery)
    path = gallery.folder / next(name for name in files(gallery) if name != "descriptors-1.f16")
    if damage == "cut off":
        os.truncate(path, path.stat().st_size - 10)
    else:
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
    assert [line[:50] for line in gallery.verify().findings] == ["1 descriptions of the redescription under way are "]
    with pytest.raises(GalleryError, match="1 new descriptions are not what was stored: run the redescription again"):
        gallery.redescribing.finish()
    assert gallery.config == OLD and gallery.search(vectors(8, 4)[0], 1)[0].face.path == "4.jpg"
    gallery.redescribing.begin(NEW)
    assert len(stage(gallery)) == 1
    gallery.redescribing.finish()
    assert gallery.verify().checked == 5


def test_images_may_come_go_and_be_labelled_meanwhile(gallery: Gallery) -> None:
    ids = [face.id for face in gallery.faces()]
    gallery.redescribing.begin(NEW)
    stage(gallery)
    staged = next(name for name in files(gallery) if name != "descriptors-1.f16")
    gallery.remove(ids[1:2])
    assert not np.fromfile(gallery.folder / staged, np.float16).reshape(-1, 12)[1].any()  # erased there as well
    assert not np.fromfile(gallery.folder / "descriptors-1.f16", np.float16).reshape(-1, 8)[1].any()
    gallery.update_labels({ids[0]: Labels("berta")})
    gallery.compact()
    gallery.add([new_face("new.jpg", 0, (None,) * 3)], vectors(8, 50))
    [left] = stage(gallery)
    assert left.path == "new.jpg"
    gallery.redescribing.finish()
    assert next((face.path, face.identity) for face in gallery.faces()) == ("0.jpg", "berta")
    assert len(gallery) == 5 and gallery.verify().checked == 5


def test_removing_the_last_staged_image_does_not_let_its_slot_be_taken_before_it_is_erased(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.redescribing.begin(NEW)
    faces = stage(gallery)
    with monkeypatch.context() as patch:
        patch.setattr(descriptor_slots, "erasures", lambda _: {})  # as after a crash: nothing was erased
        gallery.remove([faces[-1].id])
        gallery.add([new_face("new.jpg", 0, (None,) * 3)], vectors(8, 50))
        stage(gallery)
    gallery.redescribing.finish()
    assert gallery.verify().sound and gallery.verify().checked == 5


def test_a_file_whose_content_is_not_known_has_no_hash(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    faces = [replace(face, photo=Photo(face.path)) for face in redescribed(list(gallery.redescribing.waiting()))]
    gallery.redescribing.stage(faces, vectors(12, *range(5)))
    gallery.redescribing.finish()
    assert [face.photo for face in gallery.faces(parse("sha256 is null"))] == [face.photo for face in faces]


def test_no_image_is_described_twice(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    done = stage(gallery, 2)
    with pytest.raises(GalleryError, match=f"image {done[0].id} is described by the new model already"):
        gallery.redescribing.stage(redescribed(done[:1]), vectors(12, 1))
    first = next(gallery.redescribing.waiting())
    with pytest.raises(GalleryError, match=f"image {first.id} is described"):
        gallery.redescribing.stage(redescribed([first, first]), vectors(12, 1, 2))
    assert len(list(gallery.redescribing.waiting())) == 3


def test_wrong_descriptions_are_refused_and_nothing_is_kept(gallery: Gallery) -> None:
    gallery.redescribing.begin(NEW)
    face = next(gallery.redescribing.waiting())
    with pytest.raises(UnknownImageError, match="no image 99"):
        gallery.redescribing.stage([Face(Photo("x.jpg"), Labels(), Decision(1, (1.0, 2.0)), 99)], vectors(12, 1))
    with pytest.raises(ImageRowError, match="decided is 3; expected one of 1, 2"):
        gallery.redescribing.stage([Face(Photo("x.jpg"), Labels(), Decision(3, (1.0, 2.0)), face.id)], vectors(12, 1))
    with pytest.raises(ImageRowError, match=r"x\.jpg: sha256 is 'x'"):
        gallery.redescribing.stage(
            [Face(Photo("x.jpg", "x"), Labels(), Decision(1, (1.0, 2.0)), face.id)], vectors(12, 1)
        )
    with pytest.raises(DescriptorShapeError):
        gallery.redescribing.stage([Face(Photo("x.jpg"), Labels(), Decision(1, (1.0, 2.0)), face.id)], vectors(8, 1))
    assert len(list(gallery.redescribing.waiting())) == 5


@pytest.mark.parametrize("where", [None, parse("pose = 15")])
def test_a_redescription_that_ends_in_the_middle_of_a_search_is_told(
    gallery: Gallery, tmp_path: Path, where: Condition | None
) -> None:
    """Whatever of the search comes after it, the comparison or only the results' rows; where it has begun to read
    these, it answers as the gallery was."""
    gallery.close()
    told, asked = list[bool](), vectors(8, 1)[0]
    for moment in count():
        shutil.copytree(gallery.folder, folder := tmp_path / str(moment))
        with Gallery.open(folder) as other, stepped(folder, closely=True) as (searching, database):
            before = searching.search(asked, 1, where=where)
            database.step = at = At(moment, partial(redescribe, other))
            try:
                assert searching.search(asked, 1, where=where) == before
            except GalleryChangedError as error:
                assert "described by another model meanwhile" in str(error)
                told.append(True)
            else:
                told.append(False)
        if not at.done:
            break
    last = len(at.names) - at.names[::-1].index("read")
    assert last > 4 and all(told[:last]) and not any(told[-3:])


def test_others_who_had_it_open_are_told_that_another_model_describes_it(gallery: Gallery) -> None:
    with Gallery.open(gallery.folder) as other:
        other.search(vectors(8, 1)[0], 1)
        gallery.redescribing.begin(NEW)
        stage(gallery)
        gallery.redescribing.finish()
        with pytest.raises(GalleryChangedError, match=r"described by another model meanwhile .*open it again"):
            other.search(vectors(8, 1)[0], 1)
        with pytest.raises(GalleryChangedError):
            other.add([new_face("new.jpg", 0, (None,) * 3)], vectors(8, 50))
        assert len(list(other.faces())) == 5


def test_bytes_of_no_image_are_found_and_erased_also_where_the_next_model_writes(gallery: Gallery) -> None:
    """Else they would come to light once that model has taken over."""
    gallery.redescribing.begin(NEW)
    faces = list(gallery.redescribing.waiting())[3::-1]  # in slots that are other faces' in the other file
    gallery.redescribing.stage(redescribed(faces), vectors(12, *range(4)))
    gallery.remove([2])
    places = {"descriptors-1.f16": slice(16, 32), "descriptors-2.f16": slice(48, 72)}

    def damage(name: str) -> None:
        content = bytearray((gallery.folder / name).read_bytes())
        assert not content[places[name]].strip(b"\0")
        content[places[name].start + 6] = 7
        (gallery.folder / name).write_bytes(content)

    for names in (["descriptors-2.f16"], list(places)):
        for name in names:
            damage(name)
        assert gallery.verify().findings[0].startswith("a descriptor file holds bytes of no image")
        gallery.repair()
        assert gallery.verify().sound
        assert not any((gallery.folder / name).read_bytes()[place].strip(b"\0") for name, place in places.items())
    stage(gallery)
    gallery.redescribing.finish()
    assert gallery.verify().sound
