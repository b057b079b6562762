"""Recall of the right picture, by the paper's rule (section 4.1): identity, light and pose must all be right.

The gallery is every test image with its pose hidden, so each is described under all candidate poses and keeps the one
that reconstructs it best. A query's target always differs from its own value, and the query itself never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.dataset import read_crops
from faceedit.editor import Editor
from faceedit.errors import ManifestError
from faceedit.manifest import Manifest
from retrieval.errors import EvaluationError
from retrieval.nearest import exact_nearest

RANKS = (1, 5, 10)
_RESAMPLES = 1000
_CHUNK = 1024  # queries searched at a time

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSet:
    """The gallery's pictures and labels. images (N, 60, 60, 3) uint8; values (N,) positions in the attribute space;
    keys (N,) equal where every matched column but the attribute agrees; identities (N,)."""

    images: NDArray[np.uint8]
    values: Rows
    keys: Rows
    identities: Rows
    manifest: Manifest


@dataclass(frozen=True)
class Queries:
    """sources (Q,) rows of the test set and the positions (Q,) of the values they are turned to."""

    sources: Rows
    targets: Rows

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Evaluation:
    """Everything measured. hits: by method, (Q, 10) whether each rank holds a correct picture; truths (Q,): a correct
    row of each query; nearest (Q, 10), generated and refined (Q, 60, 60, 3): the method's own results."""

    test: LabelledSet
    queries: Queries
    space: AttributeSpace
    match: tuple[str, ...]
    best: Rows
    hits: dict[str, Bools]
    truths: Rows
    nearest: Rows
    generated: NDArray[np.uint8]
    refined: NDArray[np.uint8]
    same_value_hits: Bools


OURS = "descriptor"
Progress = Callable[[str, int, int], None]


def load_test_set(manifest: Manifest, space: AttributeSpace, match: Sequence[str]) -> LabelledSet:
    """The manifest's test split, or all of it where there is no split column.

    Raises ManifestError for a missing column, EvaluationError for an empty test set.
    """
    if space.name not in match:
        raise EvaluationError(f"--match {','.join(match)} leaves out {space.name}, which the queries ask for: add it")
    manifest.require(("path", "identity", space.name, *match))
    if "split" in manifest.columns:
        manifest = manifest.where("split", "test")
    if not len(manifest):
        raise EvaluationError(f"the manifest in {manifest.root} has no row, or none whose split is 'test'")
    values = manifest.integers(space.name)
    unknown = sorted(set(values.tolist()) - set(space.values))
    if unknown:
        raise ManifestError(
            f"the manifest in {manifest.root} has {space.name} {unknown[0]}, "
            f"which is not one of {', '.join(map(str, space.values))}"
        )
    others = [manifest.columns[name] for name in match if name != space.name]
    return LabelledSet(
        images=read_crops(manifest.paths()),
        values=np.array([space.values.index(int(v)) for v in values], np.int64),
        keys=_numbered(list(zip(*others, strict=True)) if others else [()] * len(manifest)),
        identities=_numbered(list(manifest.columns["identity"])),
        manifest=manifest,
    )


def choose_queries(test: LabelledSet, space: AttributeSpace, count: int, seed: int) -> Queries:
    """`count` random ordered pairs (picture, other value) for which a correct picture exists; all of them when there
    are no more. Raises EvaluationError when there is none."""
    there = {(key, value) for key, value in zip(test.keys.tolist(), test.values.tolist(), strict=True)}
    pairs = [
        (row, value)
        for row, (key, own) in enumerate(zip(test.keys.tolist(), test.values.tolist(), strict=True))
        for value in range(len(space))
        if value != own and (key, value) in there
    ]
    if not pairs:
        raise EvaluationError(f"no test picture has a correct picture at another {space.name}: nothing to query")
    table = np.array(pairs, np.int64)
    if count < len(table):
        rng = np.random.default_rng(seed)
        table = table[np.sort(rng.choice(len(table), size=count, replace=False))]
    return Queries(table[:, 0], table[:, 1])


def evaluate(
    editor: Editor, test: LabelledSet, queries: Queries, match: Sequence[str], progress: Progress | None = None
) -> Evaluation:
    """Describe the gallery, turn every query, search, and do the same with three baselines on pixels.

    progress(what, done, total) is called as work goes on.
    """
    report = progress or (lambda what, done, total: None)
    descriptors, best = _describe(editor, test.images, report)
    turned = _turn_and_search(editor, test, queries, descriptors, report)
    correct = _Correct(test, queries)
    hits = {OURS: correct.hits(turned.nearest)}
    pixels, sources = _flat(test.images), test.images[queries.sources]
    baselines = {
        "unedited_pixels": sources,
        "mirrored_pixels": sources[:, :, ::-1],
        "generated_pixels": turned.refined,
    }
    for i, (name, pictures) in enumerate(baselines.items()):
        report("baselines", i, len(baselines))
        hits[name] = correct.hits(_nearest_pixels(pictures, pixels, queries.sources))
    report("baselines", len(baselines), len(baselines))
    same = _same_value(editor, test, queries, descriptors)
    return Evaluation(
        test=test, queries=queries, space=editor.space, match=tuple(match), best=best, hits=hits,
        truths=correct.first, nearest=turned.nearest, generated=turned.generated, refined=turned.refined,
        same_value_hits=same,
    )  # fmt: skip


class _Correct:
    """Which gallery rows answer each query."""

    def __init__(self, test: LabelledSet, queries: Queries) -> None:
        self._test, self._queries = test, queries
        rows: dict[tuple[int, int], int] = {}
        for row, key in enumerate(zip(test.keys.tolist(), test.values.tolist(), strict=True)):
            rows.setdefault(key, row)
        wanted = zip(test.keys[queries.sources].tolist(), queries.targets.tolist(), strict=True)
        self.first = np.array([rows[key] for key in wanted], np.int64)

    def hits(self, nearest: Rows) -> Bools:
        """(Q, K): where several pictures match, any of them counts."""
        test, queries = self._test, self._queries
        same_key = test.keys[nearest] == test.keys[queries.sources][:, None]
        return np.asarray(same_key & (test.values[nearest] == queries.targets[:, None]))


@dataclass(frozen=True)
class _Turned:
    nearest: Rows
    generated: NDArray[np.uint8]
    refined: NDArray[np.uint8]


def _describe(editor: Editor, images: NDArray[np.uint8], report: Progress) -> tuple[NDArray[np.float16], Rows]:
    """Half-precision descriptors, as a gallery keeps them, and the winning candidates."""
    descriptors = np.empty((len(images), editor.descriptor_size), np.float16)
    best = np.empty(len(images), np.int64)
    for start in range(0, len(images), 64):
        part = slice(start, start + 64)
        described = editor.describe(images[part])
        descriptors[part], best[part] = described.descriptors, described.best
        report("gallery", min(start + 64, len(images)), len(images))
    return descriptors, best


def _turn_and_search(
    editor: Editor, test: LabelledSet, queries: Queries, descriptors: NDArray[np.float16], report: Progress
) -> _Turned:
    """Every query's imagined face and its nearest rows; a thousand queries at a time, so that memory stays bounded."""
    parts: list[_Turned] = []
    for start in range(0, len(queries), _CHUNK):
        sources, targets = queries.sources[start : start + _CHUNK], queries.targets[start : start + _CHUNK]
        edits = editor.edit_many(test.images[sources], targets)
        nearest = exact_nearest(np.stack([edit.descriptor for edit in edits]), descriptors, sources, RANKS[-1])
        generated, refined = (np.stack([getattr(edit, stage) for edit in edits]) for stage in ("generated", "refined"))
        parts.append(_Turned(nearest, generated, refined))
        report("queries", start + len(sources), len(queries))
    return _Turned(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("nearest", "generated", "refined")))


def _nearest_pixels(pictures: NDArray[np.uint8], pixels: NDArray[np.float32], sources: Rows) -> Rows:
    parts = [slice(start, start + _CHUNK) for start in range(0, len(pictures), _CHUNK)]
    return np.concatenate([exact_nearest(_flat(pictures[p]), pixels, sources[p], RANKS[-1]) for p in parts])


def _same_value(editor: Editor, test: LabelledSet, queries: Queries, descriptors: NDArray[np.float16]) -> Bools:
    """The figure beside: queries that ask for their own value, where the query itself is the correct picture."""
    rows = np.unique(queries.sources)
    rows = rows[np.linspace(0, len(rows) - 1, min(500, len(rows))).astype(np.int64)]  # spread over all people
    turned = editor.edit_many(test.images[rows], test.values[rows])
    nobody = np.full(len(rows), -1, np.int64)
    found = exact_nearest(np.stack([edit.descriptor for edit in turned]), descriptors, nobody, RANKS[-1])
    same_key = test.keys[found] == test.keys[rows][:, None]
    return np.asarray(same_key & (test.values[found] == test.values[rows][:, None]))


def recall(hits: Bools, rank: int) -> float:
    """Share of queries with a correct picture among the first `rank`."""
    return float(hits[:, :rank].any(1).mean())


def bootstrap(hits: Bools, rank: int, people: Rows, seed: int = 0) -> tuple[float, float]:
    """95 % interval of recall by resampling people with all their queries, since one person's queries are alike
    (Efron and Tibshirani 1993, chapter 8; a cluster bootstrap)."""
    found = hits[:, :rank].any(1).astype(np.float64)
    _, group = np.unique(people, return_inverse=True)
    sums, counts = np.bincount(group, found), np.bincount(group)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sums), size=(_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def per_pixel_mse(pictures: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(Q,) mean over pixels and channels of the squared difference, in 0..255 units."""
    out = np.empty(len(pictures))
    for start in range(0, len(pictures), 256):
        part = slice(start, start + 256)
        difference = pictures[part].astype(np.float32) - truths[part]
        out[part] = (difference**2).mean((1, 2, 3))
    return out


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(pictures.reshape(len(pictures), -1) / np.float32(255), dtype=np.float32)


def _numbered(keys: Sequence[object]) -> Rows:
    """Equal keys get equal numbers, (N,)."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
