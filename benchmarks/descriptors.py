"""Which descriptor finds the right picture: the same queries, searched in several ways.

    python benchmarks/descriptors.py --data DATA --model MODEL [--queries 2000] [--match identity,expression,pose]

- paper: the activation of the refinement's 1 x 1 layer (28,800 values);
- ... described again: the imagined picture described as a gallery picture would be, candidates and all;
- ... PCA: the paper's projected on its first 512 principal directions, found on the gallery;
- learned: what the model was trained to have; its parts alone: what the refinement saw, and who the source is;
- averaged over candidates: the query turned to the target and to both neighbouring values, mean distance.

Prints a table of recall@1 (with a 95 % interval, people resampled), 5 and 10. The gallery is the data set's test split
with its values hidden.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.editor import LEARNED, PAPER, Editor
from faceedit.manifest import read_manifest
from faceedit.modelfile import load_model
from retrieval.evaluation.queries import (
    LabelledSet,
    Queries,
    choose_queries,
    default_match,
    load_test_set,
    right_results,
)
from retrieval.evaluation.recall import RANKS, bootstrap, recall
from retrieval.evaluation.searching import nearest_vectors

Floats = NDArray[np.floating]
PCA_SIZE, BLOCK = 512, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--match", default="")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()

    model = load_model(given.model)
    editors = {name: Editor(model, given.device, descriptor=name) for name in (PAPER, LEARNED)}
    manifest = read_manifest(given.data)
    match = tuple(given.match.split(",")) if given.match else default_match(manifest)
    test = load_test_set(manifest, editors[LEARNED].attribute, match)
    queries = choose_queries(test, editors[LEARNED].attribute, given.queries, given.seed)
    print(f"{len(queries):,} queries, gallery of {len(test.images):,}; right when {', '.join(match)} agree\n")
    print("| descriptor | values | recall@1 | recall@5 | recall@10 |\n| --- | --- | --- | --- | --- |")
    names = [PAPER] if editors[LEARNED].descriptor_size == editors[PAPER].descriptor_size else [PAPER, LEARNED]
    for name in names:
        _compare(name, editors[name], test, queries, model.card.network.identity)


def _compare(name: str, editor: Editor, test: LabelledSet, queries: Queries, identity: int) -> None:
    parts = [editor.describe(test.images[i : i + BLOCK]).descriptors for i in range(0, len(test.images), BLOCK)]
    gallery = np.concatenate([part.astype(np.float16) for part in parts])
    sources = test.pictures_of(queries)
    edits = editor.edit_many(sources, queries.targets)
    turned = np.stack([edit.descriptor for edit in edits])
    _row(name, turned, gallery, test, queries)
    again = editor.describe(np.stack([edit.refined for edit in edits])).descriptors
    _row(f"{name}, described again", again, gallery, test, queries)
    _row(f"{name}, averaged over candidates", _averaged(editor, sources, queries, turned), gallery, test, queries)
    if name == PAPER:
        axes = _principal(gallery)
        reduced = [gallery[i : i + BLOCK].astype(np.float32) @ axes for i in range(0, len(gallery), BLOCK)]
        _row(f"{name}, PCA", turned @ axes, np.concatenate(reduced), test, queries)
    elif identity:
        for part, columns in (("who the source is", slice(0, identity)), ("what was seen", slice(identity, None))):
            _row(f"{name}, only {part}", turned[:, columns], gallery[:, columns], test, queries)


def _averaged(editor: Editor, sources: NDArray[np.uint8], queries: Queries, turned: Floats) -> Floats:
    """Mean descriptor (Q, D) over the target and those of its neighbouring values that exist: a mean of squared
    distances is one squared distance to the mean, up to what is the same for all."""
    total, count = np.array(turned, np.float32), np.ones(len(turned), np.float32)
    for step in (-1, 1):
        values = queries.targets + step
        there = np.flatnonzero((values >= 0) & (values < len(editor.attribute)))
        edits = editor.edit_many(sources[there], values[there])
        total[there] += np.stack([edit.descriptor for edit in edits])
        count[there] += 1
    return np.asarray(total / count[:, None], np.float32)


def _principal(gallery: Floats, sample: int = 2000) -> Floats:
    """(D, 512) the first principal directions of a sample, uncentred as inner products need them."""
    rows = np.linspace(0, len(gallery) - 1, min(sample, len(gallery))).astype(np.int64)
    chosen = gallery[rows].astype(np.float32)
    values, vectors = np.linalg.eigh(chosen @ chosen.T)  # of the Gram matrix: samples are fewer than dimensions
    kept = slice(-min(PCA_SIZE, len(rows)), None)
    return np.asarray(chosen.T @ vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-9)), np.float32)


def _row(name: str, wanted: Floats, gallery: Floats, test: LabelledSet, queries: Queries) -> None:
    nearest = nearest_vectors(gallery, wanted, test.own_rows(queries), RANKS[-1])
    hits = right_results(test, queries, nearest)
    low, high = bootstrap(hits, 1, test.identities[test.rows_of(queries)])
    cells = [f"{recall(hits, 1):.3f} ({low:.3f} to {high:.3f})", *(f"{recall(hits, rank):.3f}" for rank in RANKS[1:])]
    print(f"| {name} | {gallery.shape[1]:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
