"""The networks computed as the paper prints them, to compare with: every candidate from the start, unpooling by zeros,
the attribute through its fully connected layers, one module after the other in full precision."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from faceedit.attributes import AttributeSpace
from faceedit.editor import Described, Edit, Editor, reconstruction_errors
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, Networks, new_networks
from faceedit.networks import (
    Describer,
    GenerationNetwork,
    MixingGenerationNetwork,
    NetworkConfig,
    RefinementNetwork,
    UnpoolConvolution,
    descriptor,
    expand,
    initialise,
)


class PlainUnpoolConvolution(nn.Module):
    """Unpool(2, 2) by zeros, then the 3 x 3 convolution."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        spread = torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)  # columns
        spread = torch.stack([spread, torch.zeros_like(spread)], -2).flatten(-3, -2)  # rows
        return self.convolution(spread)  # type: ignore[no-any-return]


class Plain(nn.Module):
    """A model's networks as printed: sources (B, 3, 60, 60) normalised and one-hot attributes (B, n_a) ->
    stage one, stage two (B, 3, 60, 60) and descriptors (B, D'), without the colour."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        generation = copy.deepcopy(networks.generation).float().eval()
        if isinstance(generation, GenerationNetwork) and generation.config.compact:
            generation = expand(generation)
        self.generation: GenerationNetwork | MixingGenerationNetwork = generation
        self.refinement: RefinementNetwork = copy.deepcopy(networks.refinement).float().eval()
        self.describer: Describer = copy.deepcopy(networks.describer).float().eval()
        _unfold(self.generation)
        _unfold(self.refinement)

    def forward(self, source: Tensor, attribute: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g, r = self.generation, self.refinement
        if isinstance(g, MixingGenerationNetwork):
            first = g(source, attribute)
        else:
            seen = torch.cat([g.image_encoder(source), g.attribute_encoder(attribute)], 1)
            first = g.decoder(g.fusion.rest(g.fusion.first(seen)))
        features = r.features(source, first)
        second = r.picture(features, first, source)
        return first[:, :3], second, self._described(features, source, attribute)

    def _described(self, features: Tensor, source: Tensor, attribute: Tensor) -> Tensor:
        d = self.describer
        if d.head is None and d.identity is None:
            return descriptor(features)
        return d(features, source, attribute.argmax(1, keepdim=True))  # type: ignore[no-any-return]


def as_printed(space: AttributeSpace, seed: int = 0) -> Model:
    """The paper's networks for a task with random weights, which take the same time as trained ones; each value is as
    likely to win."""
    config = NetworkConfig(attributes=len(space))
    networks, random = new_networks(config), torch.Generator().manual_seed(seed)
    for network in networks:
        initialise(network, random)
    card = ModelCard(space, config, Normalisation((109.0, 94.0, 86.0), (48.0, 42.0, 40.0)))
    return Model(card, networks.for_use(), f"random weights, seed {seed}")


def _unfold(network: nn.Module) -> None:
    """Put unpooling as printed in the place of every folded one, with the same weights."""
    for module in list(network.modules()):
        for child, inner in list(module.named_children()):
            if isinstance(inner, UnpoolConvolution):
                setattr(module, child, PlainUnpoolConvolution(inner.convolution))


@torch.inference_mode()
def describe_plainly(plain: Plain, model: Model, images: NDArray[np.uint8], batch: int = 8) -> Described:
    """Gallery pictures (N, 60, 60, 3) as `Editor.describe` does it, all candidates from the start, in full
    precision."""
    mean, std = model.card.normalisation.tensors("cpu")
    space, n = model.card.task, len(model.card.task)
    parts = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2).float()
        b = len(pixels)
        source = ((pixels - mean) / std).repeat_interleave(n, 0)
        _, second, described = plain(source, torch.eye(n).repeat(b, 1))
        errors = reconstruction_errors(second * std + mean, pixels.repeat_interleave(n, 0), model.card.neutral)
        table = errors.view(b, n).numpy()
        estimate = plain.describer.estimate(source[::n])
        best = space.decide(table, None if estimate is None else estimate.numpy())
        own = described.view(b, n, -1)[torch.arange(b), torch.from_numpy(best)]
        if plain.describer.soft:
            code = plain.describer.code(torch.from_numpy(best), estimate)
            own = torch.cat([own[:, :-n], math.sqrt(plain.describer.candidate) * code], 1)
        parts.append((plain.describer.tinted(own, pixels).numpy(), best, table))
    return Described(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class PlainEditor(Editor):
    """An Editor that computes everything plainly, to measure recall with."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, "cpu")
        self._model, self._plain = model, Plain(model.networks)

    def describe(self, images: NDArray[np.uint8]) -> Described:
        return describe_plainly(self._plain, self._model, images)

    @torch.inference_mode()
    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        edits: list[Edit] = []
        codes = torch.eye(len(self.attribute))
        for start in range(0, len(images), 16):
            part = slice(start, start + 16)
            made = self._plain(self._model.card.normalisation.applied(images[part], "cpu"), codes[values[part]])
            first, second, described = made
            described = self._plain.describer.tinted(described, self._unnormalised(second))
            stages = zip(self._pixels(first), self._pixels(second), described.numpy(), strict=True)
            edits.extend(Edit(*stage) for stage in stages)
        return edits


def multiply_adds(run: Callable[..., object], *inputs: object) -> float:
    """How many multiply-adds one call takes."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run(*inputs)
    return int(counter.get_total_flops()) / 2
