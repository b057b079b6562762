"""Recall of the right picture, measured through the gallery that ships.

The gallery is every test image with its pose (or light) hidden, so each is described under all candidates and keeps
the one that `Editor.describe` decides for. What is asked, and what is right, says `retrieval.evaluation.queries`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.cutouts import on_neutral
from faceedit.describes import Edits, Usual
from faceedit.manifest import Manifest
from index.gallery import Gallery
from index.progress import Progress
from index.values import FloatArray
from retrieval.evaluation.queries import (
    Bools,
    LabelledSet,
    Queries,
    Rows,
    choose_queries,
    load_test_set,
    right_results,
    truth_rows,
)
from retrieval.evaluation.recall import RANKS
from retrieval.evaluation.searching import (
    decided_values,
    descriptors_of,
    directions,
    distances_to,
    gallery_of,
    nearest_rows,
    nearest_vectors,
)
from retrieval.evaluation.who import Parts, measured

OURS = "descriptor"
_CHUNK = 1024  # queries searched at a time
_SAME = 500  # queries that ask for their own value


@dataclass(frozen=True)
class Evaluation:
    """Everything measured. decided (N,): the position of the value that each gallery picture was taken to have;
    occluded_decided (Q,): the same of occluded queries, described as gallery pictures, else (0,); hits: by method,
    (Q, 10) whether each rank holds a correct picture; truths (Q,): a correct row of each query; nearest (Q, 10),
    distances (Q,) of the first of them: the method's own results; generated and refined (Q, 60, 60, 3): both stages'
    portraits of what was searched by; who: how far first results and strangers lie by what says who it is alone, where
    the descriptors have such a part."""

    test: LabelledSet
    queries: Queries
    space: AttributeSpace
    match: tuple[str, ...]
    decided: Rows
    hits: dict[str, Bools]
    truths: Rows
    nearest: Rows
    distances: NDArray[np.float32]
    generated: NDArray[np.uint8]
    refined: NDArray[np.uint8]
    same_value_hits: Bools
    occluded_decided: Rows
    neutral: bool = False
    who: Usual | None = None

    def true_pictures(self) -> NDArray[np.uint8]:
        """(Q, 60, 60, 3) the correct picture of each query, to compare pictures with: on neutral grey where the model
        makes them so and the data set has masks."""
        if not (self.neutral and self.test.has_masks):
            return np.asarray(self.test.images[self.truths])
        return self.test.cut_out(self.truths)

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


@dataclass(frozen=True)
class _Turned:
    nearest: Rows
    distances: NDArray[np.float32]
    generated: NDArray[np.uint8]
    refined: NDArray[np.uint8]


def evaluate_set(
    editor: Edits,
    manifest: Manifest,
    match: Sequence[str],
    *,
    queries: int,
    seed: int = 0,
    progress: Progress | None = None,
    cache: Path | None = None,
    faces: str | None = None,
) -> Evaluation:
    """`evaluate` on the test pictures of a manifest, with so many random queries. match: columns that agree in a right
    result; faces: see `load_test_set`. Raises ManifestError, EvaluationError, UsageError."""
    test = load_test_set(manifest, editor.attribute, match, faces)
    return evaluate(editor, test, choose_queries(test, editor.attribute, queries, seed), match, progress, cache)


def evaluate(
    editor: Edits,
    test: LabelledSet,
    queries: Queries,
    match: Sequence[str],
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """Describe the gallery, turn every query, search, and do the same with baselines: what says who it is alone, where
    descriptors have such a part, and three on pixels.

    progress(what, done, total) is called as work goes on; cache: a folder, for nothing else, in which the gallery is
    kept, so that an interrupted description of it goes on.
    """
    report = progress or (lambda what, done, total: None)
    with gallery_of(editor, test.images, cache, lambda done, total: report("gallery", done, total)) as gallery:
        turned = _turn_and_search(editor, test, queries, gallery, report)
        same = _same_value(editor, test, queries, gallery)
        decided, stored = decided_values(gallery), descriptors_of(gallery, len(test.images))
    hits = {OURS: right_results(test, queries, turned.nearest)}
    hits |= _by_who(editor, test, queries, stored)
    hits |= _baselines(editor, test, queries, turned.refined, report)
    return Evaluation(
        test=test,
        queries=queries,
        space=editor.attribute,
        match=tuple(match),
        decided=decided,
        hits=hits,
        truths=truth_rows(test, queries),
        nearest=turned.nearest,
        distances=turned.distances,
        generated=turned.generated,
        refined=turned.refined,
        same_value_hits=same,
        occluded_decided=_occluded_decided(editor, test, queries),
        neutral=editor.neutral,
        who=_who(editor, test, stored),
    )


def _who(editor: Edits, test: LabelledSet, descriptors: FloatArray) -> Usual | None:
    if editor.who is None:
        return None
    people = np.unique(test.identities, return_inverse=True)[1]
    return measured(Parts.of(descriptors, editor.who, people, test.values), test.manifest.root.resolve().name)


def _by_who(editor: Edits, test: LabelledSet, queries: Queries, stored: FloatArray) -> dict[str, Bools]:
    """What who it is finds without anything imagined, of the encoder where there is one: among all pictures, and among
    those that truly show what is asked, which nobody knows of a gallery. stored (N, D): descriptors of the pictures."""
    who, own = editor.who, test.own_rows(queries)
    if who is None:
        return {}
    described = stored[own] if (own >= 0).all() else editor.describe(test.pictures_of(queries)).descriptors
    vectors, asked = (directions(one[:, who.start : who.stop]) for one in (stored, described))
    hits = right_results(test, queries, nearest_vectors(vectors, asked, own, RANKS[-1]))
    return {"who_alone": hits, "who_at_the_true_value": _filtered(test, queries, vectors, asked)}


def _filtered(test: LabelledSet, queries: Queries, vectors: FloatArray, asked: FloatArray) -> Bools:
    """(Q, 10) whether the nearest of vectors (N, d) to asked (Q, d) are right, of pictures with the asked value."""
    hits = np.zeros((len(queries), RANKS[-1]), np.bool_)
    for value in np.unique(queries.targets):
        some, rows = np.flatnonzero(queries.targets == value), np.flatnonzero(test.values == value)
        nobody = np.full(len(some), -1, np.int64)  # a query shows another value than it asks for
        found = rows[nearest_vectors(vectors[rows], asked[some], nobody, RANKS[-1])]
        hits[some, : found.shape[1]] = right_results(test, queries.part(some.tolist()), found)
    return hits


def _turn_and_search(editor: Edits, test: LabelledSet, queries: Queries, gallery: Gallery, report: Progress) -> _Turned:
    """Every query's imagined face and its nearest rows; a thousand queries at a time, so that memory stays bounded."""
    parts: list[_Turned] = []
    for start in range(0, len(queries), _CHUNK):
        chunk = queries.part(slice(start, start + _CHUNK))
        sources = test.pictures_of(chunk)
        edits = editor.edit_many(sources, chunk.targets)
        shown = editor.portraits(sources, chunk.targets) if editor.portrays else edits
        asked = np.stack([edit.descriptor for edit in edits])
        found = nearest_rows(gallery, asked, test.own_rows(chunk), RANKS[-1])
        generated, refined = (np.stack([getattr(edit, stage) for edit in shown]) for stage in ("generated", "refined"))
        parts.append(_Turned(found, distances_to(gallery, asked, found[:, 0]), generated, refined))
        report("queries", start + len(chunk), len(queries))
    return _Turned(*(np.concatenate([getattr(p, one.name) for p in parts]) for one in fields(_Turned)))


def _baselines(
    editor: Edits, test: LabelledSet, queries: Queries, refined: NDArray[np.uint8], report: Progress
) -> dict[str, Bools]:
    """What pixels find: those of the query, of its mirror image, and of the imagined face."""
    sources, pixels = test.pictures_of(queries), _flat(test.images)
    shown = {"unedited_pixels": sources, "mirrored_pixels": sources[:, :, ::-1], "generated_pixels": refined}
    hits = {}
    for number, (name, pictures) in enumerate(shown.items()):
        report("baselines", number, len(shown))
        if name == "generated_pixels" and editor.neutral and test.has_masks:
            pixels = _flat(on_neutral(test.manifest, test.images))  # as the generated pictures are
        found = nearest_vectors(pixels, _flat(pictures), test.own_rows(queries), RANKS[-1])
        hits[name] = right_results(test, queries, found)
    report("baselines", len(shown), len(shown))
    return hits


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 10800)"""
    return pictures.reshape(len(pictures), -1)


def _same_value(editor: Edits, test: LabelledSet, queries: Queries, gallery: Gallery) -> Bools:
    """The figure beside: queries that ask for their own value, where the query itself is the correct picture."""
    rows = np.unique(test.rows_of(queries))
    rows = rows[np.linspace(0, len(rows) - 1, min(_SAME, len(rows))).astype(np.int64)]  # spread over all people
    turned = editor.edit_many(test.images[rows], test.values[rows])
    nobody = np.full(len(rows), -1, np.int64)
    found = nearest_rows(gallery, np.stack([edit.descriptor for edit in turned]), nobody, RANKS[-1])
    same_key = test.keys[found] == test.keys[rows][:, None]
    return np.asarray(same_key & (test.values[found] == test.values[rows][:, None]))


def _occluded_decided(editor: Edits, test: LabelledSet, queries: Queries) -> Rows:
    if not editor.attribute.occlusion:
        return np.zeros(0, np.int64)
    return editor.describe(test.pictures_of(queries)).best
