"""What people have before their faces: hands, masks, sunglasses, a bar of text, a block of any colour; and the paper's
black patterns. Drawn large and made small, so that their edges are as soft as a photograph's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from faceedit.images import SIZE
from faceedit.occlusion import occlusion_mask

_LARGE = 4  # times the size that they are drawn in
_EYES, _MIDDLE = 21.0, 29.5  # row and column of an aligned crop (faceedit/align.py)
_TEXT = "Sample text of NO meaning 0123456789 (c) www."
Colour = tuple[int, int, int]
_Draw = Callable[[ImageDraw.ImageDraw, np.random.Generator], None]


class Occluder(NamedTuple):
    """colours (60, 60, 3) uint8 RGB, to be laid over a picture by cover (60, 60) float32, 0..1."""

    colours: NDArray[np.uint8]
    cover: NDArray[np.float32]

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(60, 60): where so little of the face is left that it counts as hidden."""
        return self.cover > 0.1


def occluder(rng: np.random.Generator, black: float = 0.5) -> Occluder:
    """One of them, on the face; a share `black` are the paper's patterns. The same numbers give the same."""
    if rng.random() < black:
        mask = occlusion_mask(rng)
        return Occluder(np.zeros((SIZE, SIZE, 3), np.uint8), mask.astype(np.float32))
    kinds: tuple[_Draw, ...] = (_hand, _mask, _sunglasses, _text, _block)
    image = Image.new("RGBA", (SIZE * _LARGE,) * 2)
    kinds[int(rng.integers(len(kinds)))](ImageDraw.Draw(image), rng)
    drawn = np.asarray(image.filter(ImageFilter.BoxBlur(1)), np.float32)  # as a lens draws it
    small = drawn.reshape(SIZE, _LARGE, SIZE, _LARGE, 4).mean((1, 3))
    cover = small[..., 3:] / 255
    straight = np.clip(small[..., :3] / np.maximum(cover, 1e-3), 0, 255)
    shade = rng.normal() * 12 * (np.mgrid[0:SIZE, 0:SIZE][int(rng.integers(2))] / SIZE - 0.5)[..., None]
    return Occluder(np.clip(straight + shade, 0, 255).astype(np.uint8), cover[..., 0])


def _at(*places: float) -> list[float]:
    """Pixels of a crop as they are drawn."""
    return [_LARGE * place for place in places]


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    """Any, mostly of little colour."""
    grey = rng.uniform(low, high)
    r, g, b = (int(v) for v in np.clip(grey + rng.normal(size=3) * rng.choice([4, 15, 50]), 0, 255))
    return r, g, b


def _skin(rng: np.random.Generator) -> Colour:
    light = rng.uniform(0.25, 1.0)
    r, g, b = (int(255 * v) for v in (0.95 * light, light**1.25 * 0.78, light**1.5 * 0.68))
    return r, g, b


def _hand(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A palm and fingers beside each other, from any side."""
    skin = _skin(rng)
    dark: Colour = tuple(int(0.72 * v) for v in skin)  # type: ignore[assignment]
    towards = rng.uniform(0, 2 * np.pi)
    along, across = (np.array([np.cos(t), np.sin(t)]) for t in (towards, towards + np.pi / 2))
    palm = np.array([_MIDDLE, 32]) + rng.normal(size=2) * 7 - along * rng.uniform(2, 14)
    width = rng.uniform(5, 8)
    for step in (3, 2, 1, 0):  # the wrist
        x, y = palm - along * step * 7
        pen.ellipse(_at(x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=(*skin, 255))
    spread = rng.uniform(0.0, 0.12)
    for finger in range(4):
        side = (finger - 1.5) * width
        root = palm + across * side
        tip = root + (along + across * (finger - 1.5) * spread) * rng.uniform(2.4, 3.4) * width
        for colour, wide in ((dark, 1.0), (skin, 0.82)):
            pen.line(_at(*root, *tip), fill=(*colour, 255), width=int(wide * width * _LARGE))
            x, y = tip
            pen.ellipse(_at(*(v + s * wide * width / 2 for s in (-1, 1) for v in (x, y))), fill=(*colour, 255))


def _mask(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Over nose, mouth and chin, with its straps and folds."""
    kind = rng.random()
    colour = (170, 205, 225) if kind < 0.35 else (235, 235, 235) if kind < 0.55 else _colour(rng)
    dark: Colour = tuple(int(0.8 * v) for v in colour)  # type: ignore[assignment]
    x, top, chin = _MIDDLE + rng.normal() * 3, rng.uniform(27, 36), rng.uniform(50, 60)
    half = rng.uniform(11, 19)
    left, right = x - half + rng.normal() * 2, x + half + rng.normal() * 2
    for edge, ear in ((left, x - 24), (right, x + 24)):
        pen.line(_at(edge, top + 6, ear, rng.uniform(18, 28)), fill=(*dark, 255), width=_LARGE)
    nose = x + rng.normal() * 3
    points = [(left, top + 5), (nose, top), (right, top + 5), (right - 2, chin - 6), (x, chin), (left + 2, chin - 6)]
    pen.polygon([tuple(_at(*p)) for p in points], fill=(*colour, 255))
    for fold in range(int(rng.integers(0, 4))):
        y = top + 8 + fold * (chin - top - 12) / 3
        pen.line(_at(left + 1, y, right - 1, y + rng.normal()), fill=(*dark, 255), width=_LARGE // 2)


def _sunglasses(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Two dark lenses and what holds them."""
    glass, frame = _colour(rng, 5, 70), _colour(rng, 0, 120)
    x, y, apart = _MIDDLE + rng.normal() * 3, _EYES + rng.normal() * 1.5, rng.uniform(6.5, 9)
    wide, high = rng.uniform(4.5, 7.5), rng.uniform(3.5, 6.5)
    around, square, rim = np.linspace(0, 2 * np.pi, 40), rng.uniform(0.35, 1.0), rng.uniform(0.8, 1.0)
    circle = np.stack([np.cos(around), np.sin(around)], 1)
    outline = np.sign(circle) * np.abs(circle) ** square  # between a rectangle and an ellipse (Lame)
    pen.line(_at(x - 24, y - 2, x + 24, y - 2), fill=(*frame, 255), width=int(_LARGE * 1.2))
    for side in (-1, 1):
        for colour, share in ((frame, 1.0), (glass, rim)):
            lens = outline * share * (wide, high) + (x + side * apart, y)
            pen.polygon([tuple(_at(*p)) for p in lens], fill=(*colour, 255))
        if rng.random() < 0.4:
            light = _at(x + side * apart - wide / 2, y - high / 2, x + side * apart, y)
            pen.ellipse(light, fill=(*_colour(rng, 80, 200), 255))


def _text(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A bar across with letters, or a beam across the eyes without."""
    ground, ink = _colour(rng), _colour(rng)
    y, high = rng.uniform(14, 54), rng.uniform(4, 10)
    left = 0 if rng.random() < 0.5 else rng.uniform(0, 20)
    right = SIZE if rng.random() < 0.5 else rng.uniform(40, 60)
    pen.rectangle(_at(left, y - high / 2, right, y + high / 2), fill=(*ground, 255))
    if rng.random() < 0.8:
        begin = int(rng.integers(len(_TEXT)))
        text, size = (_TEXT[begin:] + _TEXT) * 2, _LARGE * high * rng.uniform(0.5, 0.8)
        shown = text[: int((right - left) / high * 2.2)]
        pen.text((_LARGE * (left + 1), _LARGE * y), shown, fill=(*ink, 255), anchor="lm", font_size=size)


def _block(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A rectangle or an ellipse of one colour, straight or inclined: a cup, a card, a microphone, a sticker."""
    x, y = _MIDDLE + rng.normal() * 8, 34 + rng.normal() * 9
    wide, high = rng.uniform(5, 16, 2)
    if rng.random() < 0.4:
        pen.ellipse(_at(x - wide, y - high, x + wide, y + high), fill=(*_colour(rng), 255))
        return
    turn = rng.normal() * 0.5
    corners = np.array([(-wide, -high), (wide, -high), (wide, high), (-wide, high)])
    turned = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (x, y)
    pen.polygon([tuple(_at(*p)) for p in turned], fill=(*_colour(rng), 255))
