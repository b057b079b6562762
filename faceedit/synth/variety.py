"""What photographs vary in and the paper's protocol does not: every knob of a database made to learn from for real
pictures. Each can be turned off on its own, so that an ablation shows what it is worth.

Backgrounds, exposure, white balance, gamma, misalignment and mirroring are not here: they are drawn anew for every
batch (`faceedit.training.augmentation`), from the masks that the database holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from faceedit.synth.head import Floats
from faceedit.synth.scene import ILLUMINATIONS, Illumination, Light

_SMILE = ("mouthSmile", "cheekRaiser", "eyeSquint", "mouthUpperUp", "mouthDimple", "mouthStretch")
_QUIET = (
    "browDown",
    "browInnerUp",
    "browOuterUp",
    "eyeSquint",
    "eyeWide",
    "mouthPress",
    "mouthShrugLower",
    "mouthFrown",
    "mouthSmile",
    "mouthRollLower",
    "eyeBlink",
)
_TILT = 15.0  # degrees that a head is inclined at most
_LOUD = (
    "browDown",
    "browInnerUp",
    "browOuterUp",
    "cheekPuff",
    "eyeSquint",
    "eyeWide",
    "eyeBlink",
    "mouthFrown",
    "mouthFunnel",
    "mouthPucker",
    "mouthUpperUp",
    "mouthLowerDown",
    "mouthStretch",
    "noseSneer",
    "jawOpen",
    "mouthDimple",
    "mouthPress",
    "mouthShrugUpper",
)


@dataclass(frozen=True)
class Variety:
    """expressions: how many faces each person makes; the first is calm, the second smiles, more are anything. faint:
    share of smiles that are hardly there, with closed lips. quiet: how far even a calm face is from the model's
    neutral one. lights: set-ups for each person, the same for all poses and expressions. twenty: how many of the
    twenty there are before these, each with their own: to learn what a light makes of a face. studio: share of set-ups
    that are free (several soft lamps, tinted) instead of one of the twenty; wide: these come from farther round and
    from above and below too, small and hard or as wide as a window; turning: they stay where the camera is when the
    sitter turns; the twenty stay by the head, as where cameras stand around it; exposed: they are as bright as a
    photographer would have them.
    sitting: spread of the pitch in which a person sits, the same in all seven poses, degrees. stray: how far people
    are from the pose that they are asked for: spread of the yaw, degrees; of pitch and roll half of it.
    loose: pictures beside the seven poses, to turn from and never to: yaw: anywhere within so many degrees; pitch,
    roll: spread, at most 15 degrees.
    clothing: necklines and patterns instead of one plain colour. detail: strength of fine skin texture. asymmetry: how
    unlike an expression is on both halves of the face. hair_style, hair_length, hair_volume, hair_colour: each
    person's own, instead of short, of middle volume and brown. beards, glasses: some people have them. even: skin
    colours and ages are spread evenly; sexes: half of the people have hair and brows as women have them more often,
    half of them as men, with beards. strands: how much hair is out of place. makeup, earrings: most women, some of
    both. glare: glasses mirror and are tinted. shine: moist skin has narrow highlights."""

    expressions: int = 2
    faint: float = 0.0
    quiet: float = 0.18
    lights: int = 3
    twenty: int = 0
    studio: float = 0.8
    wide: bool = True
    turning: bool = True
    exposed: bool = True
    sitting: float = 4.0
    stray: float = 0.0
    loose: int = 5
    yaw: float = 55.0
    pitch: float = 6.0
    roll: float = 5.0
    clothing: bool = True
    detail: float = 1.0
    asymmetry: float = 0.25
    hair_style: bool = True
    hair_length: bool = True
    hair_volume: bool = True
    hair_colour: bool = True
    beards: bool = True
    glasses: bool = True
    even: bool = True
    sexes: bool = True
    strands: float = 1.0
    makeup: bool = True
    earrings: bool = True
    glare: bool = True
    shine: bool = True

    def __post_init__(self) -> None:
        if min(self.expressions, self.lights) < 1 or not 0 <= self.studio <= 1 or not 0 <= self.faint <= 1:
            raise ValueError(
                f"expressions {self.expressions}, lights {self.lights}, studio {self.studio}, faint {self.faint}: "
                "expected at least one of the first two, and shares in 0..1"
            )
        if self.loose < 0 or not 0 <= self.twenty <= len(ILLUMINATIONS):
            raise ValueError(
                f"loose {self.loose}, twenty {self.twenty}: expected 0 or more, and at most {len(ILLUMINATIONS)} lights"
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
        faint = variety.faint > 0 and rng.random() < variety.faint
        smile = rng.uniform(0.12, 0.45) if faint else rng.uniform(0.45, 1.0)
        for shape in _SMILE:
            add(shape, smile * (1.0 if shape == "mouthSmile" else rng.uniform(0.1, 0.7)))
        if not faint:
            add("jawOpen", rng.uniform(0, 0.16) * (rng.random() < 0.6))
            if rng.random() < 0.6:  # teeth
                add("mouthUpperUp", rng.uniform(0.2, 0.6))
    elif number > 1:
        for shape in rng.choice(_LOUD, size=3, replace=False):
            add(str(shape), rng.uniform(0.3, 0.9))
    return np.clip([weights[name] for name in names], 0, 1).astype(np.float32)


def sample_attitude(pose: int | None, pitch: float, variety: Variety, rng: np.random.Generator) -> Floats:
    """Yaw, pitch and roll in degrees of a person who sits at this pitch: at a pose, exactly but for the variety's
    `stray`, or (None) anywhere."""
    if pose is not None:
        if not variety.stray:
            return np.array([pose, pitch, 0.0], np.float32)
        off = variety.stray * np.array([1, 0.5, 0.5]) * rng.normal(size=3)
        return np.array([pose + off[0], *np.clip([pitch + off[1], off[2]], -_TILT, _TILT)], np.float32)
    tilt = rng.normal(size=2) * [variety.pitch, variety.roll]
    yaw = rng.uniform(-variety.yaw, variety.yaw)
    return np.array([yaw, *np.clip([pitch + tilt[0], tilt[1]], -_TILT, _TILT)], np.float32)


def numbered_lights(seed: int, variety: Variety) -> tuple[int, ...]:
    """The number of each set-up of the person of this seed: of those among the twenty their own, then from 20 on; from
    0 on where there are none of the twenty."""
    if not variety.twenty:
        return tuple(range(variety.lights))
    chosen = np.random.default_rng([seed, 0x20]).choice(len(ILLUMINATIONS), variety.twenty, replace=False)
    return (*sorted(int(number) for number in chosen), *range(len(ILLUMINATIONS), len(ILLUMINATIONS) + variety.lights))


def sample_illumination(variety: Variety, rng: np.random.Generator) -> Illumination:
    """One of the twenty, or a studio: a large lamp in front, perhaps one that fills and one from behind."""
    if rng.random() >= variety.studio:
        return ILLUMINATIONS[int(rng.integers(len(ILLUMINATIONS)))]
    tint = np.exp(rng.normal(size=3) * (0.045 if variety.wide else 0.06))
    even = rng.random() < 0.35
    key = _wide_lamp(rng) if variety.wide else _lamp(rng)
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
    room = float(rng.uniform(0.35, 1.0))
    light = Illumination(room, flashes=tuple(lamps), tint=(red, green, blue), by_camera=variety.turning)
    return _exposed(light, rng.uniform(0.75, 1.5)) if variety.exposed else light


def _exposed(light: Illumination, level: float) -> Illumination:
    """The same lamps, all brighter or dimmer, so that a face that looks into the camera is lit at this level."""
    frontal = sum(lamp.power / np.pi * (0.15 + 0.85 * max(0.0, float(lamp.direction[2]))) for lamp in light.flashes)
    gain = float(level / (0.45 * light.room + frontal))
    lamps = tuple(replace(lamp, power=lamp.power * gain) for lamp in light.flashes)
    return replace(light, room=light.room * gain, flashes=lamps)


def _lamp(rng: np.random.Generator) -> Light:
    return Light(rng.uniform(-60, 60), rng.uniform(0, 50), rng.uniform(0.7, 1.9), rng.uniform(0.15, 0.6))


def _wide_lamp(rng: np.random.Generator) -> Light:
    """A lamp, a window, the sun: mostly in front and above, of any size."""
    azimuth = float(np.clip(rng.normal() * 45, -95, 95))
    elevation = float(np.clip(20 + rng.normal() * 22, -25, 75))
    return Light(azimuth, elevation, rng.uniform(0.7, 2.4), float(np.exp(rng.uniform(np.log(0.03), np.log(0.9)))))
