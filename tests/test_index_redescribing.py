"""A migration to another model: everything at once or nothing, ids and labels kept, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import DescriptorShapeError, GalleryChangedError, GalleryError, ImageRowError, UnknownImageError
from index.gallery import Gallery, GalleryConfig, ImageRow, Labels, Redescribed, StoredImage
from index.search.reader import Reader

OLD = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 8, Path("/photos").absolute())
NEW = GalleryConfig("b" * 64, "illumination", (1, 2), 12, Path("/photos").absolute())


def vectors(size: int, *numbers: int) -> NDArray[np.float32]:
    return np.stack([np.random.default_rng(n).normal(size=size) for n in numbers]).astype("f4")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", OLD) as made:
        rows = [ImageRow(f"{n}.jpg", n % 3, (1.0, 2.0, 3.0), "anna", 15, sha256="x", size=1) for n in range(5)]
        made.add(rows, vectors(8, *range(5)))
        yield made


def redescribed(images: list[StoredImage]) -> list[Redescribed]:
    return [Redescribed(image.id, image.id % 2, (None, 4.0), "y", 2, 3) for image in images]


def stage(gallery: Gallery, count: int | None = None) -> list[StoredImage]:
    images = list(gallery.waiting())[:count]
    gallery.stage(redescribed(images), vectors(12, *(100 + image.id for image in images)))
    return images


def files(gallery: Gallery) -> list[str]:
    return sorted(path.name for path in gallery.folder.glob("descriptors*"))


def test_a_migration_takes_over_in_one_step_and_keeps_ids_and_labels(gallery: Gallery) -> None:
    before = {image.id: image for image in gallery.images()}
    gallery.begin_migration(NEW)
    stage(gallery, 3)
    assert gallery.config == OLD and gallery.search(vectors(8, 4)[0], 1)[0].image.path == "4.jpg"
    under_way = gallery.migration()
    assert under_way is not None and (under_way.staged, under_way.model_digest) == (3, "b" * 64)
    stage(gallery)
    gallery.finish_migration()
    assert gallery.migration() is None and gallery.config == NEW
    assert len(files(gallery)) == 1
    with Gallery.open(gallery.folder) as again:
        assert again.config == NEW
        images = list(again.images())
        assert [image.id for image in images] == list(before)
        for image in images:
            assert (image.path, image.identity, image.pose) == (before[image.id].path, "anna", 15)
            assert (image.candidate, image.errors) == (image.id % 2, (None, 4.0))
            assert (image.sha256, image.size, image.mtime_ns) == ("y", 2, 3)
        expected = vectors(12, *(100 + id_ for id_ in before)).astype(np.float16)
        np.testing.assert_array_equal(again.descriptors(list(before)), expected)
        assert again.search(expected[2], 1)[0].image.id == list(before)[2]
        assert again.verify().sound and again.verify().checked == 5


def test_a_migration_goes_on_where_it_was_interrupted(gallery: Gallery) -> None:
    gallery.begin_migration(NEW)
    done = stage(gallery, 2)
    with Gallery.open(gallery.folder) as again:
        again.begin_migration(NEW)
        left = list(again.waiting())
    assert len(left) == 3 and not {image.id for image in left} & {image.id for image in done}


def test_one_to_another_model_must_be_given_up_first(gallery: Gallery) -> None:
    gallery.begin_migration(NEW)
    stage(gallery, 3)
    third = GalleryConfig("c" * 64, "pose", (0, 1), 12, NEW.image_root)
    with pytest.raises(GalleryError, match=r"model bbbbbbbbbbbb \(12 numbers\) is under way, with 3 images described"):
        gallery.begin_migration(third)
    assert len(list(gallery.waiting())) == 2 and len(files(gallery)) == 2
    gallery.give_up_migration()
    assert files(gallery) == ["descriptors.f16"]
    gallery.begin_migration(third)
    assert len(list(gallery.waiting())) == 5
    gallery.give_up_migration()
    assert gallery.migration() is None and list(gallery.waiting()) == list(gallery.images())


def test_it_does_not_take_over_before_every_image_is_described(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match="no migration is under way"):
        gallery.finish_migration()
    gallery.begin_migration(NEW)
    stage(gallery, 4)
    with pytest.raises(GalleryError, match=r"'4.jpg' is not described by the new model yet"):
        gallery.finish_migration()
    assert gallery.config == OLD and gallery.verify().sound


@pytest.mark.parametrize("damage", ["cut off", "changed"])
def test_a_damaged_description_never_takes_over(gallery: Gallery, damage: str) -> None:
    gallery.begin_migration(NEW)
    stage(gallery)
    path = gallery.folder / next(name for name in files(gallery) if name != "descriptors.f16")
    if damage == "cut off":
        os.truncate(path, path.stat().st_size - 10)
    else:
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
    assert [line[:46] for line in gallery.verify().findings] == ["1 descriptions of the migration under way are "]
    with pytest.raises(GalleryError, match="1 new descriptions are not what was stored: run the migration again"):
        gallery.finish_migration()
    assert gallery.config == OLD and gallery.search(vectors(8, 4)[0], 1)[0].image.path == "4.jpg"
    gallery.begin_migration(NEW)
    assert len(stage(gallery)) == 1
    gallery.finish_migration()
    assert gallery.verify().checked == 5


def test_images_may_come_go_and_be_labelled_meanwhile(gallery: Gallery) -> None:
    ids = [image.id for image in gallery.images()]
    gallery.begin_migration(NEW)
    stage(gallery)
    staged = next(name for name in files(gallery) if name != "descriptors.f16")
    gallery.remove(ids[1:2])
    assert not np.fromfile(gallery.folder / staged, np.float16).reshape(-1, 12)[1].any()  # erased there as well
    assert not np.fromfile(gallery.folder / "descriptors.f16", np.float16).reshape(-1, 8)[1].any()
    gallery.update_labels({"0.jpg": Labels("berta")})
    gallery.compact()
    gallery.add([ImageRow("new.jpg", 0, (None,) * 3)], vectors(8, 50))
    [left] = stage(gallery)
    assert left.path == "new.jpg"
    gallery.finish_migration()
    assert next((image.path, image.identity) for image in gallery.images()) == ("0.jpg", "berta")
    assert len(gallery) == 5 and gallery.verify().checked == 5


def test_removing_the_last_staged_image_does_not_let_its_slot_be_taken_before_it_is_erased(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.begin_migration(NEW)
    images = stage(gallery)
    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "_tidy", lambda _: None)  # as after a crash
        gallery.remove([images[-1].id])
        gallery.add([ImageRow("new.jpg", 0, (None,) * 3)], vectors(8, 50))
        stage(gallery)
    gallery.finish_migration()
    assert gallery.verify().sound and gallery.verify().checked == 5


def test_wrong_descriptions_are_refused_and_nothing_is_kept(gallery: Gallery) -> None:
    gallery.begin_migration(NEW)
    image = next(gallery.waiting())
    with pytest.raises(UnknownImageError, match="no image 99"):
        gallery.stage([Redescribed(99, 0, (1.0, 2.0), "", 0, 0)], vectors(12, 1))
    with pytest.raises(ImageRowError, match="candidate is 2"):
        gallery.stage([Redescribed(image.id, 2, (1.0, 2.0), "", 0, 0)], vectors(12, 1))
    with pytest.raises(DescriptorShapeError):
        gallery.stage([Redescribed(image.id, 0, (1.0, 2.0), "", 0, 0)], vectors(8, 1))
    assert len(list(gallery.waiting())) == 5


@pytest.mark.parametrize("point", ["_current_shortlist", "_exactly", "_current_view"])
def test_a_migration_that_ends_in_the_middle_of_a_search_is_told(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with Gallery.open(gallery.folder) as other:
        other.search(vectors(8, 1)[0], 1)
        plainly, done = getattr(Reader, point), []  # type: ignore[var-annotated]

        def overtaken(reader: Reader, *given: Any) -> Any:
            if not done:
                done.append(True)
                gallery.begin_migration(NEW)
                stage(gallery)
                gallery.finish_migration()
            return plainly(reader, *given)

        monkeypatch.setattr(Reader, point, overtaken)
        with pytest.raises(GalleryChangedError, match="described by another model meanwhile"):
            other.search(vectors(8, 1)[0], 1)
        assert done


def test_others_who_had_it_open_are_told_that_another_model_describes_it(gallery: Gallery) -> None:
    with Gallery.open(gallery.folder) as other:
        other.search(vectors(8, 1)[0], 1)
        gallery.begin_migration(NEW)
        stage(gallery)
        gallery.finish_migration()
        with pytest.raises(GalleryChangedError, match=r"described by another model meanwhile .*open it again"):
            other.search(vectors(8, 1)[0], 1)
        with pytest.raises(GalleryChangedError):
            other.add([ImageRow("new.jpg", 0, (None,) * 3)], vectors(8, 50))
        assert len(list(other.images())) == 5
