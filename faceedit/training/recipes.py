"""Training recipes by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from faceedit.errors import UsageError
from faceedit.networks import NetworkConfig
from faceedit.training.augmentation import Augmentation
from faceedit.training.knobs import knobs_of, turned

_NEEDS = {
    **dict.fromkeys(("share", "look_back", "estimate", "perceptual", "steps_identity", "identity_people"), "identity"),
    **dict.fromkeys(("whitening", "steps_whitening"), "head"),
    **dict.fromkeys(("flows", "blend", "smooth"), "flow"),
}
_GOES_WITH = {"identity": ("look_back=off", "estimate=0"), "head": ("look_back=off",)}  # no network has it alone


@dataclass(frozen=True)
class Recipe:
    """How to train both stages.

    sources, targets: pictures and targets of each in one batch; steps_one, steps_two: updates per stage.
    summed_loss: squared error summed over a picture (averaged over the batch) instead of its mean.
    include_same: a picture's own pose is a target too, as it is when a gallery picture is described.
    contrast: weight, in stage two, of telling apart the descriptors of the same edit reached from two sources among
    look-alikes (InfoNCE, van den Oord et al. 2018): at most contrast_people x contrast_conditions such edits, between
    the same two values or, where an identity network tells people apart already, between two of each person's own and
    among that person's alone.
    network: what is trained; its number of attribute values is the task's own, whatever stands here.
    Beyond the paper: gradient: weight of a gradient difference loss; augmentation: what is drawn anew
    for every batch (needs a data set with masks), and targets on neutral grey; steps_identity: updates of the identity
    network, which learns first, from identity_people people in a batch; perceptual: weight of a feature loss, between
    what the identity network sees in a picture and in its truth; joint: stage two goes on training the generation
    network, on the contrast as well, instead of standing on what stage one left; whitening: after stage two, make each
    direction of the head's descriptors count for less, the more those of the imagined and of the stored picture differ
    along it in steps_whitening batches, with so many times the mean variance added in each (0: leave them).
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
    gradient: float = 0.0
    augmentation: Augmentation | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    steps_identity: int = 0
    identity_people: int = 64
    perceptual: float = 0.0
    whitening: float = 0.0
    steps_whitening: int = 100
    joint: bool = False
    flows: float = 0.0
    blend: float = 0.0
    smooth: float = 0.0

    def __post_init__(self) -> None:
        counts = ("sources", "targets", "contrast_people", "contrast_conditions", "identity_people", "steps_whitening")
        small = [name for name in counts if getattr(self, name) < 1]
        if small:
            raise ValueError(f"{', '.join(small)} must be at least 1")
        if self.network.estimate > 0 and self.contrast == 0:
            raise ValueError("an estimate is learnt together with the contrast: set contrast above 0, or estimate to 0")
        if self.whitening < 0:
            raise ValueError("whitening must be 0 or more")
        if self.whitening > 0 and self.network.head > 0 and self.contrast == 0:
            raise ValueError("whitening compares what the contrast does: set contrast above 0, or whitening to 0")

    def turned(self, knobs: Sequence[str]) -> Recipe:
        """A copy with knobs set by texts NAME=VALUE; what needs a part of the network that is left out goes with it,
        where it is not set itself. Raises UsageError as `faceedit.training.knobs.turned` does."""
        given = {text.partition("=")[0].strip().rpartition(".")[2]: text.partition("=")[2].strip() for text in knobs}
        left_out = [name for name in _GOES_WITH if given.get(name) == "0"]
        with_it = {text for name in left_out for text in _GOES_WITH[name] if text.partition("=")[0] not in given}
        return turned(self, knobs, also=sorted(with_it))

    def idle(self, names: Iterable[str]) -> list[str]:
        """What to tell about those settings among `names` that do nothing, since another one is 0."""
        knobs = knobs_of(self)
        unused = [(n, _NEEDS[n]) for n in names if n in _NEEDS and knobs[n] and not knobs[_NEEDS[n]]]
        return [f"{name} has no effect without {needed}" for name, needed in unused]

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

FAST = Recipe(
    name="fast",
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=1e-4,
    sources=8,
    targets=7,
    steps_one=8_000,
    steps_two=1_200,
    warmup=200,
    cosine=True,
    clip=1.0,
    include_same=True,
    contrast=0.2,
)

BEST = Recipe(
    name="best",
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    sources=8,
    targets=4,
    steps_one=7_000,
    steps_two=2_500,
    warmup=300,
    cosine=True,
    clip=1.0,
    include_same=True,
    contrast=0.5,
    contrast_scale=16.0,
    contrast_people=4,
    contrast_conditions=8,
    gradient=0.2,
    augmentation=Augmentation(grey=0.1),
    steps_identity=2_500,
    perceptual=0.2,
    joint=True,
    whitening=0.1,
    network=NetworkConfig(
        mixing=4, head=512, identity=256, share=0.7, candidate=0.3, skip=True, look_back=True, estimate=0.2
    ),
)

RECIPES = {recipe.name: recipe for recipe in (PAPER, FAST, BEST)}


def recipe_named(name: str) -> Recipe:
    """The recipe of this name; raises UsageError for an unknown one."""
    if name not in RECIPES:
        raise UsageError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
