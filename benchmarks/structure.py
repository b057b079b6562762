"""How the house is built, in figures, for any checkout: so that before and after are counted by the same rules.

    python benchmarks/structure.py [--root CHECKOUT] [--no-query]

- Files and lines of Python for each package, and for each room of it.
- Floors of index/: modules in the longest chain in which each imports the next.
- What carries a picture or its row from its file to a `Match`: see `carriers`.
- Decodes of the picture and reads of model.json that one `facesearch query` takes, measured while it runs.
- Lines of cli/, bytes of the README, calls of `monkeypatch.setattr` in tests, and private names that tests reach for.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("facesearch", "cli", "retrieval", "faceedit", "index", "tests", "benchmarks")
FACTS = {  # names of fields, by what they tell of a picture
    **dict.fromkeys(("path", "sha256", "size", "mtime_ns", "stamp", "photo"), "file"),
    **dict.fromkeys(("crop", "crops", "picture", "pixels"), "pixels"),
    **dict.fromkeys(("identity", "pose", "illumination", "expression", "labels"), "labels"),
    **dict.fromkeys(("candidate", "best", "decided", "decision", "decisions", "errors"), "decision"),
    **dict.fromkeys(("descriptor", "descriptors", "slot", "record"), "descriptor"),
    **dict.fromkeys(("id", "image_id", "face_id", "photo_id", "image", "face"), "row"),
    "distance": "result",
}
ON_THE_WAY = (
    "retrieval",
    "index",
    "faceedit/editor.py",
    "faceedit/decoding.py",
    "faceedit/images.py",
    "faceedit/describes.py",
    "faceedit/face_detector.py",
    "faceedit/values.py",
)
BESIDE_IT = (
    "retrieval/evaluation",
    "index/truth/migrations",
    "index/migrations",
    "index/care",
    "index/checking.py",
    "index/exchange.py",
)
NOT_CARRIED = {
    "Filter": "a condition, not a picture",
    "Candidates": "one picture under every value, for who looks at it",
    "Hashed": "a record while it is verified",
    "GalleryRecord": "the row of the whole gallery",
    "GalleryRow": "the same, under its later name",
    "Source": "the picture of a query, not of the gallery",
    "Result": "what comes after the Match",
    "Row": "a line of a table of labels",
    "PassedRow": "a file that is no picture",
    "Kept": "what a hand said of an image that went",
    "KeptRow": "the same",
    "Hidden": "a face that was removed, and stays away from every search",
    "HiddenRow": "the same",
    "PlacementRow": "what a hand said of the person whom a content shows",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to count")
    parser.add_argument("--no-query", action="store_true", help="count only, run nothing")
    given = parser.parse_args()
    root = given.root.resolve()
    for name, (files, lines) in sizes(root).items():
        print(f"{name:24} {files:4} files {lines:7,} lines")
    floors = longest_chain(imports_within(root, "index"))
    print(f"floors of index/: {len(floors)} ({' > '.join(floors)})")
    found = carriers(root)
    print(f"what carries a picture from file to Match: {len(found)}")
    for name, place in found:
        print(f"  {name:28} {place}")
    if not given.no_query:
        print("one query: decodes of the picture {decodes}, reads of model.json {cards}".format(**query_costs(root)))
    print(f"cli/: {sum(_lines(file) for file in (root / 'cli').rglob('*.py')):,} lines")
    print(f"README.md: {(root / 'README.md').stat().st_size:,} bytes")
    setattrs, private = reaching_in(root)
    print(
        f"tests: {sum(setattrs.values())} calls of monkeypatch.setattr, {sum(map(len, private.values()))} private names"
    )
    for file in sorted({*setattrs, *private}):
        print(f"  {file:32} {setattrs.get(file, 0):3} {len(private.get(file, ())):3} {' '.join(private.get(file, ()))}")


def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Files and lines of Python for each package, then for each folder in it."""
    found: dict[str, tuple[int, int]] = {}
    for package in PACKAGES:
        files = sorted((root / package).rglob("*.py"))
        rooms = sorted({file.parent for file in files if file.parent != root / package})
        if files:
            found[package] = len(files), sum(map(_lines, files))
        for room in rooms:
            own = [file for file in files if file.parent == room]
            found[f"  {room.relative_to(root).as_posix()}"] = len(own), sum(map(_lines, own))
    return found


def imports_within(root: Path, package: str) -> dict[str, set[str]]:
    """Which modules of a package each of its modules imports, wherever in it, but not for types alone."""
    files = {_module(root, file): file for file in sorted((root / package).rglob("*.py"))}
    graph: dict[str, set[str]] = {}
    for module, file in files.items():
        names: set[str] = set()
        for node in _running(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        graph[module] = {name for name in names & files.keys() if name != module and files[name].name != "__init__.py"}
    return graph


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of the longest path. Raises ValueError where modules import each other in a ring."""
    chains: dict[str, list[str]] = {}

    def chain(module: str, above: tuple[str, ...]) -> list[str]:
        if module in above:
            raise ValueError(f"modules import each other in a ring: {' > '.join((*above, module))}")
        if module not in chains:
            below = [chain(other, (*above, module)) for other in sorted(graph[module])]
            chains[module] = [module, *max(below, key=len, default=[])]
        return chains[module]

    return max((chain(module, ()) for module in sorted(graph)), key=len)


def carriers(root: Path) -> list[tuple[str, str]]:
    """Name and place of everything that carries a picture, or its row, from its file to a `Match`.

    Counted is a class that states, in its own fields and those of its bases, two or more kinds of FACTS: which file it
    is, its pixels, labels, decision, descriptor, row, and how far away it is. What has one kind alone (labels, a stamp)
    is a part, which a carrier holds whole. So is a tuple that joins a carrier with more, where a signature names it.
    Looked through is what lies ON_THE_WAY, without what lies BESIDE_IT.
    """
    classes: dict[tuple[str, str], tuple[ast.ClassDef, str]] = {}
    trees: list[tuple[str, ast.Module]] = []
    for file in _on_the_way(root):
        place = file.relative_to(root).as_posix()
        trees.append((place, ast.parse(file.read_text(encoding="utf-8"))))
        for node in ast.walk(trees[-1][1]):
            if isinstance(node, ast.ClassDef):
                classes[node.name, place] = node, place
    found = [
        (name, place)
        for (name, place), (node, _) in classes.items()
        if name not in NOT_CARRIED and len(_kinds(node, place, classes)) >= 2
    ]
    names = {name for name, _ in found}
    joined = {(text, place) for place, tree in trees for text in _tuples_of(tree, names)}
    return [*found, *sorted(joined)]


def _on_the_way(root: Path) -> Iterator[Path]:
    for place in ON_THE_WAY:
        path = root / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            if not any(file.is_relative_to(root / beside) for beside in BESIDE_IT):
                yield file


def _kinds(node: ast.ClassDef, place: str, classes: Mapping[tuple[str, str], tuple[ast.ClassDef, str]]) -> set[str]:
    """What kinds of facts a class states, those of its bases included. `image: Face` tells as much as Face's row."""
    own: set[str] = set()
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            own |= {FACTS[item.target.id]} if item.target.id in FACTS else set()
        elif isinstance(item, ast.FunctionDef) and _is_abstract_fact(node, item):
            own.add(FACTS[item.name])
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else ""
        above = classes.get((name, place)) or next((v for (n, _), v in classes.items() if n == name), None)
        if above is not None and above[0] is not node:
            own |= _kinds(above[0], above[1], classes)
    return own


def _is_abstract_fact(node: ast.ClassDef, item: ast.FunctionDef) -> bool:
    """Whether the method is a property by which a Protocol asks for a fact."""
    protocol = any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    return protocol and item.name in FACTS and any(ast.unparse(d) == "property" for d in item.decorator_list)


def _tuples_of(tree: ast.Module, names: set[str]) -> set[str]:
    """The annotations tuple[X, Y] that join a carrier with something else."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple" and isinstance(node.slice, ast.Tuple):
            parts = [ast.unparse(part) for part in node.slice.elts]
            if names & set(parts) and "..." not in parts:
                found.add(ast.unparse(node))
    return found


_QUERY = """
import json, os, sys
from pathlib import Path

from PIL import ImageFile

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    from cli.app import run

    work, model, picture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    assert run(["index", str(work / "photos"), "--db", str(work / "db"), "--model", model]) == 0
    costs = {"decodes": 0, "cards": 0}
    load = ImageFile.ImageFile.load

    def opened(event, arguments):
        if event == "open" and str(arguments[0]).endswith("model.json"):
            costs["cards"] += 1

    def counted(self):
        costs["decodes"] += bool(self.tile)  # pixels that are not decoded yet; a look at a header is none
        return load(self)

    sys.addaudithook(opened)
    ImageFile.ImageFile.load = counted
    assert run(["query", picture, "--pose", "30", "--db", str(work / "db"), "--model", model]) == 0
    print("\\n" + json.dumps(costs))
"""


def query_costs(root: Path) -> dict[str, int]:
    """What one query of the checkout's own command decodes and reads, in a gallery of eight of its sample pictures."""
    sample = root / "sample_db"
    model = sample / "models" / "pose"
    pictures = sorted((sample / "gallery").rglob("*.png"))[:8]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "photos").mkdir()
        for picture in pictures:
            (work / "photos" / picture.name).write_bytes(picture.read_bytes())
        script = work / "query.py"
        script.write_text(_QUERY, encoding="utf-8")
        command = [sys.executable, str(script), str(work), str(model), str(pictures[0])]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the query of {root} failed:\n{done.stderr}")
    costs: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return costs


def reaching_in(root: Path) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Calls of `monkeypatch.setattr` by file of tests, and the private names of others that each file uses."""
    setattrs: dict[str, int] = {}
    private: dict[str, list[str]] = {}
    for file in sorted((root / "tests").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        calls = sum(isinstance(n, ast.Attribute) and n.attr == "setattr" for n in nodes)
        names = {n.attr for n in nodes if isinstance(n, ast.Attribute) and _is_private(n)}
        if calls:
            setattrs[file.name] = calls
        if names:
            private[file.name] = sorted(names)
    return setattrs, private


def _is_private(node: ast.Attribute) -> bool:
    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    protocol = node.attr.endswith("_")  # __enter__, or a notebook's _repr_html_
    return node.attr.startswith("_") and not protocol and not own


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _running(child)


def _module(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts)


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
