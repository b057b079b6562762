"""Stage one that moves pixels: where they go, what they are blended of, and what training makes small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.attributes import POSE
from faceedit.editor import Editor
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, load_model, new_networks, save_model
from faceedit.networks import (
    FLOW_MAPS,
    FlowGenerationNetwork,
    NetworkConfig,
    RefinementNetwork,
    blended,
    corrected,
    initialise,
    moved_twice,
    pixel_grid,
    sharpened,
)
from faceedit.training import losses

CONFIG = NetworkConfig(mixing=2, width=64, skip=True, flow=True)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> FlowGenerationNetwork:
    network = FlowGenerationNetwork(CONFIG)
    initialise(network, torch.Generator().manual_seed(0))
    return network.eval()


def test_a_flow_that_stays_copies_the_source() -> None:
    source, grid = random(2, 3, 60, 60), pixel_grid()
    still = grid.expand(6, 60, 60, 2)
    first, second = moved_twice(source, still, still)
    expected = source.repeat_interleave(3, 0)
    assert torch.allclose(first, expected, atol=1e-5) and torch.allclose(second, expected, atol=1e-5)


def test_a_flow_says_where_a_pixel_comes_from() -> None:
    """Each target's own flow, of its own source, and the two are not mixed up."""
    source, grid = random(2, 3, 60, 60), pixel_grid()
    step = 2 / 60
    shifts = torch.tensor([[3.0, 0], [0, 5], [-2, 1], [4, -7]])
    flow = grid + step * shifts[:, None, None]
    mirrored = grid - step * shifts[:, None, None]
    first, second = moved_twice(source, flow, mirrored)
    for n, (across, down) in enumerate(shifts.int().tolist()):
        y, x = 30, 25
        assert torch.allclose(first[n, :, y, x], source[n // 2, :, y + down, x + across], atol=1e-4)
        assert torch.allclose(second[n, :, y, x], source[n // 2, :, y - down, x - across], atol=1e-4)


def test_sharpening_makes_up_for_what_sampling_between_pixels_takes() -> None:
    """On average over where between the pixels it samples, a fine pattern keeps its strength; flat parts stay flat."""
    axis = torch.arange(60.0)
    waves = torch.sin(1.6 * axis)[None, None, None].expand(1, 1, 60, -1)
    steps = torch.linspace(0, 1, 21)[:-1]
    grids = pixel_grid()[None] + torch.stack([steps * 2 / 60, 0 * steps], -1)[:, None, None]

    def kept(source: Tensor) -> float:
        made = F.grid_sample(source.expand(20, -1, -1, -1), grids, padding_mode="border", align_corners=False)
        return float((made[..., 20:40].std((1, 2, 3)) / waves[..., 20:40].std()).mean())

    assert kept(waves) < 0.85 and 0.95 < kept(sharpened(waves)) < 1.07
    flat = torch.full((1, 3, 60, 60), 0.7)
    assert torch.allclose(sharpened(flat), flat)


def test_the_picture_is_the_blend_that_the_weights_say() -> None:
    source, said, black = random(2, 3, 60, 60), random(4, 13, 60, 60, seed=1), torch.tensor([-2.0, -1.5, -1.0])
    moved = blended(source, said, pixel_grid(), black)
    assert moved.maps.shape == (4, FLOW_MAPS, 60, 60)
    weights = moved.maps[:, 9:]
    assert torch.allclose(weights.sum(1), torch.ones(4, 60, 60)) and torch.equal(moved.scores, said[:, 4:7])
    for n, y, x in ((0, 5, 7), (3, 40, 59)):
        w = said[n, 4:7, y, x].softmax(0)
        by_hand = w[0] * moved.maps[n, 3:6, y, x] + w[1] * moved.maps[n, 6:9, y, x] + w[2] * said[n, 7:10, y, x]
        assert torch.allclose(moved.picture[n, :, y, x], by_hand, atol=1e-5)


def test_light_multiplies_what_is_brighter_than_black() -> None:
    source, black = random(1, 3, 60, 60), torch.tensor([-2.0, -1.5, -1.0])
    said = torch.zeros(1, 13, 60, 60)
    dark, bright = said.clone(), said.clone()
    bright[:, 10:] = torch.tensor([0.5, 0.0, -0.5])[:, None, None]
    before, after = (blended(source, each, pixel_grid(), black).maps[:, 3:6] for each in (dark, bright))
    gain = torch.tensor([0.5, 0.0, -0.5]).exp()[:, None, None]
    assert torch.allclose(after - black[:, None, None], gain * (before - black[:, None, None]), atol=1e-5)


def test_stage_two_can_take_a_moved_source_instead_of_the_blend() -> None:
    maps, said = random(1, FLOW_MAPS, 60, 60), torch.zeros(1, 5, 60, 60)
    assert torch.equal(corrected(said, maps), maps[:, :3])
    said[:, 3] = 20.0
    assert torch.allclose(corrected(said, maps), maps[:, 3:6], atol=1e-5)
    said[:, 3:] = torch.tensor([0.0, 20.0])[:, None, None]
    said[:, :3] = 0.25
    assert torch.allclose(corrected(said, maps), maps[:, 6:9] + 0.25, atol=1e-5)


def test_many_targets_equal_single_passes(network: FlowGenerationNetwork) -> None:
    source, targets = random(2, 3, 60, 60), torch.tensor([[0, 5, 3], [6, 6, 1]])
    with torch.inference_mode():
        together = network.many(source, targets)
        alone = [network(source[i : i + 1], torch.eye(7)[[int(v)]]) for i in range(2) for v in targets[i]]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_every_weight_gets_a_gradient() -> None:
    networks = new_networks(CONFIG)
    for each in networks:
        initialise(each, torch.Generator().manual_seed(2))
    source = random(1, 3, 60, 60)
    maps = networks.generation.many(source, torch.tensor([[0, 1, 2, 3, 4, 5, 6]]))
    made = networks.refinement(source.repeat_interleave(7, 0), maps)
    made.square().mean().backward()
    for each in (networks.generation, networks.refinement):
        for name, weight in each.named_parameters():
            assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_training_begins_with_stage_ones_picture() -> None:
    refinement = RefinementNetwork(True, FLOW_MAPS)
    initialise(refinement, torch.Generator().manual_seed(0))
    source, maps = random(2, 3, 60, 60), random(2, FLOW_MAPS, 60, 60, seed=1)
    assert not torch.equal(refinement(source, maps), maps[:, :3])
    refinement.begin_without_correction()
    assert torch.equal(refinement(source, maps), maps[:, :3])


def test_the_moved_sources_matter_to_stage_two() -> None:
    refinement = RefinementNetwork(True, FLOW_MAPS)
    initialise(refinement, torch.Generator().manual_seed(0))
    source, maps = random(1, 3, 60, 60), random(1, FLOW_MAPS, 60, 60, seed=1)
    other = maps.clone()
    other[:, 3:] = random(1, FLOW_MAPS - 3, 60, 60, seed=2)
    assert not torch.allclose(refinement.features(source, maps), refinement.features(source, other))


@pytest.mark.parametrize("config", [{"mixing": 0}, {"skip": False}])
def test_a_flow_needs_mixing_and_a_correction(config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="flow needs mixing and skip"):
        NetworkConfig(**{"mixing": 1, "skip": True, "flow": True, **config})  # type: ignore[arg-type]


def test_a_model_is_saved_loaded_and_edits(tmp_path: Path) -> None:
    networks = new_networks(CONFIG)
    for each in networks:
        initialise(each, torch.Generator().manual_seed(4))
    card = ModelCard(POSE, CONFIG, Normalisation((124.0, 114.0, 110.0), (60.0, 58.0, 58.0)), neutral=True)
    digest = save_model(tmp_path, card, networks)
    model = load_model(tmp_path)
    assert model.digest == digest and model.card.network.flow
    assert isinstance(model.generation, FlowGenerationNetwork)
    faces = np.random.default_rng(0).integers(0, 256, (3, 60, 60, 3), np.uint8)
    edits = Editor(model, "cpu").edit_many(faces, np.array([0, 3, 6]))
    described = Editor(Model(card, networks, digest), "cpu").describe(faces)
    assert all(e.generated.shape == e.refined.shape == (60, 60, 3) for e in edits)
    assert described.descriptors.shape == (3, 28800) and (described.best >= 0).all()


def test_a_flow_is_compared_where_the_point_is_seen_and_a_little_where_it_is_covered() -> None:
    flow, truth = random(2, 4, 4, 2), random(2, 4, 4, 2, seed=1)
    truth[0, 0, 0] += 9  # beyond FAR
    draw = torch.Generator().manual_seed(0)
    seen, exists = torch.rand(2, 4, 4, generator=draw) < 0.4, torch.rand(2, 4, 4, generator=draw) < 0.8
    exists |= seen
    seen[0, 0, 0] = exists[0, 0, 0] = True
    total = weights = 0.0
    for n, y, x in np.ndindex(2, 4, 4):
        weight = 1.0 if seen[n, y, x] else 0.25 if exists[n, y, x] else 0.0
        distance = sum(abs(float(flow[n, y, x, i] - truth[n, y, x, i])) for i in range(2))
        total += weight * min(distance, losses.FAR)
        weights += weight
    assert float(losses.flow_error(flow, truth, seen, exists, 0.25)) == pytest.approx(total / weights, rel=1e-5)
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    assert float(losses.flow_error(flow, truth, nothing, nothing, 0.25)) == 0


def test_the_weights_learn_which_source_shows_a_pixel() -> None:
    scores = random(2, 3, 3, 3)
    seen = torch.zeros(2, 3, 3, dtype=torch.bool)
    mirrored = seen.clone()
    seen[0, 0, 0] = mirrored[0, 0, 0] = mirrored[1, 2, 2] = True  # both: the point itself comes first
    wanted = []
    for n, y, x in np.ndindex(2, 3, 3):
        label = 0 if seen[n, y, x] else 1 if mirrored[n, y, x] else 2
        wanted.append(-float(scores[n, :, y, x].log_softmax(0)[label]))
    assert float(losses.source_of_pixels(scores, seen, mirrored)) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_a_straight_flow_is_smooth_and_a_bent_one_is_not() -> None:
    grid = pixel_grid(10)[None]
    assert float(losses.roughness(grid * 3 + 1)) == pytest.approx(0, abs=1e-6)
    flow = random(1, 4, 5, 2)
    f = flow.double().numpy()[0]
    down = [abs(f[y, x, c] - 2 * f[y + 1, x, c] + f[y + 2, x, c]) for y in range(2) for x in range(5) for c in range(2)]
    across = [
        abs(f[y, x, c] - 2 * f[y, x + 1, c] + f[y, x + 2, c]) for y in range(4) for x in range(3) for c in range(2)
    ]
    assert float(losses.roughness(flow)) == pytest.approx(np.mean(down) + np.mean(across), rel=1e-5)


def test_a_critic_wants_real_above_one_and_made_below_minus_one() -> None:
    real, made = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    assert float(losses.hinge_of_critic(real, made)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)


def test_colours_are_compared_coarsely() -> None:
    a, b = random(2, 3, 12, 12), random(2, 3, 12, 12, seed=1)
    terms = []
    for n, c, y, x in np.ndindex(2, 3, 2, 2):
        blocks = [float(t[n, c, 6 * y : 6 * y + 6, 6 * x : 6 * x + 6].double().mean()) for t in (a, b)]
        terms.append(abs(blocks[0] - blocks[1]))
    assert float(losses.coarse_difference(a, b)) == pytest.approx(np.mean(terms), rel=1e-5)
    sharp = torch.tensor([1.0, -1]).repeat(6)[None, None, None].expand(1, 1, 12, 12)  # of no colour
    assert float(losses.coarse_difference(sharp, torch.zeros(1, 1, 12, 12))) == pytest.approx(0, abs=1e-6)
