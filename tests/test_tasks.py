"""Illumination and inpainting are data for the code that turns faces."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit.attributes import ILLUMINATION, INPAINTING, POSE, TASKS, AttributeSpace
from faceedit.editor import Editor
from faceedit.errors import AttributeValueError, TrainingError
from faceedit.manifest import read_manifest
from faceedit.modelfile import load_model, shrink_model
from faceedit.networks import NetworkConfig
from faceedit.training.pairs import ContrastSampler, PairSampler, PairSet, PersonSampler, load_pairs
from faceedit.training.recipes import PAPER
from faceedit.training.run import TrainingRun
from faceedit.training.trainer import train
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.queries import choose_queries, load_test_set, truth_rows
from tests.conftest import blob_face
from tests.recipes import SMALL

MATCH = ("identity", "illumination", "pose")
TINY = replace(
    SMALL,
    sources=2,
    targets=4,
    steps_one=3,
    steps_two=2,
    warmup=2,
    contrast_people=2,
    contrast_conditions=2,
    network=NetworkConfig(hidden=64),  # as the models of tests have it
)


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two people for training and one for testing, at two poses under twenty lights."""
    root = tmp_path_factory.mktemp("lights")
    rows = []
    for person in range(3):
        for pose in (0, 30):
            for light in range(20):
                name = f"p{person}_{pose}_{light}.png"
                Image.fromarray(blob_face(person, pose, light)).save(root / name)
                rows.append([name, f"p{person}", pose, light, "test" if person == 2 else "train"])
    with (root / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "identity", "pose", "illumination", "split"], *rows])
    return root


def loaded(root: Path, space: AttributeSpace) -> PairSet:
    return load_pairs(read_manifest(root).where("split", "train"), space)


def test_the_three_tasks_of_the_paper() -> None:
    assert [len(TASKS[name]) for name in ("pose", "illumination", "inpainting")] == [7, 20, 2]
    assert [TASKS[name].text(value) for name, value in (("pose", 30), ("illumination", 7), ("inpainting", 0))] == [
        "pose 30",
        "illumination 7",
        "complete",
    ]
    with pytest.raises(AttributeValueError, match="illumination 20 is not one of 0, 1"):
        ILLUMINATION.index(20)


def test_lights_are_paired_within_one_person_and_pose(lights: Path) -> None:
    pairs = loaded(lights, ILLUMINATION)
    assert pairs.pairs == 2 * 2 * 20 * 19
    manifest = read_manifest(lights).where("split", "train")
    for group in pairs.groups:
        assert {(manifest.columns["identity"][row], manifest.columns["pose"][row]) for row in group}.__len__() == 1
        assert [int(manifest.columns["illumination"][row]) for row in group] == list(range(20))


def test_only_completing_and_keeping_an_occlusion_are_learnt(lights: Path) -> None:
    pairs = loaded(lights, INPAINTING)
    n = len(pairs.images)
    assert pairs.pairs == n  # each occluded picture to its complete one, and nothing back
    sampler = PairSampler(pairs, seed=0, include_same=True)
    seen = set()
    for number in range(30):
        batch = sampler.batch(number, *TINY.shape(2))
        for source, targets, values in zip(batch.sources, batch.targets, batch.values, strict=True):
            seen |= {(source >= n, int(value)) for value in values}
            assert set(targets % n) == {source % n}
            assert ((targets >= n) == values.astype(bool)).all()
    assert seen == {(True, 0), (True, 1), (False, 0)}
    alone = PairSampler(pairs, seed=0, include_same=False)
    assert all((alone.batch(i, 4, 1).sources >= n).all() for i in range(10))


def test_a_batch_has_as_many_pairs_for_every_task() -> None:
    assert [SMALL.shape(len(space)) for space in (POSE, ILLUMINATION, INPAINTING)] == [(8, 7), (8, 7), (28, 2)]
    assert PAPER.shape(2) == (32, 1)


def test_look_alikes_of_occluded_faces_are_other_pictures(lights: Path) -> None:
    pairs = loaded(lights, INPAINTING)
    rows, values, _ = ContrastSampler(pairs, seed=0).batch(3, people=2, conditions=4)
    assert (values == [0, 1]).all()
    assert len({int(row) for row in rows.min(1)}) == 8
    assert (rows.max(1) == rows.min(1) + len(pairs.images)).all()


@pytest.mark.parametrize("space", [POSE, ILLUMINATION, INPAINTING], ids=lambda s: s.name)
def test_of_a_person_every_picture_is_shown_with_another_one_of_its_conditions(
    space: AttributeSpace, lights: Path
) -> None:
    pairs = loaded(lights, space)
    sampler = PersonSampler(pairs, seed=3)
    value, people = sampler.batch(0, 2)
    assert len(set(people.tolist())) == 2 and value in range(len(space))
    asked = {sampler.batch(number, 1)[0] for number in range(40)}
    assert asked == ({0} if space.occlusion else set(np.flatnonzero((pairs.groups >= 0).any(0))))  # nobody is occluded
    person = int(people[0])
    groups, values, rows = sampler.person(person, 1_000)
    assert (pairs.people[groups] == person).all()
    assert len(groups) == (pairs.groups[pairs.people == person] >= 0).sum()
    np.testing.assert_array_equal(rows, pairs.groups[groups[:, None], values])
    assert (rows >= 0).all() and len(set(zip(groups.tolist(), values[:, 0].tolist(), strict=True))) == len(groups)
    turned = values[:, 0] != values[:, 1]
    assert (turned == (values[:, 0] == 1)).all() if space.occlusion else turned.all()
    assert pairs.leads[values[:, 0], values[:, 1]].all()
    few, of_few, _ = sampler.person(person, 3)
    assert len(few) == 3 and set(zip(few, of_few[:, 0], strict=True)) <= set(zip(groups, values[:, 0], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("space", [ILLUMINATION, INPAINTING], ids=lambda s: s.name)
def test_a_model_of_each_task_trains_edits_and_is_measured(space: AttributeSpace, lights: Path, tmp_path: Path) -> None:
    model = train(TrainingRun(space, TINY, tmp_path / "model"), loaded(lights, space))
    assert load_model(tmp_path / "model").card.task == space
    editor = Editor(model, "cpu")
    test = load_test_set(read_manifest(lights), space, MATCH)
    queries = choose_queries(test, space, 6, seed=1)
    measured = evaluate(editor, test, queries, MATCH)
    assert measured.refined.shape == (6, 60, 60, 3)
    assert measured.nearest.max() < len(test.images)
    for i, truth in enumerate(measured.truths):
        row = test.rows_of(queries)[i]
        assert test.keys[truth] == test.keys[row]
        assert test.values[truth] == queries.targets[i]
        assert (truth == row) == space.occlusion
        assert (row in measured.nearest[i]) <= space.occlusion  # the query itself never counts, its complete face does


def test_occluded_queries_are_the_gallery_s_own_pictures_under_a_pattern(lights: Path) -> None:
    test = load_test_set(read_manifest(lights), INPAINTING, MATCH)
    queries = choose_queries(test, INPAINTING, 12, seed=4)
    shown, truths = test.pictures_of(queries), test.images[truth_rows(test, queries)]
    hidden = (shown != truths).any(-1)
    assert (shown[hidden] == 0).all()
    assert all(mask.any() for mask in hidden)
    assert (test.values_of(queries) == 1).all() and (test.own_rows(queries) == -1).all()
    again = test.pictures_of(choose_queries(test, INPAINTING, 12, seed=4))
    np.testing.assert_array_equal(shown, again)


def test_the_value_of_a_picture_is_decided_by_its_reconstruction() -> None:
    errors = np.array([[3.0, 1.0, 2.0], [1.0, 5.0, 0.5]])
    assert POSE.decide(errors).tolist() == [1, 2]
    # a complete face is reconstructed about equally well either way; an occluded one only as occluded
    assert INPAINTING.decide(np.array([[30.0, 28.0], [900.0, 40.0], [30.0, 32.0]])).tolist() == [0, 1, 0]


def test_an_estimate_weighs_against_the_errors() -> None:
    errors = np.array([[10.0, 20.0, 90.0]])
    sure = np.log(np.array([[0.1, 0.8, 0.1]]))
    assert POSE.decide(errors, 0.2 * sure).tolist() == [0]  # 10 / 0.1^0.2 = 15.8, 20 / 0.8^0.2 = 20.9
    assert POSE.decide(errors, sure).tolist() == [1]  # 100, 25 and 900
    occluded = np.array([[100.0, 40.0]])
    assert INPAINTING.decide(occluded).tolist() == [0]
    assert INPAINTING.decide(occluded, np.log(np.array([[0.2, 0.8]]))).tolist() == [1]  # 500 against 3 times 50


@pytest.mark.slow
def test_a_run_may_begin_with_another_model_s_weights(lights: Path, models_folder: Path, tmp_path: Path) -> None:
    pairs = loaded(lights, ILLUMINATION)
    first = load_model(models_folder / "illumination")
    only_two = replace(TINY, steps_one=0)
    model = train(TrainingRun(ILLUMINATION, only_two, tmp_path / "same", start=first), pairs)
    for name, tensor in first.generation.state_dict().items():
        assert torch.equal(model.generation.state_dict()[name], tensor)  # not a single update
    assert model.card.provenance["started_from"]["model"] == first.digest
    assert set(model.card.metrics) == {"training_mse_stage2"}
    changed = [not torch.equal(t, model.refinement.state_dict()[n]) for n, t in first.refinement.state_dict().items()]
    assert all(changed)
    shrink_model(first, tmp_path / "small", half=False)  # a compact one, too: the same function to begin with
    begun = train(TrainingRun(ILLUMINATION, only_two, tmp_path / "full", start=load_model(tmp_path / "small")), pairs)
    source = torch.randn(20, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        begun.generation(source, torch.eye(20)), first.generation(source, torch.eye(20)), atol=1e-4, rtol=1e-3
    )
    other = load_model(models_folder / "pose")  # another task: stage two only
    run = TrainingRun(ILLUMINATION, replace(TINY, steps_two=0), tmp_path / "other", start=other)
    made = train(run, pairs)
    for name, tensor in other.refinement.state_dict().items():
        assert torch.equal(made.refinement.state_dict()[name], tensor)
    for start in (None, other):
        with pytest.raises(TrainingError, match="without a single update stage one has to start"):
            TrainingRun(ILLUMINATION, only_two, tmp_path / "new", start=start).require_startable(resume=False)
    with pytest.raises(TrainingError, match="another recipe, seed"):  # what a run began with is part of it
        train(replace(run, start=None), pairs, resume=True)
