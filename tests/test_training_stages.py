"""What each stage learns from: its loss beside naive formulas, and which weights get a gradient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from faceedit.attributes import INPAINTING, POSE, AttributeSpace
from faceedit.devices import autocast
from faceedit.manifest import read_manifest
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, new_networks, save_model
from faceedit.networks import FlowGenerationNetwork, NetworkConfig, pixel_grid
from faceedit.synth.places import Viewpoint
from faceedit.training import losses
from faceedit.training.augmentation import Augmentation
from faceedit.training.batches import Sitting
from faceedit.training.pairs import ContrastSampler, PairSampler, PairSet, load_pairs
from faceedit.training.recipes import BEST, FAST, PAPER, Recipe
from faceedit.training.run import TrainingRun, begin
from faceedit.training.second_stage import Comparer, RefinementStage, two_stages
from faceedit.training.stages import (
    GenerationStage,
    IdentityStage,
    Material,
    Stage,
    looked_at,
    picture_loss,
    reconstruction_loss,
)

FEW = {"sources": 2, "targets": 3, "identity_people": 2, "contrast_people": 2, "contrast_conditions": 2}
TINY_FAST = replace(FAST, **FEW)  # type: ignore[arg-type]
TINY_BEST = replace(
    BEST,
    network=replace(BEST.network, mixing=1, head=16, identity=8, candidate=0.2),
    **FEW,  # type: ignore[arg-type]
)


@pytest.fixture(scope="module")
def pairs(data_set: Path) -> PairSet:
    return load_pairs(read_manifest(data_set).where("split", "train"), POSE)


@pytest.fixture(scope="module")
def people(cut_out: Path) -> PairSet:
    """The same kind of pairs on black, with masks."""
    return load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)


def material_of(pairs: PairSet, recipe: Recipe, space: AttributeSpace = POSE) -> Material:
    """Of a run that has just begun."""
    run = TrainingRun(space, recipe, Path("not-written"))
    return Material.of(run, pairs, begin(run))


def sized(recipe: Recipe, **sizes: float) -> Recipe:
    return replace(recipe, network=replace(recipe.network, **sizes))  # type: ignore[arg-type]


# --- pictures ---


def test_the_papers_loss_is_summed_over_a_picture_and_averaged_over_the_batch(pairs: PairSet) -> None:
    material = material_of(pairs, replace(PAPER, sources=4))
    lesson = GenerationStage(material).lesson(0)
    batch = PairSampler(pairs, seed=0, include_same=False).batch(0, 4, 1)
    naive = 0.0
    for source, target, value in zip(batch.sources, batch.targets, batch.values, strict=True):
        shot = material.shot(1, 0, np.array([source]), target[None], value[None])
        with torch.no_grad():
            made = material.networks.generation.many(shot.sources, shot.values)
        naive += float(((made - shot.targets).double() ** 2).sum()) / 4
    assert lesson.pairs == 4 and float(lesson.loss.detach()) == pytest.approx(naive, rel=2e-2)  # bfloat16 where it is
    deviation = np.array(material.normalisation.std)
    assert min(deviation) ** 2 < lesson.figure * 3 * 60 * 60 / naive < max(deviation) ** 2


def test_the_picture_loss_adds_gradients_and_features(people: PairSet) -> None:
    material = material_of(people, TINY_BEST)
    material.keep_identity()
    network = material.networks.describer.identity
    assert network is not None and not network.training
    made, wanted = torch.randn(3, 3, 60, 60), torch.randn(3, 3, 60, 60)
    error = made - wanted

    def loss(gradient: float = 0, perceptual: float = 0) -> float:
        recipe = replace(TINY_BEST, gradient=gradient, perceptual=perceptual)
        return float(picture_loss(made, wanted, recipe, network, (0,)))

    squared = float((error**2).mean())
    assert loss() == pytest.approx(squared, rel=1e-5)
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    assert loss(gradient=0.5) == pytest.approx(squared + 0.5 * float(across.abs().mean() + down.abs().mean()), rel=1e-4)
    with torch.no_grad():
        row = int(looked_at(3, (0,))[0])
        seen = list(zip(network.features(made[[row]]), network.features(wanted[[row]]), strict=True))
    ratios = [float(((a - b) ** 2).mean() / (b**2).mean()) for a, b in seen]
    assert loss(perceptual=2.0) == pytest.approx(squared + 2 * np.mean(ratios), rel=0.03)  # bfloat16 features


def test_a_quarter_of_each_batch_is_looked_at_wherever_it_stands_in_it() -> None:
    """Of a contrast batch, ordered by group, source and target, a fixed stride would only see pictures not turned."""
    seen = [looked_at(64, (0, 2, step, 3)) for step in range(40)]
    assert all(len(set(rows.tolist())) == 16 for rows in seen)
    assert {int(row) % 4 for rows in seen for row in rows} == {0, 1, 2, 3}
    assert looked_at(1, (0,)).tolist() == [0]
    np.testing.assert_array_equal(looked_at(64, (0, 2, 5, 3)), seen[5])


@pytest.mark.parametrize("joint", [True, False])
def test_a_joint_loss_counts_both_pictures(people: PairSet, joint: bool) -> None:
    recipe = replace(TINY_BEST, gradient=0, perceptual=0, joint=joint)
    first, made, wanted = torch.randn(3, 2, 3, 60, 60)
    one, two = (float(((picture - wanted) ** 2).mean()) for picture in (first, made))
    loss = RefinementStage(material_of(people, recipe)).pictures_loss(0, first, made, wanted)
    assert float(loss) == pytest.approx(two + joint * one, rel=1e-5)


def test_only_the_papers_recipe_sums() -> None:
    error = torch.randn(2, 3, 60, 60)
    assert float(reconstruction_loss(error, PAPER)) == pytest.approx(float((error**2).sum()) / 2, rel=1e-5)
    assert float(reconstruction_loss(error, FAST)) == pytest.approx(float((error**2).mean()), rel=1e-5)


# --- the contrast ---


@pytest.mark.slow
@pytest.mark.parametrize(("identity", "space"), [(0, POSE), (8, POSE), (0, INPAINTING)])
def test_the_contrast_loss_equals_a_naive_loop(data_set: Path, identity: int, space: AttributeSpace) -> None:
    """Everybody alike; every person alone, with two poses of its own; and where only one direction can be learnt."""
    pairs = load_pairs(read_manifest(data_set).where("split", "train"), space)
    recipe = sized(replace(TINY_FAST, contrast=0.3), identity=identity)
    material = material_of(pairs, recipe, space)
    stage = RefinementStage(material)
    stage.begin()
    lesson = stage.lesson(0)
    rows, values, people = ContrastSampler(pairs, seed=0).batch(0, 2, 2, identity > 0)
    others = torch.from_numpy(people[:, None] != people) & (identity > 0)  # are no look-alikes
    assert lesson.pairs == len(rows) * (3 if space.occlusion else 4)
    terms = []
    for to in (0,) if space.occlusion else (0, 1):
        queries, stored, unturned = (
            torch.cat([described(material, int(r[a]), int(v[b])) for r, v in zip(rows, values, strict=True)])
            for a, b in ((1 - to, to), (to, to), (1 - to, 1 - to))
        )
        likeness = recipe.contrast_scale * queries @ torch.cat([stored, unturned]).T
        likeness[torch.cat([others, others], 1)] = -torch.inf
        for table in (likeness, likeness[:, : len(rows)].T):
            terms.append(torch.stack([-F.log_softmax(table[i], 0)[i] for i in range(len(rows))]).mean())
    expected = squared_error_of(material) + 0.3 / 4 * float(torch.stack(terms).sum())
    assert float(lesson.loss.detach()) == pytest.approx(expected, rel=2e-2)  # bfloat16 batches of another size


def described(material: Material, row: int, value: int) -> torch.Tensor:
    """The paper's descriptor of one picture of step 0 under one value."""
    source = material.shot(2, 0, np.array([row]), np.array([[row]]), np.array([[value]])).sources
    with torch.no_grad():
        features = two_stages(material, Sitting(source, source, torch.tensor([[value]]))).features
    return F.normalize(features.float().flatten(1), dim=1)


def squared_error_of(material: Material) -> float:
    """Of the second pictures of step 0 that can be learnt."""
    compared = Comparer(material).comparison(2, 0)
    with torch.no_grad():
        made = two_stages(material, compared.shot).second
    learnt = torch.from_numpy(compared.leads.ravel())
    return float(((made.float() - compared.shot.targets)[learnt] ** 2).mean())


@pytest.mark.slow
def test_the_estimator_learns_which_value_each_source_has(people: PairSet) -> None:
    """The loss with and without it differs by the cross-entropy of each source's own pose, mirrored where it is."""
    seen = set()
    with_it, without = (material_of(people, sized(TINY_BEST, estimate=estimate)) for estimate in (0.2, 0.0))
    for material in (with_it, without):
        material.keep_identity()
    describer = with_it.networks.describer
    assert describer.estimator is not None and describer.identity is not None
    for step in range(6):
        with torch.no_grad():
            more, less = (float(RefinementStage(material).lesson(step).loss) for material in (with_it, without))
        _, values, _ = ContrastSampler(people, seed=0).batch(step, 2, 2, True)
        shot = Comparer(with_it).comparison(2, step).shot
        mirrored = bool((shot.values.numpy() != np.repeat(values, 2, axis=0)).any())
        own = np.array(POSE.mirrored)[values.ravel()] if mirrored else values.ravel()
        with torch.no_grad():
            scores = describer.estimator(describer.identity.half_way(shot.sources)).log_softmax(1)
        expected = -TINY_BEST.contrast * float(scores[torch.arange(len(own)), torch.from_numpy(own)].mean())
        assert more - less == pytest.approx(expected, rel=0.05, abs=0.02)
        seen.add(mirrored)
    assert seen == {True, False}


# --- gradients ---


def untouched(network: nn.Module) -> list[str]:
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max()]


@pytest.mark.slow
@pytest.mark.parametrize("joint", [True, False])
def test_every_weight_that_a_stage_trains_gets_a_gradient_and_no_other(people: PairSet, joint: bool) -> None:
    # with a skip, a decoder begins with nothing, and all behind its last layer learn only after that
    material = material_of(people, sized(replace(TINY_BEST, joint=joint), skip=False))
    networks = material.networks
    trained: dict[type[Stage], list[nn.Module]] = {
        IdentityStage: [networks.describer.identity],  # type: ignore[list-item]
        GenerationStage: [networks.generation],
        RefinementStage: [networks.refinement, networks.describer.head, networks.describer.estimator],  # type: ignore[list-item]
    }
    if joint:
        trained[RefinementStage].append(networks.generation)
    for kind, learning in trained.items():
        stage = kind(material)  # type: ignore[call-arg]
        learnt = stage.begin()
        for network in networks:
            network.zero_grad(set_to_none=True)
        for step in range(3):  # a value that no source of a batch is turned to gets none from it
            stage.lesson(step).loss.backward()  # type: ignore[no-untyped-call]
        own = {id(parameter) for network in learning for parameter in network.parameters()}
        assert own == {id(parameter) for parameter in learnt}
        others = [p for network in networks for p in network.parameters() if id(p) not in own]
        assert not any(p.grad is not None and p.grad.abs().max() for p in others)
        assert [untouched(network) for network in learning] == [[] for _ in learning]


def test_without_contrast_stage_two_learns_from_other_pairs_than_stage_one(pairs: PairSet) -> None:
    recipe = replace(TINY_FAST, contrast=0.0, steps_one=5)
    material = material_of(pairs, recipe)
    stage = RefinementStage(material)
    learnt = {id(parameter) for parameter in stage.begin()}
    assert learnt == {id(parameter) for parameter in material.networks.refinement.parameters()}
    lesson = stage.lesson(2)
    batch = PairSampler(pairs, 0, True).batch(7, *recipe.shape(7))
    shot = material.shot(2, 2, batch.sources, batch.targets, batch.values)
    with torch.no_grad():
        made = two_stages(material, shot).second
    assert float(lesson.loss.detach()) == pytest.approx(float(((made.float() - shot.targets) ** 2).mean()), rel=1e-4)
    assert lesson.pairs == 2 * 3


def test_an_identity_lesson_counts_the_faces_whose_nearest_portrait_is_another_s(people: PairSet) -> None:
    material = material_of(people, TINY_BEST)
    stage = IdentityStage(material)
    assert stage.steps == TINY_BEST.steps_identity and len(stage.begin()) > 0
    lesson = stage.lesson(0)
    assert lesson.pairs == 4 and lesson.figure in (0, 0.25, 0.5, 0.75, 1)
    none = IdentityStage(material_of(people, replace(TINY_BEST, network=NetworkConfig(mixing=1))))
    assert none.steps == 0 and none.begin() == []


# --- moved pixels ---


@pytest.fixture(scope="module")
def placed(people: PairSet) -> PairSet:
    """People on black with places on the head: each pixel shows the place of its own row and column, on a plane, from
    the same viewpoint, so that nothing moves."""
    assert people.masks is not None
    viewpoint = Viewpoint(np.eye(3, dtype=np.float32), x=0.0, eyes=0.0, height=20.0, distance=110.0)
    axis = (np.arange(60) + 0.5) / 60
    across, down = np.meshgrid(20 * (axis - 0.5), -20 * (axis - 0.35))
    places = np.stack([across, down, np.zeros((60, 60))], -1)[None].repeat(len(people.masks), 0)
    places[people.masks == 0] = np.nan
    viewpoints = viewpoint.row[None].repeat(len(people.masks), 0)
    return replace(people, places=places.astype(np.float16), viewpoints=viewpoints)


MOVING = replace(
    TINY_BEST,
    network=replace(TINY_BEST.network, flow=True),
    flows=4.0,
    blend=1.0,
    smooth=0.5,
    augmentation=replace(Augmentation(), shift=0.0, scale=0.0, roll=0.0),
)


def test_where_pixels_move_the_truth_is_learnt_too(placed: PairSet) -> None:
    material = material_of(placed, MOVING)
    stage = GenerationStage(material)
    batch = PairSampler(placed, 0, MOVING.include_same).batch(0, *MOVING.shape(7))
    shot = material.shot(1, 0, batch.sources, batch.targets, batch.values)
    assert shot.truth is not None and bool(shot.truth.exists.any())
    seen = shot.truth.seen & shot.truth.exists
    assert (shot.truth.flow - pixel_grid())[seen].abs().max() < 0.01  # nothing moved
    with torch.no_grad():
        network = material.networks.generation
        assert isinstance(network, FlowGenerationNetwork)
        with autocast("cpu"):
            moved = network.moved(shot.sources, shot.values)
        pictures = material.pictures_loss(1, 0, moved.picture, shot.targets)
        t = shot.truth
        flows = losses.flow_error(moved.flow, t.flow, t.seen, t.exists, 0.25)
        mirrored = losses.flow_error(moved.mirrored, t.mirrored, t.mirrored_seen, t.exists, 0.25)
        taken = losses.source_of_pixels(moved.scores, t.better, t.mirrored_seen)
        rough = losses.roughness(moved.flow) + losses.roughness(moved.mirrored)
    expected = pictures + 4 * (flows + 0.75 * mirrored) + taken + 0.5 * rough
    assert float(stage.lesson(0).loss.detach()) == pytest.approx(float(expected), rel=1e-3)


def test_without_places_pixels_learn_to_move_by_pictures_alone(people: PairSet) -> None:
    material = material_of(people, MOVING)
    shot = material.shot(1, 0, people.groups[:1, 0], people.groups[:1, :2], np.array([[0, 1]]))
    assert shot.truth is None and material.first_stage(shot)[1] is None
    GenerationStage(material).lesson(0).loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_stage_two_goes_on_learning_the_truth_only_when_stage_one_learns(placed: PairSet) -> None:
    for joint in (True, False):
        material = material_of(placed, replace(MOVING, joint=joint, contrast=0.5))
        shot = Comparer(material).comparison(2, 0).shot
        assert (two_stages(material, shot).moving is not None) == joint
        RefinementStage(material).lesson(0).loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad is not None for weight in material.networks.generation.parameters()]
        assert all(gradients) if joint else not any(gradients)


def test_half_of_the_sources_are_loose_where_there_are_any(placed: PairSet) -> None:
    loose = np.full((len(placed.groups), 2), -1)
    loose[:, 0] = 10_000 + np.arange(len(placed.groups))
    loose[0, 1] = 20_000
    sampler = PairSampler(replace(placed, loose=loose), 0, include_same=True)
    sources = np.concatenate([sampler.batch(number, 8, 3).sources for number in range(60)])
    assert 0.15 < (sources >= 10_000).mean() < 0.35 and (sources >= 0).all()  # half of the draws, half of them empty
    for number in range(5):
        batch = sampler.batch(number, 8, 3)
        for source, targets in zip(batch.sources, batch.targets, strict=True):
            group = int(source) - 10_000 if 10_000 <= source < 20_000 else 0 if source >= 20_000 else None
            own = placed.groups[group] if group is not None else next(g for g in placed.groups if source in g)
            assert set(targets) <= set(own)


def test_a_network_that_moves_pixels_takes_what_fits_of_one_that_does_not(tmp_path: Path) -> None:
    plain = new_networks(TINY_BEST.network)
    for network in plain:
        nn.init.constant_(next(network.parameters()), 0.123)
    card = ModelCard(POSE, TINY_BEST.network, Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    start = Model(card, plain, save_model(tmp_path, card, plain))
    run = TrainingRun(POSE, MOVING, tmp_path / "out", start=start)
    assert not run.takes_generation and not run.takes_refinement and run.takes_identity and run.takes_head
    begun = begin(run)
    assert begun.describer.identity is not None and plain.describer.identity is not None
    for mine, other in (
        (begun.describer.identity, plain.describer.identity),
        (begun.describer.head, plain.describer.head),
    ):
        assert mine is not None and other is not None
        for a, b in zip(mine.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)
    assert not any((weight == 0.123).all() for weight in begun.refinement.parameters())
    same = replace(TINY_BEST, joint=False)
    assert TrainingRun(POSE, same, tmp_path / "out", start=start).takes_refinement
