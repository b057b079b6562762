"""Looking at what the gallery shows: a photo upright, a face as it was cut out, and no other file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import Landmarks, align
from faceedit.errors import ImageError, UsageError
from index.gallery import Gallery, GalleryConfig
from index.stamps import FileStamp
from retrieval.face_search import FaceSearch
from tests.conftest import blob_face
from tests.faces import in_photograph, new_face, unit_vectors
from tests.stand_ins import HashEditor

SIZE = (900, 600)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A photograph with something to see everywhere, which lies on its side by its EXIF."""
    y, x = np.mgrid[0:600, 0:900]
    picture = Image.fromarray(np.stack([x * 255 // 900, y * 255 // 600, (x + y) % 256], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photos" / "scene.png"
    path.parent.mkdir()
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


@pytest.fixture
def faces(scene: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    """Two faces of the scene, and a crop."""
    Image.fromarray(blob_face(1, 0, 1)).save(scene.with_name("crop.png"))
    editor = HashEditor()
    config = GalleryConfig(editor.digest, "pose", editor.attribute.values, 16, scene.parent)
    errors = (1.0,) * 7
    stamped = []
    for path in (scene, scene.with_name("crop.png")):
        face = new_face(path.name, errors=errors)
        stamped.append(replace(face, photo=replace(face.photo, stamp=FileStamp.of(path.stat()))))
    whole, crop = stamped
    with Gallery.create(tmp_path / "db", config) as gallery:
        gallery.add([in_photograph(whole), in_photograph(whole, 2, 500), crop], unit_vectors(3, 16))
    with FaceSearch(tmp_path / "db", describer=editor) as opened:
        yield opened


def test_a_photo_is_shown_upright_and_no_larger_than_asked(faces: FaceSearch, scene: Path) -> None:
    shown = faces.photo(1, 300)
    assert shown.shape == (200, 300, 3)
    assert shown[100, 290, 0] > 230 > 20 > shown[100, 5, 0] and shown[190, 150, 1] > 230  # not on its side
    assert faces.photo(1, 4_000).shape == (600, 900, 3) and faces.photo(3).shape == (60, 60, 3)
    with pytest.raises(UsageError, match="size is 0"):
        faces.photo(1, 0)


def test_a_face_is_cut_out_as_its_landmarks_say(faces: FaceSearch, scene: Path) -> None:
    whole = Image.fromarray(faces.photo(1, 900))
    for number, left in ((1, 100), (2, 500)):
        points = Landmarks((left + 20, 240), (left + 60, 240), (left + 25, 280), (left + 55, 280))
        source = faces.read_face(number)
        np.testing.assert_array_equal(source.crop, align(whole, points))
        assert source.path == scene and 60 <= len(source.picture) <= 240
        assert len(faces.read_face(number, size=80).picture) == 80
    np.testing.assert_array_equal(faces.read_face(3).crop, blob_face(1, 0, 1))


def test_no_face_of_the_photo_that_is_asked_about_is_found(faces: FaceSearch) -> None:
    assert [one.face.id for one in faces.query(faces.read_face(2), k=9)] == [3]


def test_of_each_photo_one_face_stands_for_it(faces: FaceSearch) -> None:
    assert faces.gallery.ids(photos=True).tolist() == [1, 3]
    assert faces.gallery.ids().tolist() == [1, 2, 3]


def test_another_file_in_its_place_is_not_shown(faces: FaceSearch, scene: Path) -> None:
    scene.write_bytes(scene.with_name("crop.png").read_bytes())
    for look in (faces.read_face, faces.photo):
        with pytest.raises(ImageError, match=r"scene\.png is changed since: run `facesearch index`"):
            look(1)


def test_a_crop_shows_one_face_that_fills_it(faces: FaceSearch) -> None:
    content = io.BytesIO()
    Image.fromarray(blob_face(2, 0, 0)).save(content, "PNG")
    shown = faces.faces_in(content.getvalue())
    assert (len(shown.faces), shown.size, shown.faces[0].box) == (1, None, None)
