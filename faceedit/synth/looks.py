"""How people of photographs look beyond the paper's protocol: hair, make-up, beards, glasses and jewellery, evenly over
skin colours, ages and both sexes. Each aspect has random numbers of its own, so that turning one off changes no other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faceedit.synth.person import (
    HAIR_COLOURS,
    MIDDLE_LENGTH,
    SKIN_TONES,
    Beard,
    Brows,
    Colour,
    Earrings,
    Eyes,
    Glasses,
    Hair,
    Lips,
    Person,
    Rng,
    Skin,
    as_colour,
)
from faceedit.synth.variety import Variety

_ASPECTS = ("sex", "skin", "hair", "brows", "beard", "strands", "make-up", "glare", "earrings", "shine")
_WOMEN = {"long": 0.28, "bob": 0.13, "tied": 0.31, "fringe": 0.06, "curly": 0.12, "afro": 0.05, "short": 0.05}
_MEN = {
    "short": 0.42,
    "swept": 0.20,
    "buzz": 0.15,
    "bald": 0.07,
    "curly": 0.07,
    "fringe": 0.03,
    "long": 0.04,
    "afro": 0.02,
}
_HAIR_BY_SKIN = {  # shares of HAIR_COLOURS, in their order, without the last, which comes with age
    "light": (0.10, 0.30, 0.30, 0.22, 0.08),
    "middle": (0.62, 0.25, 0.10, 0.02, 0.01),
    "dark": (0.85, 0.13, 0.02, 0.0, 0.0),
}


def varied(person: Person, seed: int, variety: Variety) -> Person:
    """The person of this seed with the looks that the variety asks for, and only those."""
    draw = {aspect: np.random.default_rng([seed, 0x100 + number]) for number, aspect in enumerate(_ASPECTS)}
    woman = bool(draw["sex"].random() < 0.5)
    if variety.even:
        person = replace(person, skin=_skin(person.skin, draw["skin"]))
    if variety.sexes:
        person = replace(
            person,
            hair=_hair(person, woman, draw["hair"]),
            brows=_brows(person.brows, woman, draw["brows"]),
            beard=None if woman or draw["beard"].random() < 0.5 else _beard(draw["beard"]),
        )
    if variety.makeup and woman:
        person = _made_up(person, draw["make-up"])
    person = replace(person, hair=_loosened(_plainer(person.hair, variety), variety.strands, draw["strands"]))
    if variety.glare and person.glasses is not None:
        person = replace(person, glasses=_mirroring(person.glasses, draw["glare"]))
    if variety.earrings and draw["earrings"].random() < (0.5 if woman else 0.08):
        person = replace(person, earrings=_earrings(draw["earrings"]))
    if variety.shine:
        person = replace(person, shine=float(draw["shine"].beta(1.2, 1.4)))
    return replace(
        person, beard=person.beard if variety.beards else None, glasses=person.glasses if variety.glasses else None
    )


def _skin(skin: Skin, rng: Rng) -> Skin:
    melanin = rng.uniform(0.0, 2.0)
    low = min(int(melanin), 1)
    tone = SKIN_TONES[low] + (melanin - low) * (SKIN_TONES[low + 1] - SKIN_TONES[low])
    tint = rng.normal() * np.array([-0.03, 0.0, 0.05]) + rng.normal() * 0.08  # sallow or rosy; pale or tanned
    return replace(
        skin, colour=as_colour(np.exp(tone + tint)), age=float(rng.uniform(0, 1)), gloss=float(rng.uniform(0.6, 2.0))
    )


def _hair(person: Person, woman: bool, rng: Rng) -> Hair:
    styles = _WOMEN if woman else _MEN
    style = str(rng.choice(list(styles), p=list(styles.values())))
    curly = style in ("curly", "afro")
    if style == "curly":
        style = "bob" if woman else "swept"
    length = {"bob": rng.uniform(5, 12), "long": rng.uniform(12, 22)}.get(style, 0.0)
    recedes = not woman and style in ("short", "buzz", "swept")
    volume = rng.uniform(1.4, 3.4) if style == "afro" else rng.uniform(0.35, 1.6)
    return replace(
        person.hair,
        style=style,
        colour=_hair_colour(person.skin, rng),
        hairline=float(rng.normal() * 0.03 + (0.0 if woman else 0.01)),
        recession=float(rng.uniform(0, 0.08 + 0.1 * person.skin.age)) if recedes else 0.0,
        volume=float(rng.uniform(0.25, 0.6) if style == "tied" else volume),
        length=float(length),
        fringe=float(rng.uniform(0.4, 1.0)) if woman and style in ("long", "bob") and rng.random() < 0.3 else 0.0,
        curl=float(rng.uniform(0.25, 0.6)) if curly else 0.0,
        tail=style == "tied" and bool(rng.random() < 0.5),
    )


def _hair_colour(skin: Skin, rng: Rng) -> Colour:
    tone = float(np.mean(skin.colour))
    shares = _HAIR_BY_SKIN["light" if tone > 0.42 else "middle" if tone > 0.17 else "dark"]
    table = list(HAIR_COLOURS.values())
    grey = rng.random() < max(0.0, skin.age - 0.55) * 1.6
    own = table[-1][0] if grey else table[int(rng.choice(len(shares), p=shares))][0]
    return as_colour(np.array(own) * np.exp(rng.normal(size=3) * 0.06 + rng.normal() * 0.3))


def _brows(brows: Brows, woman: bool, rng: Rng) -> Brows:
    thickness = rng.uniform(0.16, 0.42) if woman else rng.uniform(0.26, 0.62)
    return replace(brows, thickness=float(thickness), density=float(rng.uniform(0.45, 0.95)))


def _beard(rng: Rng) -> Beard:
    stubble = rng.random() < 0.45
    return Beard(
        jaw=float(rng.uniform(1.2, 3.2)),
        moustache=float(rng.uniform(0.4, 0.8)) if rng.random() < 0.85 else 0.0,
        density=float(rng.uniform(0.12, 0.45) if stubble else rng.uniform(0.5, 0.95)),
        goatee=bool(rng.random() < 0.25),
    )


def _made_up(person: Person, rng: Rng) -> Person:
    """Painted lips, lined eyes, rouge: from hardly any to much."""
    strength = float(rng.beta(1.0, 1.6))
    lips, eyes = person.lips, person.eyes
    painted = np.array([0.85, 0.30, 0.36]) * np.exp(rng.normal(size=3) * np.array([0.1, 0.25, 0.25]))
    if rng.random() < 0.7 * strength + 0.15:
        lips = Lips(as_colour(painted), float(rng.uniform(0.5, 1.0)))
    eyes = Eyes(eyes.iris, eyes.iris_radius, eyes.lash + 0.1 * strength, max(eyes.shade, 0.8 * strength * rng.random()))
    skin = replace(person.skin, flush=float(min(0.55, person.skin.flush + 0.2 * strength * rng.random())))
    return replace(person, lips=lips, eyes=eyes, skin=skin)


def _plainer(hair: Hair, variety: Variety) -> Hair:
    """Hair in which only what the variety asks for is the person's own."""
    if not variety.hair_style:
        hair = replace(hair, style="short", recession=0.0, length=0.0, fringe=0.0, curl=0.0, tail=False)
    if not variety.hair_length:
        hair = replace(hair, length=MIDDLE_LENGTH.get(hair.style, 0.0))
    if not variety.hair_volume:
        hair = replace(hair, volume=1.0)
    if not variety.hair_colour:
        hair = replace(hair, colour=HAIR_COLOURS["brown"][0])
    return hair


def _loosened(hair: Hair, strength: float, rng: Rng) -> Hair:
    return replace(hair, strands=float(min(1.0, strength * rng.beta(1.3, 1.3)))) if strength > 0 else hair


def _mirroring(glasses: Glasses, rng: Rng) -> Glasses:
    """Lenses that mirror a window, and now and then are tinted."""
    return replace(
        glasses,
        glare=float(rng.uniform(0.1, 0.9)) if rng.random() < 0.6 else 0.0,
        window=(float(rng.uniform(-60, 60)), float(rng.uniform(0, 45))),
        shade=float(rng.uniform(0.05, 0.25) if rng.random() < 0.85 else rng.uniform(0.4, 0.8)),
    )


def _earrings(rng: Rng) -> Earrings:
    gold, silver = (0.75, 0.52, 0.22), (0.6, 0.6, 0.6)
    colour = [gold, silver, tuple(rng.uniform(0.05, 0.8, 3))][int(rng.integers(3))]
    hoop = bool(rng.random() < 0.4)
    return Earrings(as_colour(np.array(colour)), float(rng.uniform(0.6, 1.5) if hoop else rng.uniform(0.18, 0.5)), hoop)
