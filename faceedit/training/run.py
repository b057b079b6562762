"""What a training run is, and what it begins with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from faceedit.attributes import AttributeSpace
from faceedit.errors import TrainingError
from faceedit.modelfile import Model, Networks, new_networks
from faceedit.networks import (
    SHARED,
    FlowGenerationNetwork,
    Generation,
    GenerationNetwork,
    NetworkConfig,
    expand,
    initialise,
)
from faceedit.training import checkpoint
from faceedit.training.recipes import Recipe


@dataclass(frozen=True)
class TrainingRun:
    """What to train and where to keep it. checkpoint_every: steps between checkpoints in `out`/checkpoint; start: a
    model whose weights to begin with: its refinement network (where both move pixels, or neither does; without the
    decoder, where only one of the two adds it to the first picture) and, where they have the same sizes, its identity
    network, its descriptor's head (which may have no hidden units yet) and, for the same task, its generation network
    and its value estimator; for another task, of a generation network that moves pixels all but what it was told by the
    values."""

    space: AttributeSpace
    recipe: Recipe
    out: Path
    seed: int = 0
    device: str = "cpu"
    checkpoint_every: int = 100
    provenance: dict[str, object] = field(default_factory=dict)
    licence: str = "unspecified"
    start: Model | None = None

    @property
    def config(self) -> NetworkConfig:
        """The sizes of what is trained."""
        return self.recipe.network_for(len(self.space))

    @property
    def takes_generation(self) -> bool:
        """Whether stage one begins with the weights of `start`."""
        if self.start is None or self.start.card.task != self.space:
            return False
        mine, other = self.config, self.start.card.network
        sizes = ["attributes", "hidden", "middle", "attribute_relu", "mixing", "flow", "still", "kept"]
        generation = [*sizes, *(["width"] if mine.mixing else [])]
        return all(getattr(mine, name) == getattr(other, name) for name in generation)

    @property
    def takes_identity(self) -> bool:
        """Whether the identity network begins with the weights of `start`."""
        return self.start is not None and self.start.card.network.identity == self.config.identity > 0

    @property
    def takes_estimator(self) -> bool:
        """Whether the value estimator begins with the weights of `start`."""
        if self.start is None or self.start.card.task != self.space or not self.takes_identity:
            return False
        return self.config.estimate > 0 and self.start.card.network.estimate > 0

    @property
    def takes_head(self) -> bool:
        """Whether the descriptor's head begins with the weights of `start`."""
        if self.start is None:
            return False
        mine, other = self.config, self.start.card.network
        if mine.look_back and not self.takes_identity:  # it would see through other eyes
            return False
        beside = other.head_hidden in (0, mine.head_hidden)  # what begins beside it begins with nothing
        return mine.head == other.head > 0 and mine.look_back == other.look_back and beside

    @property
    def takes_descriptor(self) -> bool:
        """Whether all that makes learned descriptors of stage two begins with the weights of `start`, and nothing is
        left over."""
        if self.start is None:
            return False
        mine, other = self.config, self.start.card.network
        head = self.takes_head if mine.head else other.head == 0
        return head and (self.takes_estimator if mine.estimate else other.estimate == 0)

    @property
    def takes_refinement(self) -> bool:
        """Whether all of the refinement network begins with the weights of `start`."""
        if self.start is None or self.start.card.task != self.space:
            return False
        mine, other = self.config, self.start.card.network
        return (mine.skip, mine.flow, mine.kept) == (other.skip, other.flow, other.kept)

    @property
    def whitens(self) -> bool:
        """Whether the descriptor's head is whitened: it and what it sees have learnt something."""
        recipe = self.recipe
        learnt = recipe.steps_head > 0 or self.takes_head
        seen = recipe.learns_refinement or self.takes_refinement
        return recipe.whitening > 0 and self.config.head > 0 and learnt and seen

    def require_startable(self, resume: bool) -> None:
        """Raise TrainingError, before anything is read, when `out` holds another run or nothing to resume."""
        self._require_weights()
        place = checkpoint.Checkpoint(self.out / "checkpoint", {})
        if resume:
            place.require_present()
            return
        place.require_empty()
        if (self.out / "model.json").exists():
            raise TrainingError(f"{self.out} holds a model already: train to another --out")

    def _require_weights(self) -> None:
        """What does not learn has to be a trained model's."""
        if self.recipe.steps_one == 0 and not self.takes_generation:
            raise TrainingError(
                f"without a single update stage one has to start from a trained model for {self.space.name} of the "
                "same sizes: give one with --start"
            )
        if self.config.identity and self.recipe.steps_identity == 0 and not self.takes_identity:
            raise TrainingError(
                "without a single update the identity network has to be a trained model's: give one of the same size "
                "with --start, or set --knob identity=0"
            )
        if not self.recipe.learns_refinement:
            self._require_refinement()
        if (self.config.head or self.config.estimate) and self.recipe.steps_head == 0:
            self._require_descriptor()

    def _require_refinement(self) -> None:
        """Without an update of stage two, or with its decoder alone, it is that of a finished model."""
        recipe = self.recipe
        alone = (self.config.head and (recipe.whitening or recipe.steps_last)) or (
            self.config.estimate and recipe.steps_estimator
        )
        if not (recipe.steps_two or recipe.updates_of_descriptors or alone):
            raise TrainingError(
                "no update of stage two, and no descriptor head to learn, to whiten or to go on with its last layer, "
                "nor an estimator to learn: set --steps-two above 0"
            )
        if recipe.steps_one:
            raise TrainingError(
                "without an update of stage two nothing before it may change: set --steps-one 0 too, or --steps-two "
                "above 0"
            )
        if not self.takes_refinement:
            raise TrainingError(
                f"without a single update stage two has to be that of a trained model for {self.space.name}, with the "
                "same skip and flow: give one with --start"
            )
        if self.start is not None and self.start.card.neutral != recipe.neutral:
            raise TrainingError(
                "without a single update faces stay before the background they were trained for: set --knob "
                f"neutral={'on' if self.start.card.neutral else 'off'}"
            )

    def _require_descriptor(self) -> None:
        """Without an update of head and estimator, they are those of a finished model, and see what they saw there."""
        recipe = self.recipe
        if recipe.learns_refinement or (self.config.identity and recipe.steps_identity):
            raise TrainingError(
                "without an update of the descriptor nothing that it is made of may change: set --steps-one 0, "
                "--steps-two 0 and --knob steps_identity=0 too, or --knob steps_head above 0"
            )
        if not self.takes_descriptor:
            raise TrainingError(
                f"without a single update the descriptor has to be that of a trained model for {self.space.name}, with "
                "the same head, head_hidden (or none yet), look_back, identity and estimator: give one with --start, "
                "or set --knob steps_head above 0"
            )
        assert self.start is not None
        if self.config.head_hidden and not self.start.card.network.head_hidden and not recipe.steps_last:
            raise TrainingError(
                f"the head's {self.config.head_hidden} hidden units, which --start does not have, would learn nothing: "
                "set --knob head_hidden=0, or --knob steps_last above 0"
            )


def begin(run: TrainingRun) -> Networks:
    """New networks on the run's device, with what fits of the weights of `start`."""
    networks = new_networks(run.config)
    random = torch.Generator().manual_seed(run.seed)
    for network in networks:
        initialise(network, random)
    if run.config.skip:
        networks.refinement.begin_without_correction()
    if run.start is not None:
        _take(run, run.start, networks)
    for network in networks:
        network.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return networks


def _take(run: TrainingRun, start: Model, networks: Networks) -> None:
    mine, other = networks.refinement, start.refinement
    alike = run.config.flow == start.card.network.flow  # else one sees moved sources and the other none
    if alike:
        mine.encoder.load_state_dict(other.encoder.state_dict())
    if alike and mine.skip == other.skip:  # else one decoder makes pictures and the other corrections
        mine.decoder.load_state_dict(other.decoder.state_dict())
    parts = {"identity": run.takes_identity, "head": run.takes_head, "estimator": run.takes_estimator}
    for part, taken in parts.items():
        if taken:
            own, taken_from = (getattr(describer, part) for describer in (networks.describer, start.describer))
            new = own.beside.state_dict(prefix="beside.") if part == "head" and own.beside is not None else {}
            own.load_state_dict({**new, **taken_from.state_dict()})
    if not run.takes_generation:
        _take_moves(networks.generation, start.generation, run.seed)
    else:
        begun = start.generation
        if isinstance(begun, GenerationNetwork) and begun.config.compact:
            begun = expand(begun)
        networks.generation.load_state_dict(begun.state_dict())


_APART = 0.1  # about as far as the poses' are in a trained network


@torch.no_grad()
def _take_moves(mine: Generation, other: Generation, seed: int) -> None:
    """Of a network that moves pixels for another task: all but what it was told by that task's values, whose mean is
    what all values begin with, and something of each value's own, which tells them apart from the first update."""
    moves = isinstance(mine, FlowGenerationNetwork) and isinstance(other, FlowGenerationNetwork)
    if not moves or any(getattr(mine.config, size) != getattr(other.config, size) for size in ("mixing", "width")):
        return
    taken, own = other.state_dict(), mine.state_dict()
    mean = taken.pop("attributes").mean(0)
    apart = torch.randn(len(own["attributes"]), 1, mean.shape[1], generator=torch.Generator().manual_seed(seed))
    for name in ("decoder.layers.4.weight", "decoder.layers.4.bias"):
        if own[name].shape != taken[name].shape:  # one of both has a first flow, the other light
            begun, shared = own[name] * 0, 4 * SHARED
            first, from_ = (4 * 2 * (not network.config.still) for network in (mine, other))
            begun[first : first + shared] = taken[name][from_ : from_ + shared]
            taken[name] = begun
        if mine.config.kept != other.config.kept:  # a colour is not what it was: it is added to what is around
            last = 4 * (SHARED + 2 * (not mine.config.still))
            taken[name][last - 12 : last] = 0
    mine.load_state_dict({**own, **taken, "attributes": own["attributes"] + mean + _APART * apart})


def began_with(start: Model | None) -> dict[str, object]:
    """For the new model's card: which model's weights the run began with, how and on what those were trained, and what
    those began with in turn."""
    if start is None:
        return {}
    card = start.card
    begun: dict[str, object] = {"model": start.digest, "task": card.task.name, "recipe": card.recipe}
    begun |= {name: card.provenance[name] for name in ("seed", "data", "started_from") if name in card.provenance}
    return {"started_from": begun}
