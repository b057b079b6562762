"""Imports point one way: cli -> retrieval -> {faceedit, index}; index knows no torch, faceedit no database."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = {"faceedit", "index", "retrieval", "cli"}
ALLOWED = {
    "faceedit": {"faceedit"},
    "index": {"index"},
    "retrieval": {"retrieval", "faceedit", "index"},
    "cli": HOUSE,
}
FOREIGN = {"index": {"torch", "PIL", "typer"}, "faceedit": {"sqlalchemy", "faiss", "typer"}, "retrieval": {"typer"}}


def imported(source: str) -> set[str]:
    """Top-level names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def violations(package: str, source: str) -> set[str]:
    names = imported(source)
    return ((names & HOUSE) - ALLOWED[package]) | (names & FOREIGN.get(package, set()))


@pytest.mark.parametrize("package", sorted(HOUSE))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): violations(package, file.read_text(encoding="utf-8")) for file in files}
    assert {file: names for file, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("package", "planted"),
    [
        ("faceedit", "from index.gallery import Gallery"),
        ("index", "def f():\n    import torch"),
        ("index", "import faceedit.editor"),
        ("retrieval", "from cli import app"),
        ("faceedit", "import sqlalchemy"),
    ],
)
def test_a_planted_violation_is_caught(package: str, planted: str) -> None:
    assert violations(package, planted)
