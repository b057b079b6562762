"""The engine: the same answers as the networks as printed, computed another way."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.plain import Plain, describe_plainly, multiply_adds
from faceedit.attributes import POSE
from faceedit.editor import ALL, Editor
from faceedit.engine import Engine, turned_back
from faceedit.modelfile import Networks, load_model, new_networks
from faceedit.networks import (
    Describer,
    FlowGenerationNetwork,
    GenerationNetwork,
    NetworkConfig,
    blended,
    compact,
    initialise,
)
from faceedit.training.correspondence import mirrored_flow
from tests.conftest import blob_face

MODELS = Path(__file__).resolve().parent.parent / "sample_db" / "models"
SHIPPED = sorted(folder.name for folder in MODELS.iterdir() if (folder / "model.json").exists())
CONFIGS = {
    "paper": NetworkConfig(),
    "one channel, relu": NetworkConfig(middle=1, attribute_relu=True),
    "two values": NetworkConfig(attributes=2),
    "identity alone": NetworkConfig(identity=32),
    "estimated, paper's networks": NetworkConfig(identity=32, estimate=0.3),
    "mixing": NetworkConfig(mixing=2, width=64, skip=True),
    "moved pixels": NetworkConfig(mixing=2, width=64, skip=True, flow=True),
    "everything": NetworkConfig(mixing=1, head=32, identity=16, candidate=0.2, skip=True, look_back=True, estimate=0.5),
    "hidden units beside the head's last layer": NetworkConfig(head=32, head_hidden=24),
}


def untrained(config: NetworkConfig) -> Networks:
    """Networks of random weights, and batch normalisations that have seen something."""
    networks = new_networks(config)
    generator = torch.Generator().manual_seed(3)
    for network in networks:
        initialise(network, generator)
        if isinstance(network, Describer) and network.head is not None and network.head.beside is not None:
            nn.init.normal_(network.head.lasts[1].weight, generator=generator)  # as once it has learned
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
    return networks


def largest_difference(a: torch.Tensor, b: torch.Tensor, share: float = 1) -> float:
    """Of two results, relative to the largest value of the second; share: of the values, leaving out the farthest."""
    return float((a - b).abs().flatten().quantile(share) / b.abs().max())


def smooth_pictures(count: int) -> torch.Tensor:
    """(count, 3, 60, 60), as smooth as pictures are."""
    coarse = torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, size=(60, 60), mode="bicubic")


def compare(networks: Networks, tolerance: float, precision: torch.dtype, share: float = 1) -> None:
    """Every output of the engine for three sources under some values each, beside the plain networks'; share: of the
    values that keep to the tolerance."""
    n = networks.generation.config.attributes
    plain = Plain(networks)
    engine = Engine(networks, "cpu", precision=precision)
    sources = smooth_pictures(3)
    rows, values = torch.tensor([2, 0, 0, 1, 2]), torch.tensor([0, n - 1, 0, 1, n - 1])
    with torch.inference_mode():
        expected = plain(sources[rows], torch.eye(n)[values])
        prepared = engine.prepare(sources)
        first = engine.first(prepared, rows, values)
        features = engine.features(prepared, rows, first)
        second = engine.second(prepared, rows, features, first)
        made = (first[:, :3], second, engine.describe(prepared, rows, values, features, asked=True))
        estimate = plain.describer.estimate(sources)
    assert len(prepared) == 3
    for result, wanted in zip(made, expected, strict=True):
        assert result.shape == wanted.shape and result.dtype == torch.float32
        assert largest_difference(result, wanted, share) < tolerance
    assert (estimate is None) == (prepared.estimate is None)
    if estimate is not None:
        assert prepared.estimate is not None and largest_difference(prepared.estimate, estimate) < tolerance


QUICK = ("paper", "moved pixels", "everything")  # between them they have every part


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CONFIGS]
)
def test_random_weights_give_the_plain_networks_answers(name: str) -> None:
    networks = untrained(CONFIGS[name])
    compare(networks, 1e-4, torch.float32)
    if isinstance(networks.generation, GenerationNetwork):
        compare(networks._replace(generation=compact(networks.generation)), 1e-4, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_give_the_plain_networks_answers(name: str) -> None:
    networks = load_model(MODELS / name).networks
    compare(networks, 1e-4, torch.float32)
    config = networks.generation.config  # a twentieth of a pixel shows along edges, and so does whether one is hidden
    compare(networks, 0.1 if config.flow else 0.05, torch.bfloat16, 0.999 if config.kept else 1)


def test_what_both_sides_agree_on_is_the_mean_of_what_is_said_of_each() -> None:
    networks = untrained(CONFIGS["moved pixels"])
    plain = Plain(networks).generation
    assert isinstance(plain, FlowGenerationNetwork)
    engine = Engine(networks, "cpu", precision=torch.float32, mirror=POSE.mirrored)
    sources = smooth_pictures(2)
    rows, values = torch.tensor([1, 0, 1]), torch.tensor([0, 2, 5])
    with torch.inference_mode():
        prepared = engine.prepare(sources)
        said = engine.agreed(engine.said(prepared, rows, values), prepared, sources, rows, values)
        made = blended(sources[rows], said, plain.grid, plain.black)
        one = plain.moved(sources[rows], values[:, None])
        other = plain.moved(sources[rows].flip(3), 6 - values[:, None])
        mirrored = engine.prepare(sources.flip(3))
        turned = engine.agreed(engine.said(mirrored, rows, 6 - values), mirrored, sources.flip(3), rows, 6 - values)
    assert largest_difference(made.flow, (one.flow + mirrored_flow(other.flow)) / 2) < 1e-4
    assert largest_difference(made.mirrored, (one.mirrored + mirrored_flow(other.mirrored)) / 2) < 1e-4
    assert largest_difference(made.scores, (one.scores + other.scores.flip(3)) / 2) < 1e-4
    assert largest_difference(turned_back(turned), said) < 1e-4  # which side one begins with makes no difference


@pytest.mark.parametrize("name", ["paper", "mixing"])
def test_what_moves_no_pixels_says_the_same_however_often_it_looks(name: str) -> None:
    engine = Engine(untrained(CONFIGS[name]), "cpu", precision=torch.float32, mirror=POSE.mirrored)
    sources, rows, values = smooth_pictures(1), torch.tensor([0]), torch.tensor([2])
    assert not engine.mirrors
    with torch.inference_mode():
        prepared = engine.prepare(sources)
        said = engine.said(prepared, rows, values)
        assert torch.equal(engine.agreed(said, prepared, sources, rows, values), said)


def test_networks_stay_as_they_were() -> None:
    networks = untrained(CONFIGS["everything"])
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    Engine(networks, "cpu", precision=torch.bfloat16)
    for network, state in zip(networks, before, strict=True):
        for name, value in network.state_dict().items():
            assert value.dtype == state[name].dtype and torch.equal(value, state[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pose", "illumination", "inpainting"])
def test_pictures_are_described_as_plainly(name: str) -> None:
    model = load_model(MODELS / name)
    faces = np.stack([blob_face(person, pose, 0) for person in range(3) for pose in (-30, 0, 30)])
    plain = describe_plainly(Plain(model.networks), model, faces)
    mine = Editor(load_model(MODELS / name), "cpu", candidates=ALL).describe(faces)
    kept = model.card.network.kept  # then nearly all pixels are the source's own, and a hidden one more or less counts
    assert np.allclose(mine.errors, plain.errors, rtol=0.06, atol=4 if kept else 0)
    same = mine.best == plain.best
    assert same.mean() > 0.8  # these are no faces, so that two values are often as good
    assert (mine.descriptors * plain.descriptors).sum(1)[same].min() > 0.998


@pytest.mark.slow
def test_printed_networks_take_the_multiply_adds_that_the_paper_needs() -> None:
    """8.9 G for seven candidates, the attribute's fully connected layers included."""
    plain = Plain(untrained(NetworkConfig()))
    counted = multiply_adds(plain, torch.zeros(7, 3, 60, 60), torch.eye(7))
    assert 8.5e9 < counted < 9.3e9
