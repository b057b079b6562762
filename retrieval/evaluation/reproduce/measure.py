"""What the paper measures of one task: errors of both stages on random test pairs, and retrieval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.editor import Editor
from faceedit.manifest import Manifest
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.quality import per_pixel_mse
from retrieval.evaluation.queries import LabelledSet, Queries, choose_queries, default_match, load_test_set, truth_rows
from retrieval.evaluation.report import measure, mse_table
from retrieval.evaluation.reproduce.figures import (
    Figure,
    inpainting_figure,
    map_figure,
    retrieval_figure,
    stages_figure,
    values_figure,
)

NEUTRAL, NEUTRAL_LIGHT = 510, "0"  # pictures of the paper's neutral subset; the room alone, without a flash
_STEP = 256
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """pairs: random test pairs for the errors (the paper: 10,000); queries: for retrieval; seed: which of them."""

    pairs: int = 10_000
    queries: int = 2_000
    seed: int = 0


@dataclass(frozen=True)
class _Errors:
    """Squared errors over test pairs. one, two (Q,): per-pixel MSE of each stage; before (Q,): of the unedited source;
    face (Q,): of stage two within the inner face alone; maps (n_a, 60, 60): of stage two, by target."""

    one: NDArray[np.float64]
    two: NDArray[np.float64]
    face: NDArray[np.float64]
    before: NDArray[np.float64]
    maps: NDArray[np.float64]


def measure_errors(
    editor: Editor, manifest: Manifest, settings: Settings, report: Report
) -> tuple[dict[str, Any], list[Figure]]:
    """The errors of both stages on random test pairs, and the figures that show edits.

    Raises EvaluationError or ManifestError when the data set has no pairs of this task.
    """
    space = editor.attribute
    test = load_test_set(manifest, space, default_match(manifest))
    if editor.neutral and not test.has_masks:
        raise EvaluationError(
            f"{space.name} is imagined on neutral grey, and no mask cuts the people of {manifest.root} out: give a "
            "data set with masks, or a model that keeps the background"
        )
    pairs = choose_queries(test, space, settings.pairs, settings.seed)
    truths = truth_rows(test, pairs)
    errors = _errors(editor, test, pairs, truths, report)
    numbers = _numbers(editor, test, pairs, errors)
    if space.occlusion:
        return numbers, [inpainting_figure(editor, test, pairs)]
    if space.name == "illumination":
        return numbers, [values_figure(editor, test, 3, "Figure 7", settings.seed)]
    return numbers, [
        stages_figure(editor, test, pairs, truths),
        values_figure(editor, test, 4, "Figure 4", settings.seed),
        map_figure(errors.maps, space.values),
    ]


def measure_retrieval(
    editor: Editor, manifest: Manifest, settings: Settings, report: Report, cache: Path
) -> tuple[dict[str, Any], list[Figure]]:
    """Recall and everything beside it, and the figure of some results. cache: where an interrupted description of the
    gallery is kept. Raises as `measure_errors` does."""
    space, match = editor.attribute, default_match(manifest)
    test = load_test_set(manifest, space, match)
    queries = choose_queries(test, space, settings.queries, settings.seed)
    evaluation = evaluate(
        editor, test, queries, match, lambda what, done, total: report(f"{space.name}: {what}", done, total), cache
    )
    name = "Figure 5, right" if space.name == "pose" else f"Retrieval by {space.name}"
    return measure(evaluation), [retrieval_figure(evaluation, name)]


def _errors(editor: Editor, test: LabelledSet, pairs: Queries, truths: NDArray[np.int64], report: Report) -> _Errors:
    n = len(editor.attribute)
    one, two, face, before = (np.empty(len(pairs)) for _ in range(4))
    inner = inner_face()
    maps, counts = np.zeros((n, 60, 60)), np.bincount(pairs.targets, minlength=n)
    for start in range(0, len(pairs), _STEP):
        part = slice(start, min(start + _STEP, len(pairs)))
        sources, own = test.pictures_of(pairs.part(part)), test.images[truths[part]]
        edits = editor.edit_many(sources, pairs.targets[part])
        if editor.neutral:  # both on grey, as the edits are
            sources, own = (test.cut_out(rows) for rows in (test.rows_of(pairs.part(part)), truths[part]))
        first, second = (np.stack([getattr(edit, stage) for edit in edits]) for stage in ("generated", "refined"))
        one[part], two[part], before[part] = (per_pixel_mse(made, own) for made in (first, second, sources))
        squares = ((second.astype(np.float32) - own) ** 2).mean(-1)
        face[part] = squares[:, inner].mean(1)
        np.add.at(maps, pairs.targets[part], squares)
        report(f"{editor.attribute.name}: errors of both stages", part.stop, len(pairs))
    return _Errors(one, two, face, before, maps / np.maximum(counts, 1)[:, None, None])


def _numbers(editor: Editor, test: LabelledSet, pairs: Queries, errors: _Errors) -> dict[str, Any]:
    space = editor.attribute
    lights = test.manifest.labels("illumination")
    neutral = np.flatnonzero([lights[row] == NEUTRAL_LIGHT for row in test.rows_of(pairs)])
    if len(neutral) > NEUTRAL:
        neutral = neutral[np.linspace(0, len(neutral) - 1, NEUTRAL).astype(np.int64)]  # spread over all people
    return {
        "task": space.name,
        "model": editor.digest[:12],
        "neutral": editor.neutral,
        "parameters": editor.parameters,
        "pairs": len(pairs),
        "pictures": len(test.images),
        "people": len(np.unique(test.identities)),
        "mse": _stages(errors, np.arange(len(pairs))),
        "mse_neutral": {"pairs": len(neutral), **_stages(errors, neutral)} if len(neutral) else {},
        "mse_by_pair": mse_table(space.values, test.values_of(pairs), pairs.targets, errors.two),
        "mse_by_pair_face": mse_table(space.values, test.values_of(pairs), pairs.targets, errors.face),
        "regions": _regions(errors.maps),
    }


def _stages(errors: _Errors, rows: NDArray[np.int64]) -> dict[str, float]:
    named = {"unedited": errors.before, "stage1": errors.one, "stage2": errors.two}
    return {name: round(float(values[rows].mean()), 2) for name, values in named.items()}


def inner_face() -> NDArray[np.bool_]:
    """(60, 60): from the brows to the chin, without the face's outline."""
    y, x = np.mgrid[0:60, 0:60] + 0.5
    return np.asarray(((x - 30) / 12) ** 2 + ((y - 36) / 16) ** 2 <= 1)


def _regions(maps: NDArray[np.float64]) -> dict[str, float]:
    """Mean squared error in the inner face and in what surrounds it: silhouette, hair, ears and neck."""
    y, x = np.mgrid[0:60, 0:60] + 0.5
    face = inner_face()
    around = (((x - 30) / 27) ** 2 + ((y - 32) / 32) ** 2 <= 1) & ~face
    mean = maps[maps.any((1, 2))].mean(0)
    return {"face": round(float(mean[face].mean()), 1), "around": round(float(mean[around].mean()), 1)}
