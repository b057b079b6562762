"""Measure everything, one task after the other; what is finished is kept, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faceedit.attributes import TASKS
from faceedit.editor import Editor
from faceedit.errors import ManifestError, ModelFileError
from faceedit.files import write_whole
from faceedit.manifest import Manifest
from faceedit.modelcard import CARD, read_card
from retrieval.errors import EvaluationError
from retrieval.evaluation.reproduce.claims import check_claims
from retrieval.evaluation.reproduce.figures import Figure
from retrieval.evaluation.reproduce.measure import Report, Settings, measure_errors, measure_retrieval
from retrieval.evaluation.reproduce.page import write_page

VERSIONS = {"errors": 3, "retrieval": 2}  # of what is measured and how: kept parts of another are measured again


def find_models(folder: Path, further: Mapping[str, Path] | None = None) -> tuple[dict[str, Path], dict[str, Path]]:
    """The model of each task, and further ones to compare by name. further: models by name; that of a task's name is
    taken instead of the one in the folder.

    Raises ModelFileError when a task has no model, or that of another one.
    """
    main = {name: folder / name for name in TASKS if (folder / name / CARD).is_file()}
    given = dict(further or {})
    main |= {name: given.pop(name) for name in TASKS if name in given}
    missing = [name for name in TASKS if name not in main]
    if missing:
        raise ModelFileError(
            f"{folder} has no model {', '.join(missing)}: give a folder that holds {', '.join(TASKS)}, each a model"
        )
    for name, path in main.items():
        found = read_card(path)[0].task.name
        if found != name:
            raise ModelFileError(f"{path} is a model for {found}: give one for {name} by this name")
    for path in given.values():
        read_card(path)
    return {name: main[name] for name in TASKS}, given


def reproduce(
    manifest: Manifest,
    models: tuple[Mapping[str, Path], Mapping[str, Path]],
    out: Path,
    settings: Settings,
    device: str = "auto",
    report: Report | None = None,
) -> dict[str, Any]:
    """Write out/report.html (one page, self-contained) and out/report.json (all numbers); return the latter. models:
    of each task, and further ones, as `find_models` gives them.

    A task of which the data set has no pairs is reported as not measured. report(what, done, total) is called as work
    goes on; out/work keeps what is finished. Raises ModelFileError, ManifestError for a data set without the columns
    path, identity, pose, illumination, EvaluationError when `out` holds another report or nothing can be measured.
    """
    manifest.require(("path", "identity", "pose", "illumination"))
    main, others = models
    require_own_report(out)
    run = _Run(manifest, settings, report or (lambda what, done, total: None), out / "work")
    tasks: dict[str, Any] = {}
    figures: list[dict[str, Any]] = []
    for name, folder in main.items():
        editor = Editor.load(folder, device)
        tasks[name], own = run.task(name, editor)
        tasks[name]["folder"] = folder.name
        figures.extend(own)
    if not any("mse" in task for task in tasks.values()):
        raise EvaluationError(f"nothing can be measured: {tasks['pose']['not_measured']}")
    comparison = {name: run.errors(name, Editor.load(folder, device))[0] for name, folder in others.items()}
    return _write(out, tasks, comparison, figures, {"data": manifest.root.resolve().name, **asdict(settings)})


def require_own_report(out: Path) -> None:
    """Raise EvaluationError when a report in `out` was written by something else."""
    if (out / "report.json").exists() and not (out / "work").is_dir():
        raise EvaluationError(f"{out} holds another report: give another --out")


class _Run:
    """One measurement, whose parts are kept in `work` as they are finished."""

    def __init__(self, manifest: Manifest, settings: Settings, report: Report, work: Path) -> None:
        self._manifest, self._settings, self._report, self._work = manifest, settings, report, work
        work.mkdir(parents=True, exist_ok=True)
        self._data = _data_digest(manifest)

    def task(self, name: str, editor: Editor) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Every number of one task, and its figures."""
        numbers, figures = self.errors(name, editor)
        if "not_measured" in numbers:
            return numbers, []
        cache = self._work / "cache"
        found = self._kept(
            f"{name}-retrieval",
            editor,
            lambda: measure_retrieval(editor, self._manifest, self._settings, self._report, cache),
        )
        shutil.rmtree(cache, ignore_errors=True)
        return {**numbers, "retrieval": found["numbers"]}, [*figures, *found["figures"]]

    def errors(self, name: str, editor: Editor) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The errors of one model, how it was trained, and the figures of its edits."""
        found = self._kept(
            f"{name}-errors", editor, lambda: measure_errors(editor, self._manifest, self._settings, self._report)
        )
        return {**found["numbers"], **_made(editor)}, found["figures"]

    def _kept(
        self, name: str, editor: Editor, make: Callable[[], tuple[dict[str, Any], list[Figure]]]
    ) -> dict[str, Any]:
        """What an earlier run wrote about the same model, data and settings, or what is measured now."""
        file = self._work / f"{name}.json"
        parts = [VERSIONS[name.rpartition("-")[2]], editor.digest, editor.device, self._data, asdict(self._settings)]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            if before["key"] == key and {"numbers", "figures"} <= before.keys():
                return dict(before)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing usable is there
        try:
            numbers, figures = make()
        except (EvaluationError, ManifestError) as error:
            return {"numbers": {"task": editor.attribute.name, "not_measured": str(error)}, "figures": []}
        made = {"key": key, "numbers": numbers, "figures": [figure.as_json() for figure in figures]}
        write_whole(file, json.dumps(made).encode())
        return made


def _write(
    out: Path, tasks: dict[str, Any], comparison: dict[str, Any], figures: list[dict[str, Any]], about: dict[str, Any]
) -> dict[str, Any]:
    claims = [{**asdict(claim), "holds": claim.holds} for claim in check_claims(tasks)]
    content = {"about": about, "claims": claims, "tasks": tasks, "comparison": comparison}
    write_whole(out / "report.json", (json.dumps(content, indent=2) + "\n").encode())
    write_whole(out / "report.html", write_page({**content, "figures": figures}).encode())
    return content


def _made(editor: Editor) -> dict[str, Any]:
    """How a model was trained, as far as its card says."""
    card = editor.card
    began = card.provenance.get("started_from")
    return {
        "recipe": str(card.recipe.get("name", "unknown")),
        "middle": card.network.middle,
        "training_pairs": pairs_seen(card.recipe, len(editor.attribute)),
        "started_from": began.get("model", "")[:12] if isinstance(began, dict) else "",
    }


def pairs_seen(recipe: Mapping[str, Any], values: int) -> list[int]:
    """How many pairs each stage learns from, at most, by a recipe as a model's card has it, of any release, for an
    attribute with so many values: not everybody has contrast_conditions pictures to compare. Zeros where it does not
    say."""
    names = ("sources", "targets", "steps_one", "steps_two", "contrast", "contrast_people", "contrast_conditions")
    known = [recipe.get(name) for name in names]
    sources, targets, one, two, contrast, people, conditions = (n if isinstance(n, int | float) else 0 for n in known)
    in_batch = int(sources * targets // max(1, min(targets, values))) * int(min(targets, values))
    compared = 4 * people * conditions if contrast > 0 else in_batch
    if recipe.get("beside"):  # both stages learn from all of it, and of the second one the decoder again
        whole = in_batch + (compared if contrast > 0 else 0)
        return [int(one * whole), int((one + two) * whole)]
    return [int(one * in_batch), int(two * compared)]


def _data_digest(manifest: Manifest) -> str:
    """Of the table, and of every file's size and time."""
    content = hashlib.sha256(json.dumps(manifest.columns, sort_keys=True).encode())
    for path in manifest.paths():
        if path.is_file():
            content.update(f"{path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return content.hexdigest()
