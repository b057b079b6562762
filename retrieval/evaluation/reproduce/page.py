"""The reproduction as one HTML page: no script, no network, every picture inside; and in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrieval.evaluation.pages import rendered
from retrieval.evaluation.reproduce import paper
from retrieval.evaluation.reproduce.claims import VERDICTS
from retrieval.tables import aligned

_TASKS = ("pose", "illumination", "inpainting")
_DARKEST = 0.6  # share of the colour that the largest error of a table has

Table = Mapping[str, Mapping[str, float]]
Shade = Mapping[str, float]


def write_page(content: Mapping[str, Any]) -> str:
    """HTML of everything that `reproduce` gathered (its JSON, with the figures)."""
    tasks = {name: content["tasks"].get(name, {}) for name in _TASKS}
    table = tasks["pose"].get("mse_by_pair")
    tables = (("here", table), ("paper, Multi-PIE", paper.MSE_BY_PAIR)) if table else ()
    return rendered(
        "reproduction.html.j2",
        about=content["about"],
        claims=content["claims"],
        verdicts=VERDICTS,
        kinds={True: "holds", False: "fails", None: ""},
        tasks=tasks,
        paper=paper,
        by_pair=[(title, _shaded(values)) for title, values in tables],
        figures=content["figures"],
        compared=_compared(content["comparison"], tasks),
    )


def not_measured(content: Mapping[str, Any]) -> dict[str, str]:
    """By task, why there is nothing of it."""
    return {name: task["not_measured"] for name, task in content["tasks"].items() if "mse" not in task}


def summary(content: Mapping[str, Any]) -> list[str]:
    """The figures that matter most, and whether the paper's claims hold, for people."""
    table = [["task", "MSE stage one", "stage two", "recall@1", "recall@5"]]
    for task in content["tasks"].values():
        cells = ["-"] * 4
        if "mse" in task:
            recalls = task["retrieval"]["recall"]
            cells = [f"{task['mse'][stage]:.1f}" for stage in ("stage1", "stage2")]
            cells += [f"{recalls[rank]['value']:.3f}" for rank in ("1", "5")]
        table.append([task["folder"], *cells])
    told = aligned(table)
    for claim in content["claims"]:
        numbers = "" if claim["holds"] is None else f" ({claim['smaller']:g} against {claim['larger']:g})"
        told.append(f"{VERDICTS[claim['holds']]}: {claim['text']}{numbers}")
    return told


def _shaded(table: Table) -> list[tuple[int, list[Shade | None]]]:
    """Each source pose with the error and the colour's share of each target pose, None where there is none."""
    known = [value for row in table.values() for value in row.values()]
    low, high = min(known), max(known)

    def shade(value: float | None) -> Shade | None:
        share = 0.0 if value is None else _DARKEST * (value - low) / max(high - low, 1e-9)
        return None if value is None else {"mse": value, "share": share}

    return [(s, [shade(table.get(str(s), {}).get(str(t))) for t in paper.POSES]) for s in paper.POSES]


def _compared(models: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Further models by name, beside the report's own of the same tasks; those of which something was measured."""
    own = {name: task for name, task in tasks.items() if any(model["task"] == name for model in models.values())}
    return [(name, model) for name, model in sorted({**models, **own}.items()) if "mse" in model]
