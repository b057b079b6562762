"""Is everybody found as often, and are wrong first results at least alike? By groups of people, on photographs of
people nobody trained on.

    python benchmarks/groups.py --real FOLDER [--model FOLDER ...] [--identity own|sface|FILE.onnx] --out OUT

FOLDER of --real: a manifest of aligned crops, and beside it people.csv with a person's own word on `gender`. Every
picture is turned to each other pose of its person and expression, in the gallery of all; right is person, expression
and pose. Reports recall@1 of all, of each gender, expression, source and target pose; the share of first results that
show the person, whatever else; and of those that show another person how many are of the same gender, and how many have
a like skin: the mean CIE Lab colour of both cheeks, in that person's frontal picture of the first expression there is,
within ten units. Writes OUT/figures.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from faceedit.cropping import FACES
from faceedit.editor import Editor
from faceedit.knowing import AnyEditor, KnowingEditor
from faceedit.manifest import read_manifest
from faceedit.people import encoder_named
from retrieval.evaluation.evaluate import OURS, Evaluation, evaluate_set

MODEL = Path(__file__).resolve().parent.parent / "sample_db" / "models" / "pose"
MATCH = ("identity", "expression", "pose")
CHEEKS = (slice(33, 39), (slice(16, 22), slice(38, 44)))  # rows, and columns of both, of an aligned frontal crop
ALIKE = 10.0  # CIE76 units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--identity", default="own")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", choices=FACES, help="what is done with crops; default: as index does")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for folder in given.model or [MODEL]:
        own, encoder = Editor.load(folder), encoder_named(given.identity)
        editor: AnyEditor = KnowingEditor(own, encoder) if encoder else own
        measured = evaluate_set(editor, read_manifest(given.real), MATCH, queries=10**9, faces=given.faces)
        results[str(folder)] = figures = groups_of(measured, genders(given.real / "people.csv"))
        print(folder, json.dumps(figures), flush=True)
    (given.out / "figures.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def genders(file: Path) -> dict[str, str]:
    """What people said of themselves, by identity."""
    with file.open(newline="", encoding="utf-8") as stream:
        return {row["identity"]: row["gender"] for row in csv.DictReader(stream)}


def groups_of(measured: Evaluation, gender: dict[str, str]) -> dict[str, float]:
    """Shares by name."""
    test, hits = measured.test, measured.hits[OURS][:, 0]
    own, first = test.rows_of(measured.queries), measured.nearest[:, 0]
    people = np.array(test.manifest.columns["identity"])
    of_rows = np.array([gender[name] for name in people])
    values = np.array(measured.space.values)
    groups = (
        ("", of_rows[own]),
        ("", np.array(test.manifest.columns["expression"])[own]),
        ("from ", values[test.values[own]]),
        ("to ", values[measured.queries.targets]),
    )
    figures = {"recall@1": _share(hits)}
    for word, labels in groups:
        figures |= {f"{word}{label}": _share(hits[labels == label]) for label in np.unique(labels)}
    wrong = people[first] != people[own]
    skin = cheeks(test.images, people, test.values == measured.space.index(0))
    apart = np.array([np.linalg.norm(skin[a] - skin[b]) for a, b in zip(people[first], people[own], strict=True)])
    return {
        **figures,
        "person first": _share(~wrong),
        "wrong persons": int(wrong.sum()),
        "of the same gender": _share((of_rows[first] == of_rows[own])[wrong]),
        "of like skin": _share((apart < ALIKE)[wrong]),
    }


def cheeks(
    images: NDArray[np.uint8], people: NDArray[np.str_], frontal: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Mean CIE Lab colour (3,) of both cheeks of each person, of their first frontal picture (60, 60, 3)."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    found: dict[str, NDArray[np.float64]] = {}
    for row in np.flatnonzero(frontal):
        if people[row] not in found:
            lab = ImageCms.applyTransform(Image.fromarray(images[row]), to_lab)
            assert lab is not None
            lightness, a, b = (np.asarray(band, np.float64) for band in lab.split())
            place = np.stack([lightness * (100 / 255), a - 128, b - 128], -1)  # bands hold grey as 128
            rows, both = CHEEKS
            found[str(people[row])] = np.concatenate([place[rows, columns].reshape(-1, 3) for columns in both]).mean(0)
    return found


def _share(hits: NDArray[np.bool_]) -> float:
    return round(float(hits.mean()), 4) if len(hits) else 0.0


if __name__ == "__main__":
    main()
