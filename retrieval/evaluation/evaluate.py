"""Recall of the right picture, by the paper's rule (section 4.1): identity, light and pose must all be right.

The gallery is every test image with its pose (or light) hidden, so each is described under all candidates and keeps
the one that `Editor.describe` decides for. A query's target always differs from its own value, and the query itself
never counts. For inpainting, the queries are test images under an occlusion, and the gallery holds the complete ones: a
query's row N + r stands for picture r of N, occluded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.editor import Editor
from faceedit.errors import ManifestError
from faceedit.manifest import Manifest
from faceedit.training.pairs import on_neutral, pictures, read_crops
from retrieval.errors import EvaluationError
from retrieval.evaluation.described import describe_all
from retrieval.evaluation.nearest import exact_nearest

RANKS = (1, 5, 10)
MATCH, KNOWN = ("identity", "illumination", "pose"), ("expression", "session")
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

    @property
    def has_masks(self) -> bool:
        """Whether people can be cut out of the pictures."""
        return "mask" in self.manifest.columns

    def pictures_of(self, queries: Queries) -> NDArray[np.uint8]:
        """(Q, 60, 60, 3): what is queried with."""
        return pictures(self.images, queries.sources, (queries.seed,))

    def rows_of(self, queries: Queries) -> Rows:
        """(Q,) the gallery row of each query's picture, or of its complete counterpart."""
        return queries.sources % len(self.images)

    def values_of(self, queries: Queries) -> Rows:
        """(Q,) the positions of the values that the queries have themselves."""
        return np.where(queries.sources < len(self.images), self.values[self.rows_of(queries)], 1)

    def own_rows(self, queries: Queries) -> Rows:
        """(Q,) the gallery row that is the very picture of the query, or -1."""
        return np.where(queries.sources < len(self.images), queries.sources, -1)


@dataclass(frozen=True)
class Queries:
    """sources (Q,) rows of the test set and the positions (Q,) of the values they are turned to; seed: places the
    occlusions, where there are any."""

    sources: Rows
    targets: Rows
    seed: int = 0

    def __len__(self) -> int:
        return len(self.sources)

    def part(self, rows: slice | list[int]) -> Queries:
        return Queries(self.sources[rows], self.targets[rows], self.seed)


@dataclass(frozen=True)
class Evaluation:
    """Everything measured. best (N,): the value that each gallery picture was taken to have; occluded_best (Q,): the
    same of occluded queries, described as gallery pictures, else (0,); hits: by method, (Q, 10) whether each rank
    holds a correct picture; truths (Q,): a correct row of each query; nearest (Q, 10), generated and refined
    (Q, 60, 60, 3): the method's own results."""

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
    occluded_best: Rows
    neutral: bool = False

    def true_pictures(self) -> NDArray[np.uint8]:
        """(Q, 60, 60, 3) the correct picture of each query, to compare pictures with: on neutral grey where the model
        makes them so and the data set has masks."""
        manifest = self.test.manifest
        if not (self.neutral and self.test.has_masks):
            return np.asarray(self.test.images[self.truths])
        rows, place = np.unique(self.truths, return_inverse=True)
        return on_neutral(manifest.part(rows.tolist()), self.test.images[rows])[place]

    @property
    def comparable(self) -> bool:
        """Whether whole pictures can be compared with the truth: not those on grey where no mask cuts the truth out."""
        return not self.neutral or self.test.has_masks

    @property
    def compared_on(self) -> str:
        """For a report: what the squared error of the whole picture means, where that is not plain."""
        if not self.neutral:
            return ""
        return ", both on neutral grey" if self.comparable else ", the truth before its own background"


OURS = "descriptor"
Progress = Callable[[str, int, int], None]


def default_match(manifest: Manifest) -> tuple[str, ...]:
    """What has to agree in a correct result: identity, illumination and pose, and expression and session where the
    data set has them; without them another day's picture would count as the truth."""
    return (*MATCH, *(name for name in KNOWN if name in manifest.columns))


def load_test_set(manifest: Manifest, space: AttributeSpace, match: Sequence[str]) -> LabelledSet:
    """The manifest's test split, or all of it where there is no split column.

    Raises ManifestError for a missing column, EvaluationError for an empty test set.
    """
    if space.name not in match and not space.occlusion:
        raise EvaluationError(f"--match {','.join(match)} leaves out {space.name}, which the queries ask for: add it")
    manifest.require(("path", "identity", *match))
    if "split" in manifest.columns:
        manifest = manifest.where("split", "test")
    if not len(manifest):
        raise EvaluationError(f"the manifest in {manifest.root} has no row, or none whose split is 'test'")
    values = np.zeros(len(manifest), np.int64) if space.occlusion else manifest.integers(space.name)
    unknown = sorted(set(values.tolist()) - set(space.values))
    if unknown:
        raise ManifestError(
            f"the manifest in {manifest.root} has {space.name} {unknown[0]}, "
            f"which is not one of {', '.join(map(str, space.values))}"
        )
    others = [manifest.labels(name) for name in match if name != space.name]
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
    if space.occlusion:
        n = len(test.images)
        rows = _draw(np.arange(n, 2 * n), count, seed)
        return Queries(rows, np.zeros(len(rows), np.int64), seed)
    there = {(key, value) for key, value in zip(test.keys.tolist(), test.values.tolist(), strict=True)}
    pairs = [
        (row, value)
        for row, (key, own) in enumerate(zip(test.keys.tolist(), test.values.tolist(), strict=True))
        for value in range(len(space))
        if value != own and (key, value) in there
    ]
    if not pairs:
        raise EvaluationError(f"no test picture has a correct picture at another {space.name}: nothing to query")
    table = _draw(np.array(pairs, np.int64), count, seed)
    return Queries(table[:, 0], table[:, 1], seed)


def _draw(rows: Rows, count: int, seed: int) -> Rows:
    """`count` random rows in their order, or all of them."""
    if count >= len(rows):
        return rows
    return np.asarray(rows[np.sort(np.random.default_rng(seed).choice(len(rows), size=count, replace=False))])


def evaluate(
    editor: Editor, test: LabelledSet, queries: Queries, match: Sequence[str],
    progress: Progress | None = None, cache: Path | None = None,
) -> Evaluation:  # fmt: skip
    """Describe the gallery, turn every query, search, and do the same with three baselines on pixels.

    progress(what, done, total) is called as work goes on; cache: a folder in which an interrupted description of the
    gallery is kept and continued.
    """
    report = progress or (lambda what, done, total: None)
    descriptors, best = describe_all(editor, test.images, lambda done, total: report("gallery", done, total), cache)
    turned = _turn_and_search(editor, test, queries, descriptors, report)
    hits = {OURS: right_results(test, queries, turned.nearest)}
    pixels, sources = _flat(test.images), test.pictures_of(queries)
    baselines = {
        "unedited_pixels": sources,
        "mirrored_pixels": sources[:, :, ::-1],
        "generated_pixels": turned.refined,
    }
    for i, (name, shown) in enumerate(baselines.items()):
        report("baselines", i, len(baselines))
        if name == "generated_pixels" and editor.card.neutral and test.has_masks:
            pixels = _flat(on_neutral(test.manifest, test.images))  # as the generated pictures are
        hits[name] = right_results(test, queries, _nearest_pixels(shown, pixels, test.own_rows(queries), editor.device))
    report("baselines", len(baselines), len(baselines))
    occluded = editor.describe(sources).best if editor.space.occlusion else np.zeros(0, np.int64)
    same = _same_value(editor, test, queries, descriptors)
    return Evaluation(
        test=test, queries=queries, space=editor.space, match=tuple(match), best=best, hits=hits,
        truths=truth_rows(test, queries), nearest=turned.nearest, generated=turned.generated, refined=turned.refined,
        same_value_hits=same, occluded_best=occluded, neutral=editor.card.neutral,
    )  # fmt: skip


def truth_rows(test: LabelledSet, queries: Queries) -> Rows:
    """(Q,) a gallery row that answers each query; of an occluded picture its own complete one."""
    rows: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(test.keys.tolist(), test.values.tolist(), strict=True)):
        rows.setdefault(key, row)
    own = test.rows_of(queries)
    wanted = zip(test.keys[own].tolist(), queries.targets.tolist(), strict=True)
    first = np.array([rows[key] for key in wanted], np.int64)
    return np.where(queries.sources < len(test.images), first, own)


def right_results(test: LabelledSet, queries: Queries, nearest: Rows) -> Bools:
    """(Q, K) which results answer their query: where several pictures match, any of them counts."""
    same_key = test.keys[nearest] == test.keys[test.rows_of(queries)][:, None]
    return np.asarray(same_key & (test.values[nearest] == queries.targets[:, None]))


@dataclass(frozen=True)
class _Turned:
    nearest: Rows
    generated: NDArray[np.uint8]
    refined: NDArray[np.uint8]


def _turn_and_search(
    editor: Editor, test: LabelledSet, queries: Queries, descriptors: NDArray[np.float16], report: Progress
) -> _Turned:
    """Every query's imagined face and its nearest rows; a thousand queries at a time, so that memory stays bounded."""
    parts: list[_Turned] = []
    for start in range(0, len(queries), _CHUNK):
        chunk = queries.part(slice(start, start + _CHUNK))
        edits = editor.edit_many(test.pictures_of(chunk), chunk.targets)
        own = test.own_rows(chunk)
        nearest = exact_nearest(
            np.stack([edit.descriptor for edit in edits]), descriptors, own, RANKS[-1], editor.device
        )
        generated, refined = (np.stack([getattr(edit, stage) for edit in edits]) for stage in ("generated", "refined"))
        parts.append(_Turned(nearest, generated, refined))
        report("queries", start + len(chunk), len(queries))
    return _Turned(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("nearest", "generated", "refined")))


def _nearest_pixels(shown: NDArray[np.uint8], pixels: NDArray[np.float32], own: Rows, device: str) -> Rows:
    parts = [slice(start, start + _CHUNK) for start in range(0, len(shown), _CHUNK)]
    return np.concatenate([exact_nearest(_flat(shown[p]), pixels, own[p], RANKS[-1], device) for p in parts])


def _same_value(editor: Editor, test: LabelledSet, queries: Queries, descriptors: NDArray[np.float16]) -> Bools:
    """The figure beside: queries that ask for their own value, where the query itself is the correct picture."""
    rows = np.unique(test.rows_of(queries))
    rows = rows[np.linspace(0, len(rows) - 1, min(500, len(rows))).astype(np.int64)]  # spread over all people
    turned = editor.edit_many(test.images[rows], test.values[rows])
    nobody = np.full(len(rows), -1, np.int64)
    found = exact_nearest(np.stack([edit.descriptor for edit in turned]), descriptors, nobody, RANKS[-1], editor.device)
    same_key = test.keys[found] == test.keys[rows][:, None]
    return np.asarray(same_key & (test.values[found] == test.values[rows][:, None]))


def spread(people: Rows, count: int, rng: np.random.Generator) -> list[int]:
    """Positions of `count` entries at most, in random order, of different people (their numbers, (N,))."""
    order = rng.permutation(len(people))
    _, first = np.unique(people[order], return_index=True)
    return [int(i) for i in order[np.sort(first)][:count]]


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


def per_pixel_mse(made: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(Q,) mean over pixels and channels of the squared difference, in 0..255 units."""
    out = np.empty(len(made))
    for start in range(0, len(made), 256):
        part = slice(start, start + 256)
        difference = made[part].astype(np.float32) - truths[part]
        out[part] = (difference**2).mean((1, 2, 3))
    return out


def _flat(shown: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(shown.reshape(len(shown), -1) / np.float32(255), dtype=np.float32)


def _numbered(keys: Sequence[object]) -> Rows:
    """Equal keys get equal numbers, (N,)."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
