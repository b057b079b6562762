"""The value estimator learns last: to tell the values of pictures, whatever else they show."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from faceedit.devices import autocast
from faceedit.training.losses import value_loss
from faceedit.training.stages import Lesson, Material, Pace


class EstimatorStage:
    """Stage 6: the value estimator alone, by pictures drawn from all that have a value, of which it saw few beside the
    head: some as they were rendered, the others in a sitting of their own. figure: share of pictures whose value it
    takes for another."""

    number, metric, digits, averaged = 6, "training_estimator_error", 4, False
    pace = Pace()

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._describer = material.networks.describer
        held = np.argwhere(material.pairs.groups >= 0)
        self._rows, self._values = material.pairs.groups[tuple(held.T)], held[:, 1]
        self._studio = material.studio

    @property
    def steps(self) -> int:
        return self._recipe.steps_estimator if self._describer.estimator is not None else 0

    def begin(self) -> list[nn.Parameter]:
        return self._material.only(self._describer.estimator)

    def lesson(self, step: int) -> Lesson:
        estimator, identity = self._describer.estimator, self._describer.identity
        assert estimator is not None and identity is not None
        count, share = self._recipe.estimator_pictures, self._recipe.last_studio
        drawn = np.random.default_rng([self._material.run.seed, self.number, step]).integers(
            len(self._rows), size=count
        )
        plain, no_targets = round(count * share), self._rows[:, None][:, :0]
        shots = [
            taken_by.shot(self.number, step, self._rows[some], no_targets[some], self._values[some, None])
            for taken_by, some in ((self._studio, drawn[:plain]), (self._material, drawn[plain:]))
            if len(some)
        ]
        values = torch.cat([shot.values[:, 0] for shot in shots])
        with autocast(self._material.run.device):
            with torch.no_grad():
                seen = identity.half_way(torch.cat([shot.sources for shot in shots]))
            scores = estimator(seen)
        wrong = (scores.detach().argmax(1) != values).float().mean()
        return Lesson(value_loss(scores, values), float(wrong), count)
