"""What is asked of a labelled data set, and what the right answers are: by the paper's rule (section 4.1) identity,
light and pose must all be right.

A query's target always differs from its own value, and the query itself never counts. For inpainting, the queries are
test images under an occlusion, and the gallery holds the complete ones: a query's row N + r stands for picture r of N,
occluded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.cropping import ALIGNED, AUTO, Cropper, CropSettings
from faceedit.cutouts import on_neutral
from faceedit.errors import ManifestError
from faceedit.manifest import Manifest
from faceedit.occlusion import crops_at
from retrieval.errors import EvaluationError
from retrieval.evaluation.pictures import labelled_crops

MATCH, KNOWN = ("identity", "illumination", "pose"), ("expression", "session")

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

    def cut_out(self, rows: Rows) -> NDArray[np.uint8]:
        """(R, 60, 60, 3): the people of these rows (R,) on neutral grey. Raises ManifestError for one without a
        mask."""
        each, place = np.unique(rows, return_inverse=True)
        return np.asarray(on_neutral(self.manifest.part(each.tolist()), self.images[each])[place])

    def pictures_of(self, queries: Queries) -> NDArray[np.uint8]:
        """(Q, 60, 60, 3): what is queried with."""
        return crops_at(self.images, queries.sources, (queries.seed,))

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


def default_match(manifest: Manifest) -> tuple[str, ...]:
    """What has to agree in a correct result: identity, illumination and pose, and expression and session where the
    data set has them; without them another day's picture would count as the truth."""
    return (*MATCH, *(name for name in KNOWN if name in manifest.columns))


def load_test_set(
    manifest: Manifest, space: AttributeSpace, match: Sequence[str], faces: str | None = None
) -> LabelledSet:
    """The manifest's test split, or all of it where there is no split column.

    faces: what is done with the pictures (`faceedit.cropping.FACES`); None: where masks lie over them they are crops as
    they are, else what `index` does. Raises ManifestError for a missing column, EvaluationError for an empty test set,
    UsageError for what there is none of.
    """
    masked = "mask" in manifest.columns
    if masked and faces not in (None, ALIGNED):
        raise EvaluationError(
            f"the masks in {manifest.root} lie over its pictures as they are: leave --faces {faces} out"
        )
    cropper = Cropper(CropSettings(faces=faces or (ALIGNED if masked else AUTO)))
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
        images=labelled_crops(manifest, cropper),
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


def spread(people: Rows, count: int, rng: np.random.Generator) -> list[int]:
    """Positions of `count` entries at most, in random order, of different people (their numbers, (N,))."""
    order = rng.permutation(len(people))
    _, first = np.unique(people[order], return_index=True)
    return [int(i) for i in order[np.sort(first)][:count]]


def _numbered(keys: Sequence[object]) -> Rows:
    """Equal keys get equal numbers, (N,)."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
