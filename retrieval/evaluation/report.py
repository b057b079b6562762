"""Write what an evaluation measured: report.json for machines, report.md with pictures for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Edits, Usual
from faceedit.images import write_picture
from faceedit.manifest import read_manifest
from index.progress import Progress
from retrieval.evaluation.evaluate import OURS, Evaluation, evaluate_set
from retrieval.evaluation.pages import rendered
from retrieval.evaluation.quality import per_pixel_mse, quality
from retrieval.evaluation.queries import Bools, default_match, spread
from retrieval.evaluation.recall import RANKS, bootstrap, recall
from retrieval.sheets import GREEN, RED, Cell, draw_sheet
from retrieval.tables import aligned

if TYPE_CHECKING:
    from faceedit.knowing import AnyEditor

_EXAMPLES = 12
_FEW = 7  # values of an attribute, of which a table by pairs can be read


def write_report(evaluation: Evaluation, out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write out/report.json, out/report.md and out/pictures/; return what report.json holds.

    about: what was evaluated (model digest, data set, seed), copied into the report.
    """
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    figures = {**measure(evaluation), "about": about}
    (out / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    people = evaluation.test.identities[evaluation.test.rows_of(evaluation.queries)]
    chosen = spread(people, _EXAMPLES, np.random.default_rng(0))
    write_picture(_result_sheet(evaluation, chosen), out / "pictures" / "results.png")
    write_picture(_stage_sheet(evaluation, chosen), out / "pictures" / "stages.png")
    (out / "report.md").write_text(_markdown(evaluation, figures), encoding="utf-8")
    return figures


def figures_of(
    editor: Edits,
    data: Path,
    queries: int,
    seed: int,
    match: Sequence[str] | None,
    progress: Progress | None,
    faces: str | None = None,
) -> dict[str, Any]:
    """What report.json would hold of a data set; nothing is written. See `FaceSearch.evaluate`."""
    columns = tuple(match or ())
    manifest = read_manifest(data, required=("path", "identity", *columns))
    columns = default_match(manifest) if match is None else columns
    evaluation = evaluate_set(editor, manifest, columns, queries=queries, seed=seed, progress=progress, faces=faces)
    about = {"model": editor.digest[:12], "data": manifest.root.resolve().name, "seed": seed}
    return {**measure(evaluation), "about": about}


def measure(evaluation: Evaluation) -> dict[str, Any]:
    """Every figure of the report."""
    test, queries, space = evaluation.test, evaluation.queries, evaluation.space
    ours = evaluation.hits[OURS]
    people = test.identities[test.rows_of(queries)]
    truths = evaluation.true_pictures()
    one, two = (per_pixel_mse(p, truths) for p in (evaluation.generated, evaluation.refined))
    from_values = test.values_of(queries)
    own = np.concatenate([test.values, np.ones_like(evaluation.occluded_decided)])
    decided = np.concatenate([evaluation.decided, evaluation.occluded_decided])
    distance = np.abs(decided - own)
    known = usual(evaluation, "")
    return {
        "task": space.name,
        "queries": len(queries),
        "gallery": len(test.images),
        "identities": len(np.unique(test.identities)),
        "match": list(evaluation.match),
        "recall": _recalls(ours, people),
        "by_source": _split(space.values, from_values, ours),
        "by_target": _split(space.values, queries.targets, ours),
        "mse": {"stage1": round(float(one.mean()), 2), "stage2": round(float(two.mean()), 2)},
        "face": {
            "stage1": quality(evaluation.generated, truths).summary(),
            "stage2": quality(evaluation.refined, truths).summary(),
        },
        "mse_by_pair": mse_table(space.values, from_values, queries.targets, two),
        "baselines": {name: _recalls(hits, people) for name, hits in evaluation.hits.items() if name != OURS},
        "first_result": _first_result(evaluation),
        "right_distances": {"half": known.half, "most": known.most, "nearly_all": known.nearly_all} if known else None,
        "who": _who(evaluation.who),
        "recall_same_value": {str(k): round(recall(evaluation.same_value_hits, k), 4) for k in RANKS},
        "decided_accuracy": round(float((distance == 0).mean()), 4),
        "decided_within_one": round(float((distance <= 1).mean()), 4),
        "decided_confusion": _confusion(len(space), own, decided),
    }


def usual(evaluation: Evaluation, data: str) -> Usual | None:
    """How far right first results lay, on this data set, today; None where no first result was right."""
    right = evaluation.distances[evaluation.hits[OURS][:, 0]]
    if not len(right):
        return None
    half, most, nearly_all = (round(float(one), 4) for one in np.quantile(right, (0.5, 0.9, 0.99)))
    return Usual(data, datetime.now(UTC).date().isoformat(), len(right), half, most, nearly_all)


def summary(evaluation: Evaluation, figures: Mapping[str, Any]) -> list[str]:
    """The figures of a report that matter most, for people."""
    table = [["method", *(f"recall@{rank}" for rank in RANKS)]]
    for name, values in (("two-stage descriptor", figures["recall"]), *figures["baselines"].items()):
        table.append([name.replace("_", " "), *(f"{r['value']:.3f}" for r in values.values())])
    told = aligned(table)
    whole, face, far = figures["mse"], figures["face"], figures["right_distances"]
    if evaluation.comparable:
        told.append(f"MSE stage one {whole['stage1']}, stage two {whole['stage2']}{evaluation.compared_on}")
    told.append(
        f"within the face: MSE {face['stage1']['mse']}, {face['stage2']['mse']}; SSIM {face['stage2']['ssim']:.3f}; "
        f"sharpness {face['stage2']['sharpness']:.2f} of the truth's"
    )
    if far:
        half, most, nearly_all = far.values()
        told.append(f"right first results within {half:.3f} (half), {most:.3f} (90 %), {nearly_all:.3f} (99 %)")
    for one in evaluation.who.accepted if evaluation.who else ():
        pairs = f"{one.share:.3f} of one person's pairs within {one.distance:.3f}"
        told.append(f"who alone: {pairs}, as {one.rate:g} of strangers")
    return [*told, f"{evaluation.space.name} decided right {figures['decided_accuracy']:.3f}"]


def record(
    folder: Path, describer: AnyEditor, evaluation: Evaluation, figures: Mapping[str, Any], columns: Sequence[str]
) -> None:
    """Write into a model's card the figures of a report on it, and how far right results lie. columns: that agree in a
    right result."""
    from faceedit.editor import LEARNED
    from faceedit.modelfile import record_metrics

    data = str(figures["about"]["data"])
    of = f"{data}: " + ",".join(columns) + (f"; descriptor {describer.kind}" if describer.kind != LEARNED else "")
    distances = usual(evaluation, data)
    known = {kind: one for kind, one in ((describer.kind, distances), (describer.kind_who, evaluation.who)) if one}
    record_metrics(folder, _for_the_card(evaluation, figures, of), known)


def _for_the_card(evaluation: Evaluation, figures: Mapping[str, Any], of: str) -> dict[str, float]:
    """The figures that a model's card keeps, by name and by what they were measured on."""
    recalls = {f"recall@{rank}": found["value"] for rank, found in figures["recall"].items()}
    errors = {f"mse_{stage}": value for stage, value in figures["mse"].items() if evaluation.comparable}
    return {f"{name} ({of})": value for name, value in {**recalls, **errors}.items()}


def _who(known: Usual | None) -> dict[str, Any] | None:
    """What says who it is, alone: distances of right first results, and by each share of strangers that is taken for
    one person how far they may be and how many pairs of one person are."""
    if known is None:
        return None
    return {
        **{name: getattr(known, name) for name in ("half", "most", "nearly_all")},
        "accepted": [asdict(one) for one in known.accepted],
    }


def _recalls(hits: Bools, people: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    out = {}
    for rank in RANKS:
        low, high = bootstrap(hits, rank, people)
        out[str(rank)] = {"value": round(recall(hits, rank), 4), "low": round(low, 4), "high": round(high, 4)}
    return out


def _split(values: Sequence[int], by: NDArray[np.int64], hits: Bools) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for position, value in enumerate(values):
        chosen = hits[by == position]
        if len(chosen):
            row: dict[str, float] = {str(rank): round(recall(chosen, rank), 4) for rank in RANKS}
            out[str(value)] = {"queries": len(chosen), **row}
    return out


def mse_table(
    values: Sequence[int], sources: NDArray[np.int64], targets: NDArray[np.int64], errors: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Mean error by source value, then target value; sources and targets (Q,) are positions, errors (Q,)."""
    out: dict[str, dict[str, float]] = {}
    for s, source in enumerate(values):
        for t, target in enumerate(values):
            chosen = errors[(sources == s) & (targets == t)]
            if len(chosen):
                out.setdefault(str(source), {})[str(target)] = round(float(chosen.mean()), 1)
    return out


def _first_result(evaluation: Evaluation) -> dict[str, float]:
    """How often each thing about the first result is right on its own."""
    test, queries = evaluation.test, evaluation.queries
    first = evaluation.nearest[:, 0]
    out = {}
    if not evaluation.space.occlusion:  # there, every picture of the gallery is complete
        out[evaluation.space.name] = float((test.values[first] == queries.targets).mean())
    for column in evaluation.match:
        if column != evaluation.space.name:
            texts = np.array(test.manifest.columns[column])
            out[column] = float((texts[first] == texts[test.rows_of(queries)]).mean())
    return {name: round(share, 4) for name, share in out.items()}


def _confusion(n: int, labels: NDArray[np.int64], decided: NDArray[np.int64]) -> list[list[int]]:
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (labels, decided), 1)
    return counts.tolist()


def _result_sheet(evaluation: Evaluation, chosen: list[int]) -> NDArray[np.uint8]:
    test, queries, space = evaluation.test, evaluation.queries, evaluation.space
    own = test.values_of(queries)
    rows = []
    for i, picture in zip(chosen, test.pictures_of(queries.part(chosen)), strict=True):
        row = [
            Cell(picture, f"query\n{space.text(space.values[own[i]])}"),
            Cell(evaluation.refined[i], f"imagined\n{space.text(space.values[queries.targets[i]])}"),
        ]
        for rank in range(min(5, evaluation.nearest.shape[1])):
            found = int(evaluation.nearest[i, rank])
            frame = GREEN if evaluation.hits[OURS][i, rank] else RED
            row.append(Cell(test.images[found], test.manifest.columns["identity"][found], frame))
        rows.append(row)
    return draw_sheet(rows, gap_after=2)


def _stage_sheet(evaluation: Evaluation, chosen: list[int]) -> NDArray[np.uint8]:
    test, shown = evaluation.test, evaluation.test.pictures_of(evaluation.queries.part(chosen))
    return draw_sheet(
        [
            [
                Cell(picture, "query"),
                Cell(evaluation.generated[i], "stage one"),
                Cell(evaluation.refined[i], "stage two"),
                Cell(test.images[int(evaluation.truths[i])], "truth"),
            ]
            for i, picture in zip(chosen, shown, strict=True)
        ]
    )


def _markdown(evaluation: Evaluation, figures: dict[str, Any]) -> str:
    targets = {int(target) for row in figures["mse_by_pair"].values() for target in row}
    return rendered(
        "report.md.j2",
        task=evaluation.space.name,
        occlusion=evaluation.space.occlusion,
        match=evaluation.match,
        compared_on=evaluation.compared_on,
        figures=figures,
        pairs=list(map(str, sorted(targets))) if len(evaluation.space) <= _FEW else [],
    )
