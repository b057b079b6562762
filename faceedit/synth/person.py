"""Who is in the picture: every knob of one rendered person, drawn from a seed.

Colours are linear reflectances (not sRGB) in 0..1, lengths are centimetres, angles degrees. Nothing here is measured
from a real person; the skin palette interpolates between three hand-chosen tones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from faceedit.synth.variety import Variety

Colour = tuple[float, float, float]
Rng = np.random.Generator

SKIN_TONES = np.log(np.array([[0.80, 0.55, 0.45], [0.52, 0.30, 0.205], [0.115, 0.060, 0.042]]))
HAIR_COLOURS: dict[str, tuple[Colour, float]] = {  # colour, share of people
    "black": ((0.012, 0.010, 0.009), 0.36),
    "dark brown": ((0.035, 0.020, 0.012), 0.27),
    "brown": ((0.095, 0.050, 0.024), 0.15),
    "blond": ((0.36, 0.23, 0.10), 0.10),
    "red": ((0.21, 0.065, 0.022), 0.05),
    "grey": ((0.32, 0.31, 0.30), 0.07),
}
_IRIS_COLOURS: dict[str, tuple[Colour, float]] = {
    "dark brown": ((0.030, 0.014, 0.007), 0.42),
    "brown": ((0.085, 0.040, 0.016), 0.26),
    "blue": ((0.10, 0.20, 0.33), 0.14),
    "green": ((0.11, 0.16, 0.07), 0.08),
    "grey": ((0.17, 0.18, 0.19), 0.10),
}
_HAIR_STYLES: dict[str, float] = {
    "short": 0.34,
    "buzz": 0.11,
    "bald": 0.06,
    "swept": 0.14,
    "fringe": 0.08,
    "bob": 0.10,
    "long": 0.17,
}
MIDDLE_LENGTH = {"bob": 9.0, "long": 17.0}


@dataclass(frozen=True)
class Skin:
    """Tone, and what breaks it up: large blotches, fine mottle, flushed cheeks, marks, lines of age."""

    colour: Colour
    blotch: float
    mottle: float
    flush: float
    gloss: float
    marks: int
    freckles: float
    age: float  # 0 smooth .. 1 lined


@dataclass(frozen=True)
class Brows:
    thickness: float
    lift: float
    tilt: float
    density: float


@dataclass(frozen=True)
class Eyes:
    iris: Colour
    iris_radius: float
    lash: float  # width of the dark line along the lids
    shade: float  # darkness around the eye: shadow, tiredness or make-up


@dataclass(frozen=True)
class Lips:
    tint: Colour  # multiplies the skin's colour
    strength: float


@dataclass(frozen=True)
class Hair:
    """style names the outline; the numbers vary it. length is how far it hangs below the eyes."""

    style: str
    colour: Colour
    hairline: float  # shift of the hairline, positive = higher forehead
    recession: float
    volume: float
    length: float
    part: float  # which side it is swept to
    wave: float
    fringe: float = 0.0  # how much of the forehead hanging hair covers, 0..1
    curl: float = 0.0  # depth of curls in the outline, centimetres
    strands: float = 0.0  # loose strands, 0 none .. 1 tousled
    tail: bool = False  # tied behind, and falls from there


@dataclass(frozen=True)
class Beard:
    jaw: float  # how far up the cheek from the jaw line it grows
    moustache: float  # half height of the moustache
    density: float
    goatee: bool


@dataclass(frozen=True)
class Glasses:
    colour: Colour
    width: float
    aspect: float
    squareness: float  # 2 round .. 6 rectangular (exponent of a superellipse)
    wire: float  # radius of the frame's wire
    glare: float = 0.0  # how bright a window is mirrored in the lenses
    window: tuple[float, float] = (0.0, 0.0)  # where that window stands: azimuth and elevation
    shade: float = 0.0  # how much light the lenses keep back, 0..1


@dataclass(frozen=True)
class Earrings:
    """Beads at both lobes, or hoops below them."""

    colour: Colour
    radius: float
    hoop: bool


@dataclass(frozen=True)
class Neckline:
    """Where clothes begin below the chin: a round or pointed cut, perhaps with a pattern."""

    height: float
    point: float  # how much lower in the middle
    stripes: float  # centimetres, 0 for none
    second: Colour


@dataclass(frozen=True)
class Person:
    """One identity. shape: coefficients of the head's modes; texture_seed: where noise and marks lie."""

    shape: NDArray[np.float32] = field(repr=False)
    skin: Skin
    brows: Brows
    eyes: Eyes
    lips: Lips
    hair: Hair
    beard: Beard | None
    glasses: Glasses | None
    clothes: Colour
    texture_seed: int
    detail: float = 0.0  # fine skin texture
    neckline: Neckline | None = None
    earrings: Earrings | None = None
    shine: float = 0.0  # narrow highlights of moist skin


def sample_person(seed: int, modes: int = 100, variety: Variety | None = None) -> Person:
    """Draw the person of this seed: the same seed is the same person for ever, with more detail where `variety` asks
    for it."""
    rng = np.random.default_rng([seed, 0xFACE])
    person = _sample(rng, modes)
    if variety is None:
        return person
    from faceedit.synth.looks import varied

    person = replace(
        person, detail=variety.detail * float(rng.beta(1.5, 2.5)), neckline=_neckline(rng) if variety.clothing else None
    )
    return varied(person, seed, variety)


def _sample(rng: Rng, modes: int) -> Person:
    skin = _skin(rng)
    hair = _hair(rng)
    grows_beard = hair.style not in ("bob", "long") and rng.random() < 0.5
    return Person(
        shape=(rng.normal(size=modes) * 1.05).astype(np.float32),
        skin=skin,
        brows=Brows(rng.uniform(0.32, 0.80), rng.uniform(-0.35, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.70, 1.0)),
        eyes=Eyes(_pick(rng, _IRIS_COLOURS), rng.uniform(0.56, 0.64), rng.uniform(0.08, 0.22), rng.uniform(0.0, 0.4)),
        lips=_lips(rng),
        hair=hair,
        beard=_beard(rng) if grows_beard else None,
        glasses=_glasses(rng) if rng.random() < 0.16 else None,
        clothes=as_colour(rng.uniform(0.02, 0.7, 3)),
        texture_seed=int(rng.integers(2**31)),
    )


def _skin(rng: Rng) -> Skin:
    melanin = 2 * rng.beta(0.95, 1.35)
    low = min(int(melanin), 1)
    tone = SKIN_TONES[low] + (melanin - low) * (SKIN_TONES[low + 1] - SKIN_TONES[low])
    tint = rng.normal(size=3) * np.array([0.05, 0.06, 0.09]) + rng.normal() * 0.06
    return Skin(
        colour=as_colour(np.exp(tone + tint)),
        blotch=rng.uniform(0.02, 0.09),
        mottle=rng.uniform(0.02, 0.07),
        flush=rng.uniform(0.0, 0.45),
        gloss=rng.uniform(0.5, 1.4),
        marks=int(rng.integers(0, 7)),
        freckles=rng.uniform(0.1, 0.3) if rng.random() < 0.12 else 0.0,
        age=rng.beta(1.0, 2.0),
    )


def _hair(rng: Rng) -> Hair:
    style = str(rng.choice(list(_HAIR_STYLES), p=list(_HAIR_STYLES.values())))
    colour = np.array(_pick(rng, HAIR_COLOURS)) * np.exp(rng.normal(size=3) * 0.08 + rng.normal() * 0.25)
    return Hair(
        style=style,
        colour=as_colour(colour),
        hairline=rng.normal() * 0.035,
        recession=rng.uniform(0, 0.16) if style in ("short", "buzz", "swept") else 0.0,
        volume=rng.uniform(0.35, 1.7),
        length={"bob": rng.uniform(6, 12), "long": rng.uniform(13, 22)}.get(style, 0.0),
        part=rng.uniform(-1, 1),
        wave=rng.uniform(0.0, 1.0),
    )


def _lips(rng: Rng) -> Lips:
    natural = np.array([0.88, 0.50, 0.52]) * np.exp(rng.normal(size=3) * 0.07)
    painted = np.array([0.85, 0.30, 0.36]) * np.exp(rng.normal(size=3) * 0.12)
    return Lips(as_colour(painted if rng.random() < 0.12 else natural), rng.uniform(0.6, 1.0))


def _beard(rng: Rng) -> Beard:
    return Beard(
        jaw=rng.uniform(1.0, 3.4),
        moustache=rng.uniform(0.4, 0.95) if rng.random() < 0.75 else 0.0,
        density=rng.beta(1.1, 1.3),
        goatee=bool(rng.random() < 0.3),
    )


def _glasses(rng: Rng) -> Glasses:
    return Glasses(
        colour=as_colour(rng.uniform(0.005, 0.05, 3) if rng.random() < 0.7 else rng.uniform(0.05, 0.4, 3)),
        width=rng.uniform(2.15, 2.65),
        aspect=rng.uniform(0.62, 0.95),
        squareness=rng.uniform(2.0, 5.0),
        wire=rng.uniform(0.10, 0.24),
    )


def _neckline(rng: Rng) -> Neckline:
    striped = rng.random() < 0.3
    return Neckline(
        height=rng.uniform(-15.5, -11.5),
        point=rng.uniform(0, 3.5) if rng.random() < 0.6 else 0.0,
        stripes=rng.uniform(0.6, 2.5) if striped else 0.0,
        second=as_colour(rng.uniform(0.02, 0.7, 3)),
    )


def _pick(rng: Rng, table: dict[str, tuple[Colour, float]]) -> Colour:
    shares = [share for _, share in table.values()]
    return list(table.values())[int(rng.choice(len(table), p=shares))][0]


def as_colour(values: NDArray[np.floating]) -> Colour:
    r, g, b = (float(v) for v in np.clip(values, 0.002, 0.95))
    return r, g, b
