"""Photographs of two megapixels to describe on a cluster: portraits before drawn backgrounds, each another file.

    python benchmarks/cluster_photographs.py PORTRAITS OUT [--count 5000]

PORTRAITS: a folder of pictures with a face each, such as renders. Every photograph has its own place, size, background
and quality of JPEG; what is there already is not made again.
"""

from __future__ import annotations

import argparse
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1632, 1224
_GROUNDS, _IN_A_FOLDER, _LARGEST = 12, 250, 900


@lru_cache(_GROUNDS)
def background(seed: int) -> Image.Image:
    """Soft rectangles, and noise as of a camera."""
    drawn = random.Random(seed)
    image = Image.new("RGB", (WIDTH, HEIGHT), _colour(drawn))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = drawn.randrange(WIDTH), drawn.randrange(HEIGHT)
        pen.rectangle((x, y, x + drawn.randrange(20, 400), y + drawn.randrange(20, 400)), fill=_colour(drawn))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(drawn.uniform(2, 9))), np.int16)
    noise = np.random.default_rng(seed).integers(-5, 6, (HEIGHT, WIDTH, 1), dtype=np.int16)
    return Image.fromarray((soft + noise).clip(0, 255).astype(np.uint8))


def _colour(drawn: random.Random) -> tuple[int, int, int]:
    return drawn.randrange(256), drawn.randrange(256), drawn.randrange(256)


@lru_cache(512)
def portrait(path: Path) -> Image.Image:
    image = Image.open(path).convert("RGB")
    image.thumbnail((_LARGEST, _LARGEST))
    return image


def photograph(path: Path, number: int) -> Image.Image:
    """The portrait somewhere before one of the backgrounds."""
    drawn, face = random.Random(number), portrait(path)
    scale = drawn.uniform(0.5, 1.2)
    face = face.resize((round(scale * face.width), round(scale * face.height)))
    face.thumbnail((WIDTH, HEIGHT))
    image = background(drawn.randrange(_GROUNDS)).copy()
    image.paste(face, (drawn.randrange(WIDTH - face.width + 1), drawn.randrange(HEIGHT - face.height + 1)))
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("portraits", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=5_000)
    asked = parser.parse_args()
    faces = sorted(path for path in asked.portraits.rglob("*") if path.suffix in (".jpg", ".png"))
    for number in range(asked.count):
        path = asked.out / f"{number // _IN_A_FOLDER:03d}" / f"{number:06d}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(faces[number % len(faces)], number).save(path, quality=70 + number % 25)


if __name__ == "__main__":
    main()
