"""Figures as data: rows of small pictures with captions, each picture a data URI, so that one page holds them all."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.editor import Editor
from faceedit.images import Picture
from retrieval.evaluation.evaluate import OURS, Evaluation
from retrieval.evaluation.quality import per_pixel_mse
from retrieval.evaluation.queries import LabelledSet, Queries, spread

_COLOURS = ((0, 0, 4), (60, 15, 110), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))  # dark to light


@dataclass(frozen=True)
class PictureCell:
    """src: a data URI; frame: 'right', 'wrong' or ''"""

    src: str
    caption: str = ""
    frame: str = ""


@dataclass(frozen=True)
class Figure:
    """name: its place in the paper, such as 'Figure 3'."""

    name: str
    caption: str
    rows: list[list[PictureCell]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cell(picture: Picture, caption: str = "", frame: str = "") -> PictureCell:
    """(H, W, 3) uint8 as a cell."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=95, method=6)
    return PictureCell("data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode(), caption, frame)


def stages_figure(editor: Editor, test: LabelledSet, pairs: Queries, truths: NDArray[np.int64]) -> Figure:
    """Figure 3: input, stage one, stage two, truth; eight people."""
    space, own = editor.attribute, test.values_of(pairs)
    chosen = spread(test.identities[test.rows_of(pairs)], 8, _random(pairs.seed))
    part = pairs.part(chosen)
    shown = test.pictures_of(part)
    rows = []
    for i, picture, edit in zip(chosen, shown, editor.edit_many(shown, part.targets), strict=True):
        truth = test.images[truths[i]]
        one, two = (float(per_pixel_mse(p[None], truth[None])[0]) for p in (edit.generated, edit.refined))
        rows.append(
            [
                cell(picture, space.text(space.values[own[i]])),
                cell(edit.generated, f"stage one, {one:.0f}"),
                cell(edit.refined, f"stage two, {two:.0f}"),
                cell(truth, f"truth, {space.text(space.values[pairs.targets[i]])}"),
            ]
        )
    return Figure("Figure 3", "Input, stage one, stage two (each with its per-pixel MSE), truth.", rows)


def values_figure(editor: Editor, test: LabelledSet, people: int, name: str, seed: int) -> Figure:
    """Figures 4 and 7: one input, then every value of the attribute, above the true pictures."""
    space = editor.attribute
    held = {(int(key), int(value)): row for row, (key, value) in enumerate(zip(test.keys, test.values, strict=True))}
    whole = [r for r in range(len(test.images)) if all((int(test.keys[r]), v) in held for v in range(len(space)))]
    candidates = np.array(whole or range(len(test.images)), np.int64)
    rows = []
    for i in spread(test.identities[candidates], people, _random(seed)):
        row = int(candidates[i])
        source = test.images[row]
        edits = editor.edit_many(np.repeat(source[None], len(space), 0), np.arange(len(space)))
        made = [cell(edit.refined, str(value)) for edit, value in zip(edits, space.values, strict=True)]
        rows.append([cell(source, f"input, {space.values[test.values[row]]}"), *made])
        own = [held.get((int(test.keys[row]), v)) for v in range(len(space))]
        blank = np.full_like(source, 255)
        rows.append([cell(blank, "truth"), *(cell(blank if r is None else test.images[r]) for r in own)])
    return Figure(name, f"One input and its face at every {space.name}; below, the true photographs.", rows)


def inpainting_figure(editor: Editor, test: LabelledSet, pairs: Queries) -> Figure:
    """Figure 8: occluded, completed, truth; two of them side by side in each row."""
    chosen = spread(test.identities[test.rows_of(pairs)], 12, _random(pairs.seed))
    part = pairs.part(chosen)
    shown, truths = test.pictures_of(part), test.images[test.rows_of(part)]
    edits = editor.edit_many(shown, part.targets)
    triples = [
        [cell(a, "input"), cell(edit.refined, "inpainted"), cell(b, "truth")]
        for a, edit, b in zip(shown, edits, truths, strict=True)
    ]
    rows = [triples[i] + (triples[i + 1] if i + 1 < len(triples) else []) for i in range(0, len(triples), 2)]
    return Figure("Figure 8", "Occluded input, inpainted, truth.", rows)


def retrieval_figure(evaluation: Evaluation, name: str) -> Figure:
    """Figure 5, right: query, generated, the first five; a green frame where identity, pose and light are right."""
    test, queries, space = evaluation.test, evaluation.queries, evaluation.space
    own, names = test.values_of(queries), test.manifest.columns["identity"]
    rows = []
    chosen = spread(test.identities[test.rows_of(queries)], 8, _random(queries.seed))
    for i, picture in zip(chosen, test.pictures_of(queries.part(chosen)), strict=True):
        row = [
            cell(picture, f"query, {space.text(space.values[own[i]])}"),
            cell(evaluation.refined[i], space.text(space.values[queries.targets[i]])),
        ]
        for rank, found in enumerate(evaluation.nearest[i, :5]):
            row.append(cell(test.images[found], names[found], "right" if evaluation.hits[OURS][i, rank] else "wrong"))
        rows.append(row)
    return Figure(name, "Query, generated face, first five results; green: identity, pose and light are right.", rows)


def map_figure(maps: NDArray[np.float64], values: Sequence[int]) -> Figure:
    """Figure 6: maps (n_a, 60, 60) of the squared error for each target pose, on one scale."""
    top = max(float(np.percentile(maps, 99.5)), 1e-9)
    cells = [cell(_coloured(m / top), f"{v}: {m.mean():.0f}") for m, v in zip(maps, values, strict=True) if m.any()]
    ramp = np.repeat(np.linspace(1, 0, 60)[:, None], 12, axis=1)
    caption = f"Squared error by pixel for each target pose, with its mean; the scale goes from 0 (dark) to {top:.0f}."
    return Figure("Figure 6", caption, [[*cells, cell(_coloured(ramp), "scale")]])


def _random(seed: int) -> np.random.Generator:
    """Which examples the figures show."""
    return np.random.default_rng([seed, 3])


def _coloured(shares: NDArray[np.float64]) -> Picture:
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(shares.clip(0, 1), stops, [colour[c] for colour in _COLOURS]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
