"""Stage two: the refinement network, alone or beside stage one, and afterwards its decoder alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.networks import descriptor
from faceedit.training.batches import Sitting
from faceedit.training.comparing import Comparer, Comparison, contrast_of
from faceedit.training.losses import coarse_difference
from faceedit.training.pairs import PairSampler
from faceedit.training.stages import First, Lesson, Material, Pace

_CRITIC_FROM, _CRITIC_WHOLE = 0.55, 0.6  # shares of a stage's updates: before, there is little to judge but blur


class Made(NamedTuple):
    """What both stages make of N pairs: first; the descriptor layer's activations (N, 128, 15, 15); second pictures
    (N, 3, 60, 60)."""

    first: First
    features: Tensor
    second: Tensor


def two_stages(material: Material, shot: Sitting, first_learns: bool = False) -> Made:
    """What both stages make of every source of a shot under every one of its values; no gradient leads from stage two
    into stage one, which has one of its own where it learns."""
    with torch.set_grad_enabled(first_learns and torch.is_grad_enabled()):
        first = material.first_stage(shot)
    refinement, maps = material.networks.refinement, first.maps.detach().contiguous(memory_format=torch.channels_last)
    with autocast(material.run.device):
        repeated = shot.sources.repeat_interleave(shot.values.shape[1], 0)
        features = refinement.features(repeated, maps)
        return Made(first, features, refinement.picture(features, maps, repeated))


class Attempt(NamedTuple):
    """What both stages make of all N pairs of a step that can be learnt, what was wanted (N, 3, 60, 60), and, where
    descriptors are compared, these (G, from, to, 28800)."""

    first: First
    second: Tensor
    wanted: Tensor
    compared: tuple[Comparison, Tensor] | None


class _SecondPictures:
    """What the stages in which second pictures are learnt have in common."""

    averaged = True

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._sampler = PairSampler(material.pairs, material.run.seed, self._recipe.include_same)
        sizes = self._recipe.contrast_people, self._recipe.contrast_conditions
        self._comparer = Comparer(material, *sizes) if self._recipe.contrast > 0 else None

    def _pairs(self, stage: int, step: int, number: int) -> Sitting:
        """Batch `number` in a step."""
        batch = self._sampler.batch(number, *self._recipe.shape(len(self._material.run.space)))
        beside = self._recipe.beside and self._comparer is not None  # the compared pictures of the step
        return self._material.shot(stage, step, batch.sources, batch.targets, batch.values, other=beside)

    def _attempt(self, pairs: Sitting | None, compared: Comparison | None, first_learns: bool = False) -> Attempt:
        """Of the pairs, the compared pictures, or both."""
        made: list[tuple[First, Tensor, Tensor]] = []
        described = None
        if compared is not None:
            own, rows = two_stages(self._material, compared.shot, first_learns), compared.learnt
            made.append((own.first.part(rows), own.second[rows], compared.shot.targets[rows]))
            described = compared, descriptor(own.features).view(len(own.features) // 4, 2, 2, -1)
        if pairs is not None:
            own = two_stages(self._material, pairs, first_learns)
            made.append((own.first, own.second, pairs.targets))
        first, second, wanted = zip(*made, strict=True)
        return Attempt(First.joined(first), torch.cat(second), torch.cat(wanted), described)

    def _second_loss(self, stage: int, step: int, made: Attempt, critic: float) -> Tensor:
        """What is wrong with second pictures. critic: how much of its weight the critic has by now, 0..1."""
        material, recipe = self._material, self._recipe
        loss = material.weighed(recipe.second, stage, step, made.second, made.wanted)
        whole = loss
        if recipe.keep > 0:
            whole = whole + recipe.keep * coarse_difference(made.second, made.first.picture.detach())
        if material.adversary is not None and critic > 0:
            material.adversary.learn(made.wanted, made.second)
            last = material.networks.refinement.last.weight
            told = material.adversary.displeasure(made.second, loss, last, step)
            whole = whole + recipe.critic * critic * told
        return whole

    def _contrast_loss(self, made: Attempt) -> Tensor:
        if made.compared is None:
            return made.wanted.new_zeros(())
        return self._recipe.contrast * contrast_of(*made.compared, self._recipe.contrast_scale)


def critics_share(step: int, steps: int) -> float:
    """How much of its weight the critic has at a step, 0..1: late, and not at once."""
    return min(1.0, max(0.0, (step / steps - _CRITIC_FROM) / (_CRITIC_WHOLE - _CRITIC_FROM)))


class RefinementStage(_SecondPictures):
    """Stage 2, after stage 1: the refinement network makes second pictures and descriptors. figure: per-pixel squared
    error of second pictures, 0..255."""

    number, metric, digits = 2, "training_mse_stage2", 2
    pace = Pace()

    @property
    def steps(self) -> int:
        return self._recipe.steps_two

    def begin(self) -> list[nn.Parameter]:
        return self._material.only(self._material.networks.refinement)

    def lesson(self, step: int) -> Lesson:
        if self._comparer is not None:
            made = self._attempt(None, self._comparer.comparison(self.number, step))
        else:  # other batches than stage one drew
            made = self._attempt(self._pairs(self.number, step, step + self._recipe.steps_one), None)
        loss = self._second_loss(self.number, step, made, critics_share(step, self.steps)) + self._contrast_loss(made)
        return Lesson(loss, self._material.squares(made.second.float() - made.wanted), len(made.wanted))


class BesideStage(_SecondPictures):
    """Stage 1 with stage two beside it: both networks learn from the same pictures, the second on what the first makes
    at the time. figure: as of stage 1."""

    number, metric, digits = 1, "training_mse_stage1", 2
    pace = Pace(betas=(0.9, 0.99))

    @property
    def steps(self) -> int:
        return self._recipe.steps_one

    def begin(self) -> list[nn.Parameter]:
        networks = self._material.networks
        return self._material.only(networks.generation, networks.refinement)

    def lesson(self, step: int) -> Lesson:
        compared = None if self._comparer is None else self._comparer.comparison(self.number, step)
        made = self._attempt(self._pairs(self.number, step, step), compared, first_learns=True)
        loss = self._material.first_loss(self.number, step, made.first, made.wanted) + self._contrast_loss(made)
        loss = loss + self._second_loss(self.number, step, made, critics_share(step, self.steps))
        return Lesson(loss, self._material.squares(made.first.picture - made.wanted), len(made.wanted))


class PolishingStage(_SecondPictures):
    """Stage 2 after both learnt beside each other: the refinement's decoder alone, so that descriptors stay. figure:
    as of stage 2."""

    number, metric, digits = 2, "training_mse_stage2", 2
    pace = Pace(rate=0.4, decay=0.1, betas=(0.5, 0.99))

    @property
    def steps(self) -> int:
        return self._recipe.steps_two

    def begin(self) -> list[nn.Parameter]:
        return self._material.only(self._material.networks.refinement.decoder)

    def lesson(self, step: int) -> Lesson:
        compared = None if self._comparer is None else self._comparer.comparison(self.number, step)
        made = self._attempt(self._pairs(self.number, step, step + self._recipe.steps_one), compared)
        loss = self._second_loss(self.number, step, made, critic=1.0)
        return Lesson(loss, self._material.squares(made.second.float() - made.wanted), len(made.wanted))
