"""facesearch index on folders as they are: what it says of what it passes over, and what it asks before it prunes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from cli.app import run
from tests.conftest import blob_face
from tests.stand_ins import stand_in_search

ROOT = Path(__file__).resolve().parent.parent
Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Exit code, what is printed, and what is said beside it, of one command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACESEARCH_DB", raising=False)

    def called(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([*arguments, "--db", "db"], stand_in_search)
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(True) if not line.startswith("describing"))

    return called


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures of anna, three of ben on a drive of his own, and what else lies there."""
    for n, name in enumerate(("anna/0.png", "anna/1.png", "nas/ben/0.png", "nas/ben/1.png", "nas/ben/2")):
        (tmp_path / "g" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(tmp_path / "g" / name, "png")
    for name in ("anna/@eaDir/0.png/M.jpg", "anna/notes.txt", "anna/more.txt"):
        (tmp_path / "g" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "g" / name).write_bytes(b"text")
    return tmp_path / "g"


def test_what_is_passed_over_is_counted_listed_and_in_json(told: Told, photos: Path) -> None:
    code, out, err = told("index", "g")
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "passed over: 2 .txt, 1 @eaDir; --verbose lists them"
    listed = "passed over: anna/@eaDir: @eaDir\npassed over: anna/more.txt: .txt\npassed over: anna/notes.txt: .txt\n"
    assert told("index", "g", "--verbose")[2] == listed
    said = json.loads(told("index", "g", "--json")[1])
    assert said["passed_over_kinds"] == {".txt": 2, "@eaDir": 1}
    assert said["passed_over"][1] == {"path": "anna/more.txt", "kind": ".txt"}


def test_globs_and_links_are_minded(told: Told, photos: Path) -> None:
    (photos / "link").symlink_to(photos / "nas" / "ben")
    shutil.move(photos / "nas", photos.parent / "nas")
    (photos / "link").unlink()
    (photos / "link").symlink_to(photos.parent / "nas")
    assert told("index", "g", "--exclude", "*.txt", "--exclude", "anna/1.*")[1].startswith("db: 1 image;")
    assert told("index", "g", "--follow-links")[1].startswith("db: 5 images;")
    assert told("index", "g", "--exclude", "./")[::2] == (
        2,
        "facesearch: --exclude './' names nothing: give a glob such as 'old*' or 'anna/raw'\n",
    )


def test_a_table_of_labels_in_the_folder_is_not_passed_over(told: Told, photos: Path) -> None:
    (photos / "manifest.csv").write_text("path,identity\nanna/0.png,Anna\n")
    assert ".csv" not in told("index", "g", "--labels", "g/manifest.csv")[1]
    assert "1 .csv" in told("index", "g")[1]


def test_without_a_terminal_whole_folders_need_a_yes(told: Told, photos: Path) -> None:
    told("index", "g")
    shutil.rmtree(photos / "nas")
    code, out, err = told("index", "g", "--prune")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "would remove 3 of 5 images" in err and "nas is not there (3 images)" in err and "--yes" in err
    code, out, err = told("index", "g", "--prune", "--yes")
    assert (code, err) == (0, "") and "3 were removed" in out


def test_dry_run_says_what_would_go_and_changes_nothing(told: Told, photos: Path) -> None:
    told("index", "g")
    shutil.rmtree(photos / "nas")
    (photos / "anna" / "0.png").unlink()
    code, out, err = told("index", "g", "--prune", "--dry-run")
    assert (code, out.splitlines()) == (0, ["anna/0.png", "nas/ben/0.png", "nas/ben/1.png", "nas/ben/2"])
    assert err.startswith("4 images of 5 would be removed\nwarning: ") and "is a disk missing?" in err
    said = json.loads(told("index", "g", "--prune", "--dry-run", "--json")[1])
    assert (len(said["would_remove"]), said["of"], len(said["doubts"])) == (4, 5, 1)
    assert len(told("gallery", "list", "--jsonl")[1].splitlines()) == 5
    assert told("index", "g", "--dry-run")[::2] == (
        2,
        "facesearch: --dry-run says what --prune would remove: give both\n",
    )


def shown_on(terminal: int) -> str:
    """All that comes until nobody has it open any more."""
    shown = b""
    with suppress(OSError):
        while part := os.read(terminal, 10_000):
            shown += part
    return shown.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="terminals of another kind")
def test_on_a_terminal_it_asks(told: Told, photos: Path) -> None:
    left = {"y": 2, "Yes": 2, "n": 5, "": 5}
    told("index", "g")
    for answer in left:
        shutil.copytree("db", f"db-{answer}")
    shutil.rmtree(photos / "nas")
    ours, theirs = os.openpty()
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from cli.app import run; from tests.stand_ins import stand_in_search\n"
        f"for answer in {list(left)}:\n"
        "    assert run(['index', 'g', '--prune', '--db', f'db-{answer}'], stand_in_search) == 0\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=photos.parent, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in left).encode())
    asked = shown_on(ours)
    out = process.communicate(timeout=120)[0].decode()
    os.close(ours)
    assert asked.replace("\r", "").replace("\n", "").count("nas is not there (3 images). Remove them?") == len(left)
    told_at_the_end = [line for line in out.splitlines() if line.startswith("db-")]
    assert process.returncode == 0 and len(told_at_the_end) == len(left)
    for line, (answer, images) in zip(told_at_the_end, left.items(), strict=True):
        assert line.startswith(f"db-{answer}: {images} images;")


def test_labels_of_pruned_images_come_back_or_are_forgotten(told: Told, photos: Path) -> None:
    told("index", "g")
    told("gallery", "label", "nas/ben/0.png", "nas/ben/1.png", "--identity", "Ben Meier")
    shutil.move(photos / "nas", photos.parent / "nas")
    told("index", "g", "--prune", "--yes")
    assert "kept          what a hand said of 2 images" in told("gallery", "info")[1]
    shutil.move(photos.parent / "nas" / "ben" / "0.png", photos / "anna" / "found.png")
    assert "1 were pruned before, and have again what a hand said" in told("index", "g")[1]
    assert told("gallery", "remove", "--kept", "anna/0.png")[0] == 2
    assert told("gallery", "remove", "--kept")[:2] == (0, "labels of 1 pruned image forgotten\n")
    assert "kept" not in told("gallery", "info")[1]
    shutil.move(photos.parent / "nas" / "ben" / "1.png", photos / "anna" / "late.png")
    told("index", "g")
    people = [json.loads(line)["identity"] for line in told("gallery", "list", "--jsonl")[1].splitlines()]
    assert sorted(people) == ["Ben Meier", "anna", "anna", "anna"]


def test_a_working_folder_that_was_deleted_is_one_line(told: Told, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    os.chdir(tmp_path / "left")
    (tmp_path / "left").rmdir()
    for line in (("index", str(photos)), ("index", "."), ("gallery", "list"), ("query", "a.png")):
        code, out, err = told(*line)
        assert (code, out) == (1, "")
        assert err == (
            "facesearch: the working folder is not there any more (No such file or directory): change to one that is, "
            "and run this again\n"
        )
