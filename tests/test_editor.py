"""The Editor: pictures in, pictures out, equal to the plain networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from faceedit.attributes import ILLUMINATION, POSE
from faceedit.editor import ALL, DESCRIPTORS, PAPER, Editor
from faceedit.errors import AttributeValueError, FaceEditError, ImageError, UsageError
from faceedit.images import read_crop
from faceedit.modelfile import load_model
from faceedit.networks import NetworkConfig
from tests.conftest import blob_face, write_model

SAMPLE_DB = Path(__file__).resolve().parent.parent / "sample_db"


@pytest.fixture(scope="module")
def editor(model_folder: Path) -> Editor:
    return Editor(load_model(model_folder), device="cpu", pairs=21)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([blob_face(person, pose, 0) for person in range(2) for pose in (-30, 0, 30)])


@pytest.mark.parametrize("kind", ["model_folder", "learned_model_folder"])
def test_an_edit_equals_the_plain_networks(kind: str, faces: np.ndarray, request: pytest.FixtureRequest) -> None:
    model = load_model(request.getfixturevalue(kind))
    mean, std = model.card.normalisation.tensors("cpu")
    source = (torch.from_numpy(faces[:1]).permute(0, 3, 1, 2).float() - mean) / std
    with torch.inference_mode():
        first = model.generation(source, torch.eye(7)[[5]])
        second = model.refinement(source, first)
        features = model.refinement.features(source, first)
        plain = model.describer(features, source, torch.tensor([[5]]))[0].numpy()
    edit = Editor(model, device="cpu").edit(faces[0], 30)
    assert edit.descriptor.shape == plain.shape and edit.descriptor.dtype == np.float32
    assert np.linalg.norm(edit.descriptor) == pytest.approx(1, abs=1e-3)
    assert float(edit.descriptor @ plain) > 0.999
    for made, tensor in ((edit.generated, first), (edit.refined, second)):
        expected = (tensor * std + mean).round().clamp(0, 255)[0].permute(1, 2, 0).numpy()
        assert made.dtype == np.uint8 and made.shape == (60, 60, 3)
        assert np.abs(made.astype(float) - expected).mean() < 2


def test_candidates_are_the_edits_to_every_value(editor: Editor, faces: np.ndarray) -> None:
    candidates = editor.candidates(faces[1])
    assert candidates.descriptors.shape == (7, 28_800) and candidates.refined.shape == (7, 60, 60, 3)
    for position, value in enumerate(editor.attribute.values):
        edit = editor.edit(faces[1], value)
        assert float(edit.descriptor @ candidates.descriptors[position]) > 0.999
        error = ((edit.refined.astype(float) - faces[1]) ** 2).mean()
        if (edit.refined > 0).all() and (edit.refined < 255).all():  # rounding only, no clipping
            assert error == pytest.approx(candidates.errors[position], rel=0.05)
    assert candidates.best == candidates.errors.argmin()


def test_describing_keeps_the_best_candidate_of_each_picture(
    editor: Editor, model_folder: Path, faces: np.ndarray
) -> None:
    described = Editor(load_model(model_folder), "cpu", pairs=4, candidates=ALL).describe(faces)  # in three parts
    assert described.descriptors.shape == (6, 28_800) and described.errors.shape == (6, 7)
    for i, face in enumerate(faces):
        candidates = editor.candidates(face)
        assert described.errors[i] == pytest.approx(candidates.errors, rel=0.02)
        assert described.best[i] == described.errors[i].argmin()
        assert float(described.descriptors[i] @ candidates.descriptors[described.best[i]]) > 0.999


@pytest.mark.slow
def test_an_estimate_has_its_say(learned_model_folder: Path, faces: np.ndarray) -> None:
    model = load_model(learned_model_folder)
    mean, std = model.card.normalisation.tensors("cpu")
    with torch.inference_mode():
        estimate = model.describer.estimate((torch.from_numpy(faces).permute(0, 3, 1, 2).float() - mean) / std)
    assert estimate is not None and estimate.shape == (6, 7)
    assert torch.allclose((estimate / model.card.network.estimate).exp().sum(1), torch.ones(6), atol=1e-4)
    for kind in DESCRIPTORS:  # whatever is searched by
        described = Editor(model, "cpu", descriptor=kind, candidates=ALL).describe(faces)
        assert (described.best == POSE.decide(described.errors, estimate.numpy())).all()
    assert (described.best != described.errors.argmin(1)).any()
    editor = Editor(model, "cpu")
    assert [editor.candidates(face).best for face in faces] == described.best.tolist()


def test_the_papers_descriptor_says_no_value_of_however_many_there_are(tmp_path: Path, faces: np.ndarray) -> None:
    config = NetworkConfig(
        attributes=20, mixing=1, width=32, head=16, identity=8, candidate=0.2, skip=True, estimate=0.5, soft=True
    )
    editor = Editor(load_model(write_model(tmp_path, 3, space=ILLUMINATION, config=config)), "cpu", descriptor=PAPER)
    assert editor.describe(faces).descriptors.shape == (6, 28_800)
    assert editor.edit_many(faces[:1], np.array([19]))[0].descriptor.shape == (28_800,)


def test_a_described_picture_says_its_value_as_surely_as_the_estimate(
    learned_model_folder: Path, faces: np.ndarray
) -> None:
    """And an edit, whose value was asked for, says it outright. All other parts are the same."""
    soft, firm = load_model(learned_model_folder), load_model(learned_model_folder)
    firm.describer.soft = False
    wanted, found = (Editor(model, "cpu").describe(faces) for model in (firm, soft))
    assert (wanted.best == found.best).all()
    rest = np.s_[:, : wanted.descriptors.shape[1] - 7]
    np.testing.assert_array_equal(found.descriptors[rest], wanted.descriptors[rest])
    codes, share = soft.describer.codes.numpy(), np.sqrt(soft.card.network.candidate)
    np.testing.assert_allclose(wanted.descriptors[:, -7:], share * codes[wanted.best], atol=1e-3)
    mean, std = soft.card.normalisation.tensors("cpu")
    with torch.inference_mode():
        estimate = soft.describer.estimate((torch.from_numpy(faces).permute(0, 3, 1, 2).float() - mean) / std)
    assert estimate is not None
    said = estimate.softmax(1).numpy() @ codes
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    np.testing.assert_allclose(found.descriptors[:, -7:], share * said, atol=5e-3)
    assert np.abs(found.descriptors - wanted.descriptors).max() > 0.02  # the control
    edit = Editor(soft, "cpu").edit_many(faces[:1], np.array([2]))[0]
    np.testing.assert_allclose(edit.descriptor[-7:], share * codes[2], atol=1e-3)
    np.testing.assert_allclose(Editor(soft, "cpu").candidates(faces[0]).descriptors[:, -7:], share * codes, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pose", "illumination", "inpainting"])
def test_values_that_cannot_win_are_left_out(name: str) -> None:
    model = load_model(SAMPLE_DB / "models" / name)
    paths = sorted((SAMPLE_DB / "gallery").rglob("*.png"))[::13]
    pictures = np.stack([read_crop(path) for path in paths])
    every = Editor(model, "cpu", candidates=ALL).describe(pictures)
    likely = Editor(model, "cpu").describe(pictures)
    assert (likely.best == every.best).all()
    assert (likely.descriptors * every.descriptors).sum(1).min() > 0.999
    refined = ~np.isnan(likely.errors)
    assert not np.isnan(every.errors).any() and refined.mean() < 0.3
    np.testing.assert_allclose(likely.errors[refined], every.errors[refined], rtol=0.02)


def test_unknown_candidates_are_refused(model_folder: Path) -> None:
    with pytest.raises(UsageError, match="no candidates 'some': choose one of likely, all"):
        Editor.load(model_folder, "cpu", candidates="some")


def test_no_pictures_give_no_descriptors(editor: Editor) -> None:
    described = editor.describe(np.zeros((0, 60, 60, 3), np.uint8))
    assert described.descriptors.shape == (0, 28_800) and described.errors.shape == (0, 7)


def test_a_value_outside_the_space_is_refused(editor: Editor, faces: np.ndarray) -> None:
    with pytest.raises(AttributeValueError, match="pose 31 is not one of -45, -30"):
        editor.edit(faces[0], 31)


@pytest.mark.parametrize(
    "wrong", [np.zeros((60, 60), np.uint8), np.zeros((60, 60, 3), np.float32), np.zeros((64, 64, 3), np.uint8)]
)
def test_pictures_of_another_shape_are_refused(editor: Editor, wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"give \(60, 60, 3\) uint8"):
        editor.edit(wrong, 0)


def test_a_device_that_is_not_there_is_refused(model_folder: Path) -> None:
    with pytest.raises(FaceEditError, match="not one of auto, cpu, cuda"):
        Editor.load(model_folder, "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(FaceEditError, match="no GPU"):
            Editor.load(model_folder, "cuda")
