"""Imports point one way: {cli, facesearch} -> retrieval -> {faceedit, index}; index knows no torch, faceedit no SQL.

Inside, too: the runtime of faceedit never imports its training, and what a gallery is made of does not import it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = {"faceedit", "index", "retrieval", "cli", "facesearch"}
ALLOWED = {
    "faceedit": {"faceedit"},
    "index": {"index"},
    "retrieval": {"retrieval", "faceedit", "index"},
    "cli": HOUSE,
    "facesearch": {"facesearch", "retrieval", "faceedit", "index"},
}
FOREIGN = {
    "index": {"torch", "PIL", "typer"},
    "faceedit": {"sqlalchemy", "faiss", "typer"},
    "retrieval": {"typer"},
    "facesearch": {"typer"},
}
INSIDE = {  # in the files of these folders, none of these modules
    "index/truth": ("index.search", "index.care", "index.gallery"),
    "index/search": ("index.care", "index.gallery"),
    "index/care": ("index.gallery",),
    "faceedit": ("faceedit.training",),
    "retrieval": ("faceedit.training",),
    "facesearch": ("faceedit.training",),
    "cli": ("faceedit.training",),
    "benchmarks": ("cli",),
}
TRAINING = ("cli/train.py", "cli/data.py")  # the commands that train, and that turn the knobs of a rendering
WINGS = ("faceedit/training", "faceedit/synth", "faceedit/sources")  # of faceedit, which the runtime never imports


@cache
def modules(source: str) -> frozenset[str]:
    """Whole names of the modules that a module imports, wherever in it."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:  # statements, and not the expressions in them
        node = waiting.pop()
        waiting += (one for one in ast.iter_child_nodes(node) if not isinstance(one, ast.expr))
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def imported(source: str) -> set[str]:
    """Their top-level names."""
    return {name.split(".")[0] for name in modules(source)}


def inner_violations(folder: str, source: str) -> set[str]:
    return {name for name in modules(source) if f"{name}.".startswith(tuple(f"{below}." for below in INSIDE[folder]))}


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


@pytest.mark.parametrize("folder", sorted(INSIDE))
def test_inside_a_package_imports_point_one_way(folder: str) -> None:
    files = [
        file
        for file in sorted((ROOT / folder).rglob("*.py"))
        if not file.relative_to(ROOT).as_posix().startswith((*WINGS, *TRAINING))
    ]
    assert files
    wrong = {str(file.relative_to(ROOT)): inner_violations(folder, file.read_text(encoding="utf-8")) for file in files}
    assert {file: names for file, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("folder", "planted"),
    [
        ("index/search", "from index.gallery import Gallery"),
        ("index/truth", "def f():\n    from index import search"),
        ("index/care", "def f():\n    import index.gallery"),
        ("faceedit", "from faceedit.training.trainer import train"),
        ("retrieval", "def f():\n    from faceedit.training import recipes"),
        ("benchmarks", "from cli.app import main"),
    ],
)
def test_a_planted_violation_inside_is_caught(folder: str, planted: str) -> None:
    assert inner_violations(folder, planted)


def test_only_tests_of_the_command_import_it() -> None:
    """Benchmarks and other tests call what the commands call."""
    files = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    sources = {file.name: file.read_text(encoding="utf-8") for file in files}
    found = {name for name, text in sources.items() if re.search(r"\bcli\b", text) and "cli" in imported(text)}
    others = {"test_docs.py", "mistakes.py"}  # of every command's help; what tests of mistakes share
    assert {name for name in found if not name.startswith("test_cli")} == others
