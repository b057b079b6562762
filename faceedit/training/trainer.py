"""Training: the identity network, where there is one; stage one; stage two on what stage one makes, perhaps both
together; then the descriptor's whitening, where it has a head. Resumable to the bit on one machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.identity import IdentityNetwork, info_nce
from faceedit.modelfile import Model, ModelCard, Networks, Normalisation, read_card, save_model
from faceedit.training import checkpoint
from faceedit.training.batches import Photographer, Sitting
from faceedit.training.pairs import ContrastSampler, FaceSampler, PairSampler, PairSet
from faceedit.training.run import TrainingRun, began_with, begin
from faceedit.training.whitening import whitening


@dataclass(frozen=True)
class Progress:
    """Where training stands. stage: 0 is the identity network, 3 the whitening; mse: per-pixel squared error in 0..255
    units, in stage 0 the top-1 error among the batch's faces, in stage 3 the squared distance of imagined and stored
    descriptors, averaged over about the last 100 steps."""

    stage: int
    step: int
    steps: int
    loss: float
    mse: float
    pairs_per_second: float
    seconds_left: float


_COMPARED = 100  # batches that say how much descriptors of one picture differ
_LOOKED_AT = 0.25  # share of a batch's pictures: the identity network costs as much as the generation network
EVEN = Normalisation((124.0, 114.0, 110.0), (60.0, 58.0, 58.0))  # where backgrounds and tones are drawn at random


def normalisation_of(images: NDArray[np.uint8]) -> Normalisation:
    """Per-channel mean and standard deviation of (N, H, W, 3) pictures, in 0..255, in bounded memory."""
    total, squares = np.zeros(3), np.zeros(3)
    for chunk in np.array_split(images, max(1, len(images) // 2048)):
        values = chunk.reshape(-1, 3).astype(np.float64)
        total += values.sum(0)
        squares += (values**2).sum(0)
    count = images.size / 3
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    return Normalisation(_three(mean), _three(std))


def _normalisation(run: TrainingRun, pairs: PairSet) -> Normalisation:
    """What weights that are taken were trained with; else what suits the pictures."""
    if run.start is not None and run.takes_generation:
        return run.start.card.normalisation
    return normalisation_of(pairs.images) if run.recipe.augmentation is None else EVEN


def train(
    run: TrainingRun, pairs: PairSet, resume: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Model:  # fmt: skip
    """Train both stages and write the model to run.out.

    report(progress) is called after every step. With `resume`, goes on from the checkpoint in run.out; raises
    TrainingError when there is none or it belongs to another run.
    """
    networks = begin(run)
    trainer = _Trainer(run, pairs, networks)
    trainer.start(resume)
    trained = False
    for progress in trainer.steps():
        trained = True
        if report:
            report(progress)
    if not trained and (run.out / "model.json").exists():  # a finished run: keep what was measured since
        trainer.metrics = {**read_card(run.out)[0].metrics, **trainer.metrics}
    card = ModelCard(
        task=run.space, network=run.config, normalisation=trainer.normalisation, recipe=asdict(run.recipe),
        provenance={
            **run.provenance, **began_with(run.start), "seed": run.seed, "pairs": pairs.pairs,
            "pictures": len(pairs.images),
        },
        metrics=trainer.metrics, licence=run.licence, neutral=run.recipe.neutral,
    )  # fmt: skip
    digest = save_model(run.out, card, networks)
    return Model(card, networks.for_use(), digest)


class _Trainer:
    def __init__(self, run: TrainingRun, pairs: PairSet, networks: Networks) -> None:
        self._run, self._recipe, self._pairs = run, run.recipe, pairs
        self._networks = networks
        self._generation, self._refinement, self._describer = networks
        self.normalisation = _normalisation(run, pairs)
        _, self._std = self.normalisation.tensors(run.device)
        self._photographer = Photographer(pairs, self.normalisation, run.recipe.augmentation, run.device)
        self._sampler = PairSampler(pairs, run.seed, run.recipe.include_same)
        self._contrast = ContrastSampler(pairs, run.seed) if run.recipe.contrast > 0 else None
        self._faces = FaceSampler(pairs, run.seed)
        self._stage, self._step, self._average = 0 if self._steps_of(0) else 1, 0, 0.0
        self.metrics: dict[str, float] = {}
        size = self._describer.head.size if self._describer.head is not None else 0
        self._noise = torch.zeros(size, size, dtype=torch.float64)  # stage 3 is too short for checkpoints
        self._optimiser = self._new_optimiser()

    def start(self, resume: bool) -> None:
        settings = {
            "recipe": asdict(self._recipe), "seed": self._run.seed, "task": self._run.space.name,
            "network": asdict(self._run.config), "data": self._pairs.digest(), **self.started_from,
        }  # fmt: skip
        self._checkpoint = checkpoint.Checkpoint(self._run.out / "checkpoint", settings)
        if not resume:
            self._checkpoint.require_empty()
            return
        state = self._checkpoint.load(self._networks._asdict())
        self._stage, self._step, self._average = state.stage, state.step, state.average
        self.metrics = dict(state.metrics)
        self._optimiser = self._new_optimiser()
        checkpoint.restore_optimiser(self._optimiser, state.optimiser)

    @property
    def started_from(self) -> dict[str, str]:
        """The digest of the model whose weights the run began with, if any."""
        return {"started_from": self._run.start.digest} if self._run.start else {}

    def steps(self) -> Iterator[Progress]:
        """Every remaining update of all stages."""
        while self._stage <= 3:
            steps = self._steps_of(self._stage)
            started, first = time.monotonic(), self._step
            while self._step < steps:
                loss, pairs = self._update(steps)
                self._step += 1
                if self._step % self._run.checkpoint_every == 0 and self._stage < 3:
                    self._save()
                rate = (self._step - first) / (time.monotonic() - started)
                yield Progress(
                    self._stage, self._step, steps, loss, self._average, rate * pairs, (steps - self._step) / rate
                )
            if steps and self._stage == 3:
                self._whiten()
            elif steps:
                name = f"training_mse_stage{self._stage}" if self._stage else "training_identity_error"
                self.metrics[name] = round(self._average, 4 if self._stage == 0 else 2)
            self._stage, self._step, self._average = self._stage + 1, 0, 0.0
            if self._stage <= 2:
                self._optimiser = self._new_optimiser()
            self._save()

    def _steps_of(self, stage: int) -> int:
        if stage == 0:
            return self._recipe.steps_identity if self._describer.identity is not None else 0
        if stage < 3:
            return self._recipe.steps_one if stage == 1 else self._recipe.steps_two
        learnt = self._recipe.steps_two > 0 or self._run.takes_refinement
        return _COMPARED if learnt and self._recipe.whitening > 0 and len(self._noise) else 0

    def _update(self, steps: int) -> tuple[float, int]:
        """One step of the optimiser, or of the whitening; returns the loss and how many pairs it saw."""
        if self._stage == 3:
            return self._compare()
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate(steps)
        self._optimiser.zero_grad(set_to_none=True)
        loss, error, pairs = (self._loss_identity, self._loss_one, self._loss_two)[self._stage]()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._recipe.clip > 0:
            nn.utils.clip_grad_norm_(self._parameters(), self._recipe.clip)
        self._optimiser.step()
        mse = float(((error.detach() * self._std) ** 2).mean()) if self._stage else float(error)
        keep = min(0.99, self._step / (self._step + 1))
        self._average = keep * self._average + (1 - keep) * mse
        return float(loss.detach()), pairs

    def _loss_identity(self) -> tuple[Tensor, Tensor, int]:
        """InfoNCE between two portraits of each face, and the share of faces whose nearest portrait is another's."""
        rows = self._faces.batch(self._step, self._recipe.identity_people)
        shown = self._photographer.portraits(rows.T.ravel(), (self._run.seed, 0, self._step))
        assert self._describer.identity is not None
        with autocast(self._run.device):
            descriptors = self._describer.identity(shown)
        a, b = descriptors[: len(rows)], descriptors[len(rows) :]
        wrong = ((a @ b.T).argmax(1).cpu() != torch.arange(len(rows))).float().mean()
        return info_nce(a, b), wrong, len(rows)

    def _loss_one(self) -> tuple[Tensor, Tensor, int]:
        batch = self._sampler.batch(self._step, *self._recipe.shape(len(self._run.space)))
        shot = self._shot(batch.sources, batch.targets, batch.values)
        with autocast(self._run.device):
            made = self._generation.many(shot.sources, shot.values)[:, :3]
        error = made.float() - shot.targets
        return self._picture_loss(made, shot.targets, error), error, len(error)

    def _loss_two(self) -> tuple[Tensor, Tensor, int]:
        if self._contrast is not None:
            return self._loss_contrast(self._contrast)
        # stage two draws other batches than stage one
        batch = self._sampler.batch(self._step + self._recipe.steps_one, *self._recipe.shape(len(self._run.space)))
        shot = self._shot(batch.sources, batch.targets, batch.values)
        first, _, made = self._two_stages(shot.sources, shot.values)
        loss, error = self._two_pictures_loss(first, made, shot.targets)
        return loss, error, len(error)

    def _loss_contrast(self, sampler: ContrastSampler) -> tuple[Tensor, Tensor, int]:
        """Squared error, and InfoNCE: from either source, the edit to a value has the descriptor of its own person
        and light rather than another's, or of the same person at the value it came from. Where an identity network
        knows people, its part of the descriptor is left out and other people are none of the others: what else there
        is to know is for the rest of the descriptor to learn. The estimator learns from the same sources."""
        recipe, known = self._recipe, self._describer.identity is not None
        shot, leads, people = self._compared(sampler)
        groups = len(people)
        first, features, made = self._two_stages(shot.sources, shot.values)  # (groups, from, to)
        learnt = torch.from_numpy(leads.ravel()).to(self._run.device)
        loss, error = self._two_pictures_loss(first[learnt], made[learnt], shot.targets[learnt])
        with autocast(self._run.device):
            d = self._describer.refined(features, shot.sources).view(groups, 2, 2, -1)
        for to in range(2):
            asked = torch.from_numpy(np.flatnonzero(leads[:, 1 - to, to])).to(d.device)
            if not len(asked):
                continue
            # turned there; described there as a gallery picture; and described where it came from, which is wrong
            query, stored, unturned = d[asked, 1 - to, to], d[asked, to, to], d[asked, 1 - to, 1 - to]
            likeness = recipe.contrast_scale * query @ torch.cat([stored, unturned]).T  # (asked, 2 asked)
            if known:  # others are no look-alikes
                person = torch.from_numpy(people).to(d.device)[asked]
                likeness = likeness.masked_fill((person[:, None] != person).repeat(1, 2), -math.inf)
            own = torch.arange(len(asked), device=d.device)
            back = likeness[:, : len(asked)].T
            loss = loss + recipe.contrast / 4 * (F.cross_entropy(likeness, own) + F.cross_entropy(back, own))
        if self._describer.estimator is not None and self._describer.identity is not None:
            # each source is turned to both values, of which one is its own
            own_values = shot.values.view(groups, 2, 2).diagonal(dim1=1, dim2=2).flatten()
            with autocast(self._run.device):
                scores = self._describer.estimator(self._describer.identity.half_way(shot.sources))
            loss = loss + recipe.contrast * F.cross_entropy(scores.float(), own_values)
        return loss, error, len(error)

    def _compared(self, sampler: ContrastSampler) -> tuple[Sitting, NDArray[np.bool_], NDArray[np.int64]]:
        """Pictures of groups at two values each, (groups 2) sources that are asked for both; whether the one leads to
        the other (groups, from, to), and whose they are (groups,)."""
        known = self._describer.identity is not None  # then people need not be each other's look-alikes
        people, conditions = self._recipe.contrast_people, self._recipe.contrast_conditions
        rows, values, whose = sampler.batch(self._step, people, conditions, known)
        both = np.repeat(rows[:, None], 2, axis=1).reshape(-1, 2)
        # a sitting each, or all in one: exposure and colours tell no lights apart
        _, sittings = np.unique(whose, return_inverse=True)
        together = np.repeat(sittings, 2) * (1 - self._step % 2)
        shot = self._shot(rows.ravel(), both, np.repeat(values, 2, axis=0), together)
        return shot, self._pairs.leads[values[:, :, None], values[:, None, :]], whose

    @torch.no_grad()
    def _compare(self) -> tuple[float, int]:
        """How the descriptors of one picture differ, the imagined one's and the stored one's, by another batch."""
        assert self._contrast is not None
        shot, leads, _ = self._compared(self._contrast)
        _, features = self._features(shot.sources, shot.values)
        with autocast(self._run.device):
            d = self._describer.refined(features, shot.sources).view(len(leads), 2, 2, -1).cpu().double()
        unlike = torch.cat([(d[:, 1 - to, to] - d[:, to, to])[leads[:, 1 - to, to]] for to in range(2)])
        self._noise += unlike.T @ unlike
        distance = float(unlike.square().sum(1).mean()) if len(unlike) else 0.0
        self._average += (distance - self._average) / (self._step + 1)
        return distance, len(unlike)

    def _whiten(self) -> None:
        assert self._describer.head is not None
        self._describer.head.transform(whitening(self._noise, self._recipe.whitening).to(self._run.device))

    def _two_stages(self, source: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First-stage picture, descriptor-layer activation and second-stage picture of every source under every one of
        its targets."""
        first, features = self._features(source, values)
        with autocast(self._run.device):
            repeated = source.repeat_interleave(values.shape[1], 0)
            return first[:, :3], features, self._refinement.picture(features, first, repeated)

    def _features(self, source: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The first two of `_two_stages`."""
        with autocast(self._run.device):
            with torch.set_grad_enabled(self._recipe.joint and torch.is_grad_enabled()):
                first = self._generation.many(source, values).float()
            repeated = source.repeat_interleave(values.shape[1], 0)
            return first, self._refinement.features(repeated, first.contiguous(memory_format=torch.channels_last))

    def _two_pictures_loss(self, first: Tensor, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of second-stage pictures, and of first-stage ones where those still learn; the former's error."""
        error = made.float() - wanted
        loss = self._picture_loss(made, wanted, error)
        if self._recipe.joint:
            loss = loss + self._reconstruction(first - wanted)
        return loss, error

    def _picture_loss(self, made: Tensor, wanted: Tensor, error: Tensor) -> Tensor:
        """What is wrong with pictures made: their error, and how unlike the wanted ones the identity network finds
        them (it looks at a share of _LOOKED_AT)."""
        loss, network = self._reconstruction(error), self._describer.identity
        if self._recipe.perceptual == 0 or network is None:
            return loss
        draw = np.random.default_rng([self._run.seed, self._stage, self._step, 3])
        some = torch.from_numpy(draw.permutation(len(made))[: math.ceil(_LOOKED_AT * len(made))]).to(made.device)
        return loss + self._recipe.perceptual * self._perceptual(network, made[some], wanted[some])

    def _perceptual(self, network: IdentityNetwork, made: Tensor, wanted: Tensor) -> Tensor:
        """How far pictures are from the wanted ones in what the identity network sees (a feature loss: Johnson, Alahi,
        Fei-Fei, ECCV 2016), relative to how strong those features are."""
        with autocast(self._run.device):
            with torch.no_grad():
                there = network.features(wanted)
            here = network.features(made.to(wanted.dtype).contiguous(memory_format=torch.channels_last))
        ratios = [
            ((a.float() - b.float()) ** 2).mean() / (b.float() ** 2).mean() for a, b in zip(here, there, strict=True)
        ]
        return torch.stack(ratios).mean()

    def _reconstruction(self, error: Tensor) -> Tensor:
        """Squared error, and a gradient difference loss: the absolute error of neighbouring pixels' differences
        (Mathieu, Couprie, LeCun, ICLR 2016)."""
        if self._recipe.summed_loss:
            return (error**2).sum() / len(error)
        loss = (error**2).mean()
        if self._recipe.gradient > 0:
            across, down = error.diff(dim=3), error.diff(dim=2)
            loss = loss + self._recipe.gradient * (across.abs().mean() + down.abs().mean())
        return loss

    def _shot(
        self, sources: NDArray[np.int64], targets: NDArray[np.int64], values: NDArray[np.int64],
        together: NDArray[np.int64] | None = None,
    ) -> Sitting:  # fmt: skip
        draw = (self._run.seed, self._stage, self._step)
        own = np.arange(len(sources)) if together is None else together
        return self._photographer.sitting(sources, targets, values, own, draw)

    def _parameters(self) -> list[nn.Parameter]:
        """What the current stage trains. The identity network only learns in its own."""
        describer = self._describer
        if self._stage == 0:
            return list(describer.identity.parameters()) if describer.identity is not None else []
        if self._stage == 1:
            return list(self._generation.parameters())
        before = self._generation if self._recipe.joint else None
        networks: list[nn.Module | None] = [before, self._refinement, describer.head, describer.estimator]
        return [parameter for network in networks if network is not None for parameter in network.parameters()]

    def _new_optimiser(self) -> torch.optim.Optimizer:
        recipe, parameters = self._recipe, self._parameters()
        if self._describer.identity is not None:
            self._describer.identity.train(self._stage == 0).requires_grad_(self._stage == 0)
        if recipe.optimiser == "sgd":
            return torch.optim.SGD(parameters, recipe.learning_rate, momentum=recipe.momentum)
        return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)

    def _learning_rate(self, steps: int) -> float:
        rate = self._recipe.learning_rate
        warmup = min(self._recipe.warmup, steps // 5)  # a short run is not all warm-up
        if warmup:
            rate *= min(1.0, (self._step + 1) / warmup)
        if self._recipe.cosine:
            rate *= 0.5 + 0.5 * math.cos(math.pi * self._step / steps)
        return rate

    def _save(self) -> None:
        self._checkpoint.save(
            self._networks._asdict(),
            self._optimiser,
            checkpoint.Place(self._stage, self._step, self._average, self.metrics),
        )


def _three(values: NDArray[np.floating]) -> tuple[float, float, float]:
    r, g, b = (round(float(v), 4) for v in values)
    return r, g, b
