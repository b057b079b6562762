"""Training: pairs, determinism, resuming, learning."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from faceedit.attributes import POSE
from faceedit.errors import ManifestError, TrainingError, UsageError
from faceedit.manifest import Manifest, read_manifest
from faceedit.modelfile import Model, record_metrics
from faceedit.training.batches import normalisation_of
from faceedit.training.pairs import ContrastSampler, PairSampler, PairSet, load_pairs
from faceedit.training.recipes import PAPER, Recipe, recipe_named
from faceedit.training.run import TrainingRun
from faceedit.training.trainer import Progress, learning_rate, train
from tests.recipes import SMALL

TINY_SMALL = replace(
    SMALL, sources=2, targets=3, steps_one=5, steps_two=3, warmup=2, contrast_people=2, contrast_conditions=2
)
TINY_PAPER = replace(PAPER, sources=4, steps_one=5, steps_two=3)


@pytest.fixture(scope="module")
def manifest(data_set: Path) -> Manifest:
    return read_manifest(data_set).where("split", "train")


@pytest.fixture(scope="module")
def pairs(manifest: Manifest) -> PairSet:
    return load_pairs(manifest, POSE)


def test_pairs_are_all_ordered_pairs_of_one_person_under_one_light(pairs: PairSet, manifest: Manifest) -> None:
    rows = list(zip(*(manifest.columns[c] for c in ("identity", "illumination", "pose")), strict=True))
    naive = sum(a[:2] == b[:2] and a[2] != b[2] for a, b in permutations(rows, 2))
    assert pairs.pairs == naive == 2 * 2 * 7 * 6


def test_the_papers_protocol_has_84_000_pairs() -> None:
    groups = np.arange(100 * 20 * 7).reshape(-1, 7)
    people, leads = np.arange(2000) // 20, np.ones((7, 7), bool)
    assert PairSet(np.zeros((0, 60, 60, 3), np.uint8), groups, people, people, leads, np.arange(7)).pairs == 84_000


@pytest.mark.parametrize("same", [True, False])
def test_a_batch_holds_pairs_of_one_group(pairs: PairSet, same: bool) -> None:
    sampler = PairSampler(pairs, seed=3, include_same=same)
    own = 0
    for number in range(40):
        batch = sampler.batch(number, 4, 3)
        for source, targets, values in zip(batch.sources, batch.targets, batch.values, strict=True):
            group = next(g for g in pairs.groups if source in g)
            assert group[values].tolist() == targets.tolist()
            assert len(set(targets.tolist())) == 3
            own += int(source in targets)
    assert (own > 0) == same


def test_every_ordered_pair_comes_up(pairs: PairSet) -> None:
    sampler = PairSampler(pairs, seed=0, include_same=False)
    seen = set()
    for number in range(300):
        batch = sampler.batch(number, 8, 2)
        seen |= {(int(s), int(t)) for s, row in zip(batch.sources, batch.targets, strict=True) for t in row}
    assert len(seen) == pairs.pairs


def test_a_batch_depends_only_on_seed_and_number(pairs: PairSet) -> None:
    a, b = (PairSampler(pairs, seed=1, include_same=True).batch(9, 4, 2) for _ in range(2))
    assert np.array_equal(a.targets, b.targets) and np.array_equal(a.sources, b.sources)
    other = PairSampler(pairs, seed=2, include_same=True).batch(9, 4, 2)
    assert not (np.array_equal(a.sources, other.sources) and np.array_equal(a.targets, other.targets))


def test_missing_pictures_are_never_drawn(pairs: PairSet) -> None:
    groups = pairs.groups.copy()
    groups[0, 2:] = -1
    groups[1, 1:] = -1  # a single picture: no pair
    holed = replace(pairs, groups=groups)
    sampler = PairSampler(holed, seed=0, include_same=False)
    for number in range(50):
        batch = sampler.batch(number, 6, 4)
        assert (batch.targets >= 0).all() and (batch.sources >= 0).all()
        assert groups[1, 0] not in batch.sources


def test_contrast_batches_share_both_values(pairs: PairSet) -> None:
    rows, values, _ = ContrastSampler(pairs, seed=0).batch(5, people=2, conditions=2)
    assert rows.shape == (4, 2)
    assert (values == values[0]).all() and values[0, 0] < values[0, 1]
    assert all(any(np.array_equal(group[values[0]], row) for group in pairs.groups) for row in rows)


def test_contrast_batches_can_give_every_person_values_of_its_own(pairs: PairSet) -> None:
    sampler = ContrastSampler(pairs, seed=0)
    differ = 0
    for number in range(20):
        rows, values, people = sampler.batch(number, people=2, conditions=2, own_values=True)
        assert rows.shape == values.shape == (4, 2) and len(set(people.tolist())) == 2
        own = [np.flatnonzero((pairs.groups[:, v] == row).all(1)) for row, v in zip(rows, values, strict=True)]
        assert [pairs.people[int(group[0])] for group in own] == people.tolist()
        assert all((values[people == person] == values[people == person][0]).all() for person in set(people.tolist()))
        differ += int((values != values[0]).any())
    assert differ > 10


def test_people_with_more_conditions_come_more_often(pairs: PairSet) -> None:
    rich = np.repeat(np.arange(len(pairs.groups)), np.where(pairs.people == pairs.people[0], 6, 1))
    uneven = replace(pairs, groups=pairs.groups[rich], people=pairs.people[rich], faces=pairs.faces[rich])
    share = float((uneven.people == pairs.people[0]).mean())
    sampler = ContrastSampler(uneven, seed=0)
    first = [int(sampler.batch(number, 1, 1)[2][0] == pairs.people[0]) for number in range(300)]
    assert 0.6 < share < 1 and abs(sum(first) / 300 - share) < 0.08


def test_a_manifest_without_pairs_or_columns_is_refused(manifest: Manifest) -> None:
    one = Manifest(manifest.root, {k: v[:1] for k, v in manifest.columns.items()})
    with pytest.raises(TrainingError, match="nothing to learn from"):
        load_pairs(one, POSE)
    without = Manifest(manifest.root, {k: v for k, v in manifest.columns.items() if k != "illumination"})
    with pytest.raises(ManifestError, match="no column 'illumination'"):
        load_pairs(without, POSE)
    odd = Manifest(manifest.root, {**manifest.columns, "pose": ("31", *manifest.columns["pose"][1:])})
    with pytest.raises(ManifestError, match="pose 31 is not one of"):
        load_pairs(odd, POSE)


def without_poses(manifest: Manifest, gone: set[str]) -> Manifest:
    keep = [i for i, pose in enumerate(manifest.columns["pose"]) if pose not in gone]
    return Manifest(manifest.root, {k: tuple(v[i] for i in keep) for k, v in manifest.columns.items()})


@pytest.mark.slow
def test_a_data_set_of_three_poses_is_trained(manifest: Manifest, tmp_path: Path) -> None:
    three = load_pairs(without_poses(manifest, {"-30", "-15", "15", "30"}), POSE)
    sampler = ContrastSampler(three, seed=0)
    for number in range(100):
        rows, values, _ = sampler.batch(number, 2, 2)
        assert (rows >= 0).all() and set(values.ravel().tolist()) <= {0, 3, 6} and (values[:, 0] < values[:, 1]).all()
    train(run_of(tmp_path, replace(TINY_SMALL, steps_one=1, steps_two=2)), three)


def test_two_pictures_of_one_condition_are_refused_unless_a_column_tells_them_apart(manifest: Manifest) -> None:
    twice = {k: v + v for k, v in manifest.columns.items()}
    with pytest.raises(ManifestError, match="agree in identity, illumination, pose"):
        load_pairs(Manifest(manifest.root, twice), POSE)
    n = len(manifest)
    told = {**twice, "expression": ("neutral",) * n + ("smiling",) * n}
    pairs = load_pairs(Manifest(manifest.root, told), POSE)
    assert pairs.pairs == 2 * 2 * 2 * 7 * 6
    assert all((group < n).all() or (group >= n).all() for group in pairs.groups)  # never across expressions


def test_normalisation_is_mean_and_deviation_per_channel(pairs: PairSet) -> None:
    found = normalisation_of(pairs.images)
    values = pairs.images.reshape(-1, 3).astype(np.float64)
    assert found.mean == pytest.approx(values.mean(0), abs=1e-3)
    assert found.std == pytest.approx(values.std(0), abs=1e-3)


def run_of(out: Path, recipe: Recipe, seed: int = 0) -> TrainingRun:
    return TrainingRun(POSE, recipe, out, seed=seed, checkpoint_every=3)


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {**model.generation.state_dict(), **{f"r.{k}": v for k, v in model.refinement.state_dict().items()}}


def equal(a: Model, b: Model) -> bool:
    x, y = weights(a), weights(b)
    return all(torch.equal(x[k], y[k]) for k in x)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [TINY_SMALL, TINY_PAPER], ids=["fast", "paper"])
def test_resuming_equals_an_uninterrupted_run_to_the_bit(pairs: PairSet, tmp_path: Path, recipe: Recipe) -> None:
    whole = train(run_of(tmp_path / "whole", recipe), pairs)

    class Stop(Exception):
        pass

    def interrupt(at: tuple[int, int]) -> None:
        def report(progress: Progress) -> None:
            if (progress.stage, progress.step) == at:
                raise Stop

        with pytest.raises(Stop):
            train(run_of(tmp_path / "cut", recipe), pairs, resume=at != (1, 4), report=report)

    interrupt((1, 4))  # after the checkpoint of step 3
    interrupt((2, 2))  # in stage two
    resumed = train(run_of(tmp_path / "cut", recipe), pairs, resume=True)
    assert equal(whole, resumed) and whole.digest == resumed.digest


@pytest.mark.slow
def test_same_seed_same_weights_and_another_seed_others(pairs: PairSet, tmp_path: Path) -> None:
    a, b = (train(run_of(tmp_path / name, TINY_SMALL), pairs) for name in ("a", "b"))
    c = train(run_of(tmp_path / "c", TINY_SMALL, seed=1), pairs)
    assert equal(a, b) and not equal(a, c)


@pytest.mark.slow
def test_another_run_is_neither_overwritten_nor_resumed(pairs: PairSet, tmp_path: Path) -> None:
    train(run_of(tmp_path, TINY_SMALL), pairs)
    record_metrics(tmp_path, {"recall@1": 0.5}, {})
    assert train(run_of(tmp_path, TINY_SMALL), pairs, resume=True).card.metrics["recall@1"] == 0.5
    with pytest.raises(TrainingError, match="--resume to go on"):
        train(run_of(tmp_path, TINY_SMALL), pairs)
    with pytest.raises(TrainingError, match="another recipe, seed"):
        train(run_of(tmp_path, TINY_SMALL, seed=5), pairs, resume=True)
    other = replace(pairs, images=255 - pairs.images)
    with pytest.raises(TrainingError, match="or data set"):
        train(run_of(tmp_path, TINY_SMALL), other, resume=True)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.json").write_text("{}")
    with pytest.raises(TrainingError, match="holds a model already"):
        run_of(tmp_path / "made", TINY_SMALL).require_startable(resume=False)
    with pytest.raises(TrainingError, match="no checkpoint"):
        run_of(tmp_path / "nothing", TINY_SMALL).require_startable(resume=True)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named(pairs: PairSet, tmp_path: Path) -> None:
    train(run_of(tmp_path, TINY_SMALL), pairs)
    (tmp_path / "checkpoint" / "generation.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        train(run_of(tmp_path, TINY_SMALL), pairs, resume=True)


@pytest.mark.slow
def test_training_learns(pairs: PairSet, tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(TINY_SMALL, sources=4, targets=2, steps_one=30, steps_two=1, warmup=3)
    train(run_of(tmp_path, recipe), pairs, report=lambda p: losses.append(p.loss) if p.stage == 1 else None)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
    still = replace(recipe, learning_rate=0.0, weight_decay=0.0)  # negative control: without steps nothing is learnt
    losses.clear()
    train(run_of(tmp_path / "still", still), pairs, report=lambda p: losses.append(p.loss) if p.stage == 1 else None)
    assert np.mean(losses[-5:]) > 0.6 * np.mean(losses[:3])


def test_recipes_have_the_papers_numbers() -> None:
    paper = recipe_named("paper")
    assert (paper.learning_rate, paper.momentum, paper.sources * paper.targets) == (1e-6, 0.95, 32)
    assert paper.summed_loss and not paper.include_same and paper.contrast == 0
    with pytest.raises(UsageError, match="choose one of paper, best"):
        recipe_named("slow")


def test_the_learning_rate_warms_up_and_falls_as_a_half_cosine() -> None:
    recipe = replace(SMALL, learning_rate=2.0, warmup=10)
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == max(rates[9:11])
    assert rates[50] == pytest.approx(1.0) and rates[99] < 0.001
    assert [learning_rate(PAPER, step, 100) for step in (0, 99)] == [1e-6, 1e-6]
    short = [learning_rate(recipe, step, 10) for step in range(10)]  # not all of it is warm-up
    assert short[1] > short[0] and short[2] < short[1]
