"""facesearch serve: what it refuses before it listens, and that it answers until it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.app import run
from facesearch.server.settings import BRIEF
from retrieval.face_search import FaceSearch

ROOT = Path(__file__).resolve().parent.parent

REFUSED = [
    (["--host", "0.0.0.0"], "whoever reaches 0.0.0.0 could see every picture: give an --api-key"),
    (["--api-key", "short"], "an API key of 5 characters is guessed"),
    (["--root", "nowhere"], "nowhere is no folder: give one that holds pictures as --root"),
    (["--certfile", "a.pem"], "--certfile and --keyfile belong together: give both"),
    (["--certfile", "a.pem", "--keyfile", "b.pem", "--port", "0"], "the certificate cannot be used"),
    (["--demo", "--db", "x"], "--demo serves the sample by its own models"),
    (["--host", "nowhere.invalid", "--api-key", "k" * 16], "cannot listen at nowhere.invalid, port 8000"),
    (["--root-path", "faces"], "the root path 'faces' begins with no slash"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED)
def test_what_cannot_be_served_is_told_in_one_line(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["serve", *options]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--db", str(tmp_path / "db"), "--port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


def test_requests_wait_for_their_turn_as_briefly_as_a_server_may(tmp_path: Path) -> None:
    given: dict[str, object] = {}

    def made(place: Any, **options: Any) -> FaceSearch:
        given.update(options)
        return FaceSearch(place, **options)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", "--db", str(tmp_path / "db"), "--port", str(taken.getsockname()[1])], made) == 2
    assert given["patience"] == BRIEF and BRIEF.turns <= 10


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('No module named fastapi', name='fastapi')")
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", "serve"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "the page needs fastapi, which is not installed: pip install" in done.stderr and "serve" in done.stderr


@pytest.mark.slow
def test_it_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # whoever runs the tests
    script = f"{heeding}; from cli.app import main; main()"
    command = [sys.executable, "-c", script, "serve", "--db", str(tmp_path / "db"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}readyz", timeout=10) as answer:
            assert json.load(answer) == {"ready": True, "gallery": False}
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout.read() == "ended\n" and "GET /readyz 200" in process.stderr.read()
    assert not (tmp_path / "db").exists()
