"""What recipe best adds to the paper, from the network to the command: mixing, a learned descriptor, neutral
backgrounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.app import run
from faceedit.attributes import ILLUMINATION, INPAINTING, POSE
from faceedit.editor import LEARNED, PAPER, Editor, reconstruction_errors
from faceedit.errors import TrainingError, UsageError
from faceedit.manifest import read_manifest
from faceedit.modelfile import Model, load_model, new_networks, shrink_model
from faceedit.networks import Describer, MixingGenerationNetwork, NetworkConfig, RefinementNetwork, initialise
from faceedit.training.augmentation import NEUTRAL
from faceedit.training.batches import Photographer
from faceedit.training.knobs import turned
from faceedit.training.pairs import load_pairs
from faceedit.training.recipes import BEST, FAST, Recipe, recipe_named
from faceedit.training.run import TrainingRun
from faceedit.training.trainer import EVEN, Progress, _Trainer, train
from faceedit.training.whitening import whitening
from index.gallery import Gallery
from retrieval.evaluation.evaluate import choose_queries, evaluate, load_test_set
from retrieval.evaluation.report import measure
from tests.conftest import blob_face

TINY_BEST = replace(
    BEST, sources=2, targets=3, steps_identity=3, steps_one=3, steps_two=2, identity_people=2, contrast_people=2,
    contrast_conditions=2, mixing=1, head=16, identity=8, warmup=0, candidate=0.2, whitening=0.0,
)  # fmt: skip


@pytest.fixture(scope="module", params=[128, 64])
def mixing(request: pytest.FixtureRequest) -> MixingGenerationNetwork:
    network = MixingGenerationNetwork(NetworkConfig(mixing=2, width=request.param))
    initialise(network, torch.Generator().manual_seed(0))
    return network.eval()


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([blob_face(person, pose, 0) for person in range(2) for pose in (-30, 0, 30)])


def test_many_targets_equal_single_passes(mixing: MixingGenerationNetwork) -> None:
    source, targets = torch.randn(2, 3, 60, 60), torch.tensor([[0, 6, 3], [5, 5, 1]])
    with torch.no_grad():
        together = mixing.many(source, targets)
        alone = [mixing(source[i : i + 1], torch.eye(7)[[int(v)]]) for i in range(2) for v in targets[i]]
    assert together.shape == (6, 3, 60, 60)
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_mixing_carries_every_part_everywhere(mixing: MixingGenerationNetwork) -> None:
    """The paper's network sees 28 x 28 pixels; this one the whole picture."""
    source = torch.randn(1, 3, 60, 60, requires_grad=True)
    mixing(source, torch.eye(7)[[6]])[0, :, 2, 2].sum().backward()
    assert source.grad is not None
    assert float(source.grad[0, :, 50:, 50:].abs().max()) > 0


def test_the_attribute_matters(mixing: MixingGenerationNetwork) -> None:
    source = torch.randn(1, 3, 60, 60)
    with torch.no_grad():
        assert not torch.allclose(mixing(source, torch.eye(7)[[0]]), mixing(source, torch.eye(7)[[1]]), atol=1e-4)


def test_a_learned_model_survives_the_disk_whole_and_shrunk(learned_model_folder: Path, tmp_path: Path) -> None:
    model = load_model(learned_model_folder)
    assert model.card.neutral and model.card.network.identity == 8
    assert isinstance(model.generation, MixingGenerationNetwork)
    shrink_model(model, tmp_path / "small")
    small = load_model(tmp_path / "small")
    assert small.card.neutral and small.digest != model.digest
    picture = blob_face(0, 0, 0)
    a, b = Editor(model, "cpu").edit(picture, 30), Editor(small, "cpu").edit(picture, 30)
    assert np.abs(a.refined.astype(int) - b.refined).max() <= 3
    assert float(a.descriptor @ b.descriptor) > 0.999


def test_either_descriptor_can_be_had(learned_model_folder: Path, model_folder: Path, faces: np.ndarray) -> None:
    learned, paper = (Editor.load(learned_model_folder, "cpu", kind) for kind in (LEARNED, PAPER))
    assert (learned.descriptor_size, paper.descriptor_size) == (31, 28_800)
    assert learned.digest != paper.digest  # a gallery holds one or the other
    for editor in (learned, paper):
        described = editor.describe(faces)
        assert described.descriptors.shape == (6, editor.descriptor_size)
        assert np.allclose(np.linalg.norm(described.descriptors, axis=1), 1, atol=1e-3)
        best = editor.space.values[int(described.best[4])]
        assert float(described.descriptors[4] @ editor.edit(faces[4], best).descriptor) > 0.999
        assert editor.candidates(faces[4]).descriptors.shape == (7, editor.descriptor_size)
    plain = [Editor.load(model_folder, "cpu", kind) for kind in (LEARNED, PAPER)]
    assert plain[0].digest == plain[1].digest  # it has learned none
    with pytest.raises(UsageError, match="no descriptor 'best'"):
        Editor.load(model_folder, "cpu", "best")


def test_only_the_person_decides_where_backgrounds_are_neutral(learned_model_folder: Path, faces: np.ndarray) -> None:
    editor = Editor.load(learned_model_folder, "cpu")
    assert editor.candidates(faces[0]).errors.shape == (7,)
    picture = torch.from_numpy(faces[:1]).permute(0, 3, 1, 2).float()
    person = (torch.rand(60, 60, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    picture = picture.repeat(2, 1, 1, 1)
    made = torch.full((2, 3, 60, 60), 255 * NEUTRAL)
    made[0] += 60 * person  # half of the pixels are person, half are left grey
    made[1] = picture[1]
    weights = torch.where(person > 0, 1.0, 0.02)
    expected = (((made[0] - picture[0]) ** 2).mean(0) * weights).sum() / weights.sum()
    errors = reconstruction_errors(made, picture, neutral=True)
    assert float(errors[0]) == pytest.approx(float(expected), rel=1e-4) and float(errors[1]) == 0
    behind = torch.where(person > 0, picture, torch.zeros(()))  # what is behind the person says next to nothing
    shifted = reconstruction_errors(made, behind, True)
    assert float((shifted[0] - errors[0]).abs()) < 0.03 * 128**2
    whole = reconstruction_errors(made, picture, neutral=False)
    assert float(whole[0]) == pytest.approx(float(((made[0] - picture[0]) ** 2).mean()), rel=1e-4)


def test_best_trains_three_stages_and_resumes_to_the_bit(
    cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceedit.training.trainer._COMPARED", 2)
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    recipe = replace(TINY_BEST, whitening=0.1)

    def run_of(out: Path) -> TrainingRun:
        return TrainingRun(POSE, recipe, out, seed=1, checkpoint_every=1, network=recipe.network(7))

    stages: list[int] = []
    whole = train(run_of(tmp_path / "whole"), pairs, report=lambda p: stages.append(p.stage))
    assert stages == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert whole.card.neutral and set(whole.card.metrics) == {
        "training_identity_error", "training_mse_stage1", "training_mse_stage2",
    }  # fmt: skip

    class Stop(Exception):
        pass

    for run_number, stop in enumerate((1, 2, 2)):  # within the identity network's stage, stage one and stage two
        left = iter(range(stop))

        def halt(progress: Progress, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise Stop

        with pytest.raises(Stop):
            train(run_of(tmp_path / "cut"), pairs, resume=run_number > 0, report=halt)
    again = train(run_of(tmp_path / "cut"), pairs, resume=True)
    assert again.digest == whole.digest


def test_the_identity_network_stands_still_after_its_stage(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    states = {}

    def note(recipe_steps: dict[str, int], name: str) -> None:
        recipe = replace(TINY_BEST, **recipe_steps)  # type: ignore[arg-type]
        model = train(TrainingRun(POSE, recipe, tmp_path / name, network=recipe.network(7)), pairs)
        assert model.describer.identity is not None
        states[name] = model.describer.identity.state_dict()

    note({"steps_one": 1, "steps_two": 1}, "short")
    note({"steps_one": 3, "steps_two": 3}, "long")
    note({"steps_identity": 4}, "other")
    assert all(torch.equal(value, states["long"][name]) for name, value in states["short"].items())
    assert not all(torch.equal(value, states["other"][name]) for name, value in states["short"].items())


def test_best_is_a_recipe_with_the_documented_parts() -> None:
    best = recipe_named("best")
    network = best.network(7)
    assert (network.mixing, network.head, network.identity) == (4, 512, 256)
    assert best.skip and best.look_back and best.joint and best.estimate > 0
    assert best.augmentation is not None and best.perceptual > 0 and best.gradient > 0 and best.contrast > 0
    assert recipe_named("paper").network(7) == NetworkConfig(attributes=7)


def trainer_of(cut_out: Path, out: Path, recipe: Recipe, stage: int) -> _Trainer:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    networks = new_networks(recipe.network(7))
    for network in networks:
        initialise(network, torch.Generator().manual_seed(0))
    trainer = _Trainer(TrainingRun(POSE, recipe, out), pairs, networks)
    trainer._stage = stage
    trainer._optimiser = trainer._new_optimiser()
    return trainer


def test_the_picture_loss_adds_gradients_and_features(cut_out: Path, tmp_path: Path) -> None:
    plain = replace(TINY_BEST, gradient=0, perceptual=0)
    made, wanted = torch.randn(3, 3, 60, 60), torch.randn(3, 3, 60, 60)
    error = made - wanted

    def loss(**weights: float) -> float:
        trainer = trainer_of(cut_out, tmp_path, replace(plain, **weights), 1)  # type: ignore[arg-type]
        return float(trainer._picture_loss(made, wanted, error))

    squared = float((error**2).mean())
    assert loss() == pytest.approx(squared, rel=1e-5)
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    assert loss(gradient=0.5) == pytest.approx(squared + 0.5 * float(across.abs().mean() + down.abs().mean()), rel=1e-4)
    network = trainer_of(cut_out, tmp_path, plain, 1)._describer.identity
    assert network is not None and not network.training
    with torch.no_grad():
        pairs = list(zip(network.features(made), network.features(wanted), strict=True))
    ratios = [float(((a - b) ** 2).mean() / (b**2).mean()) for a, b in pairs]
    assert loss(perceptual=2.0) == pytest.approx(squared + 2 * np.mean(ratios), rel=0.03)  # bfloat16 features


def test_the_feature_loss_looks_at_turned_pictures_too(cut_out: Path, tmp_path: Path) -> None:
    """Of a contrast batch, ordered by group, source and target, a fixed stride would only see pictures not turned."""
    trainer = trainer_of(cut_out, tmp_path, TINY_BEST, 2)
    seen: list[torch.Tensor] = []
    trainer._perceptual = lambda network, made, wanted: seen.append(made[:, 0, 0, 0]) or torch.zeros(())  # type: ignore[method-assign,func-returns-value]
    made = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 3, 60, 60)
    for trainer._step in range(40):
        trainer._picture_loss(made, made, torch.zeros_like(made))
    assert all(len(rows) == 16 for rows in seen)
    assert {int(row) % 4 for rows in seen for row in rows} == {0, 1, 2, 3}


def test_a_skip_begins_with_the_first_picture_and_adds_to_it() -> None:
    network = RefinementNetwork(skip=True).eval()
    initialise(network, torch.Generator().manual_seed(0))
    source, generated = torch.randn(2, 2, 3, 60, 60)
    with torch.no_grad():
        correction = network.decoder(network.features(source, generated))
        assert torch.allclose(network(source, generated), generated + correction, atol=1e-5)
        network.begin_without_correction()
        assert torch.equal(network(source, generated), generated)
        network.skip = False
        assert torch.equal(network(source, generated), torch.zeros_like(generated))


def test_only_a_joint_second_stage_trains_the_generation_network(cut_out: Path, tmp_path: Path) -> None:
    for joint in (True, False):
        trainer = trainer_of(cut_out, tmp_path, replace(TINY_BEST, joint=joint), 2)
        before = [p.clone() for p in trainer._generation.parameters()]
        trainer._update(4)
        stood = [torch.equal(p, q) for p, q in zip(before, trainer._generation.parameters(), strict=True)]
        assert all(stood) != joint and (not any(stood)) == joint


def test_the_estimator_learns_which_value_each_source_has(cut_out: Path, tmp_path: Path) -> None:
    """The loss with and without it differs by the cross-entropy of each source's own pose, mirrored where it is."""
    seen = []
    for step in range(6):
        losses = []
        for estimate in (0.2, 0.0):
            trainer = trainer_of(cut_out, tmp_path, replace(TINY_BEST, estimate=estimate), 2)
            assert trainer._contrast is not None
            trainer._step = step
            with torch.no_grad():
                losses.append(float(trainer._loss_contrast(trainer._contrast)[0]))
            if estimate:
                describer, known = trainer._describer, trainer
        rows, values, people = known._contrast.batch(step, 2, 2, True)  # type: ignore[union-attr]
        _, sittings = np.unique(people, return_inverse=True)
        shot = known._shot(
            rows.ravel(), np.repeat(rows[:, None], 2, axis=1).reshape(-1, 2), np.repeat(values, 2, axis=0),
            np.repeat(sittings, 2) * (1 - step % 2),
        )  # fmt: skip
        mirrored = bool((shot.values.numpy() != np.repeat(values, 2, axis=0)).any())
        own = np.array(POSE.mirrored)[values.ravel()] if mirrored else values.ravel()
        assert describer.estimator is not None and describer.identity is not None
        with torch.no_grad():
            scores = describer.estimator(describer.identity.half_way(shot.sources)).log_softmax(1)
        expected = -TINY_BEST.contrast * float(scores[torch.arange(len(own)), torch.from_numpy(own)].mean())
        assert losses[0] - losses[1] == pytest.approx(expected, rel=0.05, abs=0.02)
        seen.append(mirrored)
    assert set(seen) == {True, False}


def test_a_joint_loss_counts_both_pictures(cut_out: Path, tmp_path: Path) -> None:
    plain = replace(TINY_BEST, gradient=0, perceptual=0)
    first, made, wanted = torch.randn(3, 2, 3, 60, 60)
    squares = [float(((picture - wanted) ** 2).mean()) for picture in (first, made)]
    for joint in (True, False):
        trainer = trainer_of(cut_out, tmp_path, replace(plain, joint=joint), 2)
        loss, error = trainer._two_pictures_loss(first, made, wanted)
        assert torch.equal(error, made - wanted)
        assert float(loss) == pytest.approx(squares[1] + joint * squares[0], rel=1e-5)


def test_a_head_that_looks_back_sees_each_source_beside_its_own_targets() -> None:
    config = NetworkConfig(head=16, identity=8, look_back=True)
    network = Describer(config).eval()
    initialise(network, torch.Generator().manual_seed(0))
    features, source, values = torch.rand(4, 128, 15, 15), torch.randn(2, 3, 60, 60), torch.tensor([[0, 1], [2, 3]])
    with torch.no_grad():
        together = network(features, source, values)
        alone = [network(features[[i]], source[[i // 2]], values[i // 2, i % 2][None, None]) for i in range(4)]
        assert torch.allclose(together, torch.cat(alone), atol=1e-5)
        assert network.identity is not None
        refined = network.refined(features, source)
        assert torch.equal(network.refined(features, source, network.identity.features(source)), refined)
        assert not torch.allclose(network.refined(features, source.flip(0)), refined, atol=1e-3)
    with pytest.raises(ValueError, match="look_back needs"):
        NetworkConfig(head=16, look_back=True)


def test_a_run_takes_from_another_model_what_fits(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    still = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0)
    again = train(TrainingRun(POSE, still, tmp_path / "again", start=first), pairs)
    assert all(
        torch.equal(value, b.state_dict()[name])
        for a, b in zip(first.networks, again.networks, strict=True)
        for name, value in a.state_dict().items()
    )
    wider = replace(still, head=24)  # another head: the rest is still taken
    run = TrainingRun(POSE, wider, tmp_path / "wider", start=first)
    assert (run.takes_generation, run.takes_identity, run.takes_head) == (True, True, False)
    blind = TrainingRun(POSE, replace(still, look_back=False), tmp_path / "blind", start=first)
    assert (blind.takes_identity, blind.takes_head) == (True, False)
    stranger = TrainingRun(POSE, replace(still, identity=12), tmp_path / "stranger", start=first)
    assert (stranger.takes_identity, stranger.takes_head) == (False, False)  # it would see through other eyes
    slim = TrainingRun(POSE, replace(still, width=64), tmp_path / "slim", start=first)
    assert not slim.takes_generation
    paper = replace(first, card=replace(first.card, network=replace(first.card.network, mixing=0)))
    assert TrainingRun(POSE, replace(still, mixing=0, width=64), tmp_path / "paper", start=paper).takes_generation


def test_whitening_makes_differences_alike() -> None:
    random = torch.Generator().manual_seed(0)
    differences = torch.randn(500, 6, generator=random).double() @ torch.randn(6, 6, generator=random).double()
    noise = differences.T @ differences
    by = whitening(noise, 1e-6)
    assert torch.allclose(by, by.T) and float(by.square().sum()) == pytest.approx(6)  # as long as the identity
    after = by @ noise @ by.T
    assert torch.allclose(after / after.diagonal().mean(), torch.eye(6).double(), atol=1e-3)
    assert torch.allclose(whitening(noise, 1e6), torch.eye(6).double(), atol=1e-3)  # a floor above it all: as it was
    assert torch.isfinite(whitening(torch.diag(torch.tensor([1.0, 0.0])).double(), 0.1)).all()
    for nothing in (torch.zeros(3, 3), torch.full((3, 3), float("nan"))):
        with pytest.raises(TrainingError, match="do not differ"):
            whitening(nothing.double(), 0.1)


def changed_between(first: Model, second: Model) -> set[str]:
    """Names of all weights that are not the same."""
    return {
        name
        for a, b in zip(first.networks, second.networks, strict=True)
        for name, value in a.state_dict().items()
        if not torch.equal(value, b.state_dict()[name])
    }


def test_a_head_is_whitened_after_stage_two(cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceedit.training.trainer._COMPARED", 12)
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    trained = train(TrainingRun(POSE, replace(TINY_BEST, whitening=0.01), tmp_path / "trained"), pairs)
    assert changed_between(first, trained) == {"head.layers.5.weight", "head.layers.5.bias"}
    unfinished = replace(TINY_BEST, steps_two=0, whitening=0.01)  # nothing has been learnt that could be whitened
    with pytest.raises(TrainingError, match="nothing before it may change"):
        TrainingRun(POSE, unfinished, tmp_path / "none", start=first).require_startable(resume=False)
    # the same afterwards, alone
    still = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0, whitening=0.01)
    run = TrainingRun(POSE, still, tmp_path / "white", start=first)
    run.require_startable(resume=False)
    noises: list[torch.Tensor] = []
    own = whitening

    def spy(noise: torch.Tensor, floor: float) -> torch.Tensor:
        noises.append(noise.clone())
        return own(noise, floor)

    monkeypatch.setattr("faceedit.training.whitening", spy)
    distances: list[float] = []
    white = train(run, pairs, report=lambda p: distances.append(p.loss))
    assert changed_between(first, white) == {"head.layers.5.weight", "head.layers.5.bias"}
    assert len(set(distances)) > 6  # other pictures each time
    before, after = (m.describer.state_dict()["head.layers.5.weight"].double() for m in (first, white))
    torch.testing.assert_close(own(noises[0], 0.01) @ before, after, rtol=1e-4, atol=1e-5)
    again = train(TrainingRun(POSE, still, tmp_path / "again", start=white), pairs)
    assert again.digest != white.digest
    flatness = [float(torch.linalg.cond(noise + 0.01 * noise.diagonal().mean() * torch.eye(16))) for noise in noises]
    assert flatness[1] < 0.5 * flatness[0]  # differences are more alike in all directions


def test_only_a_finished_model_is_whitened_alone(cut_out: Path, tmp_path: Path, model_folder: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    still = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0, whitening=0.1)
    lit = replace(first, card=replace(first.card, task=ILLUMINATION))
    guessing = replace(first, card=replace(first.card, network=replace(first.card.network, estimate=0.0)))
    bare = load_model(model_folder)
    cases: list[tuple[Recipe, Model | None, str]] = [
        (still, None, "stage one has to start"),
        (replace(still, head=24), first, "stage two has to be that of a trained model"),
        (replace(still, skip=False), first, "stage two has to be that of a trained model"),
        (replace(still, look_back=False), first, "stage two has to be that of a trained model"),
        (replace(still, estimate=0.0), first, "stage two has to be that of a trained model"),
        (still, guessing, "stage two has to be that of a trained model"),
        (still, lit, "stage one has to start"),
        (replace(still, whitening=0.0), first, "no descriptor head to whiten"),
        (replace(FAST, steps_one=0, steps_two=0), bare, "no descriptor head to whiten"),
        (turned(still, ["neutral=off"]), first, "set --knob neutral=on"),
    ]
    for number, (recipe, start, told) in enumerate(cases):
        with pytest.raises(TrainingError, match=told):
            TrainingRun(POSE, recipe, tmp_path / str(number), start=start).require_startable(resume=False)
    TrainingRun(POSE, still, tmp_path / "fits", start=first).require_startable(resume=False)


def test_weights_that_are_taken_keep_their_normalisation(cut_out: Path, tmp_path: Path, model_folder: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=False)
    start = load_model(model_folder)
    tiny = replace(FAST, sources=2, targets=3, steps_one=1, steps_two=1, warmup=0, contrast_people=2)
    taken = train(TrainingRun(POSE, tiny, tmp_path / "taken", start=start), pairs)
    fresh = train(TrainingRun(POSE, tiny, tmp_path / "fresh"), pairs)
    assert taken.card.normalisation == start.card.normalisation != fresh.card.normalisation


@pytest.mark.parametrize("skip", [True, False])
def test_a_correction_is_not_taken_for_a_picture(cut_out: Path, tmp_path: Path, skip: bool) -> None:
    """A decoder that makes corrections does not begin as one that makes pictures, nor the other way round."""
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, replace(TINY_BEST, skip=not skip), tmp_path / "first"), pairs)
    still = replace(TINY_BEST, skip=skip, steps_identity=0, steps_one=0, steps_two=0)
    made = train(TrainingRun(POSE, still, tmp_path / "second", start=first), pairs)
    for name, tensor in first.refinement.encoder.state_dict().items():
        assert torch.equal(made.refinement.encoder.state_dict()[name], tensor)
    generated, source = torch.randn(2, 1, 3, 60, 60)
    with torch.no_grad():
        second = made.refinement(source, generated)
        assert torch.equal(second, generated) == skip
        assert float((second - first.refinement.decoder(first.refinement.features(source, generated))).abs().max()) > 0
    fresh = train(TrainingRun(POSE, replace(still, steps_identity=1, steps_one=1), tmp_path / "fresh"), pairs)
    with torch.no_grad():
        assert torch.equal(fresh.refinement(source, generated), generated) == skip
    with pytest.raises(TrainingError, match="the identity network has to be a trained model's"):
        TrainingRun(POSE, replace(still, steps_one=1), tmp_path / "none").require_startable(resume=False)


def test_only_values_that_are_known_are_mirrored(cut_out: Path) -> None:
    assert POSE.mirrored == (6, 5, 4, 3, 2, 1, 0) and INPAINTING.mirrored == (0, 1)
    assert ILLUMINATION.mirrored is None  # a lamp on the left becomes one on the right, whose number nobody knows
    pairs = load_pairs(read_manifest(cut_out), POSE, cut_out=True)
    sources, values = pairs.groups[:4, 0], np.zeros((4, 1), np.int64)
    maker = Photographer(replace(pairs, mirror=None), EVEN, BEST.augmentation, "cpu")
    for number in range(12):
        shot = maker.sitting(sources, sources[:, None], values, np.arange(4), (number,))
        assert shot.values.tolist() == [[0]] * 4


def test_a_neutral_model_is_compared_with_the_truth_on_grey(learned_model_folder: Path, cut_out: Path) -> None:
    editor = Editor.load(learned_model_folder, "cpu")
    test = load_test_set(read_manifest(cut_out), POSE, ("identity", "expression", "pose"))
    queries = choose_queries(test, POSE, 20, 0)
    evaluation = evaluate(editor, test, queries, ("identity", "expression", "pose"))
    truth = evaluation.true_pictures()
    assert (truth[:, 0, 0] == 128).all() and (test.images[:, 0, 0] == 0).all()
    figures = measure(evaluation)
    assert set(figures["face"]["stage1"]) == {"mse", "ssim", "sharpness"}
    assert evaluation.compared_on == ", both on neutral grey"


# --- commands ---


def test_train_best_index_and_query_with_either_descriptor(
    cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("faceedit.training.recipes").recipes.RECIPES, "best", TINY_BEST)
    out = tmp_path / "model"
    data = ["--data", str(cut_out), "--data", str(cut_out)]
    assert run(["train", "pose", "--recipe", "best", *data, "--out", str(out)]) == 0
    card = json.loads((out / "model.json").read_text())
    assert len(card["provenance"]["data"]) == 2 and card["neutral"]
    assert "training_identity_error" in card["metrics"]
    query = str(cut_out / "images" / "p0_0_+00.png")
    sizes = {}
    for kind in (LEARNED, PAPER):
        db = tmp_path / kind
        index = ["index", str(cut_out / "images"), "--db", str(db), "--model", str(out), "--descriptor", kind]
        assert run(index) == 0
        with Gallery.open(db) as gallery:
            sizes[kind] = gallery.config.descriptor_size
        capsys.readouterr()
        assert run(["query", query, "--pose", "30", "--db", str(db), "--model", str(out), "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["results"]) == 5
    assert sizes == {LEARNED: 31, PAPER: 28_800}
    assert run(["index", str(cut_out / "images"), "--db", str(tmp_path / PAPER), "--model", str(out)]) == 0  # as before
    mixed = ["index", str(cut_out / "images"), "--db", str(tmp_path / LEARNED), "--model", str(out)]
    assert run([*mixed, "--descriptor", PAPER]) == 1
    assert "was described by model" in capsys.readouterr().err
    assert run([*mixed, "--descriptor", "pca"]) == 2
    assert "no descriptor 'pca': choose one of learned, paper" in capsys.readouterr().err


def test_best_without_masks_says_what_to_do(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    assert run(["train", "pose", "--recipe", "best", "--data", str(data_set), "--out", str(tmp_path / "m")]) == 1
    told = capsys.readouterr().err
    assert "no column 'mask'" in told and "--recipe fast" in told and "Traceback" not in told


@pytest.mark.parametrize("knobs", [("identity=0",), ("head=0",), ("head=0", "identity=0"), ("mixing=0",)])
def test_every_part_can_be_left_out(knobs: tuple[str, ...]) -> None:
    recipe = turned(BEST, knobs)
    names = [knob.partition("=")[0] for knob in knobs]
    network = recipe.network(7)
    assert all(getattr(network, name) == 0 for name in names)
    assert network.look_back == (names == ["mixing"])
    assert (network.estimate > 0) == ("identity" not in names)


@pytest.mark.parametrize(
    "knob",
    [
        "targets=0",
        "contrast_people=0",
        "identity_people=0",
        "share=2",
        "blur=0.9",
        "width=100",
        "estimate=-1",
        "contrast=0",
    ],
)
def test_an_impossible_knob_is_one_line(
    cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], knob: str
) -> None:  # fmt: skip
    train_best = ["train", "pose", "--recipe", "best", "--data", str(cut_out), "--out", str(tmp_path / "m")]
    assert run([*train_best, "--knob", knob]) == 2
    told = capsys.readouterr().err
    assert told.startswith("facesearch: ") and f"--knob {knob}: " in told and told.count("\n") == 1


def test_data_sets_that_do_not_go_together_are_refused(
    cut_out: Path, data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    sets = []
    for number, made in enumerate(({"seed": 4}, {"seed": 4}, {"seed": 5, "variety": {}})):
        root = tmp_path / f"set{number}"
        root.mkdir()
        for item in cut_out.iterdir():
            (root / item.name).symlink_to(item)
        (root / "synth.json").write_text(json.dumps(made))
        sets += ["--data", str(root)]
    start = ["train", "pose", "--recipe", "best", "--out", str(tmp_path / "m")]
    assert run([*start, *sets[:4]]) == 2
    assert "show the same people, rendered with seed 4" in capsys.readouterr().err
    assert run(["train", "illumination", "--recipe", "best", "--out", str(tmp_path / "m"), *sets[4:]]) == 2
    assert "not for illumination" in capsys.readouterr().err
    assert run([*start, "--data", str(cut_out), "--data", str(data_set)]) == 1
    assert "has no mask, so that its background cannot be chosen" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
