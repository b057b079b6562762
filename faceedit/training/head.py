"""The learned descriptor: its head and the value estimator learn on networks that stand still; then the head is
whitened."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.training.batches import Sitting
from faceedit.training.comparing import Comparer, Comparison, contrast_of, missed
from faceedit.training.frozen import Frozen, FrozenComparisons
from faceedit.training.losses import value_loss
from faceedit.training.stages import Lesson, Material, Pace
from faceedit.training.whitening import whitening

_SCALE, _VALUE = 16.0, 0.5  # of the contrasts, and what the estimate weighs beside each of them


class OnFrozen:
    """What stands still makes, for a head that learns on it."""

    def __init__(self, material: Material) -> None:
        self._material, self._recipe = material, material.run.recipe
        self._describer = material.networks.describer

    @torch.no_grad()
    def features(self, shot: Sitting) -> Tensor:
        """The descriptor layer's activation (S K, 128, 15, 15) of S sources under K values each, side by side."""
        repeated = shot.sources.repeat_interleave(shot.values.shape[1], 0)
        maps = self._material.first_stage(shot).maps.contiguous(memory_format=torch.channels_last)
        with autocast(self._material.run.device):
            return self._material.networks.refinement.features(repeated, maps)


class Descriptors(OnFrozen):
    """What is compared of the refinement's part of descriptors, which all stands still but the head."""

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self._comparer = Comparer(material, self._recipe.head_people, self._recipe.head_conditions)

    def frozen(self, compared: Comparison) -> Frozen:
        """What stands still makes of it."""
        shot = compared.shot
        return Frozen(compared.leads, compared.people, self.features(shot), self._middle(shot.sources), shot.values)

    @torch.no_grad()
    def _middle(self, sources: Tensor) -> Tensor | None:
        describer = self._describer
        if describer.identity is None or not (describer.look_back or describer.estimator):
            return None
        with autocast(self._material.run.device):
            return describer.identity.half_way(sources)

    def descriptors(self, frozen: Frozen) -> Tensor:
        """(G, from, to, D) of what a comparison shows."""
        with autocast(self._material.run.device):
            described = self._describer.refined(frozen.features, frozen.middle)
        return described.view(len(frozen.people), 2, 2, -1)


class HeadStage(Descriptors):
    """Stage 3: the head tells apart one person's conditions, and all people; the estimator tells the values of sources.
    figure: share of edits whose own stored picture is not the nearest one."""

    number, metric, digits, averaged = 3, "training_head_error", 4, False
    pace = Pace()

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        run, count = material.run, min(self._recipe.head_kept, self.steps)
        self._compared = FrozenComparisons(run.out / "checkpoint.kept", count, run.seed, run.device, self._made)

    @property
    def steps(self) -> int:
        return self._recipe.updates_of_descriptors

    def begin(self) -> list[nn.Parameter]:
        self._compared.forget()
        return self._material.only(self._describer.head, self._describer.estimator)

    def lesson(self, step: int) -> Lesson:
        frozen = self._compared.frozen(step)
        if step + 1 == self.steps:
            self._compared.forget()
        d = self.descriptors(frozen)
        loss = self._value_loss(frozen)
        if self._describer.head is not None:
            loss = loss + contrast_of(frozen, d, _SCALE, own_alone=True) + contrast_of(frozen, d, _SCALE)
        return Lesson(loss, missed(frozen, d.detach()), int(frozen.leads.sum()))

    def _made(self, number: int) -> Frozen:
        return self.frozen(self._comparer.comparison(self.number, number))

    def _value_loss(self, frozen: Frozen) -> Tensor:
        """Each source is turned to both values, of which one is its own."""
        if self._describer.estimator is None or frozen.middle is None:
            return frozen.features.new_zeros((), dtype=torch.float32)
        own = frozen.values.view(-1, 2, 2).diagonal(dim1=1, dim2=2).flatten()
        with autocast(self._material.run.device):
            scores = self._describer.estimator(frozen.middle)
        return _VALUE * value_loss(scores, own)


class Whitening(Descriptors):
    """After stage 3: how the descriptors of one picture differ, the imagined one's and the stored one's, over some
    batches; then the head is changed so that this counts for less."""

    number = 4

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self._head = self._describer.head
        size = 0 if self._head is None else self._head.size
        self._noise = torch.zeros(size, size, dtype=torch.float64)  # too short for checkpoints

    @property
    def steps(self) -> int:
        """How many batches are compared."""
        return self._recipe.steps_whitening if self._material.run.whitens else 0

    @torch.no_grad()
    def compare(self, step: int) -> tuple[float, int]:
        """Note another batch: the mean squared distance of imagined and stored descriptors, of how many pairs."""
        compared = self._comparer.comparison(self.number, step)
        d = self.descriptors(self.frozen(compared)).cpu().double()
        unlike = torch.cat([(d[:, 1 - to, to] - d[:, to, to])[compared.leads[:, 1 - to, to]] for to in range(2)])
        self._noise += unlike.T @ unlike
        return float(unlike.square().sum(1).mean()) if len(unlike) else 0.0, len(unlike)

    def finish(self) -> None:
        """Whiten the head. Raises TrainingError when nothing differs."""
        assert self._head is not None
        self._head.transform(whitening(self._noise, self._recipe.whitening).to(self._material.run.device))
