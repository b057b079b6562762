"""What each stage of a training learns from, and what its loss is made of.

A stage draws its own batches, by the run's seed, the stage's number and the step alone, so that a run can be resumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.identity import IdentityNetwork
from faceedit.modelcard import Normalisation
from faceedit.modelfile import Networks
from faceedit.networks import FlowGenerationNetwork, Moved
from faceedit.training.batches import EVEN, Photographer, Sitting, normalisation_of
from faceedit.training.correspondence import Correspondence
from faceedit.training.critic import Adversary
from faceedit.training.losses import (
    feature_loss,
    flow_error,
    gradient_difference,
    info_nce,
    roughness,
    source_of_pixels,
    squared_error,
)
from faceedit.training.pairs import FaceSampler, PairSampler, PairSet
from faceedit.training.recipes import PictureWeights, Recipe
from faceedit.training.run import TrainingRun

Rows = NDArray[np.int64]
_HIDDEN, _MIRRORED = 0.25, 0.75  # what a covered place, and the mirrored flow, count of the seen and of the other
_LOOKED_AT = 0.25  # share of a batch's pictures: the identity network costs as much as the generation network


@dataclass(frozen=True)
class Lesson:
    """What one step learns from. loss: to be made small; figure: for the report, see `Stage.metric`; pairs: how many
    pairs of pictures it saw, or pictures where there are no pairs."""

    loss: Tensor
    figure: float
    pairs: int


@dataclass(frozen=True)
class Pace:
    """How a stage learns unlike the recipe says: factors of its learning rate and weight decay, and how much AdamW
    keeps of former gradients and of their squares."""

    rate: float = 1.0
    decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


class Stage(Protocol):
    """number: 0 is the identity network, 1 the generation network, 2 the refinement, 3 what makes descriptors of it, 5
    that one's last layer, 6 what tells values; metric: what the card calls the average of its lessons' figures; digits:
    of that; averaged: whether the recipe's average of weights is kept."""

    number: int
    metric: str
    digits: int
    averaged: bool
    pace: Pace

    @property
    def steps(self) -> int:
        """How many updates there are."""
        ...

    def begin(self) -> list[nn.Parameter]:
        """What it trains, made ready to learn; all else stands still."""
        ...

    def lesson(self, step: int) -> Lesson:
        """The lesson of one step, with gradients. Where there is a critic, that learns from it at once."""
        ...


class First(NamedTuple):
    """What stage one makes of N pairs. maps (N, maps, 60, 60), single precision; moved: how it moved pixels, where it
    does; truth: how it should have, where that is known."""

    maps: Tensor
    moved: Moved | None
    truth: Correspondence | None

    @property
    def picture(self) -> Tensor:
        """(N, 3, 60, 60)"""
        return self.maps[:, :3]

    def part(self, rows: Tensor) -> First:
        """Of some of the pairs, by their numbers (P,)."""
        moved, truth = self.moved, self.truth
        return First(
            self.maps[rows],
            None if moved is None else Moved._make(tensor[rows] for tensor in moved),
            None if truth is None else Correspondence._make(tensor[rows] for tensor in truth),
        )

    @classmethod
    def joined(cls, parts: Sequence[First]) -> First:
        """One after the other, of one network and one data set."""
        moved, truths = [p.moved for p in parts if p.moved], [p.truth for p in parts if p.truth]
        return cls(
            torch.cat([part.maps for part in parts]),
            Moved._make(map(torch.cat, zip(*moved, strict=True))) if moved else None,
            Correspondence._make(map(torch.cat, zip(*truths, strict=True))) if truths else None,
        )


@dataclass(frozen=True)
class Material:
    """What the stages of one run share."""

    run: TrainingRun
    pairs: PairSet
    networks: Networks
    normalisation: Normalisation
    photographer: Photographer
    adversary: Adversary | None = None

    @classmethod
    def of(cls, run: TrainingRun, pairs: PairSet, networks: Networks) -> Material:
        """Weights that are taken keep the normalisation that they were trained with; else it suits the pictures."""
        if run.start is not None and run.takes_generation:
            normalisation = run.start.card.normalisation
        else:
            normalisation = normalisation_of(pairs.images) if run.recipe.augmentation is None else EVEN
        photographer = Photographer(pairs, normalisation, run.recipe.augmentation, run.device)
        adversary = Adversary(run.seed, run.device) if run.recipe.critic > 0 else None
        return cls(run, pairs, networks, normalisation, photographer, adversary)

    @property
    def studio(self) -> Material:
        """The same, but that pictures are as they were rendered."""
        plain = Photographer(self.pairs, self.normalisation, None, self.run.device)
        return replace(self, photographer=plain)

    def only(self, *learning: nn.Module | None) -> list[nn.Parameter]:
        """The parameters of what learns; all others stand still, and so does what the identity network measures."""
        for network in self.networks:
            network.requires_grad_(False)
        if self.networks.describer.identity is not None:
            self.networks.describer.identity.eval()
        present = [network for network in learning if network is not None]
        return [parameter for network in present for parameter in network.requires_grad_(True).parameters()]

    def weighed(self, weights: PictureWeights, stage: int, step: int, made: Tensor, wanted: Tensor) -> Tensor:
        """`picture_loss` with these weights, of a step of a stage."""
        draw, summed = (self.run.seed, stage, step, 3), self.run.recipe.summed_loss
        return picture_loss(made, wanted, weights, summed, self.networks.describer.identity, draw)

    def first_loss(self, stage: int, step: int, made: First, wanted: Tensor) -> Tensor:
        """What is wrong with stage one's pictures, and with how it moved pixels, where that is known."""
        loss = self.weighed(self.run.recipe.first, stage, step, made.picture, wanted)
        if made.moved is None or made.truth is None:
            return loss
        return loss + moving_loss(made.moved, made.truth, self.run.recipe)

    def first_stage(self, shot: Sitting) -> First:
        """What stage one makes of a shot's sources under its values."""
        network = self.networks.generation
        with autocast(self.run.device):
            if not isinstance(network, FlowGenerationNetwork):
                return First(network.many(shot.sources, shot.values).float(), None, None)
            moved = network.moved(shot.sources, shot.values)
        return First(moved.maps, moved, shot.truth)

    def squares(self, error: Tensor) -> float:
        """Per-pixel squared error in 0..255 units, of an error of normalised pictures (B, 3, H, W)."""
        _, deviation = self.normalisation.tensors(self.run.device)
        return float(((error.detach() * deviation) ** 2).mean())

    def shot(
        self,
        stage: int,
        step: int,
        sources: Rows,
        targets: Rows,
        values: Rows,
        together: Rows | None = None,
        other: bool = False,
    ) -> Sitting:
        """Pictures of a step, see `Photographer.sitting`. together (S,): its `people`; None: each source is alone.
        other: drawn unlike those of the same step that are not."""
        own = np.arange(len(sources)) if together is None else together
        return self.photographer.sitting(sources, targets, values, own, (self.run.seed, stage, step, *[1] * other))


def reconstruction_loss(error: Tensor, weights: PictureWeights, summed: bool) -> Tensor:
    """Of normalised pictures' errors (B, 3, H, W), weighed; summed: the squares over each picture alone."""
    if summed:
        return squared_error(error, summed=True)
    loss = weights.squared * squared_error(error)
    if weights.absolute > 0:
        loss = loss + weights.absolute * error.abs().mean()
    return loss + weights.gradient * gradient_difference(error) if weights.gradient > 0 else loss


def moving_loss(moved: Moved, truth: Correspondence, recipe: Recipe) -> Tensor:
    """What is wrong with both flows, with the weights of the blend, and how rough the flows are."""
    flows = flow_error(moved.flow, truth.flow, truth.seen, truth.exists, _HIDDEN)
    mirrored = flow_error(moved.mirrored, truth.mirrored, truth.mirrored_seen, truth.exists, _HIDDEN)
    taken = source_of_pixels(moved.scores, truth.better, truth.mirrored_seen)
    rough = roughness(moved.flow) + roughness(moved.mirrored)
    return recipe.flows * (flows + _MIRRORED * mirrored) + recipe.blend * taken + recipe.smooth * rough


def picture_loss(
    made: Tensor,
    wanted: Tensor,
    weights: PictureWeights,
    summed: bool,
    network: IdentityNetwork | None,
    draw: Sequence[int],
) -> Tensor:
    """What is wrong with pictures made (B, 3, 60, 60): their error, and how unlike the wanted ones the identity network
    finds a few of them (`looked_at`)."""
    loss = reconstruction_loss(made.float() - wanted, weights, summed)
    if weights.perceptual == 0 or network is None:
        return loss
    some = torch.from_numpy(looked_at(len(made), draw)).to(made.device)
    return loss + weights.perceptual * _unlikeness(network, made[some], wanted[some])


def looked_at(count: int, draw: Sequence[int]) -> Rows:
    """A quarter of the rows of a batch, at random, since batches have an order."""
    return np.random.default_rng(draw).permutation(count)[: math.ceil(_LOOKED_AT * count)]


def _unlikeness(network: IdentityNetwork, made: Tensor, wanted: Tensor) -> Tensor:
    with autocast(wanted.device.type):
        with torch.no_grad():
            there = network.features(wanted)
        here = network.features(made.to(wanted.dtype).contiguous(memory_format=torch.channels_last))
    return feature_loss(here, there)


class IdentityStage:
    """Stage 0: the identity network tells faces apart, by two portraits of each. figure: share of faces whose nearest
    portrait is another's."""

    number, metric, digits, averaged = 0, "training_identity_error", 4, False  # what it measures has an average already
    pace = Pace(decay=2.0)

    def __init__(self, material: Material) -> None:
        self._material, self._run, self._recipe = material, material.run, material.run.recipe
        self._network = material.networks.describer.identity
        self._faces = FaceSampler(material.pairs, material.run.seed)

    @property
    def steps(self) -> int:
        return self._recipe.steps_identity if self._network is not None else 0

    def begin(self) -> list[nn.Parameter]:
        learning = self._material.only(self._network)
        if self._network is not None:
            self._network.train()
        return learning

    def lesson(self, step: int) -> Lesson:
        assert self._network is not None
        rows = self._faces.batch(step, self._recipe.identity_people, self._recipe.identity_alone)
        draw = (self._run.seed, self.number, step)
        shown = self._material.photographer.portraits(rows.T.ravel(), draw)
        with autocast(self._run.device):
            descriptors = self._network(shown)
        a, b = descriptors[: len(rows)], descriptors[len(rows) :]
        wrong = ((a @ b.T).argmax(1).cpu() != torch.arange(len(rows))).float().mean()
        return Lesson(info_nce(a, b), float(wrong), len(rows))


class GenerationStage:
    """Stage 1: the generation network makes first pictures. figure: per-pixel squared error, 0..255."""

    number, metric, digits, averaged = 1, "training_mse_stage1", 2, True
    pace = Pace()

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._sampler = PairSampler(material.pairs, material.run.seed, self._recipe.include_same)

    @property
    def steps(self) -> int:
        return self._recipe.steps_one

    def begin(self) -> list[nn.Parameter]:
        return self._material.only(self._material.networks.generation)

    def lesson(self, step: int) -> Lesson:
        shape = self._recipe.shape(len(self._material.run.space))
        batch = self._sampler.batch(step, *shape)
        shot = self._material.shot(self.number, step, batch.sources, batch.targets, batch.values)
        made = self._material.first_stage(shot)
        loss = self._material.first_loss(self.number, step, made, shot.targets)
        return Lesson(loss, self._material.squares(made.picture - shot.targets), len(shot.targets))
