"""Write docs/house.md, every module with the first sentence it says of itself: `make docs`, compared by a test.

So the plan of the house is true by itself: a module that says nothing, or something else than it does, is seen there.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(__file__).with_name("house.md")
HEAD = """# The house

<!-- Written by `make docs` from the modules themselves: change their first sentences, not this file. -->

Every module and what it says of itself. How they work together is told in [how-it-works.md](how-it-works.md).
"""


def house_page() -> str:
    """The whole of docs/house.md."""
    folders = [folder for package in _packages() for folder in _rooms(ROOT / package)]
    return "\n".join([HEAD, *(_section(folder) for folder in folders)])


def _packages() -> list[str]:
    """The packages that are installed, uppermost first, as pyproject.toml names them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages: list[str] = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return sorted(packages, key=["facesearch", "cli", "retrieval", "faceedit", "index"].index)


def _rooms(folder: Path) -> Iterator[Path]:
    """A folder of modules, and those below it."""
    if any(folder.glob("*.py")):
        yield folder
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"):
        yield from _rooms(below)


def _section(folder: Path) -> str:
    name = folder.relative_to(ROOT).as_posix()
    front = folder / "__init__.py"
    lines = [f"## {name}/", "", *([_about(front), ""] if front.exists() else []), "| | |", "| --- | --- |"]
    modules = sorted(path for path in folder.glob("*.py") if path != front)
    lines += [f"| [{path.name}](../{path.relative_to(ROOT).as_posix()}) | {_about(path)} |" for path in modules]
    return "\n".join([*lines, ""])


def _about(module: Path) -> str:
    """The first sentence of a module's docstring, with a full stop."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence = re.split(r"(?<!et al)\. ", paragraph)[0].rstrip(".:")
    return sentence.replace("|", "\\|").replace("<", "&lt;") + "."


if __name__ == "__main__":
    TARGET.write_text(house_page(), encoding="utf-8")
