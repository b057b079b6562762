"""The network that tells people apart, its batches, and its part in a descriptor."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceedit.attributes import POSE
from faceedit.identity import IdentityNetwork
from faceedit.manifest import join, read_manifest
from faceedit.networks import DESCRIPTOR_SIZE, Describer, NetworkConfig, descriptor, initialise
from faceedit.training.pairs import FaceSampler, PairSet, load_pairs
from tests.conftest import write_cut_out, write_data_set


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return load_pairs(read_manifest(write_cut_out(tmp_path_factory.mktemp("cut"))), POSE, cut_out=True)


def test_the_network_gives_unit_descriptors_that_a_mirror_does_not_change() -> None:
    network = IdentityNetwork(32).eval()
    shown = torch.randn(3, 3, 60, 60)
    with torch.no_grad():
        made, mirrored = network.both(shown), network.both(shown.flip(3))
        assert made.shape == (3, 32) and torch.allclose(made.norm(dim=1), torch.ones(3), atol=1e-5)
        assert torch.allclose(made, mirrored, atol=1e-5)
        assert not torch.allclose(network(shown), network(shown.flip(3)), atol=1e-3)
        features = network.features(shown)
        assert [tuple(f.shape[1:]) for f in features] == [(32, 60, 60), (64, 30, 30), (128, 15, 15), (256, 8, 8)]
        assert torch.equal(network.both(shown, features), made)


def test_a_batch_pairs_pictures_of_one_face_with_its_look_alike_beside(pairs: PairSet) -> None:
    face_of = {int(row): int(face) for group, face in zip(pairs.groups, pairs.faces, strict=True) for row in group}
    person_of = {int(row): int(p) for group, p in zip(pairs.groups, pairs.people, strict=True) for row in group}
    sampler = FaceSampler(pairs, seed=0)
    different = 0
    for number in range(20):
        rows = sampler.batch(number, people=2)
        assert rows.shape == (4, 2)  # two people who make two faces each
        faces = [[face_of[int(row)] for row in pair] for pair in rows]
        assert all(a == b for a, b in faces) and len({a for a, _ in faces}) == 4
        people = [person_of[int(pair[0])] for pair in rows]
        assert people[0] == people[1] != people[2] == people[3]
        different += sum(int(a != b) for a, b in rows)
    assert different == 80
    assert np.array_equal(sampler.batch(7, 2), FaceSampler(pairs, seed=0).batch(7, 2))


def test_people_of_several_data_sets_stay_different(tmp_path: Path) -> None:
    """Both sets call their people p0 to p3; a column of one of them is empty in the other."""
    one, two = read_manifest(write_cut_out(tmp_path / "a")), read_manifest(write_data_set(tmp_path / "b"))
    both = join([one, two])
    assert len(both) == len(one) + len(two)
    assert len(set(both.columns["identity"])) == len(set(one.columns["identity"])) + 4
    assert all(path.is_file() for path in both.paths())
    assert set(both.columns["expression"][len(one) :]) == {""}
    pairs = load_pairs(both, POSE)
    assert len(pairs.groups) == len(load_pairs(one, POSE).groups) + len(load_pairs(two, POSE).groups)
    assert join([one]) is one


VALUES = torch.tensor([[0, 3, 5], [6, 2, 1]])


def describer(**sizes: float) -> Describer:
    made = Describer(replace(NetworkConfig(), **sizes))  # type: ignore[arg-type]
    initialise(made, torch.Generator().manual_seed(0))
    return made.eval()


@pytest.mark.parametrize(
    "sizes", [{}, {"head": 16}, {"identity": 12, "share": 0.3}, {"head": 16, "identity": 12, "candidate": 0.2}]
)
def test_a_descriptor_has_length_one_and_the_stated_size(sizes: dict[str, float]) -> None:
    network, features, source = describer(**sizes), torch.rand(6, 128, 15, 15), torch.randn(2, 3, 60, 60)
    with torch.no_grad():
        made = network(features, source, VALUES)
    expected = (sizes.get("head") or DESCRIPTOR_SIZE) + sizes.get("identity", 0) + (7 if "candidate" in sizes else 0)
    assert made.shape == (6, expected) and network.size == expected
    assert torch.allclose(made.norm(dim=1), torch.ones(6), atol=1e-4)
    if not sizes:
        assert torch.equal(made, descriptor(features))


def test_a_descriptors_parts_weigh_what_share_says() -> None:
    features, source = torch.rand(4, 128, 15, 15), torch.randn(2, 3, 60, 60)
    network = describer(head=16, identity=12, share=0.3, candidate=0.2)
    with torch.no_grad():
        made = network(features, source, VALUES[:, :2])
        assert network.identity is not None
        who = network.identity.both(source)
    assert torch.allclose(made[:, :12], math.sqrt(0.3 * 0.8) * who[[0, 0, 1, 1]], atol=1e-5)
    assert torch.allclose(made[:, 12:28].norm(dim=1) ** 2, torch.full((4,), 0.7 * 0.8), atol=1e-4)
    codes = made[:, 28:] / math.sqrt(0.2)  # of the values 0, 3, 6 and 2
    assert codes.argmax(1).tolist() == [0, 3, 6, 2]
    likeness = codes @ codes.T
    assert float(likeness[1, 3]) > 0.6 > 0.1 > float(likeness[0, 2])  # 3 beside 2; 0 far from 6


def test_a_picture_between_two_values_is_near_both() -> None:
    """As sure as the estimate is; what is asked for is said outright, and where the estimate does not count, so is what
    was decided."""
    sure = torch.tensor([[0.0, 0, 0, 200, 0, 0, 0]])
    between = torch.tensor([[-200.0, -200, -200, 0, 0, -200, -200]])
    soft = describer(head=16, identity=12, candidate=0.2, estimate=0.5, soft=True)
    asked, decided = torch.arange(7), torch.tensor([3])
    wanted = soft.code(asked)
    assert torch.allclose(soft.code(decided, sure), wanted[3:4], atol=1e-6)
    said = soft.code(decided, between)
    likeness = (said @ wanted.T)[0]
    assert float(said.norm()) == pytest.approx(1, abs=1e-6)
    assert float(likeness[3]) == pytest.approx(float(likeness[4]), abs=1e-6)
    assert 0.85 < float(likeness[3]) < 1 and float(likeness[3]) > float(likeness[2]) > float(likeness[1])
    firm = describer(head=16, identity=12, candidate=0.2, estimate=0.5)
    assert torch.equal(firm.code(decided, between), wanted[3:4])
    with pytest.raises(ValueError, match="estimate must be 0 to 100"):
        NetworkConfig(head=16, identity=12, estimate=1e299)
    for missing in ({"candidate": 0.2}, {"estimate": 0.5}):
        with pytest.raises(ValueError, match="soft needs an estimate and a share for candidate"):
            NetworkConfig(head=16, identity=12, soft=True, **missing)  # type: ignore[arg-type]


def test_hidden_units_lie_beside_the_last_layer_of_a_head() -> None:
    network = describer(head=16, head_hidden=12).head
    assert network is not None and network.beside is not None
    torch.nn.init.normal_(network.lasts[1].weight)
    features = torch.rand(4, 128, 15, 15)
    with torch.no_grad():
        seen = network.hidden(features)
        units = torch.relu(seen @ network.beside.get_parameter("0.weight").T)  # whose biases begin with nothing
        wanted = network.layers(features) + units @ network.lasts[1].weight.T
        assert torch.allclose(network(features), wanted, atol=1e-5)
        assert not torch.allclose(network.layers(features), wanted, atol=1e-3)
    with pytest.raises(ValueError, match="head_hidden needs a head, got head 0, head_hidden 3"):
        NetworkConfig(head_hidden=3)
    with pytest.raises(ValueError, match="mixing, head, head_hidden and identity must be 0 or more"):
        NetworkConfig(head=16, head_hidden=-1)
