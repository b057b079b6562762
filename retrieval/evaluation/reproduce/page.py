"""The reproduction as one HTML page: no script, no network, every picture inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from retrieval.evaluation.reproduce import paper
from retrieval.evaluation.reproduce.claims import VERDICTS

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; } caption { text-align: left; padding: .3rem 0; color: #555; }
th, td { border: 1px solid #ddd; padding: .25rem .6rem; text-align: right; }
th:first-child, td.text { text-align: left; }
th { background: #f4f4f4; font-weight: 600; }
.holds { color: #17692f; font-weight: 600; } .fails { color: #b3261e; font-weight: 600; }
figure { margin: 1.5rem 0; overflow-x: auto; } figcaption { color: #555; margin-top: .3rem; }
.row { display: flex; gap: 4px; margin-bottom: 4px; } .cell { flex: none; text-align: center; font-size: 11px; }
.cell img { display: block; border: 3px solid transparent; width: 96px; height: 96px; object-fit: contain; }
.small .cell img { width: 60px; height: 60px; border-width: 0; }
.cell img.right { border-color: #1ea046; } .cell img.wrong { border-color: #c83c32; }
.note { background: #fff7e0; border-left: 4px solid #e0b000; padding: .6rem 1rem; }
"""
_TASKS = ("pose", "illumination", "inpainting")


def write_page(content: Mapping[str, Any]) -> str:
    """HTML of everything that `reproduce` gathered (its JSON, with the figures)."""
    tasks, figures = content["tasks"], content["figures"]
    about = content["about"]
    body = [
        "<h1>Learning to See Another You, measured again</h1>",
        f"<p>Every table, figure and claim of section 4 of Ghodrati, Jia, Pedersoli and Tuytelaars, <i>Towards "
        f"Automatic Image Editing: Learning to See Another You</i> (BMVC 2016), on the data set "
        f"<b>{escape(str(about['data']))}</b>.</p>",
        "<p class='note'>The paper's figures are of Multi-PIE, ours of the data set named here: other people, other "
        "cameras, other backgrounds. The two stand side by side to compare their order, not their size.</p>",
        _claims(content["claims"]),
        "<h2>Errors</h2>",
        _table_1(tasks),
        *_figures(figures, ("Figure 3",)),
        *_figures(figures, ("Figure 4",)),
        _figure_5_left(tasks.get("pose", {})),
        *_figures(figures, ("Figure 6", "Figure 7", "Figure 8")),
        "<h2>Retrieval</h2>",
        _retrieval(tasks),
        *_figures(figures, ("Figure 5, right", "Retrieval by illumination", "Retrieval by inpainting")),
        _comparison(content["comparison"], tasks),
        _models(content),
    ]
    title = "Learning to See Another You, measured again"
    viewport = "<meta name='viewport' content='width=device-width'>"
    head = f"<meta charset='utf-8'>{viewport}<title>{title}</title><style>{_STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n" + "\n".join(body) + "\n</body></html>\n"


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for claim in claims:
        verdict = VERDICTS[claim["holds"]]
        kind = {True: "holds", False: "fails", None: ""}[claim["holds"]]
        numbers = [_number(claim[name]) for name in ("smaller", "larger", "paper_smaller", "paper_larger")]
        rows.append([claim["text"], f"<span class='{kind}'>{verdict}</span>", *numbers])
    held = sum(claim["holds"] is True for claim in claims)
    head = ("claim", "here", "this", "less than this", "paper: this", "less than this")
    note = (
        "Per-pixel MSE, 0..255 units. The whole picture's error is mostly that of hair, silhouette and background; the "
        "inner face (brows to chin) shows what a turn costs where the person is recognised."
    )
    return f"<h2>Claims</h2><p>{held} of {len(claims)} hold.</p>" + _table(head, rows, note)


def _table_1(tasks: Mapping[str, Any]) -> str:
    rows = []
    for name in _TASKS:
        task = tasks.get(name, {})
        if "mse" not in task:
            rows.append([name, escape(task.get("not_measured", "not measured")), "", "", "", ""])
            continue
        mse, one, two = task["mse"], *paper.MSE[name]
        shown = [f"{mse['unedited']:.0f}", f"{mse['stage1']:.1f}", f"{mse['stage2']:.1f}"]
        rows.append([f"{name}, {task['pairs']:,} random pairs", *shown, _number(one), _number(two)])
        if name == "pose" and task["mse_neutral"]:
            part = task["mse_neutral"]
            shown = [f"{part['unedited']:.0f}", f"{part['stage1']:.1f}", f"{part['stage2']:.1f}"]
            text = f"pose, only light 0 (the room alone), {part['pairs']} pairs (paper: 510 pictures, neutral light)"
            rows.append([text, *shown, *map(_number, paper.MSE_NEUTRAL)])
    head = ("per-pixel MSE", "unedited", "stage one", "stage two", "paper, stage one", "paper, stage two")
    note = (
        "Table 1 and section 4.2. Unedited: the source against the target, as if nothing were done; for inpainting the "
        f"paper has {paper.MSE_OCCLUDED:.0f}."
    )
    return _table(head, rows, note)


def _figure_5_left(pose: Mapping[str, Any]) -> str:
    table = pose.get("mse_by_pair")
    if not table:
        return ""
    parts = []
    for title, values in (("here", table), ("paper, Multi-PIE", paper.MSE_BY_PAIR)):
        known = [v for row in values.values() for v in row.values()]
        low, high = min(known), max(known)
        rows = [
            [str(s), *(_shaded(values.get(str(s), {}).get(str(t)), low, high) for t in paper.POSES)]
            for s in paper.POSES
        ]
        caption = f"Figure 5, left ({title}): MSE of stage two, source pose (rows) to target pose (columns)."
        parts.append(_table(("", *map(str, paper.POSES)), rows, caption))
    return "".join(parts)


def _shaded(value: float | None, low: float, high: float) -> str:
    if value is None:
        return ""
    share = (value - low) / max(high - low, 1e-9)
    return f"<span style='background: rgba(222,73,104,{0.6 * share:.2f}); padding: 0 .3rem'>{value:.0f}</span>"


def _retrieval(tasks: Mapping[str, Any]) -> str:
    rows = []
    for name in _TASKS:
        found = tasks.get(name, {}).get("retrieval")
        if not found:
            continue
        rows.append([f"<b>{name}</b>", *_recalls(found["recall"]), f"{found['queries']:,}", f"{found['gallery']:,}"])
        rows.extend(
            [f"&nbsp;&nbsp;{escape(method.replace('_', ' '))}", *_recalls(recalls), "", ""]
            for method, recalls in found["baselines"].items()
        )
        first = ", ".join(f"{key} {share:.3f}" for key, share in found["first_result"].items())
        note = f"&nbsp;&nbsp;right in the first result: {first}; {name} decided right {found['candidate_accuracy']:.4f}"
        rows.append([note, "", "", "", "", ""])
    rows.append(["paper, pose, Multi-PIE", f"{paper.RECALL[1]:.3f}", f"{paper.RECALL[5]:.3f}", "", "", ""])
    note = (
        "Right: identity, illumination and pose all agree. The gallery is every test picture, described without its "
        "label; a query's target differs from its own value, and the query itself never counts. In brackets: 95 % "
        "interval, people resampled."
    )
    return _table(("", "recall@1", "recall@5", "recall@10", "queries", "gallery"), rows, note)


def _recalls(recalls: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [f"{r['value']:.3f} ({r['low']:.3f} to {r['high']:.3f})" for r in recalls.values()]


def _comparison(models: Mapping[str, Mapping[str, Any]], tasks: Mapping[str, Any]) -> str:
    if not models:
        return ""
    shown = {
        **models,
        **{name: task for name, task in tasks.items() if any(m["task"] == name for m in models.values())},
    }
    rows = [
        [
            f"{escape(name)}{' (the model of this report)' if name in tasks else ''}", escape(model["recipe"]),
            str(model["middle"]), f"{model['training_pairs'][0]:,}", f"{model['training_pairs'][1]:,}",
            f"{model['parameters']['generation']:,}", f"{model['mse']['stage1']:.1f}", f"{model['mse']['stage2']:.1f}",
        ]
        for name, model in sorted(shown.items())
        if "mse" in model
    ]  # fmt: skip
    head = (
        "model", "recipe", "channels between unpoolings", "pairs seen, stage one", "stage two",
        "weights of stage one", "MSE stage one", "MSE stage two",
    )  # fmt: skip
    return "<h2>What the choices cost</h2>" + _table(head, rows, "The same test pairs for all.")


def _models(content: Mapping[str, Any]) -> str:
    rows = []
    for name in _TASKS:
        task = content["tasks"].get(name, {})
        if "parameters" in task:
            parts = task["parameters"]
            weights = f"{parts['generation']:,} + {parts['refinement']:,}"
            rows.append([name, escape(task["model"]), escape(task["recipe"]), weights])
    about = ", ".join(f"{escape(str(key))} {escape(str(value))}" for key, value in content["about"].items())
    return "<h2>Models</h2>" + _table(("task", "model", "recipe", "weights"), rows, f"Measured with: {about}.")


def _figures(figures: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    return [_figure(figure) for name in names for figure in figures if figure["name"] == name]


def _figure(figure: Mapping[str, Any]) -> str:
    rows = []
    for row in figure["rows"]:
        cells = [
            f"<div class='cell'><img class='{escape(c['frame'])}' alt='{escape(c['caption'], quote=True)}' "
            f"src='{escape(c['src'], quote=True)}'>{escape(c['caption'])}</div>"
            for c in row
        ]
        rows.append(f"<div class='row'>{''.join(cells)}</div>")
    small = " class='small'" if max(len(row) for row in figure["rows"]) > 12 else ""
    caption = f"<b>{escape(figure['name'])}.</b> {escape(figure['caption'])}"
    return f"<figure{small}>{''.join(rows)}<figcaption>{caption}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = ["".join(f"<td{' class=text' if i == 0 else ''}>{c}</td>" for i, c in enumerate(row)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(caption)}</caption><tr>{titles}</tr>{body}</table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
