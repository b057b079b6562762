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
from faceedit.errors import TrainingError
from faceedit.manifest import read_manifest
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, new_networks, save_model
from faceedit.networks import FlowGenerationNetwork, NetworkConfig, pixel_grid
from faceedit.training import losses
from faceedit.training.augmentation import Augmentation
from faceedit.training.averages import Averages
from faceedit.training.batches import EVEN, Photographer, Sitting
from faceedit.training.comparing import Comparer, missed
from faceedit.training.critic import Adversary
from faceedit.training.head import HeadStage
from faceedit.training.pairs import ContrastSampler, FaceSampler, PairSampler, PairSet, load_pairs
from faceedit.training.recipes import BEST, PAPER, PictureWeights, Recipe
from faceedit.training.run import TrainingRun, begin
from faceedit.training.second_stage import BesideStage, PolishingStage, RefinementStage, critics_share, two_stages
from faceedit.training.stages import (
    First,
    GenerationStage,
    IdentityStage,
    Material,
    Stage,
    looked_at,
    moving_loss,
    picture_loss,
    reconstruction_loss,
)
from faceedit.training.trainer import Progress, train
from tests.conftest import placed_pairs
from tests.recipes import SMALL

FEW = {"sources": 2, "targets": 3, "identity_people": 2, "contrast_people": 2, "contrast_conditions": 2}
FEW |= {"identity_alone": 0, "head_people": 2, "head_conditions": 2}
TINY_SMALL = replace(SMALL, **FEW)  # type: ignore[arg-type]
TINY_BEST = replace(
    BEST,
    network=replace(BEST.network, mixing=1, head=16, head_hidden=12, identity=8, candidate=0.2, flow=False),
    **FEW,  # type: ignore[arg-type]
)
WITHOUT_CRITIC = replace(TINY_BEST, critic=0.0)  # whose optimiser takes two seconds to load


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


@pytest.mark.slow
def test_the_picture_loss_adds_gradients_and_features(people: PairSet) -> None:
    material = material_of(people, TINY_BEST)
    material.only()
    network = material.networks.describer.identity
    assert network is not None and not network.training
    made, wanted = torch.randn(3, 3, 60, 60), torch.randn(3, 3, 60, 60)
    error = made - wanted

    def loss(squared: float = 1, absolute: float = 0, gradient: float = 0, perceptual: float = 0) -> float:
        weights = PictureWeights(squared, absolute, gradient, perceptual)
        return float(picture_loss(made, wanted, weights, False, network, (0,)))

    squared = float((error**2).mean())
    assert loss() == pytest.approx(squared, rel=1e-5) and loss(squared=0) == 0
    assert loss(0.5, absolute=2) == pytest.approx(0.5 * squared + 2 * float(error.abs().mean()), rel=1e-5)
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


def test_only_the_papers_recipe_sums() -> None:
    error = torch.randn(2, 3, 60, 60)
    summed, mean = float((error**2).sum()) / 2, float((error**2).mean())
    for recipe, expected in ((PAPER, summed), (SMALL, mean)):
        for weights in (recipe.first, recipe.second):
            assert float(reconstruction_loss(error, weights, recipe.summed_loss)) == pytest.approx(expected, rel=1e-5)


# --- the contrast ---


@pytest.mark.slow
@pytest.mark.parametrize(("identity", "space"), [(0, POSE), (8, POSE), (0, INPAINTING)])
def test_the_contrast_loss_equals_a_naive_loop(data_set: Path, identity: int, space: AttributeSpace) -> None:
    """With and without an identity network all people are look-alikes; and where only one direction can be learnt."""
    pairs = load_pairs(read_manifest(data_set).where("split", "train"), space)
    recipe = sized(replace(TINY_SMALL, contrast=0.3), identity=identity)
    material = material_of(pairs, recipe, space)
    stage = RefinementStage(material)
    stage.begin()
    lesson = stage.lesson(0)
    rows, values, _ = ContrastSampler(pairs, seed=0).batch(0, 2, 2)
    assert lesson.pairs == len(rows) * (3 if space.occlusion else 4)
    terms = []
    for to in (0,) if space.occlusion else (0, 1):
        queries, stored, unturned = (
            torch.cat([described(material, int(r[a]), int(v[b])) for r, v in zip(rows, values, strict=True)])
            for a, b in ((1 - to, to), (to, to), (1 - to, 1 - to))
        )
        likeness = recipe.contrast_scale * queries @ torch.cat([stored, unturned]).T
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
    compared = Comparer(material, 2, 2).comparison(2, 0)
    with torch.no_grad():
        made = two_stages(material, compared.shot).second
    learnt = torch.from_numpy(compared.leads.ravel())
    return float(((made.float() - compared.shot.targets)[learnt] ** 2).mean())


@pytest.mark.slow
def test_the_estimator_learns_which_value_each_source_has(people: PairSet) -> None:
    """The loss with and without it differs by the cross-entropy of each source's own pose, mirrored where it is."""
    seen = set()
    with_it, without = (
        material_of(people, sized(TINY_BEST, estimate=estimate, soft=estimate > 0)) for estimate in (0.2, 0.0)
    )
    for material in (with_it, without):
        material.only()
    describer = with_it.networks.describer
    assert describer.estimator is not None and describer.identity is not None
    for step in range(6):
        with torch.no_grad():
            more, less = (float(HeadStage(material).lesson(step).loss) for material in (with_it, without))
        _, values, _ = ContrastSampler(people, seed=0).batch(step, 2, 2, step % 2 == 1)
        shot = Comparer(with_it, 2, 2).comparison(3, step).shot
        mirrored = bool((shot.values.numpy() != np.repeat(values, 2, axis=0)).any())
        own = np.array(POSE.mirrored)[values.ravel()] if mirrored else values.ravel()
        with torch.no_grad():
            scores = describer.estimator(describer.identity.half_way(shot.sources)).log_softmax(1)
        expected = -0.5 * float(scores[torch.arange(len(own)), torch.from_numpy(own)].mean())
        assert more - less == pytest.approx(expected, rel=0.05, abs=0.02)
        seen.add(mirrored)
    assert seen == {True, False}


@pytest.mark.slow
def test_the_head_learns_among_one_persons_conditions_and_among_all_people(people: PairSet) -> None:
    material = material_of(people, sized(TINY_BEST, estimate=0.0, soft=False))
    stage = HeadStage(material)
    stage.begin()
    compared = Comparer(material, 2, 2).comparison(3, 1)
    with torch.no_grad():
        d = stage.descriptors(stage.frozen(compared))
        lesson = stage.lesson(1)
    assert d.shape == (4, 2, 2, 16) and len(set(compared.people.tolist())) == 2
    expected = 0.0
    wrong = []
    for own_alone in (True, False):
        for to in range(2):
            turned, stored, unturned = d[:, 1 - to, to], d[:, to, to], d[:, 1 - to, 1 - to]
            for i, who in enumerate(compared.people):
                rivals = [j for j, other in enumerate(compared.people) if other == who or not own_alone]
                own = rivals.index(i)
                there = 16 * torch.cat([stored[rivals], unturned[rivals]]) @ turned[i]
                back = 16 * turned[rivals] @ stored[i]
                expected -= float(there.log_softmax(0)[own] + back.log_softmax(0)[own]) / len(d) / 4
                if not own_alone:
                    wrong.append(int(there.argmax()) != i)
    assert float(lesson.loss) == pytest.approx(expected, rel=2e-3)
    assert lesson.figure == missed(compared, d) == np.mean(wrong) and lesson.pairs == 16


@pytest.mark.slow
def test_a_head_learns_a_batch_by_heart_on_networks_that_stand_still(people: PairSet) -> None:
    """All but what networks that have learnt nothing cannot show it: which of two values they turned a picture to."""
    material = material_of(people, TINY_BEST)
    stage = HeadStage(material)
    optimiser = torch.optim.AdamW(stage.begin(), 1e-3)
    before = {name: p.detach().clone() for name, p in material.networks.refinement.named_parameters()}
    for _ in range(25):
        lesson = stage.lesson(1)
        optimiser.zero_grad()
        lesson.loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    chance = (np.log(8) + np.log(4)) / 2 + (np.log(4) + np.log(2)) / 2 + np.log(7) / 2  # all, one person's own, value
    assert np.log(2) * 0.9 < float(lesson.loss.detach()) < 0.3 * chance
    assert all(torch.equal(p, before[name]) for name, p in material.networks.refinement.named_parameters())


@pytest.mark.slow
def test_comparisons_that_are_kept_are_made_once_and_are_gone_with_the_last_update(
    people: PairSet, tmp_path: Path
) -> None:
    run = TrainingRun(POSE, replace(WITHOUT_CRITIC, head_kept=2, steps_head=5), tmp_path)
    stage = HeadStage(Material.of(run, people, begin(run)))
    files = tmp_path / "checkpoint.kept"
    files.mkdir()
    (files / "0.safetensors").write_bytes(b"another run's")
    stage.begin()
    learned = [stage.lesson(step) for step in range(4)]
    assert sorted(file.name for file in files.iterdir()) == ["0.safetensors", "1.safetensors"]
    anew = HeadStage(material_of(people, WITHOUT_CRITIC))
    anew.begin()
    expected = sorted(float(anew.lesson(number).loss.detach()) for number in range(2))
    for once in (learned[:2], learned[2:]):
        assert sorted(float(lesson.loss.detach()) for lesson in once) == pytest.approx(expected, rel=0.02)
    assert len({float(lesson.loss.detach()) for lesson in learned}) == 2
    learned[3].loss.backward()  # type: ignore[no-untyped-call]
    stage.lesson(4)
    assert not files.exists()
    more = replace(run, recipe=replace(run.recipe, head_kept=10**11))  # than there are updates
    stage = HeadStage(Material.of(more, people, begin(more)))
    stage.begin()
    assert stage.lesson(0).pairs == learned[0].pairs and len(list(files.iterdir())) == 1
    stage.begin()
    files.write_bytes(b"in the way")
    with pytest.raises(TrainingError, match="lower head_kept"):
        stage.lesson(0)


@pytest.mark.slow
def test_a_run_that_goes_on_among_kept_comparisons_equals_one_that_never_stopped(
    people: PairSet, tmp_path: Path
) -> None:
    few = dict.fromkeys(("steps_identity", "steps_one", "steps_two"), 1)
    few |= {"steps_head": 6, "head_kept": 2, "steps_whitening": 2, "steps_last": 0, "steps_estimator": 0}
    recipe = replace(WITHOUT_CRITIC, **few)  # type: ignore[arg-type]
    whole, cut = (TrainingRun(POSE, recipe, tmp_path / name, checkpoint_every=3) for name in ("whole", "cut"))

    def stop(progress: Progress) -> None:
        if (progress.stage, progress.step) == (3, 4):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(cut, people, report=stop)
    assert (tmp_path / "cut" / "checkpoint.kept").exists()
    assert train(cut, people, resume=True).digest == train(whole, people).digest
    assert not (tmp_path / "cut" / "checkpoint.kept").exists()


def test_pictures_are_compared_in_one_persons_sitting_or_each_in_its_own(people: PairSet) -> None:
    """And between everybody's two values, or each person's own."""
    sittings = []

    class Recorder(Photographer):
        def sitting(self, sources, targets, values, people, draw):  # type: ignore[no-untyped-def]
            sittings.append(people.tolist())
            return super().sitting(sources, targets, values, people, draw)

    material = material_of(people, WITHOUT_CRITIC)
    material = replace(material, photographer=Recorder(people, EVEN, TINY_BEST.augmentation, "cpu"))
    values = [Comparer(material, 2, 2).comparison(3, step).shot.values for step in range(8)]
    for step, shared in enumerate(sittings):
        together = [0] * 4 + [1] * 4 if step % 4 < 2 else list(range(8))
        assert sorted(shared) == together and shared[::2] == [n - step % 4 // 2 for n in shared[1::2]]
    assert all((v == v[0]).all() for v in values[::2]) and any((v != v[0]).any() for v in values[1::2])


# --- gradients ---


def untouched(network: nn.Module) -> list[str]:
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max()]


@pytest.mark.slow
def test_every_weight_that_a_stage_trains_gets_a_gradient_and_no_other(people: PairSet) -> None:
    # with a skip, a decoder begins with nothing, and all behind its last layer learn only after that; as hidden units
    material = material_of(people, sized(TINY_BEST, skip=False))
    networks, describer = material.networks, material.networks.describer
    assert describer.head is not None and describer.head.beside is not None
    nn.init.ones_(describer.head.lasts[1].weight)
    trained: list[tuple[type[Stage], list[nn.Module | None]]] = [
        (IdentityStage, [describer.identity]),
        (GenerationStage, [networks.generation]),
        (BesideStage, [networks.generation, networks.refinement]),
        (RefinementStage, [networks.refinement]),
        (PolishingStage, [networks.refinement.decoder]),
        (HeadStage, [describer.head, describer.estimator]),
    ]
    for kind, present in trained:
        learning = [network for network in present if network is not None]
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


@pytest.mark.slow
def test_stage_two_learns_beside_stage_one_without_a_gradient_into_it(placed: PairSet) -> None:
    """Stage one gets the same gradient, whatever stage two has to learn."""
    gradients = []
    for two in (1.0, 50.0):
        material = material_of(placed, replace(MOVING, squared_two=two, keep=two, contrast=0.0))
        BesideStage(material).begin()
        BesideStage(material).lesson(0).loss.backward()  # type: ignore[no-untyped-call]
        gradients.append([[p.grad.clone() for p in n.parameters() if p.grad is not None] for n in material.networks])
    (first, second, _), (same, other, _) = gradients
    assert first and all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(second, other, strict=True))


@pytest.mark.slow
def test_a_step_beside_adds_up_what_both_stages_get_wrong(placed: PairSet) -> None:
    recipe = replace(MOVING, contrast=0.3, keep=0.7, perceptual=0.0, perceptual_two=0.0, sources=2, targets=2)
    material = material_of(placed, recipe)
    stage = BesideStage(material)
    stage.begin()
    nn.init.normal_(material.networks.refinement.last.weight, std=0.05)
    lesson = stage.lesson(0)
    compared = Comparer(material, 2, 2).comparison(1, 0)
    batch = PairSampler(placed, 0, recipe.include_same).batch(0, *recipe.shape(7))
    row = batch.sources, batch.targets, batch.values
    shots = compared.shot, material.shot(1, 0, *row, other=True)
    with torch.no_grad():
        made = [two_stages(material, shot) for shot in shots]
        first = First.joined([each.first for each in made])
        second, wanted = torch.cat([each.second for each in made]), torch.cat([shot.targets for shot in shots])
        assert first.moved is not None and first.truth is not None
        expected = float(moving_loss(first.moved, first.truth, recipe))
        expected += float(reconstruction_loss(first.picture - wanted, recipe.first, False))
        expected += float(reconstruction_loss(second - wanted, recipe.second, False))
        coarse = (second - first.picture).view(-1, 3, 10, 6, 10, 6).mean((3, 5))
        expected += 0.7 * float(coarse.abs().mean())
        d = F.normalize(made[0].features.float().flatten(1), dim=1).view(-1, 2, 2, 28_800)
        for to in range(2):
            three = d[:, 1 - to, to], d[:, to, to], d[:, 1 - to, 1 - to]
            expected += 0.3 / 4 * float(losses.contrast(*three, recipe.contrast_scale))
    assert not torch.equal(*(material.shot(1, 0, *row, other=other).sources for other in (False, True)))
    assert lesson.pairs == 4 * 4 + 4 == len(wanted)
    assert float(lesson.loss.detach()) == pytest.approx(expected, rel=5e-3)


# --- the critic ---


def test_the_critic_sets_in_late_and_slowly() -> None:
    shares = [critics_share(step, 1000) for step in range(1000)]
    assert max(shares[:551]) == 0 and shares[575] == pytest.approx(0.5) and set(shares[601:]) == {1.0}


@pytest.mark.slow
def test_a_critic_learns_to_tell_made_pictures_from_real_ones() -> None:
    adversary = Adversary(0, "cpu")
    draw = torch.Generator().manual_seed(0)
    for _ in range(15):
        real = torch.randn(8, 3, 60, 60, generator=draw)
        adversary.learn(real, F.avg_pool2d(real, 5, 1, 2))
    with torch.no_grad():
        real = torch.randn(8, 3, 60, 60, generator=draw)
        scores = [adversary.critic(pictures) for pictures in (real, F.avg_pool2d(real, 5, 1, 2))]
    assert scores[0].shape == (8, 1, 15, 15) and float(scores[0].mean()) > float(scores[1].mean()) + 0.5


@pytest.mark.slow
def test_a_critic_is_as_loud_as_the_rest_of_the_loss() -> None:
    """On average over the steps in which that is asked; and pleasing it teaches the critic nothing."""
    adversary = Adversary(0, "cpu")
    weight = torch.randn(3, 3, 1, 1, generator=torch.Generator().manual_seed(1)).requires_grad_()
    source = torch.randn(4, 3, 60, 60, generator=torch.Generator().manual_seed(2))
    before = {name: p.detach().clone() for name, p in adversary.critic.named_parameters()}
    for number in range(60):
        made = F.conv2d(source, weight)
        other = 100 * (made**2).mean()
        told = adversary.displeasure(made, other, weight, 8 * number)
    balance = adversary.critic.balance.clone()
    adversary.displeasure(made, other, weight, 1)
    assert torch.equal(adversary.critic.balance, balance) and balance != 1
    ours, theirs = (torch.autograd.grad(of, weight, retain_graph=True)[0].norm() for of in (told, other))
    limit = 20 * float(ours / balance)
    assert float(ours) == pytest.approx(min(float(theirs), limit), rel=0.02)
    assert all(torch.equal(p, before[name]) for name, p in adversary.critic.named_parameters())


@pytest.mark.slow
def test_a_critic_of_one_seed_begins_the_same_and_leaves_others_draws_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = Adversary(1, "cpu"), Adversary(1, "cpu"), Adversary(2, "cpu")
    assert torch.equal(torch.rand(3), expected)
    weights = [next(adversary.critic.parameters()) for adversary in (a, b, c)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


# --- averages ---


def test_weights_are_averaged_over_the_updates() -> None:
    weight = nn.Parameter(torch.zeros(2))
    averages = Averages([weight], 0.6)
    naive = torch.zeros(2)
    for step in range(12):
        with torch.no_grad():
            weight.add_(torch.tensor([1.0, float(step)]))
        averages.update(step)
        kept = min(0.6, (step + 1) / (step + 10))
        naive = kept * naive + (1 - kept) * weight.detach()
    again = Averages([weight], 0.6)
    again.restore({name: tensor.clone() for name, tensor in averages.state().items()})
    averages.put()
    assert torch.allclose(weight, naive)
    with torch.no_grad():
        weight.zero_()
    again.put()
    assert torch.allclose(weight, naive)
    none = Averages([weight], 0.0)
    none.update(0)
    none.put()
    assert none.state() == {} and torch.allclose(weight, naive)


def test_without_contrast_stage_two_learns_from_other_pairs_than_stage_one(pairs: PairSet) -> None:
    recipe = replace(TINY_SMALL, contrast=0.0, steps_one=5)
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
    material = material_of(people, WITHOUT_CRITIC)
    stage = IdentityStage(material)
    assert stage.steps == WITHOUT_CRITIC.steps_identity and len(stage.begin()) > 0
    lesson = stage.lesson(0)
    assert lesson.pairs == 4 and lesson.figure in (0, 0.25, 0.5, 0.75, 1)
    both = replace(WITHOUT_CRITIC, identity_people=1, identity_alone=1)
    assert IdentityStage(material_of(people, both)).lesson(0).pairs == 2 + 1
    none = IdentityStage(material_of(people, replace(WITHOUT_CRITIC, network=NetworkConfig(mixing=1))))
    assert none.steps == 0 and none.begin() == []


# --- moved pixels ---


@pytest.fixture(scope="module")
def placed(people: PairSet) -> PairSet:
    """People on black with places on the head, none of which moves."""
    return placed_pairs(people)


MOVING = replace(
    TINY_BEST,
    network=replace(TINY_BEST.network, flow=True),
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
        pictures = material.weighed(MOVING.first, 1, 0, moved.picture, shot.targets)
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
    assert shot.truth is None and material.first_stage(shot).truth is None
    GenerationStage(material).lesson(0).loss.backward()  # type: ignore[no-untyped-call]


def test_faces_are_known_by_loose_pictures_too(placed: PairSet) -> None:
    loose = np.full((len(placed.groups), 2), -1)
    loose[0] = 10_000, 20_000
    sampler = FaceSampler(replace(placed, loose=loose), 0)
    seen = np.concatenate([sampler.batch(number, 4).ravel() for number in range(40)])
    assert {10_000, 20_000} < set(seen.tolist()) and (seen >= 0).all()
    assert max(FaceSampler(placed, 0).batch(number, 4).max() for number in range(40)) < 10_000


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
    assert TrainingRun(POSE, TINY_BEST, tmp_path / "out", start=start).takes_refinement
