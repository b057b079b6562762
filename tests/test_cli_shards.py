"""facesearch index by parts and by a cluster: what the command says and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.app import run
from tests.conftest import blob_face
from tests.stand_ins import stand_in_search


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 12 photos in `photos`, and a file that is none."""
    for n in range(12):
        path = tmp_path / "photos" / f"p{n % 3}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_describes_a_shard(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = [run(["index", "photos", "--shard", f"{n}/3", "--db", "db"], stand_in_search) for n in range(3)]
    assert sorted(codes) == [0, 0, 3]  # one file is no picture
    assert run(["index", "photos", "--db", "db"], stand_in_search) == 3
    assert "0 described, 12 unchanged, 1 skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--prune"], "a shard knows only its part"),
        (["--max-ms", "5"], "a shard knows only its part"),
        (["--prune", "--dry-run"], "leave one of them out"),
        (["--shard", "3/3"], "counted from 0"),
    ],
)
def test_what_a_shard_cannot_do_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], more: list[str], why: str
) -> None:
    assert run(["index", "photos", "--shard", "0/3", *more, "--db", "db"], stand_in_search) == 2
    assert why in capsys.readouterr().err and not Path("db").exists()


def test_without_the_extra_one_line_says_how_to_get_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["index", "photos", "--workers", "ray", "--db", "db"], stand_in_search) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "needs ray, which is not installed: pip install" in told
