"""What each stage of a training learns from, and what its loss is made of.

A stage draws its own batches, by the run's seed, the stage's number and the step alone, so that a run can be resumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
from faceedit.training.recipes import Recipe
from faceedit.training.run import TrainingRun

Rows = NDArray[np.int64]
_HIDDEN, _MIRRORED = 0.25, 0.75  # what a covered place, and the mirrored flow, count of the seen and of the other
_LOOKED_AT = 0.25  # share of a batch's pictures: the identity network costs as much as the generation network


@dataclass(frozen=True)
class Lesson:
    """What one step learns from. loss: to be made small; figure: for the report, see `Stage.metric`; pairs: how many
    pairs of pictures it saw."""

    loss: Tensor
    figure: float
    pairs: int


class Stage(Protocol):
    """number: 0 is the identity network, 1 the generation network, 2 the refinement; metric: what the card calls the
    average of its lessons' figures; digits: of that."""

    number: int
    metric: str
    digits: int

    @property
    def steps(self) -> int:
        """How many updates there are."""
        ...

    def begin(self) -> list[nn.Parameter]:
        """What it trains, made ready to learn; the identity network only learns in its own stage."""
        ...

    def lesson(self, step: int) -> Lesson:
        """The lesson of one step, with gradients."""
        ...


@dataclass(frozen=True)
class Material:
    """What the stages of one run share."""

    run: TrainingRun
    pairs: PairSet
    networks: Networks
    normalisation: Normalisation
    photographer: Photographer

    @classmethod
    def of(cls, run: TrainingRun, pairs: PairSet, networks: Networks) -> Material:
        """Weights that are taken keep the normalisation that they were trained with; else it suits the pictures."""
        if run.start is not None and run.takes_generation:
            normalisation = run.start.card.normalisation
        else:
            normalisation = normalisation_of(pairs.images) if run.recipe.augmentation is None else EVEN
        photographer = Photographer(pairs, normalisation, run.recipe.augmentation, run.device)
        return cls(run, pairs, networks, normalisation, photographer)

    def keep_identity(self) -> None:
        """From now on the identity network stands still."""
        if self.networks.describer.identity is not None:
            self.networks.describer.identity.eval().requires_grad_(False)

    def pictures_loss(self, stage: int, step: int, made: Tensor, wanted: Tensor) -> Tensor:
        """`picture_loss` by the run's recipe and identity network."""
        draw = (self.run.seed, stage, step, 3)
        return picture_loss(made, wanted, self.run.recipe, self.networks.describer.identity, draw)

    def first_stage(self, shot: Sitting) -> tuple[Tensor, Tensor | None]:
        """All that stage one makes of a shot's sources under its values (B K, maps, 60, 60), single precision; and what
        is wrong with how it moves pixels, where it does and where that is known."""
        network = self.networks.generation
        with autocast(self.run.device):
            if not isinstance(network, FlowGenerationNetwork):
                return network.many(shot.sources, shot.values).float(), None
            moved = network.moved(shot.sources, shot.values)
        return moved.maps, None if shot.truth is None else moving_loss(moved, shot.truth, self.run.recipe)

    def squares(self, error: Tensor) -> float:
        """Per-pixel squared error in 0..255 units, of an error of normalised pictures (B, 3, H, W)."""
        _, deviation = self.normalisation.tensors(self.run.device)
        return float(((error.detach() * deviation) ** 2).mean())

    def shot(
        self, stage: int, step: int, sources: Rows, targets: Rows, values: Rows, together: Rows | None = None
    ) -> Sitting:
        """Pictures of a step, see `Photographer.sitting`. together (S,): its `people`; None: each source is alone."""
        own = np.arange(len(sources)) if together is None else together
        return self.photographer.sitting(sources, targets, values, own, (self.run.seed, stage, step))


def reconstruction_loss(error: Tensor, recipe: Recipe) -> Tensor:
    """Of normalised pictures' errors (B, 3, H, W), weighed as the recipe says."""
    if recipe.summed_loss:
        return squared_error(error, summed=True)
    loss = squared_error(error)
    return loss + recipe.gradient * gradient_difference(error) if recipe.gradient > 0 else loss


def moving_loss(moved: Moved, truth: Correspondence, recipe: Recipe) -> Tensor:
    """What is wrong with both flows, with the weights of the blend, and how rough the flows are."""
    flows = flow_error(moved.flow, truth.flow, truth.seen, truth.exists, _HIDDEN)
    mirrored = flow_error(moved.mirrored, truth.mirrored, truth.mirrored_seen, truth.exists, _HIDDEN)
    taken = source_of_pixels(moved.scores, truth.better, truth.mirrored_seen)
    rough = roughness(moved.flow) + roughness(moved.mirrored)
    return recipe.flows * (flows + _MIRRORED * mirrored) + recipe.blend * taken + recipe.smooth * rough


def picture_loss(
    made: Tensor, wanted: Tensor, recipe: Recipe, network: IdentityNetwork | None, draw: Sequence[int]
) -> Tensor:
    """What is wrong with pictures made (B, 3, 60, 60): their error, and how unlike the wanted ones the identity network
    finds a few of them (`looked_at`)."""
    loss = reconstruction_loss(made.float() - wanted, recipe)
    if recipe.perceptual == 0 or network is None:
        return loss
    some = torch.from_numpy(looked_at(len(made), draw)).to(made.device)
    return loss + recipe.perceptual * _unlikeness(network, made[some], wanted[some])


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

    number, metric, digits = 0, "training_identity_error", 4

    def __init__(self, material: Material) -> None:
        self._run, self._recipe = material.run, material.run.recipe
        self._network, self._photographer = material.networks.describer.identity, material.photographer
        self._faces = FaceSampler(material.pairs, material.run.seed)

    @property
    def steps(self) -> int:
        return self._recipe.steps_identity if self._network is not None else 0

    def begin(self) -> list[nn.Parameter]:
        return [] if self._network is None else list(self._network.train().requires_grad_(True).parameters())

    def lesson(self, step: int) -> Lesson:
        assert self._network is not None
        rows = self._faces.batch(step, self._recipe.identity_people)
        shown = self._photographer.portraits(rows.T.ravel(), (self._run.seed, self.number, step))
        with autocast(self._run.device):
            descriptors = self._network(shown)
        a, b = descriptors[: len(rows)], descriptors[len(rows) :]
        wrong = ((a @ b.T).argmax(1).cpu() != torch.arange(len(rows))).float().mean()
        return Lesson(info_nce(a, b), float(wrong), len(rows))


class GenerationStage:
    """Stage 1: the generation network makes first pictures. figure: per-pixel squared error, 0..255."""

    number, metric, digits = 1, "training_mse_stage1", 2

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._network = material.networks.generation
        self._sampler = PairSampler(material.pairs, material.run.seed, self._recipe.include_same)

    @property
    def steps(self) -> int:
        return self._recipe.steps_one

    def begin(self) -> list[nn.Parameter]:
        self._material.keep_identity()
        return list(self._network.parameters())

    def lesson(self, step: int) -> Lesson:
        shape = self._recipe.shape(len(self._material.run.space))
        batch = self._sampler.batch(step, *shape)
        shot = self._material.shot(self.number, step, batch.sources, batch.targets, batch.values)
        maps, moving = self._material.first_stage(shot)
        made = maps[:, :3]
        loss = self._material.pictures_loss(self.number, step, made, shot.targets)
        loss = loss if moving is None else loss + moving
        return Lesson(loss, self._material.squares(made.float() - shot.targets), len(made))
