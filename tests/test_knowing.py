"""A model and an encoder of people together: their descriptors, and galleries that keep to both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.describes import Floats
from faceedit.errors import UsageError
from index.care.restore import restore
from index.errors import ModelMismatchError
from retrieval.face_search import FaceSearch
from tests.conftest import blob_face
from tests.stand_ins import ReadsHere
from tests.test_people import write_encoder

pytest.importorskip("cv2")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for person in range(3):
        folder = tmp_path / "photos" / f"p{person}"
        folder.mkdir(parents=True)
        for pose in (-15, 15):
            Image.fromarray(blob_face(person, pose, 1)).save(folder / f"{pose}.png")
    return tmp_path / "photos"


def search(tmp_path: Path, model: Path, identity: str) -> FaceSearch:
    return FaceSearch(tmp_path / "db", model=model, identity=identity, reader=ReadsHere())


def test_descriptors_are_those_of_both_in_their_shares(tmp_path: Path, learned_model_folder: Path) -> None:
    from faceedit.editor import Editor
    from faceedit.knowing import KnowingEditor
    from faceedit.people import read_encoder

    editor, encoder = Editor.load(learned_model_folder, "cpu"), read_encoder(write_encoder(tmp_path))
    both = KnowingEditor(editor, encoder, 0.36)
    faces = np.stack([blob_face(person, 0, 1) for person in range(3)])
    found, ours = both.describe(faces), editor.describe(faces)
    np.testing.assert_allclose(found.descriptors[:, :8], 0.6 * encoder.encode(faces), atol=1e-5)
    np.testing.assert_allclose(found.descriptors[:, 8:], 0.8 * ours.descriptors, atol=1e-5)
    np.testing.assert_array_equal(found.best, ours.best)
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, rtol=1e-4)
    assert both.descriptor_size == 8 + editor.descriptor_size and both.digest not in (editor.digest, encoder.digest)
    edit = both.edit(faces[0], 30)
    np.testing.assert_allclose(edit.descriptor[:8], 0.6 * encoder.encode(faces[:1])[0], atol=1e-5)
    other = both.of_person(edit.descriptor, faces[1])
    np.testing.assert_allclose(other[:8], 0.6 * encoder.encode(faces[1:2])[0], atol=1e-5)
    np.testing.assert_array_equal(other[8:], edit.descriptor[8:])
    assert KnowingEditor(editor, encoder, 0.2).digest != both.digest
    with pytest.raises(ValueError, match="share is 1"):
        KnowingEditor(editor, encoder, 1)


@pytest.mark.slow
def test_a_gallery_is_of_one_encoder_and_others_are_refused(
    tmp_path: Path, photos: Path, learned_model_folder: Path
) -> None:
    mine, other = (str(write_encoder(tmp_path / name, mean=mean)) for name, mean in (("a", 127.5), ("b", 90.0)))
    asked = photos / "p1" / "15.png"
    with search(tmp_path, learned_model_folder, mine) as faces:
        faces.index(photos)
        assert len(faces.query(asked, k=3)) == 3
    with search(tmp_path, learned_model_folder, mine) as faces:
        assert faces.query(asked, pose=30).results
    with search(tmp_path, learned_model_folder, other) as faces, pytest.raises(ModelMismatchError):
        faces.query(asked, pose=30)
    with search(tmp_path, learned_model_folder, "own") as faces, pytest.raises(ModelMismatchError):
        faces.query(asked, pose=30)
    with (
        search(tmp_path, learned_model_folder, "auto") as faces,
        pytest.raises(UsageError, match=r"8 more than .* described with the encoder mine [0-9a-f]{12};"),
    ):
        faces.query(asked, pose=30)


def test_a_gallery_of_our_own_stays_one_where_an_encoder_is_installed(
    tmp_path: Path, photos: Path, learned_model_folder: Path
) -> None:
    with search(tmp_path, learned_model_folder, "own") as faces:
        faces.index(photos)
    with search(tmp_path, learned_model_folder, "auto") as faces:
        assert faces.query(photos / "p1" / "15.png", pose=30).results
        assert faces.index(photos).unchanged == 6
    mine = str(write_encoder(tmp_path / "a"))
    with search(tmp_path, learned_model_folder, mine) as faces:
        faces.redescribe()
        assert faces.query(photos / "p1" / "15.png").at_any_look
    with FaceSearch(tmp_path / "db") as faces:
        assert faces.info().encoder.startswith("mine ")


def test_a_gallery_says_which_encoder_it_is_pinned_to(tmp_path: Path, photos: Path, learned_model_folder: Path) -> None:
    from faceedit.people import read_encoder

    mine = write_encoder(tmp_path / "a")
    with search(tmp_path, learned_model_folder, "own") as faces:
        info = faces.create(photos)
    assert info.encoder == info.as_json()["encoder"] == "own"
    assert "by the model's own network" in "\n".join(info.lines())
    (tmp_path / "db").rename(tmp_path / "own")
    with search(tmp_path, learned_model_folder, str(mine)) as faces:
        faces.index(photos)
        name = f"{mine.stem} {read_encoder(mine).digest[:12]}"
        assert faces.info().encoder == name and f"by the encoder {name}" in "\n".join(faces.info().lines())
        faces.gallery.export(tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "again", None)
    with FaceSearch(tmp_path / "again") as faces:
        assert faces.info().encoder == name


def test_a_name_that_would_spoil_a_line_is_kept_as_text(
    tmp_path: Path, photos: Path, learned_model_folder: Path
) -> None:
    file = write_encoder(tmp_path / "a")
    mine = file.rename(file.with_stem("my\nencoder"))
    file.with_suffix(".json").rename(mine.with_suffix(".json"))
    with search(tmp_path, learned_model_folder, str(mine)) as faces:
        assert faces.create(photos).encoder.startswith(r"my\nencoder ")


class Counting:
    """Says of each face what its colours are, and how many it was asked about."""

    name, kind, digest, size = "counting", "counting", "c" * 64, 3

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, crops: NDArray[np.uint8], /) -> Floats:
        self.asked += len(crops)
        said = crops.reshape(len(crops), -1, 3).mean(1) + 1
        return np.asarray(said / np.linalg.norm(said, axis=1, keepdims=True), np.float32)


def test_an_encoder_sees_a_picture_that_is_asked_about_once(
    tmp_path: Path, photos: Path, learned_model_folder: Path
) -> None:
    from faceedit.editor import Editor
    from faceedit.knowing import KnowingEditor

    encoder = Counting()
    both = KnowingEditor(Editor.load(learned_model_folder, "cpu"), encoder)
    with FaceSearch(tmp_path / "db", describer=both, reader=ReadsHere()) as faces:
        faces.index(photos)
        for asked in (None, 30):
            encoder.asked = 0
            faces.query(photos / "p1" / "15.png", pose=asked)
            assert encoder.asked == 1
        encoder.asked = 0
        faces.sweep(photos / "p1" / "15.png")
        assert encoder.asked == 1
