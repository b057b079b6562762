"""Small faces beside large ones: how many are found, what besides, and what looking for them costs.

    python benchmarks/photographs_small.py --real REAL [--scenes 20] [--widths 1600 2400 4000]

REAL: a folder with photographs.csv and photographs/, which nothing was trained or chosen on. Each scene has three
people in front and six behind them whose crops would have 30 to 60 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photographs_faces import _photographs, _portrait, cut, cutter, jpeg

LARGE, SMALL = 3, 6
CROP = 0.55  # of the side of a portrait


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--widths", type=int, nargs="+", default=[1600, 2400, 4000])
    given = parser.parse_args()
    rows, cropper = _photographs(given.real), cutter()
    portraits = [_portrait(given.real, row) for row in rows[::7]]
    print("width | scenes | large found | small found | found where nobody is | computing a scene")
    for width in given.widths:
        rng, there, extra = np.random.default_rng(width), np.zeros((given.scenes, LARGE + SMALL)), 0
        used = 0.0
        for scene in range(given.scenes):
            image, places = _scene(portraits, width, rng)
            content, before = jpeg(image), time.process_time()
            faces = [one.face.box for one in cut(cropper, content).faces if one.face is not None]
            used += time.process_time() - before
            inside = np.array([[_lies_in(box, place) for box in faces] for place in places]).reshape(len(places), -1)
            there[scene], extra = inside.any(1), extra + int((~inside.any(0)).sum())
        large, small = there[:, :LARGE].mean(), there[:, LARGE:].mean()
        print(
            f"{width} | {given.scenes} | {large:.3f} | {small:.3f} | {extra} | {1000 * used / given.scenes:.0f} ms",
            flush=True,
        )


def _scene(portraits: Sequence[Image.Image], width: int, rng: Any) -> tuple[Image.Image, list[tuple[int, int, int]]]:
    """A picture, and left, top and side of each person's place, the large ones first."""
    height = 3 * width // 4
    image = Image.new("RGB", (width, height), tuple(int(value) for value in rng.integers(60, 220, 3)))
    chosen = [portraits[i] for i in rng.choice(len(portraits), LARGE + SMALL, replace=False)]
    sides = [round(rng.uniform(0.7, 1) * width / LARGE) for _ in range(LARGE)]
    sides += [round(rng.uniform(30, 60) / CROP) for _ in range(SMALL)]
    places = []
    for number, (portrait, side) in enumerate(zip(chosen, sides, strict=True)):
        row, count = (number, LARGE) if number < LARGE else (number - LARGE, SMALL)
        left = row * (width // count) + int(rng.integers(0, width // count - side + 1))
        top = height - side if number < LARGE else int(rng.integers(0, height // 2 - side))
        image.paste(portrait.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        places.append((left, top, side))
    return image, places


def _lies_in(box: Sequence[float], place: tuple[int, int, int]) -> bool:
    x, y, (left, top, side) = box[0] + box[2] / 2, box[1] + box[3] / 2, place
    return left <= x < left + side and top <= y < top + side


if __name__ == "__main__":
    main()
