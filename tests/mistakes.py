"""A folder in which everything that a person can get wrong is wrong, and what a mistake must look like."""

from __future__ import annotations

import os
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from cli.app import run
from cli.options import Factory
from tests.stand_ins import stand_in_search

ROOT = Path(__file__).resolve().parent.parent
KNOWN = "--db db --model model"


def write_mistakes(folder: Path, data_set: Path) -> None:
    """Pictures and manifests of every kind, and the galleries db, of `model`, and empty-db."""
    pictures = sorted((data_set / "images").iterdir())
    (folder / "photos").mkdir()
    for picture in pictures[:3]:
        shutil.copy(picture, folder / "photos")
    good = pictures[20].read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("This is not an image.")
    (folder / "vast.png").write_bytes(vast_png())
    (folder / "folder.png").mkdir()
    (folder / "nothing").mkdir()
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "empty.png").write_bytes(b"")
    write_manifests(folder, data_set)
    for images, db, code in (("photos", "db", 0), ("unreadable", "empty-db", 3)):
        assert run(shlex.split(f"index {folder / images} --db {folder / db} --model model"), stand_in_search) == code


def vast_png() -> bytes:
    """The head of a picture of 110 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 11_000, 10_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def write_manifests(folder: Path, data_set: Path) -> None:
    lines = (data_set / "manifest.csv").read_text(encoding="utf-8").splitlines()
    table = [line.split(",") for line in lines]
    variants = {
        "no-identity": [[path, *rest] for path, _, *rest in table],
        "no-pose": [[path, who, *rest] for path, who, _, *rest in table],
        "pose-31": [[path, who, "31" if pose == "30" else pose, *rest] for path, who, pose, *rest in table],
        "pose-left": [[path, who, "left" if pose == "30" else pose, *rest] for path, who, pose, *rest in table],
        "uneven": [*table[:5], table[5][:-1], *table[6:]],
        "all-train": [[*rest, "split" if split == "split" else "train"] for *rest, split in table],
        "all-test": [[*rest, "split" if split == "split" else "test"] for *rest, split in table],
        "head-only": table[:1],
        "no-files": [["path" if path == "path" else f"gone/{path}", *rest] for path, *rest in table],
    }
    for name, rows in variants.items():
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    (folder / "blank.csv").write_text("")


def assert_refused(
    place: Path, capsys: pytest.CaptureFixture[str], line: str, code: int, words: str, factory: Factory | None = None
) -> None:
    """The command line, run in this place, says what is wrong in one line and changes nothing there."""
    before = sorted(path for path in place.iterdir() if path.name != "new")
    assert_one_line(run(shlex.split(line), factory), *capsys.readouterr(), code, words)
    assert sorted(path for path in place.iterdir() if path.name != "new") == before


def assert_a_process_refuses(place: Path, line: str, code: int, words: str) -> None:
    """So does a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", *shlex.split(line)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_one_line(done.returncode, done.stdout, done.stderr, code, words)


def assert_one_line(code: int, out: str, err: str, expected: int, words: str) -> None:
    assert (code, out) == (expected, ""), err
    assert len(err.splitlines()) == 1
    assert err.startswith("facesearch: ")
    assert words in err
    assert "Traceback" not in err
