"""A photograph for demonstrations: people out of a sample gallery, set into a scene that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from faceedit.decoding import read_photograph

WIDTH, HEIGHT = 1400, 900
PEOPLE = ("0104", "0109", "0113", "0115", "0122")
_SIDES = (250, 190, 220, 160, 280)  # pixels of their crops
_SHIRTS = ((150, 60, 60), (60, 90, 150), (70, 120, 80), (190, 160, 90), (90, 70, 120))
_FILES = "{person}/{person}_+00_00.png"


def has_people(gallery: Path) -> bool:
    """Whether those are there whom the photograph shows."""
    return all((gallery / _FILES.format(person=person)).is_file() for person in PEOPLE)


def write_party(gallery: Path, file: Path) -> None:
    """Five people of the sample gallery in a room, as a JPEG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    crops = [gallery / _FILES.format(person=person) for person in PEOPLE]
    _party(crops).save(file, "JPEG", quality=92)


def _party(crops: Sequence[Path]) -> Image.Image:
    room = _room()
    for number, (path, side) in enumerate(zip(crops, _SIDES, strict=True)):
        middle = round((number + 0.5) * WIDTH / len(crops))
        _stand(room, read_photograph(path), side, middle, round(HEIGHT * (0.3 + 0.06 * (number % 2))), number)
    return room


def _room() -> Image.Image:
    """A wall in the evening, a window, a picture, a table."""
    rows = np.linspace(0, 1, HEIGHT)[:, None, None]
    wall = (1 - rows) * np.array([205, 190, 165]) + rows * np.array([150, 135, 120])
    room = Image.fromarray(np.broadcast_to(wall, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    pen = ImageDraw.Draw(room)
    pen.rectangle((90, 60, 330, 300), (120, 150, 185), (95, 75, 60), 10)
    pen.line((210, 60, 210, 300), (95, 75, 60), 8)
    pen.rectangle((980, 70, 1260, 230), (140, 150, 120), (70, 55, 45), 8)
    pen.rectangle((0, 790, WIDTH, HEIGHT), (95, 70, 50))
    return room


def _stand(room: Image.Image, face: Image.Image, side: int, middle: int, top: int, number: int) -> None:
    """Somebody with shoulders, whose crop has its corner there; its edges fade into the room."""
    pen, low = ImageDraw.Draw(room), top + round(0.9 * side)
    pen.rounded_rectangle((middle - side, low, middle + side, HEIGHT - 100), side // 2, _SHIRTS[number])
    skin = np.asarray(face.resize((60, 60)))[54:58, 26:34].reshape(-1, 3).mean(0)
    neck = (middle - side // 5, low - side // 6, middle + side // 5, low + side // 5)
    pen.rounded_rectangle(neck, side // 9, tuple(int(0.85 * value) for value in skin))
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((0.06 * side, 0, 0.94 * side, 1.02 * side), 255)
    soft = mask.filter(ImageFilter.GaussianBlur(side / 40))
    room.paste(face.resize((side, side), Image.Resampling.BICUBIC), (middle - side // 2, top), soft)
