"""What photographs vary in and the paper's protocol does not: every knob of a data base made to learn from for real
pictures. Each can be turned off on its own, so that an ablation shows what it is worth.

Backgrounds, exposure, white balance, gamma, misalignment and mirroring are not here: they are drawn anew for every
batch (`faceedit.training.augmentation`), from the masks that the data base holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceedit.synth.head import Floats
from faceedit.synth.scene import ILLUMINATIONS, Illumination, Light

_SMILE = ("mouthSmile", "cheekRaiser", "eyeSquint", "mouthUpperUp", "mouthDimple", "mouthStretch")
_QUIET = ("browDown", "browInnerUp", "browOuterUp", "eyeSquint", "eyeWide", "mouthPress", "mouthShrugLower",
          "mouthFrown", "mouthSmile", "mouthRollLower", "eyeBlink")  # fmt: skip
_LOUD = ("browDown", "browInnerUp", "browOuterUp", "cheekPuff", "eyeSquint", "eyeWide", "eyeBlink", "mouthFrown",
         "mouthFunnel", "mouthPucker", "mouthUpperUp", "mouthLowerDown", "mouthStretch", "noseSneer", "jawOpen",
         "mouthDimple", "mouthPress", "mouthShrugUpper")  # fmt: skip


@dataclass(frozen=True)
class Variety:
    """expressions: how many faces each person makes; the first is calm, the second smiles, more are anything.
    quiet: how far even a calm face is from the model's neutral one. lights: set-ups for each person, the same for all
    poses and expressions. studio: share of set-ups that are free (several soft lamps, tinted) instead of one of the
    twenty. yaw, pitch, roll: spread of the head's attitude in one picture, degrees. clothing: necklines and patterns
    instead of one plain colour. detail: strength of fine skin texture. asymmetry: how unlike an expression is on both
    halves of the face. hair_style, hair_length, hair_volume, hair_colour: each person's own, instead of short, of
    middle volume and brown. beards, glasses: some people have them."""

    expressions: int = 2
    quiet: float = 0.18
    lights: int = 3
    studio: float = 0.65
    yaw: float = 2.5
    pitch: float = 4.0
    roll: float = 2.5
    clothing: bool = True
    detail: float = 1.0
    asymmetry: float = 0.25
    hair_style: bool = True
    hair_length: bool = True
    hair_volume: bool = True
    hair_colour: bool = True
    beards: bool = True
    glasses: bool = True

    def __post_init__(self) -> None:
        if min(self.expressions, self.lights) < 1 or not 0 <= self.studio <= 1:
            raise ValueError(
                f"expressions {self.expressions}, lights {self.lights}, studio {self.studio}: expected at least one of "
                "the first two, and a share in 0..1"
            )


EXPRESSIONS = ("calm", "smiling", "other")


def expression_name(number: int) -> str:
    """'calm', 'smiling', 'other', 'other2', ..."""
    return EXPRESSIONS[number] if number < len(EXPRESSIONS) else f"other{number - 1}"


def sample_expression(number: int, variety: Variety, names: Sequence[str], rng: np.random.Generator) -> Floats:
    """Weights (E,) in 0..1 of the expression shapes `names` for the face of this number."""
    weights = dict.fromkeys(names, 0.0)

    def add(shape: str, strength: float) -> None:
        for side in ("", "_L", "_R"):
            if shape + side in weights:
                weights[shape + side] += strength * max(0.0, 1 + variety.asymmetry * rng.normal())

    for shape in rng.choice(_QUIET, size=4, replace=False):
        add(str(shape), variety.quiet * rng.random())
    if number == 1:
        smile = rng.uniform(0.45, 1.0)
        for shape in _SMILE:
            add(shape, smile * (1.0 if shape == "mouthSmile" else rng.uniform(0.1, 0.7)))
        add("jawOpen", rng.uniform(0, 0.16) * (rng.random() < 0.6))
        if rng.random() < 0.6:  # teeth
            add("mouthUpperUp", rng.uniform(0.2, 0.6))
    elif number > 1:
        for shape in rng.choice(_LOUD, size=3, replace=False):
            add(str(shape), rng.uniform(0.3, 0.9))
    return np.clip([weights[name] for name in names], 0, 1).astype(np.float32)


def sample_illumination(variety: Variety, rng: np.random.Generator) -> Illumination:
    """One of the twenty, or a studio: a large lamp in front, perhaps one that fills and one from behind."""
    if rng.random() >= variety.studio:
        return ILLUMINATIONS[int(rng.integers(len(ILLUMINATIONS)))]
    tint = np.exp(rng.normal(size=3) * 0.06)
    even = rng.random() < 0.35
    key = Light(rng.uniform(-60, 60), rng.uniform(0, 50), rng.uniform(0.7, 1.9), rng.uniform(0.15, 0.6))
    lamps = [key]
    if even or rng.random() < 0.6:
        share = rng.uniform(0.7, 1.1) if even else rng.uniform(0.2, 0.7)
        lamps.append(
            Light(-key.azimuth + rng.normal() * 8, rng.uniform(0, 40), key.power * share, rng.uniform(0.2, 0.6))
        )
    if rng.random() < 0.25:
        lamps.append(
            Light(rng.choice([-1, 1]) * rng.uniform(100, 150), rng.uniform(10, 50), rng.uniform(0.5, 2.0), 0.2)
        )
    red, green, blue = (float(v) for v in tint / tint.mean())
    return Illumination(room=float(rng.uniform(0.35, 1.0)), flashes=tuple(lamps), tint=(red, green, blue))
