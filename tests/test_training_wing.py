"""Training is a wing: whoever only runs a model never imports it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY = {"cli/train.py", "cli/synth.py"}  # the commands that train, and that turn the knobs of a rendering


def takes_training(source: str) -> bool:
    """Whether a module imports the wing, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return any(f"{name}.".startswith("faceedit.training.") for name in names)


def test_nothing_that_runs_imports_training() -> None:
    packages = [path for path in ("facesearch", "cli", "retrieval", "faceedit", "index") if (ROOT / path).is_dir()]
    files = [file for package in packages for file in sorted((ROOT / package).rglob("*.py"))]
    outside = {f.relative_to(ROOT).as_posix(): f for f in files if not f.is_relative_to(ROOT / "faceedit" / "training")}
    assert len(files) > len(outside) > 50
    wrong = {name for name, file in outside.items() if takes_training(file.read_text(encoding="utf-8"))}
    assert wrong == MAY


@pytest.mark.parametrize(
    "planted",
    [
        "from faceedit.training.augmentation import Augmentation",
        "def f():\n    import faceedit.training.pairs",
        "from faceedit import training",
    ],
)
def test_a_planted_import_is_caught(planted: str) -> None:
    assert takes_training(planted)
    assert not takes_training("from faceedit.crops import NEUTRAL\nimport faceedit.trainings")
