"""How well real people are found, beside renders: the README's table, confusion matrices, and a sheet to look at.

    python benchmarks/real_people.py --renders DATA --real REAL --out OUT [--model NAME=FOLDER ...]

DATA: what `facesearch synth --identities 249` wrote; REAL: a manifest of photographs of people at several poses, never
trained on. Every picture of REAL is queried at each of its other poses; a result is right when person, pose, and
expression (on renders: light) all are. Writes OUT/table.md, OUT/results.json and OUT/people.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from faceedit.attributes import POSE
from faceedit.editor import Editor
from faceedit.manifest import read_manifest
from retrieval.evaluation.evaluate import Evaluation, evaluate
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set, spread
from retrieval.evaluation.recall import RANKS
from retrieval.evaluation.report import measure
from retrieval.evaluation.reproduce.run import pairs_seen
from retrieval.sheets import GREEN, RED, Cell, draw_sheet

MODELS = Path(__file__).resolve().parent.parent / "sample_db" / "models"
DEFAULT = ("best=pose",)
PIXELS = ("unedited_pixels", "mirrored_pixels")
PEOPLE, ACROSS = 24, 4
ATTRIBUTION = "DeBruine and Jones (2017), Face Research Lab London Set, CC BY 4.0; imagined faces derived."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="[best, as it comes along]")
    parser.add_argument("--attribution", default=ATTRIBUTION, help="of the photographs, drawn below the sheet")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()

    given.out.mkdir(parents=True, exist_ok=True)
    models = dict(text.split("=", 1) for text in given.model or DEFAULT)
    sets = {"renders": (given.renders, None), "real": (given.real, ("identity", "expression", "pose"))}
    results: dict[str, dict[str, Any]] = {}
    for name, folder in models.items():
        editor = Editor.load(MODELS / folder, given.device)  # an absolute folder stays as it is
        for kind, (data, match) in sets.items():
            evaluation = _evaluated(editor, data, match, given.queries, f"{name}, {kind}")
            results.setdefault(name, {})[kind] = {
                **measure(evaluation),
                "person_and_pose": _person_and_pose(evaluation),
                "trained": _trained(editor),
            }
            if kind == "real" and name == list(models)[-1]:
                _write_people(evaluation, given.out / "people.png", given.attribution)
    (given.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    text = _table(results)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def _evaluated(editor: Editor, data: Path, match: tuple[str, ...] | None, count: int, title: str) -> Evaluation:
    manifest = read_manifest(data)
    match = match or default_match(manifest)
    test = load_test_set(manifest, editor.attribute, match)
    queries = choose_queries(test, editor.attribute, count, 0)
    print(f"{title}: {len(queries):,} queries, gallery of {len(test.images):,}", flush=True)
    return evaluate(editor, test, queries, match)


def _trained(editor: Editor) -> str:
    """What a model learned from, for how long, with the models it began with: rows differ in that too."""
    data = editor.card.provenance.get("data", "")
    sets = [str(each.get("data")) for each in data] if isinstance(data, list) else [str(data)]
    pairs = np.zeros(2, np.int64)
    run: dict[str, Any] | None = {"recipe": editor.card.recipe, **editor.card.provenance}
    while run is not None:
        if not run.get("recipe"):  # cards of older formats do not keep what their start was trained by
            return f"{' + '.join(sets)}, pairs unknown"
        pairs += np.array(pairs_seen(run["recipe"], len(editor.attribute)))
        run = run.get("started_from")
    return f"{' + '.join(sets)}, up to {pairs[0]:,} and {pairs[1]:,} pairs"


def _person_and_pose(evaluation: Evaluation) -> float:
    """Share of queries whose first result is the right person at the target pose, whatever else it shows."""
    test, first = evaluation.test, evaluation.nearest[:, 0]
    person = test.identities[first] == test.identities[test.rows_of(evaluation.queries)]
    return round(float((person & (test.values[first] == evaluation.queries.targets)).mean()), 4)


def _write_people(evaluation: Evaluation, file: Path, attribution: str) -> None:
    """24 people: query, imagined, truth; a green frame where the truth was found first."""
    test, queries = evaluation.test, evaluation.queries
    chosen = spread(test.identities[test.rows_of(queries)], PEOPLE, np.random.default_rng(0))
    right = evaluation.hits["descriptor"][:, 0]
    people: list[list[Cell]] = []
    for i, picture in zip(chosen, test.pictures_of(queries.part(chosen)), strict=True):
        value = evaluation.space.values[int(queries.targets[i])]
        people.append(
            [
                Cell(picture, "query"),
                Cell(evaluation.refined[i], f"imagined {value}"),
                Cell(test.images[int(evaluation.truths[i])], "truth", GREEN if right[i] else RED),
            ]
        )
    rows = [[cell for cells in people[i : i + ACROSS] for cell in cells] for i in range(0, len(people), ACROSS)]
    sheet = Image.fromarray(draw_sheet(rows))
    framed = Image.new("RGB", (sheet.width, sheet.height + 24), (255, 255, 255))
    framed.paste(sheet, (0, 0))
    ImageDraw.Draw(framed).text((8, sheet.height + 4), f"Photographs: {attribution}", fill=(0, 0, 0))
    framed.save(file)


def _table(results: dict[str, dict[str, Any]]) -> str:
    kinds = ("renders", "real")
    last = results[list(results)[-1]]
    recalls = " | ".join(f"{kind}: recall@1 | recall@5" for kind in kinds)
    lines = [f"| method | {recalls} | real: person and pose first |", "| --- " * 6 + "|"]
    for method in PIXELS:
        cells = [_cell(last[kind]["baselines"][method], rank) for kind in kinds for rank in RANKS[:2]]
        lines.append(f"| {method.replace('_', ' ')} | {' | '.join(cells)} | |")
    for name, own in results.items():
        cells = [_cell(own[kind]["recall"], rank) for kind in kinds for rank in RANKS[:2]]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {own['real']['person_and_pose']:.3f} |")
    faces = " | ".join(f"{kind}: MSE | SSIM | sharpness" for kind in kinds)
    decided = "pose decided exactly, within one: renders | real"
    lines += ["", *(f"`{name}`: trained on {own['real']['trained']}." for name, own in results.items())]
    lines += ["", f"| faces | {faces} | {decided} |", "| --- " * 9 + "|"]
    for name, own in results.items():
        shown = [f"{own[kind]['face']['stage2'][key]:g}" for kind in kinds for key in ("mse", "ssim", "sharpness")]
        poses = [f"{own[kind]['decided_accuracy']:.3f}, {own[kind]['decided_within_one']:.3f}" for kind in kinds]
        lines.append(f"| `{name}` | {' | '.join(shown + poses)} |")
    for kind in kinds:
        lines += ["", f"Pose decided by `{list(results)[-1]}` on {kind}, rows: label, columns: decision.", ""]
        table = zip(POSE.values, last[kind]["decided_confusion"], strict=True)
        lines += ["| | " + " | ".join(map(str, POSE.values)) + " |", "| --- " * 8 + "|"]
        lines += [f"| {value} | {' | '.join(map(str, row))} |" for value, row in table if sum(row)]
    return "\n".join(lines) + "\n"


def _cell(recalls: dict[str, dict[str, float]], rank: int) -> str:
    own = recalls[str(rank)]
    return f"{own['value']:.3f} ({own['low']:.3f} to {own['high']:.3f})" if rank == 1 else f"{own['value']:.3f}"


if __name__ == "__main__":
    main()
