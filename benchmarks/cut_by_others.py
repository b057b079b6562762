"""Crops that others cut: what the landmark network says of crops, how many are cut anew, and passport photographs.

    python benchmarks/cut_by_others.py limits --data sample_db/gallery [--pictures 400]
    python benchmarks/cut_by_others.py passports --real real-faces --out OUT

limits: of random crops of a manifest, as they are, with something before the face (`faceedit.training.occluders`) and
with a black square of 0.3 of the side: how sure a glance is of them, how large their faces' crops are and how far from
theirs, as shares of the side, and which share is cut anew. Crops that lie by the rule should not be.

passports: writes OUT/manifest.csv with REAL/photographs.csv cut as passport photographs are, 35 x 45, of which the head
(twice what lies between eyes and chin) has 34: for `facesearch evaluate`, beside `--faces aligned`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import CHIN, EYES, MOUTH, crop_corner, crop_side, landmarks_of
from faceedit.crop_rule import SURE, is_cut_by, lies_by_the_rule
from faceedit.glance import face_in
from faceedit.images import Picture, read_crop
from faceedit.landmarks import by_network
from faceedit.manifest import read_manifest
from faceedit.training.occluders import occluder

_ACROSS, _DOWN, _HEAD, _ABOVE = 35, 45, 34, 0.08  # millimetres; of the height above the head
_BLACK = 0.3  # of a side
_SHOWN = (1, 10, 50, 90, 99)  # percentiles


def with_something_before(picture: Picture, random: np.random.Generator) -> Picture:
    """A hand, a mask, sunglasses, a bar of text or a block before the face, or one of the paper's patterns."""
    before = occluder(random)
    cover = before.cover[..., None]
    return np.asarray(((1 - cover) * picture + cover * before.colours).round().clip(0, 255), np.uint8)


def with_a_black_square(picture: Picture, random: np.random.Generator) -> Picture:
    hidden, side = picture.copy(), round(_BLACK * len(picture))
    top, left = random.integers(5, len(picture) - side - 5, 2)
    hidden[top : top + side, left : left + side] = 0
    return hidden


def as_it_is(picture: Picture, random: np.random.Generator) -> Picture:
    return picture


Change = Callable[[Picture, np.random.Generator], Picture]
CHANGES: dict[str, Change] = {
    "as they are": as_it_is,
    "something before the face": with_something_before,
    "a black square": with_a_black_square,
}


def said_of(picture: Picture) -> NDArray[np.float64]:
    """Of a crop (60, 60, 3): how sure a glance is, the side of the face's own crop and how far its middle is across and
    down, as shares of the crop's, and whether it is cut anew; NaN and 0 where nobody is seen."""
    face = face_in(picture)
    if face is None:
        return np.array([0.0, np.nan, np.nan, np.nan, 0.0])
    size = len(picture)
    shown = Image.fromarray(picture)
    points = by_network(shown, face)
    side, (left, top) = crop_side(points) / size, crop_corner(points)
    anew = face.score >= SURE and lies_by_the_rule(face, shown) and not is_cut_by(points, size, size)
    return np.array([face.score, side, left / size + side / 2 - 0.5, top / size + side / 2 - 0.5, anew])


def limits(data: Path, count: int) -> None:
    paths = read_manifest(data).paths()
    chosen = np.random.default_rng(0).permutation(len(paths))[:count]
    crops = [read_crop(paths[row]) for row in chosen]
    print(f"{len(crops)} crops; percentiles {', '.join(map(str, _SHOWN))}\n")
    columns = ("", "sure", "side", "across", "down", "surer than is needed", "cut anew")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for name, change in CHANGES.items():
        said = np.array([said_of(change(crop, np.random.default_rng([5, i]))) for i, crop in enumerate(crops)])
        spread = [", ".join(f"{one:.3f}" for one in np.nanpercentile(column, _SHOWN)) for column in said.T[:4]]
        print(f"| {name} | {' | '.join(spread)} | {(said[:, 0] >= SURE).mean():.3f} | {said[:, 4].mean():.3f} |")


def passports(real: Path, out: Path) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    with (real / "photographs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "identity", "pose", "expression"))
        for row in rows:
            name = f"images/{Path(row['path']).stem}.png"
            passport(real / row["path"], row).save(out / name)
            writer.writerow((name, row["identity"], row["pose"], row["expression"]))
    print(f"{out}: {len(rows)} photographs")


def passport(file: Path, row: dict[str, str]) -> Image.Image:
    """A photograph whose landmarks a row has, cut as for a passport; black beyond its border."""
    points = landmarks_of(row)
    side = (points.mouth[1] - points.eyes[1]) / (MOUTH - EYES)
    head = 2 * (CHIN - EYES) * side
    height = head * _DOWN / _HEAD
    width = height * _ACROSS / _DOWN
    middle, top = (points.eyes[0] + points.mouth[0]) / 2, points.eyes[1] - head / 2 - _ABOVE * height
    left, right, bottom = round(middle - width / 2), round(middle + width / 2), round(top + height)
    with Image.open(file) as photograph:
        return photograph.convert("RGB").crop((left, round(top), right, bottom))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    of_limits = what.add_parser("limits")
    of_limits.add_argument("--data", type=Path, required=True)
    of_limits.add_argument("--pictures", type=int, default=400)
    of_passports = what.add_parser("passports")
    of_passports.add_argument("--real", type=Path, required=True)
    of_passports.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "limits":
        limits(given.data, given.pictures)
    else:
        passports(given.real, given.out)


if __name__ == "__main__":
    main()
