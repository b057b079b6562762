"""Training recipes by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from faceedit.errors import UsageError
from faceedit.networks import NetworkConfig
from faceedit.training.augmentation import Augmentation
from faceedit.training.knobs import is_off, knobs_of, turned

_NEEDS = {  # at least one of these
    **dict.fromkeys(("share", "look_back", "estimate", "perceptual", "perceptual_two"), ("identity",)),
    **dict.fromkeys(("steps_identity", "identity_people", "identity_alone"), ("identity",)),
    **dict.fromkeys(("head_hidden", "whitening", "steps_whitening", "steps_last", "last_people"), ("head",)),
    **dict.fromkeys(("steps_head", "head_people", "head_conditions", "head_kept"), ("head", "estimate")),
    **dict.fromkeys(("steps_estimator", "estimator_pictures"), ("estimate",)),
    "last_studio": ("head", "estimate"),
    **dict.fromkeys(("flows", "blend", "smooth", "still"), ("flow",)),
    "kept": ("still",),
}
_GOES_WITH = {  # no network has it alone
    "identity": ("look_back=off", "estimate=0", "soft=off"),
    "estimate": ("soft=off",),
    "candidate": ("soft=off",),
    "head": ("look_back=off", "head_hidden=0"),
    "mixing": ("flow=off", "still=off", "kept=off"),
    "skip": ("flow=off", "still=off", "kept=off"),
    "flow": ("still=off", "kept=off"),
    "still": ("kept=off",),
}


class PictureWeights(NamedTuple):
    """What is wrong with a stage's pictures, weighed: their squared and absolute errors, how unlike their edges are,
    and how unlike the identity network finds them."""

    squared: float
    absolute: float
    gradient: float
    perceptual: float


@dataclass(frozen=True)
class Recipe:
    """How to train both stages.

    sources, targets: pictures and targets of each in one batch; steps_one, steps_two: updates per stage.
    summed_loss: squared error summed over a picture (averaged over the batch) instead of its mean.
    include_same: a picture's own pose is a target too, as it is when a gallery picture is described.
    contrast: weight, where stage two learns, of telling apart the paper's descriptors of the same edit reached from two
    sources among look-alikes (InfoNCE, van den Oord et al. 2018), as a mean over its four directions: at most
    contrast_people x contrast_conditions such edits, between the same two values or, in every second batch where an
    identity network tells people apart already, between two of each person's own.
    network: what is trained; its number of attribute values is the task's own, whatever stands here.
    Beyond the paper: squared, gradient, perceptual: weights of stage one's squared error, of a gradient difference loss
    and of a feature loss, between what the identity network sees in a picture and in its truth; squared_two,
    absolute_two, gradient_two, perceptual_two: of stage two's; augmentation: what is drawn anew for every batch (needs
    a data set with masks), and targets on neutral grey; steps_identity: updates of the identity network, which learns
    first, from identity_people people with up to two expressions in a batch and identity_alone with one.
    beside: stage two learns beside stage one, on what that makes at the time and without a gradient into it; the
    contrast's pictures are in the same batches. What is called stage two, afterwards, is its decoder alone.
    keep: weight of how far stage two's colours, coarsely, are from those of stage one, which copied them; critic: of a
    critic that tells made patches from real ones, which sets in late where stage two learns; average: keep, after
    either stage, its weights averaged over the updates with so much of the average before (0: as the last one left
    them). steps_head: updates, afterwards, of the descriptor's head and the value estimator alone, by head_people
    people under head_conditions conditions in a batch; head_kept: only so many batches are made, and what stands still
    makes of them lies in the folder of the run while they are learned from again and again (0: another for each
    update); whitening: then make each direction of the head's descriptors count for less, the more those of the
    imagined and of the stored picture differ along it in steps_whitening batches, with so many times the mean variance
    added in each (0: leave them). steps_last: updates, after that, of the head's last layer and what is beside it
    alone, which tell apart everything that last_people people have at one value; last_studio: share of all people whose
    pictures then are as they were rendered, on black where they are cut out, instead of in a sitting drawn for them.
    steps_estimator: updates, at last, of the value estimator alone, by estimator_pictures pictures in each, of which
    last_studio are as they were rendered.
    Where the network moves pixels (needs a data set that says what each pixel shows): flows, blend, smooth: weights of
    how far both flows are from their truth, of which source a pixel is taken from, and of how rough the flows are.
    """

    not_knobs: ClassVar = frozenset({"attributes", "compact"})  # of the network: the task's, and not for training

    name: str
    optimiser: str
    learning_rate: float
    sources: int
    targets: int
    steps_one: int
    steps_two: int
    momentum: float = 0.0
    weight_decay: float = 0.0
    warmup: int = 0
    cosine: bool = False
    clip: float = 0.0
    summed_loss: bool = False
    include_same: bool = False
    contrast: float = 0.0
    contrast_scale: float = 32.0
    contrast_people: int = 6
    contrast_conditions: int = 5
    squared: float = 1.0
    gradient: float = 0.0
    perceptual: float = 0.0
    squared_two: float = 1.0
    absolute_two: float = 0.0
    gradient_two: float = 0.0
    perceptual_two: float = 0.0
    augmentation: Augmentation | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    steps_identity: int = 0
    identity_people: int = 64
    identity_alone: int = 0
    beside: bool = False
    keep: float = 0.0
    critic: float = 0.0
    average: float = 0.0
    steps_head: int = 1_000
    head_people: int = 40
    head_conditions: int = 4
    head_kept: int = 0
    whitening: float = 0.0
    steps_whitening: int = 100
    steps_last: int = 0
    last_people: int = 24
    last_studio: float = 0.5
    steps_estimator: int = 0
    estimator_pictures: int = 64
    flows: float = 0.0
    blend: float = 0.0
    smooth: float = 0.0

    def __post_init__(self) -> None:
        counts = ("sources", "targets", "contrast_people", "contrast_conditions", "identity_people", "steps_whitening")
        more = ("head_people", "head_conditions", "last_people", "estimator_pictures")
        small = [name for name in (*counts, *more) if getattr(self, name) < 1]
        if small:
            raise ValueError(f"{', '.join(small)} must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError("average must be at least 0 and below 1")
        if self.whitening < 0:
            raise ValueError("whitening must be 0 or more")
        if not 0 <= self.last_studio <= 1:
            raise ValueError("last_studio must be in 0..1")

    @property
    def first(self) -> PictureWeights:
        """Of stage one's pictures."""
        return PictureWeights(self.squared, 0.0, self.gradient, self.perceptual)

    @property
    def second(self) -> PictureWeights:
        """Of stage two's."""
        return PictureWeights(self.squared_two, self.absolute_two, self.gradient_two, self.perceptual_two)

    @property
    def updates_of_descriptors(self) -> int:
        """How many updates the head and the estimator have, where there are any."""
        return self.steps_head if self.network.head or self.network.estimate else 0

    @property
    def learns_refinement(self) -> bool:
        """Whether all of stage two learns, not only its decoder, or nothing of it."""
        return (self.steps_one if self.beside else self.steps_two) > 0

    @property
    def sees_places(self) -> bool:
        """Whether what learns needs to know which place of the head each pixel shows: all does but what learns last,
        the head's last layer and the estimator alone."""
        more = max(self.steps_identity, self.steps_one, self.steps_two, self.updates_of_descriptors) > 0
        return self.network.flow and more

    def turned(self, knobs: Sequence[str]) -> Recipe:
        """A copy with knobs set by texts NAME=VALUE; what needs a part of the network that is left out goes with it,
        where it is not set itself. Raises UsageError as `faceedit.training.knobs.turned` does."""
        given = {text.partition("=")[0].strip().rpartition(".")[2]: text.partition("=")[2].strip() for text in knobs}
        left_out = [name for name in _GOES_WITH if is_off(given.get(name, ""))]
        with_it = {text for name in left_out for text in _GOES_WITH[name] if text.partition("=")[0] not in given}
        return turned(self, knobs, also=sorted(with_it))

    def idle(self, names: Iterable[str]) -> list[str]:
        """What to tell about those settings among `names` that do nothing, since others are 0."""
        knobs = knobs_of(self)
        needs = {name: _NEEDS[name] for name in names if name in _NEEDS and knobs[name]}
        unused = [(name, needed) for name, needed in needs.items() if not any(knobs[other] for other in needed)]
        return [f"{name} has no effect without {' or '.join(needed)}" for name, needed in unused]

    @property
    def neutral(self) -> bool:
        """Whether targets stand on neutral grey."""
        return self.augmentation is not None and self.augmentation.neutral

    def network_for(self, values: int) -> NetworkConfig:
        """The network that this recipe trains, for an attribute with so many values."""
        return replace(self.network, attributes=values)

    def shape(self, values: int) -> tuple[int, int]:
        """Sources and targets of each in a batch, for an attribute with so many values: where it has fewer than
        `targets`, more sources make as many pairs."""
        targets = min(self.targets, values)
        return self.sources * self.targets // targets, targets


PAPER = Recipe(
    name="paper",
    optimiser="sgd",
    learning_rate=1e-6,
    momentum=0.95,
    sources=32,
    targets=1,
    steps_one=20_000,
    steps_two=10_000,
    summed_loss=True,
)

BEST = Recipe(
    name="best",
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    sources=192,
    targets=2,
    steps_one=2_300,
    steps_two=2_100,
    warmup=200,
    cosine=True,
    clip=1.0,
    include_same=True,
    contrast=0.2,
    contrast_scale=24.0,
    contrast_people=64,
    contrast_conditions=1,
    squared=0.5,
    gradient=0.25,
    perceptual=0.2,
    squared_two=0.35,
    absolute_two=0.15,
    gradient_two=0.5,
    perceptual_two=1.0,
    augmentation=Augmentation(gamma=0.3, exposure=0.25, white_balance=0.1, roll=4.0, grey=0.1),
    steps_identity=10_000,
    identity_people=128,
    identity_alone=128,
    beside=True,
    keep=1.0,
    critic=0.3,
    average=0.999,
    steps_head=3_400,
    whitening=0.1,
    steps_whitening=120,
    steps_last=3_000,
    steps_estimator=2_000,
    flows=4.0,
    blend=1.0,
    smooth=0.03,
    network=NetworkConfig(
        mixing=4,
        head=512,
        head_hidden=512,
        identity=256,
        share=0.7,
        candidate=0.3,
        colour=0.04,
        skip=True,
        look_back=True,
        estimate=0.2,
        soft=True,
        flow=True,
    ),
)

_STILL = ("colour=0", "still=on", "together=on", "neutral=off", "keep=0", "critic=0", "squared_two=1")
_OF_TASK = {  # what the recipes that move pixels do otherwise where nothing moves
    "illumination": (*_STILL, "blend=0"),
    "inpainting": (*_STILL, "kept=on", "include_same=off", "targets=1", "sources=384"),
}

RECIPES = {recipe.name: recipe for recipe in (PAPER, BEST)}


def recipe_named(name: str, task: str = "pose") -> Recipe:
    """The recipe of this name for a task; raises UsageError for an unknown one."""
    if name not in RECIPES:
        raise UsageError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    return recipe.turned(_OF_TASK.get(task, ())) if recipe.network.flow else recipe
