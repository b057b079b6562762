"""Stage two: the refinement network, with all that makes descriptors, and afterwards the whitening of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.training.batches import Sitting
from faceedit.training.losses import contrast, value_loss
from faceedit.training.pairs import ContrastSampler, PairSampler
from faceedit.training.stages import Lesson, Material, reconstruction_loss
from faceedit.training.whitening import whitening

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Pictures of G groups at two values each. shot: 2 G sources, asked for both values; leads (G, from, to) whether
    the one value leads to the other; people (G,) whose they are."""

    shot: Sitting
    leads: NDArray[np.bool_]
    people: Rows


class Comparer:
    """Draws what the contrast compares. Where an identity network knows people, they need not be each other's
    look-alikes: then every person has two values of its own."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._sampler = ContrastSampler(material.pairs, material.run.seed)

    def comparison(self, stage: int, step: int) -> Comparison:
        """What a step of a stage compares."""
        recipe, known = self._material.run.recipe, self._material.networks.describer.identity is not None
        people, conditions = recipe.contrast_people, recipe.contrast_conditions
        rows, values, whose = self._sampler.batch(step, people, conditions, known)
        both = np.repeat(rows[:, None], 2, axis=1).reshape(-1, 2)
        # a sitting each, or all in one: exposure and colours tell no lights apart
        _, sittings = np.unique(whose, return_inverse=True)
        together = np.repeat(sittings, 2) * (1 - step % 2)
        shot = self._material.shot(stage, step, rows.ravel(), both, np.repeat(values, 2, axis=0), together)
        return Comparison(shot, self._material.pairs.leads[values[:, :, None], values[:, None, :]], whose)

    def descriptors(self, shot: Sitting, features: Tensor) -> Tensor:
        """(G, from, to, D) the part of descriptors that comes of the refinement's features (4 G, 128, 15, 15)."""
        with autocast(self._material.run.device):
            described = self._material.networks.describer.refined(features, shot.sources)
        return described.view(len(shot.sources) // 2, 2, 2, -1)


class RefinementStage:
    """Stage 2: second pictures and descriptors, and in a joint training first pictures too. figure: per-pixel squared
    error of second pictures, 0..255."""

    number, metric, digits = 2, "training_mse_stage2", 2

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._sampler = PairSampler(material.pairs, material.run.seed, self._recipe.include_same)
        self._comparer = Comparer(material) if self._recipe.contrast > 0 else None

    @property
    def steps(self) -> int:
        return self._recipe.steps_two

    def begin(self) -> list[nn.Parameter]:
        self._material.keep_identity()
        networks = self._material.networks
        before = networks.generation if self._recipe.joint else None
        describer = networks.describer
        trained: list[nn.Module | None] = [before, networks.refinement, describer.head, describer.estimator]
        return [parameter for network in trained if network is not None for parameter in network.parameters()]

    def lesson(self, step: int) -> Lesson:
        return self._pairs(step) if self._comparer is None else self._contrast(step, self._comparer)

    def _pairs(self, step: int) -> Lesson:
        run = self._material.run
        # other batches than stage one drew
        batch = self._sampler.batch(step + self._recipe.steps_one, *self._recipe.shape(len(run.space)))
        shot = self._material.shot(self.number, step, batch.sources, batch.targets, batch.values)
        made = two_stages(self._material, shot)
        loss = self.pictures_loss(step, made.first, made.second, shot.targets)
        loss = loss if made.moving is None else loss + made.moving
        return Lesson(loss, self._material.squares(made.second.float() - shot.targets), len(made.second))

    def _contrast(self, step: int, comparer: Comparer) -> Lesson:
        """Squared error, and the contrast. Where an identity network knows people, its part of the descriptor is left
        out and other people are none of the others: what else there is to know is for the rest of the descriptor to
        learn. The estimator learns from the same sources."""
        compared = comparer.comparison(self.number, step)
        shot = compared.shot
        made = two_stages(self._material, shot)  # (groups, from, to)
        learnt = torch.from_numpy(compared.leads.ravel()).to(made.second.device)
        first, second, wanted = made.first[learnt], made.second[learnt], shot.targets[learnt]
        loss = self.pictures_loss(step, first, second, wanted)
        loss = loss if made.moving is None else loss + made.moving
        loss = loss + self._contrast_loss(compared, comparer.descriptors(shot, made.features)) + self._value_loss(shot)
        return Lesson(loss, self._material.squares(second.float() - wanted), len(second))

    def pictures_loss(self, step: int, first: Tensor, made: Tensor, wanted: Tensor) -> Tensor:
        """Of second pictures, and of first ones where those still learn, all (B, 3, 60, 60)."""
        loss = self._material.pictures_loss(self.number, step, made, wanted)
        return loss + reconstruction_loss(first - wanted, self._recipe) if self._recipe.joint else loss

    def _contrast_loss(self, compared: Comparison, d: Tensor) -> Tensor:
        """Over both values `to`, of descriptors d (G, from, to, D): turned there; described there as a gallery picture;
        and described where it came from, which is wrong."""
        known = self._material.networks.describer.identity is not None
        people = torch.from_numpy(compared.people).to(d.device)
        loss = d.new_zeros(())
        for to in range(2):
            asked = torch.from_numpy(np.flatnonzero(compared.leads[:, 1 - to, to])).to(d.device)
            if len(asked):
                three = d[asked, 1 - to, to], d[asked, to, to], d[asked, 1 - to, 1 - to]
                alike = people[asked] if known else None  # others are no look-alikes
                loss = loss + contrast(*three, self._recipe.contrast_scale, alike)
        return self._recipe.contrast / 4 * loss

    def _value_loss(self, shot: Sitting) -> Tensor:
        """Each source is turned to both values, of which one is its own."""
        describer = self._material.networks.describer
        if describer.estimator is None or describer.identity is None:
            return shot.sources.new_zeros(())
        own = shot.values.view(-1, 2, 2).diagonal(dim1=1, dim2=2).flatten()
        with autocast(self._material.run.device):
            scores = describer.estimator(describer.identity.half_way(shot.sources))
        return self._recipe.contrast * value_loss(scores, own)


class Whitening:
    """After stage 2: how the descriptors of one picture differ, the imagined one's and the stored one's, over some
    batches; then the head is changed so that this counts for less."""

    number = 3

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._head = material.networks.describer.head
        self._comparer = Comparer(material) if self.steps else None
        size = 0 if self._head is None else self._head.size
        self._noise = torch.zeros(size, size, dtype=torch.float64)  # too short for checkpoints

    @property
    def steps(self) -> int:
        """How many batches are compared."""
        learnt = self._recipe.steps_two > 0 or self._material.run.takes_refinement
        wanted = learnt and self._recipe.whitening > 0 and self._head is not None
        return self._recipe.steps_whitening if wanted else 0

    @torch.no_grad()
    def compare(self, step: int) -> tuple[float, int]:
        """Note another batch: the mean squared distance of imagined and stored descriptors, of how many pairs."""
        assert self._comparer is not None
        compared = self._comparer.comparison(self.number, step)
        _, features, _ = first_stage(self._material, compared.shot)
        d = self._comparer.descriptors(compared.shot, features).cpu().double()
        unlike = torch.cat([(d[:, 1 - to, to] - d[:, to, to])[compared.leads[:, 1 - to, to]] for to in range(2)])
        self._noise += unlike.T @ unlike
        return float(unlike.square().sum(1).mean()) if len(unlike) else 0.0, len(unlike)

    def finish(self) -> None:
        """Whiten the head. Raises TrainingError when nothing differs."""
        assert self._head is not None
        self._head.transform(whitening(self._noise, self._recipe.whitening).to(self._material.run.device))


class Made(NamedTuple):
    """What both stages make of every source of a shot under every one of its values: first pictures (B K, 3, 60, 60),
    descriptor-layer activations (B K, 128, 15, 15), second pictures (B K, 3, 60, 60), and what is wrong with how stage
    one moves pixels, where it learns and that is known."""

    first: Tensor
    features: Tensor
    second: Tensor
    moving: Tensor | None


def two_stages(material: Material, shot: Sitting) -> Made:
    maps, features, moving = first_stage(material, shot)
    with autocast(material.run.device):
        repeated = shot.sources.repeat_interleave(shot.values.shape[1], 0)
        return Made(maps[:, :3], features, material.networks.refinement.picture(features, maps, repeated), moving)


def first_stage(material: Material, shot: Sitting) -> tuple[Tensor, Tensor, Tensor | None]:
    """All that stage one makes (B K, maps, 60, 60), the descriptor-layer activations, and `Made.moving`."""
    joint = material.run.recipe.joint
    with torch.set_grad_enabled(joint and torch.is_grad_enabled()):
        maps, moving = material.first_stage(shot)
    with autocast(material.run.device):
        repeated = shot.sources.repeat_interleave(shot.values.shape[1], 0)
        features = material.networks.refinement.features(repeated, maps.contiguous(memory_format=torch.channels_last))
    return maps, features, moving if joint else None
