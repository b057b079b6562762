"""Imagined faces that somebody looks at: made with more care than a search needs, and only when they are looked at."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from faceedit.attributes import POSE
from faceedit.describes import Edit
from faceedit.editor import Editor
from faceedit.enlarging import enlarged
from faceedit.images import Picture, read_crop
from faceedit.manifest import read_manifest
from retrieval.answers import Step
from retrieval.evaluation.quality import quality
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set, truth_rows
from retrieval.query import chains
from retrieval.source import Source
from tests.conftest import ROOT
from tests.stand_ins import HashEditor

MODELS = ROOT / "sample_db" / "models"
WALL = (30, 90, 200)


class Neutral(HashEditor):
    """Imagines people on neutral grey, and darker where nobody looks."""

    def __init__(self) -> None:
        super().__init__(neutral=True)
        self.shown: list[int] = []
        self.looked = 0

    def backdrop(self, image: Picture) -> NDArray[np.float32]:  # type: ignore[override]
        self.looked += 1
        return np.array(WALL, np.float32)

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64], /, to_show: bool = False) -> list[Edit]:
        self.shown += [len(images)] * to_show
        made = np.full((60, 60, 3), 90 if to_show else 60, np.uint8)
        return [Edit(made, made, edit.descriptor) for edit in super().edit_many(images, values)]


def source() -> Source:
    crop = np.full((60, 60, 3), WALL, np.uint8)
    return Source(crop, None, crop)


def test_a_face_is_made_to_be_looked_at_only_when_it_is_and_its_background_once_for_all_of_a_sweep() -> None:
    editor, one = Neutral(), source()
    steps = [made[0] for made in chains([(one, {"pose": pose}) for pose in (-15, 0, 15)], {"pose": editor})]
    assert (editor.looked, editor.shown) == (0, [])
    assert all((step.edit.refined == 60).all() for step in steps)
    for step in steps:
        assert (step.picture == 90).all() and step.picture is step.picture
    assert (editor.looked, editor.shown) == (1, [1, 1, 1])


def test_a_step_that_is_sent_elsewhere_has_its_picture_and_no_model() -> None:
    step = chains([(source(), {"pose": 30})], {"pose": Neutral()})[0][0]
    sent: Step = pickle.loads(pickle.dumps(step))
    assert sent.sitter is None
    np.testing.assert_array_equal(sent.picture, step.picture)
    np.testing.assert_array_equal(sent.edit.descriptor, step.edit.descriptor)


def test_a_face_that_keeps_its_background_is_shown_as_it_was_made() -> None:
    step = chains([(source(), {"pose": 30})], {"pose": HashEditor()})[0][0]
    np.testing.assert_array_equal(step.picture, step.edit.refined)


def turned_pictures(pose: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N, 60, 60, 3) each: people at 30 degrees, and the same people under the same lights at a pose."""
    files = sorted((ROOT / "sample_db" / "gallery").glob("*/*_+30_*.png"))
    there = [(file, file.with_name(file.name.replace("_+30_", f"_{pose:+03d}_"))) for file in files]
    pairs = [pair for pair in there if pair[1].exists()][::6]
    assert len(pairs) >= 12
    return np.stack([read_crop(one) for one, _ in pairs]), np.stack([read_crop(other) for _, other in pairs])


@pytest.mark.parametrize("name", ["illumination", "inpainting"])
def test_light_and_completed_faces_are_shown_as_they_are_searched(name: str) -> None:
    editor, pictures = Editor.load(MODELS / name, "cpu"), turned_pictures()[0][:2]
    values = np.zeros(2, np.int64)
    for plain, shown in zip(editor.edit_many(pictures, values), editor.edit_many(pictures, values, True), strict=True):
        np.testing.assert_array_equal(plain.refined, shown.refined)


def test_a_portrait_is_searched_by_the_same_descriptor() -> None:
    editor, pictures = Editor.load(MODELS / "pose", "cpu"), turned_pictures()[0][:3]
    values = np.array([0, 3, 6])
    for plain, shown in zip(editor.edit_many(pictures, values), editor.edit_many(pictures, values, True), strict=True):
        np.testing.assert_allclose(plain.descriptor, shown.descriptor, atol=1e-6)
        assert not np.array_equal(plain.refined, shown.refined)


@pytest.mark.slow
def test_portraits_by_the_shipped_model_are_nearer_the_truth() -> None:
    manifest = read_manifest(ROOT / "sample_db" / "gallery", ("path", "identity", "pose"))
    test = load_test_set(manifest, POSE, default_match(manifest))
    queries = choose_queries(test, POSE, 200, 0)
    truths, editor = test.images[truth_rows(test, queries)], Editor.load(MODELS / "pose", "cpu")
    plain, shown = (
        quality(
            np.stack([edit.refined for edit in editor.edit_many(test.pictures_of(queries), queries.targets, more)]),
            truths,
        )
        for more in (False, True)
    )
    assert (shown.mse < plain.mse).mean() > 0.6
    assert shown.mse.mean() < 0.98 * plain.mse.mean() and shown.ssim.mean() > plain.ssim.mean() + 0.003


def test_a_portrait_of_the_mirror_image_is_the_mirror_image() -> None:
    editor = Editor.load(MODELS / "pose", "cpu")
    picture = turned_pictures()[1][:1]
    asked, mirrored = (np.array([editor.attribute.index(pose)]) for pose in (30, -30))
    one = editor.edit_many(picture, asked, to_show=True)[0]
    other = editor.edit_many(np.ascontiguousarray(picture[:, :, ::-1]), mirrored, to_show=True)[0]
    assert np.abs(one.generated.astype(int) - other.generated[:, ::-1]).max() <= 2
    plain = editor.edit_many(picture, asked)[0].generated
    assert (
        np.abs(plain.astype(int) - editor.edit_many(picture[:, :, ::-1].copy(), mirrored)[0].generated[:, ::-1]).max()
        > 2
    )
    assert enlarged(one, picture[0]).shape == (60, 60, 3)
