"""What each part of a learned descriptor should weigh: recall of the same queries at every share, without training.

    python benchmarks/shares.py --model MODEL --data NAME=DATA [--data NAME=DATA ...] [--queries 1500]

DATA: people to choose by, neither trained on nor reported: `facesearch synth --identities 125 --seed 2`, and what
benchmarks/photographs.py made. Prints, for each: how often the value of a picture is decided exactly, and within one
step, for several weights of the estimate (NetworkConfig.estimate: where codes are soft, a smaller one also makes what
descriptors say of it less sure, and their recall is not shown); then recall@1 and @5 at the model's own weight,
rows: share of the identity part, columns: share of the value's code (NetworkConfig.share, .candidate).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceedit.editor import Editor
from faceedit.manifest import read_manifest
from faceedit.modelfile import Model, load_model
from retrieval.evaluation.queries import LabelledSet, choose_queries, default_match, load_test_set, right_results
from retrieval.evaluation.recall import recall
from retrieval.evaluation.searching import nearest_vectors

ESTIMATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
CANDIDATES = (0.1, 0.2, 0.3, 0.4)
Parts = tuple[NDArray[np.float32], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=DATA")
    parser.add_argument("--queries", type=int, default=1500)
    parser.add_argument("--match", default="", help="columns that agree in a right result; default: all there are")
    given = parser.parse_args()

    model = load_model(given.model)
    config = model.card.network
    if not (config.identity and config.head and config.candidate):
        parser.error(f"{given.model} has not all three parts in its descriptor")
    editor = Editor(model)
    for text in given.data:
        name, _, path = text.partition("=")
        manifest = read_manifest(Path(path))
        match = tuple(given.match.split(",")) if given.match else default_match(manifest)
        test = load_test_set(manifest, editor.attribute, match)
        described = editor.describe(test.images)
        print(f"\n{name}: {len(test.images):,} pictures; right when {', '.join(match)} agree")
        print(_decisions(model, test, described.errors))
        queries = choose_queries(test, editor.attribute, given.queries, 0)
        edits = editor.edit_many(test.pictures_of(queries), queries.targets)
        asked = _parts(model, np.stack([edit.descriptor for edit in edits]))
        stored = _parts(model, described.descriptors)
        print("| share | " + " | ".join(f"candidate {c}" for c in CANDIDATES) + " |")
        print("| --- " * (len(CANDIDATES) + 1) + "|")
        for share in SHARES:
            cells = []
            for candidate in CANDIDATES:
                wanted, held = (_joined(parts, share, candidate, config.colour) for parts in (asked, stored))
                nearest = nearest_vectors(held, wanted, test.own_rows(queries), 5)
                hits = right_results(test, queries, nearest)
                cells.append(f"{recall(hits, 1):.3f}, {recall(hits, 5):.3f}")
            print(f"| {share} | " + " | ".join(cells) + " |", flush=True)


def _parts(model: Model, descriptors: NDArray[np.float32]) -> Parts:
    """Identity, head, code and colour of descriptors (N, D), each of length 1; the colour may have no numbers."""
    config = model.card.network
    ends = np.cumsum([config.identity, config.head, config.attributes])
    weighed = zip(
        np.split(descriptors, ends, axis=1), _weights(config.share, config.candidate, config.colour), strict=True
    )
    return tuple(part / math.sqrt(weight) if part.size else part for part, weight in weighed)


def _joined(parts: Parts, share: float, candidate: float, colour: float) -> NDArray[np.float32]:
    weights = _weights(share, candidate, colour)
    return np.concatenate([math.sqrt(w) * part for w, part in zip(weights, parts, strict=True)], axis=1)


def _weights(share: float, candidate: float, colour: float) -> tuple[float, float, float, float]:
    """Shares of the squared length that identity, head, code and colour have."""
    rest = (1 - colour) * (1 - candidate)
    return rest * share, rest * (1 - share), (1 - colour) * candidate, colour


@torch.inference_mode()
def _decisions(model: Model, test: LabelledSet, errors: NDArray[np.float32]) -> str:
    parts = [
        model.describer.estimate(model.card.normalisation.applied(test.images[i : i + 64]))
        for i in range(0, len(test.images), 64)
    ]
    if any(part is None for part in parts):
        return "nothing estimates the value"
    estimate = torch.cat([p for p in parts if p is not None]).numpy() / model.card.network.estimate
    lines = ["| estimate | exactly | within one |", "| --- | --- | --- |"]
    for weight in ESTIMATES:
        off = np.abs(model.card.task.decide(errors, weight * estimate) - test.values)
        lines.append(f"| {weight} | {(off == 0).mean():.3f} | {(off <= 1).mean():.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
