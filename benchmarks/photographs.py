"""A validation set that is like photographs: the test people of a database with variety, each picture before its own
random background, with its own exposure, colours, sharpness and slight misalignment.

    python benchmarks/photographs.py DATA OUT [--people 80] [--seed 0]

DATA: a database that `facesearch synth --variety` wrote. OUT: a folder to write images/ and manifest.csv into. What
pictures of one person and one light have in common in a training batch (exposure, colours) they do not share here.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceedit.attributes import POSE
from faceedit.images import write_picture
from faceedit.manifest import read_manifest
from faceedit.modelcard import Normalisation
from faceedit.training.augmentation import Augmentation
from faceedit.training.batches import Photographer
from faceedit.training.pairs import load_pairs

KEPT = ("identity", "pose", "illumination", "expression")
CHUNK = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    pictures, people = write_photographs(given.data, given.out, given.people, given.seed)
    print(f"{given.out}: {pictures:,} pictures of {people} people")


def write_photographs(data: Path, out: Path, people: int, seed: int) -> tuple[int, int]:
    """Write the validation set; return how many pictures of how many people it has."""
    manifest = read_manifest(data, required=("path", "mask", *KEPT)).where("split", "test")
    chosen = set(list(dict.fromkeys(manifest.columns["identity"]))[:people])
    manifest = manifest.part([i for i, name in enumerate(manifest.columns["identity"]) if name in chosen])
    pairs = load_pairs(manifest, POSE, cut_out=True)
    knobs = replace(Augmentation(), mirror=False, grey=0.0)
    photographer = Photographer(pairs, Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), knobs, "cpu")
    (out / "images").mkdir(parents=True, exist_ok=True)
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", *KEPT))
        for start in range(0, len(manifest), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(manifest)))
            shown = photographer.portraits(rows, (seed, start)).permute(0, 2, 3, 1).round().clamp(0, 255)
            for row, picture in zip(rows, shown.byte().numpy(), strict=True):
                name = f"images/{Path(manifest.columns['path'][row]).name}"
                write_picture(picture, out / name)
                writer.writerow((name, *(manifest.columns[column][row] for column in KEPT)))
    return len(manifest), len(chosen)


if __name__ == "__main__":
    main()
