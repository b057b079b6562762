"""Training: the identity network, where there is one; stage one; stage two on what stage one makes, after it or beside
it; then the descriptor's head, its whitening and its last layer, where it has one, and what tells values. Resumable to
the bit on one machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from faceedit.modelcard import ModelCard, read_card
from faceedit.modelfile import Model, save_model
from faceedit.training import checkpoint
from faceedit.training.averages import Averages
from faceedit.training.estimator import EstimatorStage
from faceedit.training.head import HeadStage, Whitening
from faceedit.training.last_layer import LastLayerStage
from faceedit.training.pairs import PairSet
from faceedit.training.recipes import Recipe
from faceedit.training.run import TrainingRun, began_with, begin
from faceedit.training.second_stage import BesideStage, PolishingStage, RefinementStage
from faceedit.training.stages import GenerationStage, IdentityStage, Material, Pace, Stage

_TITLES = ("identity", "stage one", "stage two", "descriptor", "whitening", "last layer", "estimator")
_ERROR, _SQUARES = "error {:.3f}", "MSE {:.0f}"
_FIGURES = (_ERROR, _SQUARES, _SQUARES, _ERROR, "distance {:.3f}", _ERROR, _ERROR)
_WHITENING = 4  # which learns by no loss


@dataclass(frozen=True)
class Progress:
    """Where training stands. stage: 0 is the identity network, 3 the descriptor's head, 4 its whitening, 5 its last
    layer, 6 what tells values; mse: per-pixel squared error in 0..255 units, in stages 0, 3, 5 and 6 the top-1 error
    among the batch's faces, pictures or values, in stage 4 the squared distance of imagined and stored descriptors,
    averaged over about the last 100 steps."""

    stage: int
    step: int
    steps: int
    loss: float
    mse: float
    pairs_per_second: float
    seconds_left: float

    @property
    def title(self) -> str:
        """What is being trained."""
        return _TITLES[self.stage]

    @property
    def figures(self) -> str:
        """The loss, where there is one, and the error by the name that it has in this stage."""
        loss = "" if self.stage == _WHITENING else f"loss {self.loss:.4g}  "
        return loss + _FIGURES[self.stage].format(self.mse)


def train(
    run: TrainingRun, pairs: PairSet, resume: bool = False, report: Callable[[Progress], None] | None = None
) -> Model:
    """Train both stages and write the model to run.out.

    report(progress) is called after every step. With `resume`, goes on from the checkpoint in run.out; raises
    TrainingError when there is none or it belongs to another run.
    """
    networks = begin(run)
    material = Material.of(run, pairs, networks)
    trainer = Trainer(material, resume)
    trained = False
    for progress in trainer.updates():
        trained = True
        if report:
            report(progress)
    metrics = trainer.metrics
    if not trained and (run.out / "model.json").exists():  # a finished run: keep what was measured since
        metrics = {**read_card(run.out)[0].metrics, **metrics}
    card = _card(material, metrics)
    return Model(card, networks.for_use(), save_model(run.out, card, networks))


def _card(material: Material, metrics: dict[str, float]) -> ModelCard:
    run, pairs = material.run, material.pairs
    seen = {"seed": run.seed, "pairs": pairs.pairs, "pictures": len(pairs.images)}
    return ModelCard(
        task=run.space,
        network=run.config,
        normalisation=material.normalisation,
        recipe=asdict(run.recipe),
        provenance={**run.provenance, **began_with(run.start), **seen},
        metrics=metrics,
        licence=run.licence,
        neutral=run.recipe.neutral,
    )


class Trainer:
    """Goes through the stages, from the beginning or from a checkpoint."""

    def __init__(self, material: Material, resume: bool) -> None:
        self._run, self._adversary = material.run, material.adversary
        self._networks: dict[str, nn.Module] = dict(material.networks._asdict())
        if self._adversary is not None:
            self._networks["critic"] = self._adversary.critic
        self._stages = {stage.number: stage for stage in stages_of(material)}
        self._whitening = Whitening(material)
        self._place = checkpoint.Place(0 if self._stages[0].steps else 1, 0, 0.0)
        self._checkpoint = checkpoint.Checkpoint(self._run.out / "checkpoint", _settings(material))
        self._begin_stage()
        if resume:
            self._resume()
        else:
            self._checkpoint.require_empty()

    @property
    def metrics(self) -> dict[str, float]:
        """What the finished stages came to."""
        return self._place.metrics

    def updates(self) -> Iterator[Progress]:
        """Every remaining update of all stages, and the comparisons of the whitening."""
        while self._place.stage < len(_TITLES):
            if self._place.stage == _WHITENING:
                yield from self._comparisons()
            elif stage := self._stages.get(self._place.stage):
                yield from self._stage_updates(stage)
                self._averages.put()
                if stage.steps:
                    self._note({stage.metric: round(self._place.average, stage.digits)})
            self._next_stage()

    def _stage_updates(self, stage: Stage) -> Iterator[Progress]:
        speed = _Speed(self._place.step, stage.steps)
        while self._place.step < stage.steps:
            loss, figure, pairs = self._update(stage)
            keep = min(0.99, self._place.step / (self._place.step + 1)) if pairs else 1.0
            self._step_to(keep * self._place.average + (1 - keep) * figure)
            if self._place.step % self._run.checkpoint_every == 0:
                self._save()
            yield speed.progress(self._place, loss, pairs)

    def _comparisons(self) -> Iterator[Progress]:
        whitening = self._whitening
        speed = _Speed(0, whitening.steps)
        while self._place.step < whitening.steps:
            distance, pairs = whitening.compare(self._place.step)
            self._step_to(self._place.average + (distance - self._place.average) / (self._place.step + 1))
            yield speed.progress(self._place, distance, pairs)
        if whitening.steps:
            whitening.finish()

    def _update(self, stage: Stage) -> tuple[float, float, int]:
        """One step of the optimiser; the loss, the lesson's figure and how many pairs it saw."""
        recipe = self._run.recipe
        for group in self._optimiser.param_groups:
            group["lr"] = stage.pace.rate * learning_rate(recipe, self._place.step, stage.steps)
        self._optimiser.zero_grad(set_to_none=True)
        lesson = stage.lesson(self._place.step)
        lesson.loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip > 0:
            nn.utils.clip_grad_norm_(self._optimiser.param_groups[0]["params"], recipe.clip)
        self._optimiser.step()
        self._averages.update(self._place.step)
        return float(lesson.loss.detach()), lesson.figure, lesson.pairs

    def _begin_stage(self) -> None:
        """Make ready what the current stage trains, or the last one did, with what changes and averages it."""
        stage = self._stages[max(number for number in self._stages if number <= self._place.stage)]
        learning = stage.begin()
        self._optimiser = optimiser_of(learning, self._run.recipe, stage.pace)
        self._averages = Averages(learning, self._run.recipe.average if stage.averaged and stage.steps else 0.0)

    def _step_to(self, average: float) -> None:
        self._place = replace(self._place, step=self._place.step + 1, average=average)

    def _note(self, metrics: dict[str, float]) -> None:
        self._place = replace(self._place, metrics={**self._place.metrics, **metrics})

    def _next_stage(self) -> None:
        self._place = replace(self._place, stage=self._place.stage + 1, step=0, average=0.0)
        if self._place.stage in self._stages:
            self._begin_stage()
        self._save()

    def _resume(self) -> None:
        state = self._checkpoint.load(self._networks, tuple(self._tensors()))
        self._place = checkpoint.Place(state.stage, state.step, state.average, state.metrics)
        self._begin_stage()
        checkpoint.restore_optimiser(self._optimiser, state.tensors["optimiser"])
        self._averages.restore(state.tensors["averages"])
        if self._adversary is not None:
            checkpoint.restore_optimiser(self._adversary.optimiser, state.tensors["critic_optimiser"])

    def _save(self) -> None:
        self._checkpoint.save(self._networks, self._tensors(), self._place)

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint holds beside the networks."""
        tensors = {"optimiser": checkpoint.flattened(self._optimiser), "averages": self._averages.state()}
        if self._adversary is not None:
            tensors["critic_optimiser"] = checkpoint.flattened(self._adversary.optimiser)
        return tensors


def stages_of(material: Material) -> tuple[Stage, ...]:
    """The stages of a run; of the last ones the first where there is a head or an estimator, the second where there is
    a head, the third where there is an estimator."""
    config = material.run.config
    last: tuple[Stage, ...] = (HeadStage(material),) if config.head or config.estimate else ()
    last = (*last, LastLayerStage(material)) if config.head else last
    last = (*last, EstimatorStage(material)) if config.estimate else last
    if material.run.recipe.beside:
        return IdentityStage(material), BesideStage(material), PolishingStage(material), *last
    return IdentityStage(material), GenerationStage(material), RefinementStage(material), *last


class _Speed:
    """How fast a stage goes, since it was begun or gone on with."""

    def __init__(self, first: int, steps: int) -> None:
        self._started, self._first, self._steps = time.monotonic(), first, steps

    def progress(self, place: checkpoint.Place, loss: float, pairs: int) -> Progress:
        rate = (place.step - self._first) / max(time.monotonic() - self._started, 1e-9)
        left = (self._steps - place.step) / rate
        return Progress(place.stage, place.step, self._steps, loss, place.average, rate * pairs, left)


def _settings(material: Material) -> dict[str, object]:
    """What must be equal for a run to go on from a checkpoint."""
    run = material.run
    settings = {"recipe": asdict(run.recipe), "seed": run.seed, "task": run.space.name, "network": asdict(run.config)}
    begun = {"started_from": run.start.digest} if run.start else {}
    return {**settings, "data": material.pairs.digest(), **begun}


def optimiser_of(parameters: list[nn.Parameter], recipe: Recipe, pace: Pace) -> torch.optim.Optimizer:
    """What changes these weights."""
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, recipe.learning_rate, momentum=recipe.momentum)
    decay = pace.decay * recipe.weight_decay
    return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=decay, betas=pace.betas)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Of one step of a stage: rising over the warm-up, and falling as a half cosine where the recipe says so
    (Loshchilov, Hutter, ICLR 2017)."""
    rate = recipe.learning_rate
    warmup = min(recipe.warmup, steps // 5)  # a short run is not all warm-up
    if warmup:
        rate *= min(1.0, (step + 1) / warmup)
    if recipe.cosine:
        rate *= 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return rate
