"""Small faces beside large ones: how many are found, what besides, and what looking for them costs.

    python benchmarks/photographs_small.py --real REAL [--scenes 20] [--widths 1600 2400 4000] [--front 3]

REAL: a folder with photographs.csv and photographs/, which nothing was trained or chosen on. Each scene has some people
in front (one: a portrait), and twice as many behind them whose crops would have 30 to 60 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photographs_faces import cut, cutter, jpeg, portrait_of, rows_of

CROP = 0.55  # of the side of a portrait


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--widths", type=int, nargs="+", default=[1600, 2400, 4000])
    parser.add_argument("--front", type=int, default=3)
    given = parser.parse_args()
    rows, cropper = rows_of(given.real), cutter()
    portraits = [portrait_of(given.real, row) for row in rows[::7]]
    print("width | scenes | large found | small found | found where nobody is | computing a scene")
    for width in given.widths:
        rng, there, extra = np.random.default_rng(width), np.zeros((given.scenes, 3 * given.front)), 0
        used = 0.0
        for scene in range(given.scenes):
            image, places = _scene(portraits, width, given.front, rng)
            content, before = jpeg(image), time.process_time()
            faces = [one.face.box for one in cut(cropper, content).faces if one.face is not None]
            used += time.process_time() - before
            inside = np.array([[_lies_in(box, place) for box in faces] for place in places]).reshape(len(places), -1)
            there[scene], extra = inside.any(1), extra + int((~inside.any(0)).sum())
        large, small = there[:, : given.front].mean(), there[:, given.front :].mean()
        print(
            f"{width} | {given.scenes} | {large:.3f} | {small:.3f} | {extra} | {1000 * used / given.scenes:.0f} ms",
            flush=True,
        )


def _scene(
    portraits: Sequence[Image.Image], width: int, front: int, rng: Any
) -> tuple[Image.Image, list[tuple[int, int, int]]]:
    """A picture, and left, top and side of each person's place, those in front first; one alone stands at the left."""
    height, behind = 3 * width // 4, 2 * front
    image = Image.new("RGB", (width, height), tuple(int(value) for value in rng.integers(60, 220, 3)))
    chosen = [portraits[i] for i in rng.choice(len(portraits), front + behind, replace=False)]
    sides = [round(rng.uniform(0.7, 1) * min(width / front, 0.9 * height)) for _ in range(front)]
    sides += [round(rng.uniform(30, 60) / CROP) for _ in range(behind)]
    taken, places = sides[0] if front == 1 else 0, []
    for number, (portrait, side) in enumerate(zip(chosen, sides, strict=True)):
        row, count, first = (number, front, 0) if number < front else (number - front, behind, taken)
        room = (width - first) // count
        left = first + row * room + (0 if number < front == 1 else int(rng.integers(0, room - side + 1)))
        top = height - side if number < front else int(rng.integers(0, height // 2 - side))
        image.paste(portrait.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        places.append((left, top, side))
    return image, places


def _lies_in(box: Sequence[float], place: tuple[int, int, int]) -> bool:
    x, y, (left, top, side) = box[0] + box[2] / 2, box[1] + box[3] / 2, place
    return left <= x < left + side and top <= y < top + side


if __name__ == "__main__":
    main()
