"""A gallery described again by another model: ids and labels stay, and every image is accounted for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.images import read_crop
from index.gallery import Gallery, Labels
from index.labels import HAND
from retrieval.errors import RetrievalError
from retrieval.indexing import index_folder
from retrieval.kinds import find_images
from retrieval.opening import open_gallery
from retrieval.redescribing import redescribe
from tests.conftest import blob_face
from tests.faces import label
from tests.stand_ins import HashEditor, ReadsHere


@pytest.fixture
def editor() -> HashEditor:
    return HashEditor("before")


@pytest.fixture
def other() -> HashEditor:
    return HashEditor("after", descriptor_size=24)


@pytest.fixture
def gallery(tmp_path: Path, editor: HashEditor) -> Iterator[Gallery]:
    """Four pictures, of which the last has the content of the first."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        Image.fromarray(blob_face(number, 15 * number, 0)).save(photos / f"{number}.png")
    shutil.copy(photos / "0.png", photos / "3.png")
    with open_gallery(tmp_path / "db", editor, photos) as opened:
        index_folder(opened, editor, find_images(photos), reader=ReadsHere())
        label(opened, {f"{number}.png": Labels.given(HAND, identity=f"p{number}", pose=number) for number in range(4)})
        yield opened


def test_every_image_is_described_by_the_new_model_and_keeps_what_was_known_of_it(
    gallery: Gallery, other: HashEditor
) -> None:
    before = {face.id: (face.photo.path, face.photo.sha256, face.labels) for face in gallery.faces()}
    steps: list[tuple[int, int]] = []
    report = redescribe(gallery, other, progress=lambda *step: steps.append(step))
    assert (report.finished, report.described, report.before, report.unread) == (True, 4, 0, [])
    assert steps == [(0, 4), (4, 4)]
    images = list(gallery.faces())
    assert {face.id: (face.photo.path, face.photo.sha256, face.labels) for face in images} == before
    gallery.require_model(other.digest, other.descriptor_size)
    crops = np.stack([read_crop(gallery.config.image_root / image.path) for image in images])
    expected = other.describe(crops)
    assert [face.decided for face in images] == [other.attribute.values[best] for best in expected.best]
    np.testing.assert_allclose(gallery.descriptors(list(before)), expected.descriptors, atol=5e-3)
    assert gallery.search(expected.descriptors[2], 1)[0].face.path == "2.png"
    assert gallery.verify().sound
    again = index_folder(gallery, other, find_images(gallery.config.image_root))
    assert (again.described, again.unchanged) == (0, 4)


def test_an_image_that_cannot_be_read_keeps_the_new_model_from_taking_over(gallery: Gallery, other: HashEditor) -> None:
    old = gallery.config
    path = gallery.config.image_root / "1.png"
    path.rename(path.with_suffix(".away"))
    report = redescribe(gallery, other, reader=ReadsHere())
    assert not report.finished and report.unread == [("1.png", f"{path} does not exist any more")]
    assert gallery.config == old and len(gallery) == 4
    path.with_suffix(".away").rename(path)
    report = redescribe(gallery, other, reader=ReadsHere())
    assert (report.finished, report.described, report.before) == (True, 1, 3)
    assert gallery.config.model_digest == other.digest and len(gallery) == 4


def test_or_it_is_dropped(gallery: Gallery, other: HashEditor) -> None:
    (gallery.config.image_root / "1.png").write_bytes(b"")
    report = redescribe(gallery, other, drop=True, reader=ReadsHere())
    assert (report.finished, report.dropped, report.described) == (True, 1, 3)
    assert sorted(gallery.known()) == ["0.png", "2.png", "3.png"] and gallery.verify().sound


def test_an_image_that_has_changed_is_described_as_it_is_now(gallery: Gallery, other: HashEditor) -> None:
    path = gallery.config.image_root / "1.png"
    Image.fromarray(blob_face(9, 0, 1)).save(path)
    redescribe(gallery, other, reader=ReadsHere())
    [match] = gallery.search(other.describe(read_crop(path)[None]).descriptors[0], 1)
    assert match.face.path == "1.png" and match.face.photo.stamp.size == path.stat().st_size
    again = index_folder(gallery, other, find_images(gallery.config.image_root))
    assert (again.described, again.unchanged) == (0, 4)


def test_nothing_is_dropped_when_every_file_is_missing(gallery: Gallery, other: HashEditor) -> None:
    photos = gallery.config.image_root
    photos.rename(photos.with_name("away"))
    with pytest.raises(RetrievalError, match=r"photos is not there: bring it back, or say where it is with"):
        redescribe(gallery, other, drop=True, reader=ReadsHere())
    photos.mkdir()
    with pytest.raises(RetrievalError, match="none of the 4 images can be read"):
        redescribe(gallery, other, drop=True, reader=ReadsHere())
    assert len(gallery) == 4


def test_an_interrupted_run_is_taken_up_again(gallery: Gallery, other: HashEditor) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redescribe(gallery, other, progress=interrupt, reader=ReadsHere(most=2))
    assert gallery.config.model_digest != other.digest
    report = redescribe(gallery, other, reader=ReadsHere())
    assert (report.before, report.described, report.finished) == (2, 2, True)
