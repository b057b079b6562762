"""Imagined faces that somebody looks at: made with more care than a search needs, and only when they are looked at."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceedit.attributes import POSE
from faceedit.describes import Edit
from faceedit.editor import Editor
from faceedit.engine import Engine
from faceedit.enlarging import enlarged
from faceedit.images import Picture, read_crop
from faceedit.knowing import KnowingEditor
from faceedit.manifest import read_manifest
from faceedit.modelfile import load_model
from retrieval.answers import Step
from retrieval.evaluation.evaluate import evaluate_set
from retrieval.evaluation.quality import quality
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set, truth_rows
from retrieval.query import chains
from retrieval.source import Source
from tests.conftest import ROOT
from tests.stand_ins import HashEditor

MODELS = ROOT / "sample_db" / "models"
WALL = (30, 90, 200)


class Portraitist(HashEditor):
    """Imagines darker faces where nobody looks."""

    def __init__(self, portrays: bool = True) -> None:
        super().__init__(neutral=portrays)
        self._portrays, self.looked = portrays, 0
        self.shown: list[int] = []

    @property
    def portrays(self) -> bool:
        return self._portrays

    def backdrop(self, image: Picture) -> NDArray[np.float32] | None:  # type: ignore[override]
        self.looked += 1
        return np.array(WALL, np.float32) if self.neutral else None

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        return self._grey(60, images, values)

    def portraits(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        self.shown.append(len(images))
        return self._grey(90, images, values)

    def _grey(self, level: int, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        made = np.full((60, 60, 3), level, np.uint8)
        return [replace(edit, generated=made, refined=made) for edit in super().edit_many(images, values)]


def source() -> Source:
    crop = np.full((60, 60, 3), WALL, np.uint8)
    return Source(crop, None, crop)


def test_a_face_is_made_to_be_looked_at_only_when_it_is_and_its_background_once_for_all_of_a_sweep() -> None:
    editor, one = Portraitist(), source()
    steps = [made[0] for made in chains([(one, {"pose": pose}) for pose in (-15, 0, 15)], {"pose": editor})]
    assert (editor.looked, editor.shown) == (0, [])
    assert all((step.edit.refined == 60).all() for step in steps)
    for step in steps:
        assert (step.picture == 90).all() and step.picture is step.picture
    assert (editor.looked, editor.shown) == (1, [1, 1, 1])


def test_a_step_that_is_sent_elsewhere_has_its_picture_and_no_model() -> None:
    step = chains([(source(), {"pose": 30})], {"pose": Portraitist()})[0][0]
    sent: Step = pickle.loads(pickle.dumps(step))
    assert sent.sitter is None
    np.testing.assert_array_equal(sent.picture, step.picture)
    np.testing.assert_array_equal(sent.edit.descriptor, step.edit.descriptor)


def test_who_makes_no_better_pictures_is_not_asked_for_them() -> None:
    editor = Portraitist(portrays=False)
    step = chains([(source(), {"pose": 30})], {"pose": editor})[0][0]
    assert (step.picture == 60).all() and editor.shown == []


def test_a_step_keeps_its_own_picture_and_none_of_those_that_were_asked_with_it() -> None:
    asked = [(source(), {"pose": 30}), (source(), {"pose": 30})]
    for step, (given, _) in zip(chains(asked, {"pose": Portraitist()}), asked, strict=True):
        assert step[0].sitter is not None and step[0].sitter._picture is given.crop


def test_an_encoder_sees_nothing_of_a_portrait() -> None:
    class Never:
        digest, kind, size = "0" * 64, "never", 8

        def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise AssertionError("asked")

    editor = Editor.load(MODELS / "pose", "cpu")
    knowing = KnowingEditor(editor, Never())  # type: ignore[arg-type]
    picture, values = turned_pictures()[0][:1], np.array([0])
    assert knowing.portrays
    np.testing.assert_array_equal(
        knowing.portraits(picture, values)[0].refined, editor.portraits(picture, values)[0].refined
    )


def test_an_evaluation_shows_portraits_of_what_it_searched_by(data_set: Path) -> None:
    manifest = read_manifest(data_set, ("path", "identity", "pose"))
    found = [
        evaluate_set(editor, manifest, default_match(manifest), queries=20, seed=0)
        for editor in (Portraitist(), Portraitist(portrays=False))
    ]
    assert (found[0].refined == 90).all() and (found[1].refined == 60).all()
    np.testing.assert_array_equal(found[0].nearest, found[1].nearest)


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
    assert not editor.portrays
    for plain, shown in zip(editor.edit_many(pictures, values), editor.portraits(pictures, values), strict=True):
        np.testing.assert_array_equal(plain.refined, shown.refined)


def test_a_portrait_is_moved_by_the_mean_at_any_size() -> None:
    """By the shipped weights in single precision."""
    model = load_model(MODELS / "pose")
    editor, pictures, values = Editor(model, "cpu"), turned_pictures()[0][:3], np.array([0, 3, 6])
    engine = Engine(model.networks, "cpu", precision=torch.float32, mirror=POSE.mirrored)
    sources, rows, asked = model.card.normalisation.applied(pictures, "cpu"), torch.arange(3), torch.from_numpy(values)
    with torch.inference_mode():
        prepared = engine.prepare(sources)
        alone = engine.said(prepared, rows, asked)
        agreed = engine.agreed(alone, prepared, sources, rows, asked)
    large = np.kron(pictures, np.ones((1, 4, 4, 1), np.uint8))
    edits = editor.edit_many(pictures, values), editor.portraits(pictures, values)
    for i, (plain, shown) in enumerate(zip(*edits, strict=True)):
        assert plain.moves is not None and shown.moves is not None
        own, mean = (
            np.abs(shown.moves.said[:7].astype(np.float32) - said[i, :7].numpy()).mean() for said in (alone, agreed)
        )
        assert mean < own / 4
        for one, other in ((plain.generated, shown.generated), (plain.refined, shown.refined)):
            assert not np.array_equal(one, other)
        assert not np.array_equal(enlarged(plain, large[i]), enlarged(shown, large[i]))


@pytest.mark.slow
def test_portraits_by_the_shipped_model_are_nearer_the_truth() -> None:
    manifest = read_manifest(ROOT / "sample_db" / "gallery", ("path", "identity", "pose"))
    test = load_test_set(manifest, POSE, default_match(manifest))
    queries = choose_queries(test, POSE, 200, 0)
    truths, editor = test.images[truth_rows(test, queries)], Editor.load(MODELS / "pose", "cpu")
    plain, shown = (
        quality(np.stack([edit.refined for edit in make(test.pictures_of(queries), queries.targets)]), truths)
        for make in (editor.edit_many, editor.portraits)
    )
    assert (shown.mse < plain.mse).mean() > 0.6
    assert shown.mse.mean() < 0.98 * plain.mse.mean() and shown.ssim.mean() > plain.ssim.mean() + 0.003


def test_stage_one_of_the_mirror_image_is_its_mirror_image() -> None:
    editor = Editor.load(MODELS / "pose", "cpu")
    picture = turned_pictures()[1][:1]
    asked, mirrored = (np.array([editor.attribute.index(pose)]) for pose in (30, -30))

    def apart(make: Callable[[NDArray[np.uint8], NDArray[np.int64]], list[Edit]]) -> int:
        one, other = make(picture, asked)[0], make(np.ascontiguousarray(picture[:, :, ::-1]), mirrored)[0]
        return int(np.abs(one.generated.astype(int) - other.generated[:, ::-1]).max())

    assert apart(editor.portraits) <= 2 < apart(editor.edit_many)


def test_a_model_whose_poses_have_no_mirror_image_is_asked_once(tmp_path: Path) -> None:
    folder = shutil.copytree(MODELS / "pose", tmp_path / "pose")
    card = (folder / "model.json").read_text("utf-8")
    assert "-45" in card
    (folder / "model.json").write_text(card.replace("-45", "-50"), "utf-8")
    editor, pictures, values = Editor.load(folder, "cpu"), turned_pictures()[0][:1], np.array([0])
    assert editor.attribute.values[0] == -50 and not editor.portrays
    plain, shown = editor.edit_many(pictures, values)[0], editor.portraits(pictures, values)[0]
    np.testing.assert_array_equal(plain.refined, shown.refined)
