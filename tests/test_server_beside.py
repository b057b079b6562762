"""A server beside commands that change its gallery: whatever they do is in the next answer, without a restart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB
from tests.served import API, live

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def address(db: Path) -> Iterator[str]:
    """Of a server over a gallery that is not there yet."""
    with live(FaceSearch(db)) as (found, _):
        yield found


def command(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def take_people(folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(SAMPLE_DB / "gallery" / name, folder / name)
    return folder


def said(address: str, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(f"{address.rstrip('/')}{API}/{path}", method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def people_found(address: str) -> set[str]:
    """Who is found by the first face of the gallery."""
    return {one["identity"] for one in said(address, "query?of=1&pose=15&k=100", "POST")["results"]}


def test_what_the_command_indexes_is_found_by_the_server(address: str, db: Path, tmp_path: Path) -> None:
    assert said(address, "gallery")["info"] is None
    first, second, *_ = sorted(path.name for path in (SAMPLE_DB / "gallery").iterdir() if path.is_dir())
    photos = take_people(tmp_path / "photos", first)
    command("index", photos, "--db", db)
    assert people_found(address) == {first}
    take_people(photos, second)
    command("index", photos, "--db", db)
    assert people_found(address) == {first, second}


def test_a_gallery_that_is_described_by_another_model_or_made_anew_is_opened_again(
    address: str, db: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted(path.name for path in (SAMPLE_DB / "gallery").iterdir() if path.is_dir())
    command("index", take_people(tmp_path / "photos", first), "--db", db)
    before = said(address, "gallery")["info"]["model"], people_found(address)
    command("gallery", "redescribe", "--db", db, "--descriptor", "paper")
    assert people_found(address) == {first} == before[1]
    assert said(address, "gallery")["info"]["model"] != before[0]
    shutil.rmtree(db)
    assert said(address, "gallery")["info"] is None
    command("index", take_people(tmp_path / "others", second), "--db", db)
    assert people_found(address) == {second}


def test_pictures_are_shown_from_where_the_gallery_says_that_they_are_now(
    address: str, db: Path, tmp_path: Path
) -> None:
    name = next(path.name for path in sorted((SAMPLE_DB / "gallery").iterdir()) if path.is_dir())
    command("index", take_people(tmp_path / "photos", name), "--db", db)
    before = said(address, "gallery")["info"]["image_root"]
    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    command("gallery", "relocate", moved, "--db", db)
    assert said(address, "gallery")["info"]["image_root"] == str(moved) != before
    assert {one["file"] for one in said(address, "query?of=1&pose=15&k=3", "POST")["results"]} == {"there"}
