"""The networks of the paper: shapes, parameter counts, gradients, unpooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.networks import (
    DESCRIPTOR_SHAPE,
    DESCRIPTOR_SIZE,
    GenerationNetwork,
    NetworkConfig,
    RefinementNetwork,
    UnpoolConvolution,
    count_parameters,
    descriptor,
    initialise,
)


def shapes_of(network: nn.Module, *inputs: Tensor) -> list[tuple[int, ...]]:
    """Shape (without the batch) of every layer's output, in order of the computation."""
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, arguments: object, output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    kinds = (nn.Conv2d, nn.MaxPool2d, nn.Linear, UnpoolConvolution)
    handles = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, kinds)]
    network(*inputs)
    for handle in handles:
        handle.remove()
    return shapes


def generation(n: int = 7, middle: int = 64) -> GenerationNetwork:
    network = GenerationNetwork(NetworkConfig(attributes=n, middle=middle))
    initialise(network, torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("n", [7, 20, 2])
def test_every_shape_of_the_generation_network(n: int) -> None:
    network = generation(n)
    image, attribute = torch.randn(2, 3, 60, 60), torch.eye(n)[:2]
    assert shapes_of(network.image_encoder, image) == [(64, 60, 60), (64, 60, 60), (64, 30, 30)]
    assert shapes_of(network.attribute_encoder, attribute) == [(512,), (900 * n,)]
    maps, features = network.attribute_encoder(attribute), network.image_encoder(image)
    assert maps.shape == (2, n, 30, 30)
    assert network.fusion.first.weight.shape == (128, 64 + n, 3, 3)
    assert network.fusion.image_half(features).shape == (2, 128, 30, 30)
    fused = network.fusion(features, maps)
    assert shapes_of(network.fusion.rest, network.fusion.image_half(features)) == [
        (128, 30, 30),
        (128, 15, 15),
        (128, 15, 15),
    ]
    assert fused.shape == (2, 128, 15, 15)
    assert shapes_of(network.decoder, fused) == [(64, 30, 30), (64, 30, 30), (64, 60, 60), (3, 60, 60)]
    assert network(image, attribute).shape == (2, 3, 60, 60)


def test_every_shape_of_the_refinement_network() -> None:
    network, image = RefinementNetwork(), torch.randn(2, 3, 60, 60)
    features = network.features(image, image)
    assert shapes_of(network.encoder, torch.cat([image, image], 1)) == [
        (64, 60, 60),
        (64, 60, 60),
        (64, 30, 30),
        (128, 30, 30),
        (128, 30, 30),
        (128, 15, 15),
        DESCRIPTOR_SHAPE,
    ]
    assert features.shape == (2, 128, 15, 15)
    assert shapes_of(network.decoder, features) == [(128, 30, 30), (64, 30, 30), (64, 60, 60), (3, 60, 60)]
    assert network(image, image).shape == (2, 3, 60, 60)


def test_parameter_counts_are_the_papers_reading() -> None:
    assert count_parameters(generation()) == 3_670_111
    assert count_parameters(RefinementNetwork()) == 538_435


def test_every_parameter_receives_a_gradient() -> None:
    one, two = generation(), RefinementNetwork()
    initialise(two, torch.Generator().manual_seed(1))
    image = torch.randn(4, 3, 60, 60)
    first = one(image, torch.eye(7)[[0, 2, 4, 6]])
    ((two(image, first) - image) ** 2).mean().backward()
    for network in (one, two):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_unpooling_puts_values_top_left_and_convolves() -> None:
    layer = UnpoolConvolution(5, 4)
    x = torch.randn(2, 5, 7, 6)
    unpooled = torch.zeros(2, 5, 14, 12)
    unpooled[:, :, ::2, ::2] = x
    expected = F.conv2d(unpooled, layer.convolution.weight, layer.convolution.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    shifted = torch.zeros(2, 5, 14, 12)  # negative control: bottom-right is another network
    shifted[:, :, 1::2, 1::2] = x
    other = F.conv2d(shifted, layer.convolution.weight, layer.convolution.bias, padding=1)
    assert (layer(x) - other).abs().max() > 1e-2


def test_an_identity_kernel_shows_where_unpooling_puts_a_value() -> None:
    layer = UnpoolConvolution(1, 1)
    with torch.no_grad():
        layer.convolution.weight.zero_()[0, 0, 1, 1] = 1
        layer.convolution.bias.zero_()  # type: ignore[union-attr]
    made = layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
    assert made.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


def test_several_targets_equal_one_pass_each() -> None:
    network, image = generation(), torch.randn(3, 3, 60, 60)
    targets = torch.tensor([[0, 6], [3, 3], [5, 1]])
    together = network.many(image, targets)
    one_by_one = network(image.repeat_interleave(2, 0), torch.eye(7)[targets.flatten()])
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-5)


def test_the_literal_one_channel_middle_is_reachable() -> None:
    network = generation(middle=1)
    assert network(torch.randn(1, 3, 60, 60), torch.eye(7)[:1]).shape == (1, 3, 60, 60)
    assert count_parameters(network) < count_parameters(generation())


def test_a_descriptor_has_unit_length() -> None:
    d = descriptor(torch.rand(3, *DESCRIPTOR_SHAPE))
    assert d.shape == (3, DESCRIPTOR_SIZE)
    torch.testing.assert_close(d.norm(dim=1), torch.ones(3))


def test_initialisation_is_he_and_follows_the_seed() -> None:
    a, b = generation(), generation()
    weight = a.fusion.first.weight
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    fan_in = weight.shape[1] * 9
    assert abs(weight.std().item() / (2 / fan_in) ** 0.5 - 1) < 0.05


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        NetworkConfig(attributes=0)
