"""Measure everything, one task after the other; what is finished is kept, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faceedit.attributes import TASKS
from faceedit.editor import Editor
from faceedit.errors import ManifestError, ModelFileError
from faceedit.files import write_whole
from faceedit.manifest import Manifest
from faceedit.modelfile import CARD, read_card
from faceedit.recipes import Recipe
from retrieval.errors import EvaluationError
from retrieval.reproduce.claims import check_claims
from retrieval.reproduce.measure import Report, Settings, measure_errors, measure_task
from retrieval.reproduce.page import write_page


def find_models(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The model of each task (the folder of its name), and further models to compare, by folder name.

    Raises ModelFileError when a task has no model.
    """
    found = {path.name: path for path in sorted(folder.iterdir()) if (path / CARD).is_file()}
    main = {name: found[name] for name in TASKS if name in found}
    missing = [name for name in TASKS if name not in main]
    if missing:
        raise ModelFileError(
            f"{folder} has no model {', '.join(missing)}: give a folder that holds {', '.join(TASKS)}, each a model"
        )
    for name, path in main.items():
        task = read_card(path)[0].task.name
        if task != name:
            raise ModelFileError(f"{path} is a model for {task}: name its folder so")
    return main, {name: path for name, path in found.items() if name not in main}


def reproduce(
    manifest: Manifest, models: Path, out: Path, settings: Settings, device: str = "auto", report: Report | None = None
) -> dict[str, Any]:
    """Write out/report.html (one page, self-contained) and out/report.json (all numbers); return the latter.

    A task of which the data set has no pairs is reported as not measured. report(what, done, total) is called as work
    goes on. Raises ModelFileError, ManifestError for a data set without the columns path, identity, pose, illumination.
    """
    manifest.require(("path", "identity", "pose", "illumination"))
    main, others = find_models(models)
    speak = report or (lambda what, done, total: None)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    data = _data_digest(manifest)
    tasks: dict[str, Any] = {}
    figures: list[dict[str, Any]] = []
    for name, folder in main.items():
        editor = Editor.load(folder, device)
        key = _key(editor.digest, data, settings)
        done = _kept(work / f"{name}.json", key, lambda e=editor: _task(e, manifest, settings, speak, work / "cache"))  # type: ignore[misc]
        tasks[name], own = done["numbers"], done["figures"]
        figures.extend(own)
        shutil.rmtree(work / "cache", ignore_errors=True)
    comparison: dict[str, Any] = {}
    for name, folder in others.items():
        editor = Editor.load(folder, device)
        key = _key(editor.digest, data, settings)
        done = _kept(work / f"{name}.json", key, lambda e=editor: _errors(e, manifest, settings, speak))  # type: ignore[misc]
        comparison[name] = done["numbers"]
    return _write(out, tasks, comparison, figures, {"data": manifest.root.resolve().name, **asdict(settings)})


def _write(
    out: Path, tasks: dict[str, Any], comparison: dict[str, Any], figures: list[dict[str, Any]], about: dict[str, Any]
) -> dict[str, Any]:
    claims = [{**asdict(claim), "holds": claim.holds} for claim in check_claims(tasks)]
    content = {"about": about, "claims": claims, "tasks": tasks, "comparison": comparison}
    write_whole(out / "report.json", (json.dumps(content, indent=2) + "\n").encode())
    write_whole(out / "report.html", write_page({**content, "figures": figures}).encode())
    return content


def _task(editor: Editor, manifest: Manifest, settings: Settings, report: Report, cache: Path) -> dict[str, Any]:
    try:
        numbers, figures = measure_task(editor, manifest, settings, report, cache)
    except (EvaluationError, ManifestError) as error:
        return {"numbers": {"task": editor.space.name, "not_measured": str(error)}, "figures": []}
    return {"numbers": {**numbers, **_made(editor)}, "figures": [figure.as_json() for figure in figures]}


def _errors(editor: Editor, manifest: Manifest, settings: Settings, report: Report) -> dict[str, Any]:
    try:
        numbers = measure_errors(editor, manifest, settings, report)
    except (EvaluationError, ManifestError) as error:
        return {"numbers": {"task": editor.space.name, "not_measured": str(error)}}
    return {"numbers": {**numbers, **_made(editor)}}


def _made(editor: Editor) -> dict[str, Any]:
    """How a model was trained, as far as its card says."""
    recipe = editor.card.recipe
    pairs = Recipe(**recipe).pairs_seen(len(editor.space)) if recipe else (0, 0)
    return {
        "recipe": str(recipe.get("name", "unknown")),
        "middle": editor.card.network.middle,
        "training_pairs": list(pairs),
    }


def _kept(file: Path, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run wrote under this key, or what is made now."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        if before["key"] == key:
            return dict(before)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing usable is there
    made = {"key": key, **make()}
    write_whole(file, json.dumps(made).encode())
    return made


def _key(model: str, data: str, settings: Settings) -> str:
    return hashlib.sha256(json.dumps([model, data, asdict(settings)]).encode()).hexdigest()


def _data_digest(manifest: Manifest) -> str:
    """Of the table, and of every file's size and time."""
    content = hashlib.sha256(json.dumps(manifest.columns, sort_keys=True).encode())
    for path in manifest.paths():
        if path.is_file():
            content.update(f"{path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return content.hexdigest()
