"""From what is asked of a training, in words, to a run and what it learns from. What is refused is refused before
anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.attributes import AttributeSpace
from faceedit.training.recipes import Recipe, recipe_named
from faceedit.training.sets import read_training_set

if TYPE_CHECKING:
    from faceedit.training.pairs import PairSet
    from faceedit.training.run import TrainingRun


@dataclass(frozen=True)
class Asked:
    """data: folders with a manifest.csv, or such files; recipe: by name; settings: those with options of their own, by
    name, None for the recipe's; knobs: others as NAME=VALUE; start: a model's folder."""

    space: AttributeSpace
    data: Sequence[Path]
    out: Path
    recipe: str = "best"
    settings: Mapping[str, float | None] = field(default_factory=dict)
    knobs: Sequence[str] = ()
    seed: int = 0
    start: Path | None = None
    device: str = "auto"

    def chosen(self, tell: Callable[[str], None]) -> Recipe:
        """The recipe with all settings; tell: is called with a sentence for each that changes nothing. Raises
        TrainingError, UsageError."""
        knobs = [f"{name}={value}" for name, value in self.settings.items() if value is not None] + list(self.knobs)
        recipe = recipe_named(self.recipe, self.space.name).turned(knobs)
        for note in recipe.idle(text.partition("=")[0].strip() for text in knobs):
            tell(note)
        return recipe


def prepared(
    asked: Asked, resume: bool, tell: Callable[[str], None], require: Callable[[Path], None]
) -> tuple[TrainingRun, PairSet]:
    """The run and its pairs. resume: go on from the checkpoint in the folder; require: raises where nothing can be
    written into that folder. Raises ManifestError, TrainingError, UsageError, ModelFileError, ImageError."""
    recipe = asked.chosen(tell)
    placed, drawn = recipe.sees_places, recipe.augmentation
    given = read_training_set(asked.data, asked.space, loose=placed and not recipe.network.still)
    from faceedit.devices import choose_device
    from faceedit.modelfile import load_model
    from faceedit.training.pairs import load_pairs
    from faceedit.training.run import TrainingRun

    run = TrainingRun(
        asked.space,
        recipe,
        asked.out,
        seed=asked.seed,
        device=choose_device(asked.device),
        provenance=given.provenance,
        licence=given.licence,
        start=load_model(asked.start) if asked.start else None,
    )
    run.require_startable(resume)
    require(asked.out)
    loosely, cut_out = recipe.network.flow, drawn is not None
    return run, load_pairs(given.manifest, asked.space, cut_out, placed=placed, loosely=loosely)
