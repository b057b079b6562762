"""The package that the outside imports: its names, what it costs, and what lies beside a script of a user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import faceedit.errors
import facesearch
import index.errors
import retrieval.errors
from facesearch.own_packages import require_own_packages

ROOT = Path(__file__).resolve().parent.parent
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}
SIX_LINES = """
from facesearch import FaceSearch
with FaceSearch("my.gallery") as faces:
    faces.index("photos/", labels="people.csv")
    for result in faces.query("anna.png", pose=30, k=5, where="identity != 'anna'"):
        print(result.rank, result.distance, result.path, result.identity, result.pose)
"""


def python(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=HERE, capture_output=True, text=True, timeout=300, check=False)


# --- names ---


def test_the_names_are_these_in_order() -> None:
    assert [name for name in facesearch.__all__ if not name.endswith("Error")] == [
        "Answer",
        "Editor",
        "Face",
        "FaceSearch",
        "Gallery",
        "Patience",
        "Result",
    ]
    assert facesearch.__all__ == sorted(facesearch.__all__) == dir(facesearch)


def test_every_error_that_it_may_raise_is_among_them() -> None:
    """Not those of training, rendering and importing, which only commands do."""
    importing = {"ImportSourceError", "LandmarkError", "NothingImportedError"}
    elsewhere = {"FaceModelError", "TrainingError", *importing}
    modules = (faceedit.errors, index.errors, retrieval.errors)
    named = {name for module in modules for name, one in vars(module).items() if isinstance(one, type)}
    assert {name for name in facesearch.__all__ if name.endswith("Error")} == named - elsewhere


@pytest.mark.parametrize("name", facesearch.__all__)
def test_every_name_is_a_class_with_words_about_it(name: str) -> None:
    found = getattr(facesearch, name)
    assert isinstance(found, type) and found.__doc__


def test_a_name_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'facesearch' has no attribute 'Nobody'"):
        facesearch.Nobody  # noqa: B018


def test_it_is_typed() -> None:
    assert (ROOT / "facesearch" / "py.typed").is_file()


def test_type_checkers_see_every_name(tmp_path: Path) -> None:
    """mypy checks this file too; a name that it did not see would be an error here."""
    answer: type[facesearch.Answer] = facesearch.Answer
    search: type[facesearch.FaceSearch] = facesearch.FaceSearch
    assert (answer.__name__, search.__name__) == ("Answer", "FaceSearch")


def test_importing_it_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'faiss', 'numpy', 'PIL', 'sqlalchemy', 'typer', 'rich'}"
    code = f"import sys, facesearch; print({heavy} & set(sys.modules))"
    code += "; from facesearch import FaceSearch; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = python("-c", code, folder=tmp_path)
    assert done.stdout == "set()\nFalse True\n", done.stderr


# --- a user's own files ---


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with a user's own index.py and cli.py."""
    for name in ("index", "cli"):
        (tmp_path / f"{name}.py").write_text("print('a file of my own')\n")
    return tmp_path


def test_a_file_in_the_way_is_named_in_one_line(beside: Path) -> None:
    (beside / "script.py").write_text("from facesearch import FaceSearch\n")
    done = python("script.py", folder=beside)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {beside / 'index.py'} is in the way of facesearch's own package 'index': rename it, or move it "
        "to another folder"
    )


def test_a_script_of_the_same_name_is_told_too(beside: Path) -> None:
    (beside / "index.py").write_text("from facesearch import FaceSearch\n")
    assert "index.py is in the way of" in python("index.py", folder=beside).stderr.splitlines()[-1]


def test_a_file_named_cli_or_a_folder_named_index_is_not_in_the_way(beside: Path) -> None:
    (beside / "index.py").unlink()
    (beside / "index").mkdir()
    (beside / "script.py").write_text("from facesearch import FaceSearch\nprint(FaceSearch.__name__)\n")
    done = python("script.py", folder=beside)
    assert (done.stdout, done.stderr) == ("FaceSearch\n", "")


def test_the_command_is_stopped_by_neither(beside: Path) -> None:
    command = Path(sys.executable).with_name("facesearch")
    if not command.exists():
        pytest.skip("facesearch is not installed")
    arguments = [str(command), "gallery", "info", "--db", "none"]
    done = subprocess.run(arguments, cwd=beside, env=HERE, capture_output=True, text=True, check=False)
    assert "a file of my own" not in done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "none holds no gallery" in done.stderr


def test_a_package_that_is_missing_is_told() -> None:
    with pytest.raises(ImportError, match="its package 'nowhere_to_be_found' is missing"):
        require_own_packages(("nowhere_to_be_found",))


# --- the six lines ---


@pytest.fixture
def place(data_set: Path, tmp_path: Path, models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/, people.csv and anna.png, and models that need no training."""
    (tmp_path / "photos").mkdir()
    lines = ["path,identity"]
    for path in sorted((data_set / "images").iterdir())[::9]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
        lines.append(f"photos/{path.name},{'anna' if path.name.startswith('p0') else path.name[:2]}")
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "anna.png").write_bytes((data_set / "images" / "p0_+00_00.png").read_bytes())
    monkeypatch.setitem(HERE, "FACESEARCH_MODELS", str(models_folder))
    monkeypatch.setenv("FACESEARCH_MODELS", str(models_folder))
    return tmp_path


def require_five(out: str, place: Path) -> None:
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert all(Path(row[2]).parent == place / "photos" and row[3] != "anna" for row in rows)


@pytest.mark.slow
def test_six_lines_of_a_fresh_script(place: Path) -> None:
    (place / "script.py").write_text(SIX_LINES)
    done = python("script.py", folder=place)
    assert done.returncode == 0, done.stderr
    require_five(done.stdout, place)


@pytest.mark.slow
def test_six_lines_in_a_notebook(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(place / "jupyter"))
    shows = 'FaceSearch("my.gallery").query("anna.png", pose=30, k=2)'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (SIX_LINES, shows)])
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    ).execute()
    [printed], [shown] = (cell.outputs for cell in notebook.cells)
    require_five(printed.text, place)
    assert '<img alt="Query anna.png, imagined as pose 30. Found: 1: ' in shown.data["text/html"]
