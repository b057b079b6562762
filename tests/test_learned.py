"""What recipe best adds to the paper: mixing, a learned descriptor, neutral backgrounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceedit.attributes import ILLUMINATION, INPAINTING, POSE
from faceedit.devices import autocast
from faceedit.editor import LEARNED, PAPER, Editor, reconstruction_errors
from faceedit.errors import ManifestError, TrainingError, UsageError
from faceedit.images import NEUTRAL
from faceedit.manifest import read_manifest
from faceedit.modelfile import Model, load_model, shrink_model
from faceedit.networks import Describer, MixingGenerationNetwork, NetworkConfig, RefinementNetwork, initialise
from faceedit.training.batches import EVEN, Photographer
from faceedit.training.comparing import Comparer
from faceedit.training.estimator import EstimatorStage
from faceedit.training.last_layer import LastLayerStage, Shown, of_one_value
from faceedit.training.pairs import PairSet, PersonSampler, load_pairs
from faceedit.training.recipes import BEST, Recipe, recipe_named
from faceedit.training.run import TrainingRun, begin
from faceedit.training.second_stage import two_stages
from faceedit.training.stages import Material, Pace
from faceedit.training.trainer import Progress, train
from faceedit.training.whitening import whitening
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.queries import choose_queries, load_test_set
from retrieval.evaluation.report import measure
from tests.conftest import blob_face, placed_pairs
from tests.recipes import SMALL

TINY_BEST = replace(
    BEST,
    sources=2,
    targets=3,
    steps_identity=3,
    steps_one=3,
    steps_two=2,
    steps_head=2,
    identity_people=2,
    identity_alone=1,
    contrast_people=2,
    contrast_conditions=2,
    head_people=2,
    head_conditions=2,
    warmup=0,
    whitening=0.0,
    steps_last=0,
    last_people=2,
    steps_estimator=0,
    estimator_pictures=6,
    network=replace(BEST.network, mixing=1, head=16, head_hidden=12, identity=8, candidate=0.2, flow=False),
)


@pytest.fixture(scope="module", params=[128, 64])
def mixing(request: pytest.FixtureRequest) -> MixingGenerationNetwork:
    network = MixingGenerationNetwork(NetworkConfig(mixing=2, width=request.param))
    initialise(network, torch.Generator().manual_seed(0))
    return network.eval()


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([blob_face(person, pose, 0) for person in range(2) for pose in (-30, 0, 30)])


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_either_descriptor_can_be_had(learned_model_folder: Path, model_folder: Path, faces: np.ndarray) -> None:
    learned, paper = (Editor.load(learned_model_folder, "cpu", kind) for kind in (LEARNED, PAPER))
    assert (learned.descriptor_size, paper.descriptor_size) == (31, 28_800)
    assert learned.digest != paper.digest  # a gallery holds one or the other
    for editor in (learned, paper):
        described = editor.describe(faces)
        assert described.descriptors.shape == (6, editor.descriptor_size)
        assert np.allclose(np.linalg.norm(described.descriptors, axis=1), 1, atol=1e-3)
        best = editor.attribute.values[int(described.best[4])]
        said = np.s_[:-7] if editor is learned else np.s_[:]  # how sure of the value it is, it says otherwise
        described_as, edited = described.descriptors[4][said], editor.edit(faces[4], best).descriptor[said]
        assert float(described_as @ edited) / float(edited @ edited) == pytest.approx(1, abs=1e-3)
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


def sized(recipe: Recipe, **sizes: float) -> Recipe:
    """The recipe with other sizes of its network."""
    return replace(recipe, network=replace(recipe.network, **sizes))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False])
def test_best_trains_every_stage_and_resumes_to_the_bit(cut_out: Path, tmp_path: Path, beside: bool) -> None:
    pairs = placed_pairs(load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True))
    recipe = sized(
        replace(TINY_BEST, whitening=0.1, steps_whitening=2, steps_last=3, steps_estimator=2, beside=beside), flow=True
    )

    def run_of(out: Path) -> TrainingRun:
        return TrainingRun(POSE, recipe, out, seed=1, checkpoint_every=1)

    stages: list[int] = []
    whole = train(run_of(tmp_path / "whole"), pairs, report=lambda p: stages.append(p.stage))
    assert stages == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6]
    assert whole.card.neutral and set(whole.card.metrics) == {
        "training_identity_error",
        "training_mse_stage1",
        "training_mse_stage2",
        "training_head_error",
        "training_last_layer_error",
        "training_estimator_error",
    }

    class Stop(Exception):
        pass

    for run_number, stop in enumerate((1, 2, 1, 1, 1, 2, 1, 0)):  # within each stage, twice where two things learn
        left = iter(range(stop))

        def halt(progress: Progress, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise Stop

        with pytest.raises(Stop):
            train(run_of(tmp_path / "cut"), pairs, resume=run_number > 0, report=halt)
    again = train(run_of(tmp_path / "cut"), pairs, resume=True)
    assert again.digest == whole.digest


@pytest.mark.slow
def test_what_a_stage_leaves_is_the_average_of_its_weights(cut_out: Path, tmp_path: Path) -> None:
    """After one update: a tenth of what it began with, and the rest of what the update made."""
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    recipe = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_head=0)
    made: dict[str, torch.Tensor] = {}
    for name, changes in {
        "begun": {"steps_two": 0},
        "last": {"steps_two": 1, "average": 0.0},
        "averaged": {"steps_two": 1},
    }.items():
        model = train(TrainingRun(POSE, replace(recipe, **changes), tmp_path / name), pairs)  # type: ignore[arg-type]
        made[name] = model.refinement.state_dict()["decoder.6.weight"]
        made[f"{name} encoder"] = model.refinement.state_dict()["encoder.rest.0.weight"]
    assert not torch.equal(made["begun"], made["last"])
    torch.testing.assert_close(made["averaged"], 0.1 * made["begun"] + 0.9 * made["last"])
    assert torch.equal(made["begun encoder"], made["averaged encoder"])  # after stage one the decoder learns alone


@pytest.mark.slow
def test_the_identity_network_stands_still_after_its_stage(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    states = {}

    def note(recipe_steps: dict[str, int], name: str) -> None:
        recipe = replace(TINY_BEST, **recipe_steps)  # type: ignore[arg-type]
        model = train(TrainingRun(POSE, recipe, tmp_path / name), pairs)
        assert model.describer.identity is not None
        states[name] = model.describer.identity.state_dict()

    note({"steps_one": 1, "steps_two": 1}, "short")
    note({"steps_one": 3, "steps_two": 3}, "long")
    note({"steps_identity": 4}, "other")
    assert all(torch.equal(value, states["long"][name]) for name, value in states["short"].items())
    assert not all(torch.equal(value, states["other"][name]) for name, value in states["short"].items())


def test_best_is_a_recipe_with_the_documented_parts() -> None:
    best = recipe_named("best")
    network = best.network_for(7)
    assert (network.mixing, network.head, network.identity) == (4, 512, 256)
    assert network.skip and network.look_back and network.flow and network.soft and network.estimate > 0
    assert best.augmentation is not None and best.beside and min(best.flows, best.blend, best.smooth) > 0
    assert min(best.keep, best.critic, best.average, best.contrast, best.steps_head, best.whitening) > 0
    assert best.steps_last > 0 and best.steps_estimator > 0
    assert recipe_named("paper").network_for(7) == NetworkConfig(attributes=7)


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
        middle = network.identity.half_way(source)
        assert torch.equal(network.identity.features(source).middle, middle)
        refined = network.refined(features, middle)
        assert not torch.allclose(network.refined(features, middle.flip(0)), refined, atol=1e-3)
    with pytest.raises(ValueError, match="look_back needs"):
        NetworkConfig(head=16, look_back=True)


@pytest.mark.slow
def test_a_run_takes_from_another_model_what_fits(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    still = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0, steps_head=0)
    again = train(TrainingRun(POSE, still, tmp_path / "again", start=first), pairs)
    assert all(
        torch.equal(value, b.state_dict()[name])
        for a, b in zip(first.networks, again.networks, strict=True)
        for name, value in a.state_dict().items()
    )
    fewer = TrainingRun(POSE, sized(still, head_hidden=0), tmp_path / "fewer", start=first)
    assert not fewer.takes_head  # which is another one without its hidden units
    wider = sized(still, head=24)  # another head: the rest is still taken
    run = TrainingRun(POSE, wider, tmp_path / "wider", start=first)
    assert (run.takes_generation, run.takes_identity, run.takes_head) == (True, True, False)
    blind = TrainingRun(POSE, sized(still, look_back=False), tmp_path / "blind", start=first)
    assert (blind.takes_identity, blind.takes_head) == (True, False)
    stranger = TrainingRun(POSE, sized(still, identity=12), tmp_path / "stranger", start=first)
    assert (stranger.takes_identity, stranger.takes_head) == (False, False)  # it would see through other eyes
    slim = TrainingRun(POSE, sized(still, width=64), tmp_path / "slim", start=first)
    assert not slim.takes_generation
    paper = replace(first, card=replace(first.card, network=replace(first.card.network, mixing=0)))
    assert TrainingRun(POSE, sized(still, mixing=0, width=64), tmp_path / "paper", start=paper).takes_generation


@pytest.mark.slow
def test_hidden_units_begin_beside_a_trained_head_s_last_layer_with_nothing(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    without = sized(TINY_BEST, head_hidden=0)
    first = train(TrainingRun(POSE, without, tmp_path / "first"), pairs)
    still = replace(without, steps_identity=0, steps_one=0, steps_two=0, steps_head=0)
    run = TrainingRun(POSE, sized(still, head_hidden=20), tmp_path / "beside", start=first)
    assert run.takes_head
    made = train(run, pairs)
    head, before = made.describer.head, first.describer.head
    assert head is not None and before is not None and head.beside is not None and before.beside is None
    seen = torch.rand(3, 4096)
    with torch.no_grad():
        assert torch.equal(head.said(seen), before.said(seen))
        assert torch.equal(head.beside(seen), torch.zeros(3, 16))
        assert float(head.beside.get_parameter("0.weight").std()) > 0
    with pytest.raises(TrainingError, match="20 hidden units, which --start does not have, would learn nothing"):
        replace(run, recipe=replace(run.recipe, steps_estimator=1)).require_startable(resume=False)
    taught = replace(run.recipe, steps_last=3)
    last = train(TrainingRun(POSE, taught, tmp_path / "last", start=first), pairs)
    assert last.describer.head is not None and last.describer.head.beside is not None
    with torch.no_grad():
        assert not torch.equal(last.describer.head.beside(seen), torch.zeros(3, 16))


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


def noise_of(run: TrainingRun, pairs: PairSet) -> torch.Tensor:
    """(16, 16) second moments of what imagined and stored descriptors differ by, in the pictures that a run's whitening
    compares, by the model that the run starts from."""
    material = Material.of(run, pairs, begin(run))
    material.only()
    comparer, noise = Comparer(material, 2, 2), torch.zeros(16, 16, dtype=torch.float64)
    for step in range(run.recipe.steps_whitening):
        compared = comparer.comparison(4, step)
        with torch.no_grad(), autocast("cpu"):
            features = two_stages(material, compared.shot).features
            describer = material.networks.describer
            assert describer.identity is not None
            d = describer.refined(features, describer.identity.half_way(compared.shot.sources))
            d = d.view(-1, 2, 2, 16).double()
        for group, leads in zip(d, compared.leads, strict=True):
            for to in range(2):
                if leads[1 - to, to]:
                    unlike = group[1 - to, to] - group[to, to]
                    noise += unlike[:, None] * unlike
    return noise


@pytest.mark.slow
def test_a_head_is_whitened_after_stage_two(cut_out: Path, tmp_path: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    whitened = replace(TINY_BEST, whitening=0.01, steps_whitening=12)
    trained = train(TrainingRun(POSE, whitened, tmp_path / "trained"), pairs)
    assert changed_between(first, trained) == ENDS
    unfinished = replace(whitened, steps_head=0)  # nothing has been learnt that could be whitened
    with pytest.raises(TrainingError, match="nothing that it is made of may change"):
        TrainingRun(POSE, unfinished, tmp_path / "none", start=first).require_startable(resume=False)
    # the same afterwards, alone
    still = replace(whitened, steps_identity=0, steps_one=0, steps_two=0, steps_head=0)
    run = TrainingRun(POSE, still, tmp_path / "white", start=first)
    run.require_startable(resume=False)
    noise = noise_of(run, pairs)
    distances: list[float] = []
    white = train(run, pairs, report=lambda p: distances.append(p.loss))
    assert changed_between(first, white) == ENDS
    assert len(set(distances)) > 6  # other pictures each time
    for last in ("head.layers.5.weight", "head.beside.2.weight"):
        before, after = (m.describer.state_dict()[last].double() for m in (first, white))
        torch.testing.assert_close(whitening(noise, 0.01) @ before, after, rtol=1e-4, atol=1e-5)
    again = TrainingRun(POSE, still, tmp_path / "again", start=white)
    noises = noise, noise_of(again, pairs)
    flatness = [float(torch.linalg.cond(n + 0.01 * n.diagonal().mean() * torch.eye(16))) for n in noises]
    assert flatness[1] < 0.7 * flatness[0]  # differences are more alike in all directions


ENDS = {f"head.{layer}.{of}" for layer in ("layers.5", "beside.2") for of in ("weight", "bias")}
HEAD_S_LAST = ENDS | {"head.beside.0.weight", "head.beside.0.bias"}
ESTIMATOR = {f"estimator.layers.{layer}" for layer in ("0.weight", "0.bias", "3.weight", "3.bias")}


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "learns"), [("steps_last", HEAD_S_LAST), ("steps_estimator", ESTIMATOR)])
def test_what_learns_last_learns_alone_on_a_finished_model(
    cut_out: Path, tmp_path: Path, steps: str, learns: set[str]
) -> None:
    """The head's last layer: fewer imagined pictures are nearer to another's; the estimator."""
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    none = {"steps_identity": 0, "steps_one": 0, "steps_two": 0, "steps_head": 0}
    still = replace(TINY_BEST, **{**none, steps: 60}, learning_rate=1e-2)  # type: ignore[arg-type]
    run = TrainingRun(POSE, still, tmp_path / "last", start=first)
    run.require_startable(resume=False)
    losses: list[float] = []
    made = train(run, pairs, report=lambda progress: losses.append(progress.loss))
    assert changed_between(first, made) == learns
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_what_learns_last_has_a_pace_of_its_own() -> None:
    """And what it leaves is no average of its weights."""
    assert (LastLayerStage.pace, LastLayerStage.averaged) == (Pace(rate=0.2), False)
    assert (EstimatorStage.pace, EstimatorStage.averaged) == (Pace(), False)


@pytest.mark.parametrize(("share", "step"), [(0.0, 0), (0.0, 1), (0.0, 2), (0.5, 1), (1.0, 0)])
def test_a_lesson_of_the_estimator_is_what_it_says(cut_out: Path, tmp_path: Path, share: float, step: int) -> None:
    """So many pictures as they were rendered, and the others each in a sitting of its own, all by their values."""
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    pairs = replace(pairs, groups=np.where(np.arange(len(pairs.groups))[:, None] == 0, pairs.groups, -1))
    pairs.groups[0, 3:] = -1  # there are only three pictures
    recipe = replace(TINY_BEST, steps_estimator=1, last_studio=share, perceptual=0.0, perceptual_two=0.0)
    run = TrainingRun(POSE, recipe, tmp_path)
    material = Material.of(run, pairs, begin(run))
    stage = EstimatorStage(material)
    stage.begin()
    lesson = stage.lesson(step)
    own_values = np.random.default_rng([0, 6, step]).integers(3, size=6)
    rows, values = pairs.groups[0, own_values], own_values[:, None]
    studio = Photographer(pairs, material.normalisation, None, "cpu")
    plain = int(6 * share)
    shots = [
        by.sitting(rows[of], rows[of, None], values[of], np.arange(len(rows[of])), (0, 6, step))
        for by, of in ((studio, slice(plain)), (material.photographer, slice(plain, 6)))
        if len(rows[of])
    ]
    assert len(shots) == (2 if share == 0.5 else 1)
    with torch.no_grad(), autocast("cpu"):
        scores = torch.cat([material.networks.describer.estimate(shot.sources) for shot in shots])  # type: ignore[misc]
    own = torch.cat([shot.values[:, 0] for shot in shots])
    wanted = torch.nn.functional.cross_entropy(scores / recipe.network.estimate, own)
    assert float(lesson.loss.detach()) == pytest.approx(float(wanted), rel=0.02) and lesson.pairs == 6
    assert lesson.figure == pytest.approx(float((scores.argmax(1) != own).float().mean()))


def test_a_lesson_in_which_nobody_was_turned_teaches_nothing(
    cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    run = TrainingRun(POSE, replace(TINY_BEST, steps_last=1), tmp_path)
    stage = LastLayerStage(Material.of(run, pairs, begin(run)))
    monkeypatch.setattr(PersonSampler, "_another", lambda self, rng, group, own: own)
    learning = stage.begin()
    lesson = stage.lesson(0)
    lesson.loss.backward()  # type: ignore[no-untyped-call]
    assert lesson.pairs == 0 and all(bool((p.grad == 0).all()) for p in learning if p.grad is not None)


@pytest.mark.parametrize("identity", [8, 0])
def test_a_lesson_of_the_last_layer_is_what_it_says(
    cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity: int
) -> None:
    """Against one edit after the other, by what `Describer.refined` makes of all layers."""
    monkeypatch.setattr("faceedit.training.last_layer._DROPPED", 0.0)
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    sizes = {} if identity else {"identity": 0, "look_back": False, "estimate": 0.0, "soft": False}
    recipe = sized(replace(TINY_BEST, steps_last=1, perceptual=0.0, perceptual_two=0.0), **sizes)
    material = Material.of(TrainingRun(POSE, recipe, tmp_path), pairs, begin(TrainingRun(POSE, recipe, tmp_path)))
    head = material.networks.describer.head
    assert head is not None and head.beside is not None
    torch.nn.init.normal_(head.lasts[1].weight, std=0.1)  # which begins with nothing
    stage = LastLayerStage(material)
    stage.begin()
    lesson = stage.lesson(0)
    sampler = PersonSampler(pairs, 0)
    value, people = sampler.batch(0, recipe.last_people)
    studio = Photographer(pairs, material.normalisation, None, "cpu")
    turned: list[tuple[tuple[int, int], Tensor, Tensor]] = []
    stored: list[tuple[tuple[int, int], Tensor, Tensor]] = []
    for person in people.tolist():
        groups, values, rows = sampler.person(person, 1_000)
        taken = studio if person % 2 == 0 else material.photographer
        shot = taken.sitting(rows[:, 0], rows, values, np.zeros(len(rows), np.int64), (0, 5, person))
        describer = material.networks.describer
        with torch.no_grad(), autocast("cpu"):
            features = two_stages(material, shot).features
            net = describer.identity
            parts = describer.refined(features, None if net is None else net.half_way(shot.sources)).view(-1, 2, 16)
            who = torch.zeros(len(rows), 1) if net is None else net.both(shot.sources)
        for i, (own, asked) in enumerate(shot.values.tolist()):
            if own == value:
                stored.append(((person, int(groups[i])), parts[i, 0].float(), who[i].float()))
            elif asked == value:
                turned.append(((person, int(groups[i])), parts[i, 1].float(), who[i].float()))
    share = recipe.network.share if identity else 0.0
    losses = []
    for key, part, who_it_is in turned:
        alone = torch.stack([part @ other for _, other, _ in stored])
        both = (1 - share) * alone + share * torch.stack([who_it_is @ other for _, _, other in stored])
        own = [other for other, _, _ in stored].index(key)
        losses.append(-(80 * both).log_softmax(0)[own] - 0.3 * (30 * alone).log_softmax(0)[own])
    assert lesson.pairs == len(turned) > 1
    assert float(lesson.loss.detach()) == pytest.approx(float(torch.stack(losses).mean()), rel=0.03)


def test_pictures_of_no_pose_are_left_out_where_nothing_learns_from_them(cut_out: Path) -> None:
    manifest = read_manifest(cut_out)
    poses = ("", *manifest.columns["pose"][1:])
    manifest = replace(manifest, columns={**manifest.columns, "pose": poses})
    with pytest.raises(ManifestError, match="pose"):
        load_pairs(manifest, POSE, cut_out=True)
    pairs = load_pairs(manifest, POSE, cut_out=True, loosely=True)
    assert set(pairs.groups[pairs.groups >= 0].tolist()) == set(range(1, len(manifest)))


def test_what_is_turned_to_a_value_is_sought_among_what_is_stored_there() -> None:
    """Of two people with two conditions at three values, one of whom lacks a picture."""

    def shown(person: float, rows: list[tuple[int, int, int]]) -> Shown:
        hidden = torch.tensor([[[person, own, group], [person, asked, group]] for group, own, asked in rows])
        return Shown(
            groups=np.array([group for group, _, _ in rows]),
            values=np.array([(own, asked) for _, own, asked in rows]),
            hidden=hidden.half(),
            who=torch.full((len(rows), 1), person),
        )

    a = shown(1.0, [(4, 0, 2), (4, 2, 0), (5, 0, 1), (5, 1, 2), (5, 2, 2)])
    b = shown(2.0, [(9, 0, 2), (9, 1, 2), (7, 2, 1), (7, 1, 2)])  # of 9 there is no picture at 2
    turned, stored, own = of_one_value([a, b], 2)
    assert stored[0].tolist() == [[1, 2, 4], [1, 2, 5], [2, 2, 7]] and stored[1].flatten().tolist() == [1, 1, 2]
    assert turned[0].tolist() == [[1, 2, 4], [1, 2, 5], [2, 2, 7]] and turned[1].flatten().tolist() == [1, 1, 2]
    assert own.tolist() == [0, 1, 2]
    nobody = of_one_value([b], 0)
    assert len(nobody[2]) == 0 and nobody[1][0].tolist() == [[2, 0, 9]]


@pytest.mark.slow
def test_only_a_finished_model_is_whitened_alone(cut_out: Path, tmp_path: Path, model_folder: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, TINY_BEST, tmp_path / "first"), pairs)
    still = replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0, steps_head=0, whitening=0.1)
    lit = replace(first, card=replace(first.card, task=ILLUMINATION))
    guessing = replace(first, card=replace(first.card, network=replace(first.card.network, estimate=0.0, soft=False)))
    bare = load_model(model_folder)
    cases: list[tuple[Recipe, Model | None, str]] = [
        (still, None, "stage one has to start"),
        (sized(still, head=24), first, "the descriptor has to be that of a trained model"),
        (sized(still, skip=False), first, "stage two has to be that of a trained model"),
        (sized(still, look_back=False), first, "the descriptor has to be that of a trained model"),
        (sized(still, estimate=0.0, soft=False), first, "the descriptor has to be that of a trained model"),
        (still, guessing, "the descriptor has to be that of a trained model"),
        (still, lit, "stage one has to start"),
        (replace(still, whitening=0.0), first, "no descriptor head to learn, to whiten or"),
        (
            replace(SMALL, steps_one=0, steps_two=0, network=bare.card.network),
            bare,
            "no descriptor head to learn, to whiten or",
        ),
        (still.turned(["neutral=off"]), first, "set --knob neutral=on"),
        (replace(still, steps_two=1), first, "fits"),
        (replace(still, steps_head=1, steps_identity=1), first, "fits"),
        (replace(still, steps_one=1, beside=False), first, "nothing before it may change"),
        (replace(still, steps_one=1), first, "nothing that it is made of may change"),
        (replace(still, steps_identity=1), first, "nothing that it is made of may change"),
    ]
    for number, (recipe, start, told) in enumerate(cases):
        run = TrainingRun(POSE, recipe, tmp_path / str(number), start=start)
        if told == "fits":
            run.require_startable(resume=False)
            continue
        with pytest.raises(TrainingError, match=told):
            run.require_startable(resume=False)
    TrainingRun(POSE, still, tmp_path / "fits", start=first).require_startable(resume=False)


@pytest.mark.slow
def test_weights_that_are_taken_keep_their_normalisation(cut_out: Path, tmp_path: Path, model_folder: Path) -> None:
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=False)
    start = load_model(model_folder)
    tiny = replace(
        SMALL, sources=2, targets=3, steps_one=1, steps_two=1, warmup=0, contrast_people=2, network=start.card.network
    )
    taken = train(TrainingRun(POSE, tiny, tmp_path / "taken", start=start), pairs)
    fresh = train(TrainingRun(POSE, tiny, tmp_path / "fresh"), pairs)
    assert taken.card.normalisation == start.card.normalisation != fresh.card.normalisation


@pytest.mark.slow
@pytest.mark.parametrize("skip", [True, False])
def test_a_correction_is_not_taken_for_a_picture(cut_out: Path, tmp_path: Path, skip: bool) -> None:
    """A decoder that makes corrections does not begin as one that makes pictures, nor the other way round."""
    pairs = load_pairs(read_manifest(cut_out).where("split", "train"), POSE, cut_out=True)
    first = train(TrainingRun(POSE, sized(TINY_BEST, skip=not skip), tmp_path / "first"), pairs)
    still = sized(replace(TINY_BEST, steps_identity=0, steps_one=0, steps_two=0, steps_head=0), skip=skip)
    made = train(TrainingRun(POSE, still, tmp_path / "second", start=first), pairs)
    for name, tensor in first.refinement.encoder.state_dict().items():
        assert torch.equal(made.refinement.encoder.state_dict()[name], tensor)
    generated, source = torch.randn(2, 1, 3, 60, 60)
    with torch.no_grad():
        second = made.refinement(source, generated)
        assert torch.equal(second, generated) == skip
        assert float((second - first.refinement.decoder(first.refinement.features(source, generated))).abs().max()) > 0
    untouched = replace(still, steps_identity=1, steps_one=1, beside=False)
    fresh = train(TrainingRun(POSE, untouched, tmp_path / "fresh"), pairs)
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


@pytest.mark.slow
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
