"""Imports point one way: cli -> retrieval -> {faceedit, index}; index knows no torch, faceedit no database.

Within index: the gallery, over care, over search, over truth.
"""

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
ABOVE = {  # what lies over each room of index, which it must not know
    "truth": {"index.search", "index.care", "index.gallery"},
    "search": {"index.care", "index.gallery"},
    "care": {"index.gallery"},
}


def modules(source: str) -> set[str]:
    """What a module imports, wherever in it: dotted names, of modules and of what is taken from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def violations(package: str, source: str) -> set[str]:
    names = {name.split(".")[0] for name in modules(source)}
    return ((names & HOUSE) - ALLOWED[package]) | (names & FOREIGN.get(package, set()))


def room_violations(room: str, source: str) -> set[str]:
    return {name for name in modules(source) for above in ABOVE[room] if f"{name}.".startswith(f"{above}.")}


@pytest.mark.parametrize("package", sorted(HOUSE))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): violations(package, file.read_text(encoding="utf-8")) for file in files}
    assert {file: names for file, names in wrong.items() if names} == {}


@pytest.mark.parametrize("room", sorted(ABOVE))
def test_a_room_of_index_imports_only_what_lies_below_it(room: str) -> None:
    files = sorted((ROOT / "index" / room).rglob("*.py"))
    assert len(files) > 1
    wrong = {str(file.relative_to(ROOT)): room_violations(room, file.read_text(encoding="utf-8")) for file in files}
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


@pytest.mark.parametrize(
    ("room", "planted"),
    [
        ("truth", "from index.search.exact import scan"),
        ("truth", "def f():\n    from index import care"),
        ("search", "import index.care.verify"),
        ("search", "from index.gallery import Gallery"),
        ("care", "from index import gallery"),
    ],
)
def test_a_planted_violation_within_index_is_caught(room: str, planted: str) -> None:
    assert room_violations(room, planted)
    assert not room_violations(room, "from index.values import Face\nfrom index.truth.state import gallery")
