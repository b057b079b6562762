"""What the colour of a face is worth where pictures differ in their colours for other reasons than the person.

    python benchmarks/casts.py --model MODEL --data DATA [--match identity,expression,pose] [--queries 2000] [--seed 0]

DATA: people with a manifest, as for `facesearch evaluate`. Every picture is made grey, or seen under warmer or colder
light (gains of linear sRGB), among the queries, in the gallery, or in a random half of that. Prints recall@1 and how
often the first result is the person, by the same descriptors without and with their part for the colour; and how far
colours are from one another.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceedit.complexion import CODE, complexion
from faceedit.editor import Editor
from faceedit.manifest import read_manifest
from faceedit.modelfile import load_model
from retrieval.evaluation.queries import LabelledSet, Queries, choose_queries, default_match, load_test_set
from retrieval.evaluation.queries import right_results as right
from retrieval.evaluation.searching import nearest_vectors

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
LIGHTS = {"warm": (1.12, 1.0, 0.82), "tungsten": (1.35, 1.0, 0.55), "cold": (0.88, 1.0, 1.2)}  # of red, green, blue
AS_THEY_ARE, GREY, HALF = "as they are", "grey", "half of them"
ROWS = (  # the queries, the gallery
    *((AS_THEY_ARE, AS_THEY_ARE), (GREY, AS_THEY_ARE), (AS_THEY_ARE, GREY), (GREY, GREY)),
    *((AS_THEY_ARE, f"{HALF} {GREY}"), (GREY, f"{HALF} {GREY}")),
    *((light, AS_THEY_ARE) for light in LIGHTS),
    *((AS_THEY_ARE, light) for light in LIGHTS),
    *((AS_THEY_ARE, f"{HALF} tungsten"), ("cold", "warm")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--match", default="", help="columns that agree in a right result; default: all there are")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    model = load_model(given.model)
    share = model.card.network.colour
    if not share:
        parser.error(f"{given.model} has no colour in its descriptor")
    editor, manifest = Editor(model), read_manifest(given.data)
    match = tuple(given.match.split(",")) if given.match else default_match(manifest)
    test = load_test_set(manifest, editor.attribute, match)
    queries = choose_queries(test, editor.attribute, given.queries, given.seed)
    asked, stored = {}, {}
    for name, change in changes().items():
        pictures = change(test.images)
        stored[name] = editor.describe(pictures).descriptors
        edits = editor.edit_many(pictures[queries.sources], queries.targets)
        asked[name] = np.stack([edit.descriptor for edit in edits])
    half = np.random.default_rng(given.seed).permutation(len(test.images)) % 2 == 0
    for name in (GREY, "tungsten"):
        stored[f"{HALF} {name}"] = np.where(half[:, None], stored[name], stored[AS_THEY_ARE])
    own, others = differences(complexion(torch.from_numpy(test.images).permute(0, 3, 1, 2)).numpy(), test.identities)
    print(f"{len(test.images):,} pictures, {len(queries):,} queries; right when {', '.join(match)} agree")
    print(
        f"chromas of one person differ by {np.median(own):.1f} in the median (nine of ten by less than "
        f"{np.quantile(own, 0.9):.1f}), of two people by {np.median(others):.1f}\n"
    )
    print("| queries | gallery | recall@1 without colour | with it | the person first without | with it |")
    print("| --- | --- | --- | --- | --- | --- |")
    for of_queries, of_gallery in ROWS:
        found = [
            figures(test, queries, kept(stored[of_gallery]), kept(asked[of_queries]))
            for kept in (lambda of: colourless(of, share), lambda of: of)
        ]
        cells = [f"{figure:.3f}" for pair in zip(*found, strict=True) for figure in pair]
        print(f"| {of_queries} | {of_gallery} | {' | '.join(cells)} |", flush=True)


def differences(chromas: Floats, identities: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Distances of chromas (N, 2), of every two pictures of one person and of two."""
    first, second = np.triu_indices(len(chromas), 1)
    apart = np.linalg.norm(chromas[first] - chromas[second], axis=1)
    same = identities[first] == identities[second]
    return apart[same], apart[~same]


def changes() -> dict[str, Callable[[Pictures], Pictures]]:
    """By name, of pictures (N, 60, 60, 3) to such pictures."""
    lit = {name: (lambda pictures, gains=gains: under(pictures, gains)) for name, gains in LIGHTS.items()}
    return {AS_THEY_ARE: lambda pictures: pictures, GREY: grey, **lit}


def grey(pictures: Pictures) -> Pictures:
    """Without their colours, of the same luminance."""
    return _srgb(np.repeat((_linear(pictures) @ _LUMINANCE)[..., None], 3, -1))


def under(pictures: Pictures, gains: tuple[float, float, float]) -> Pictures:
    """As a camera has them whose white is another one; white keeps its luminance."""
    return _srgb(_linear(pictures) * (np.array(gains) / (_LUMINANCE @ gains)))


def colourless(descriptors: Floats, share: float) -> Floats:
    """(N, D - CODE) of length 1: those (N, D) of which the last have `share` of the squared length."""
    return np.ascontiguousarray(descriptors[:, :-CODE] / math.sqrt(1 - share), np.float32)


def figures(test: LabelledSet, queries: Queries, stored: Floats, asked: Floats) -> tuple[float, float]:
    """Recall@1, and of how many queries the first result is the person."""
    first = nearest_vectors(stored, asked, test.own_rows(queries), 1)
    persons = test.identities[first[:, 0]] == test.identities[test.rows_of(queries)]
    return float(right(test, queries, first).mean()), float(persons.mean())


def _linear(pictures: Pictures) -> NDArray[np.float64]:
    values = pictures / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb(linear: NDArray[np.float64]) -> Pictures:
    values = linear.clip(0, 1)
    coded = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return np.asarray((255 * coded).round(), np.uint8)


if __name__ == "__main__":
    main()
