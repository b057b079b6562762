"""A server that is asked to end finishes what it has begun, within a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT
from tests.served import over, write_faces

pytestmark = pytest.mark.slow  # each waits for a process to begin, and one for it to give up
_PROGRAM = """
import sys, time
from cli.app import run
from cli.start import heed_termination
from faceedit.attributes import POSE
from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor

class Slow(HashEditor):
    def edit_many(self, images, values, /):
        print("begun", flush=True)
        time.sleep(float(sys.argv[1]))
        return super().edit_many(images, values)

def search(place, **options):
    return FaceSearch(place, describer=Slow("served", POSE))

heed_termination()
sys.exit(run(["serve", "--db", sys.argv[2], "--port", "0"], search))
"""


@contextmanager
def slow_server(folder: Path, seconds: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves a small gallery and takes so long for an edit, and its address."""
    with over(write_faces(folder / "photos"), folder / "db"):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(seconds), str(folder / "db")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[0]
        finally:
            process.kill()


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until an edit is under way."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


def ask(address: str) -> int:
    """The status of a query for the gallery's first face."""
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=90)) as connection:
        connection.request("POST", "/api/v1/query?of=1&pose=30", b"")
        answer = connection.getresponse()
        assert json.load(answer)["results"]
        return answer.status


def metrics_of(address: str) -> str:
    with urllib.request.urlopen(f"{address}metrics", timeout=30) as answer:
        return str(answer.read().decode())


def test_what_was_asked_before_the_end_is_answered(tmp_path: Path) -> None:
    with slow_server(tmp_path, 2.0) as (process, address), ThreadPoolExecutor(2) as threads:
        asked = threads.submit(ask, address)
        begun(process)
        process.send_signal(signal.SIGTERM)
        assert asked.result() == 200
        assert process.wait(20) == 0
        with pytest.raises(OSError):
            ask(address)


def test_an_answer_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    with slow_server(tmp_path, 100.0) as (process, address), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, address)
        begun(process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(70) == 1
        assert 4 < time.monotonic() - began < 60
        with pytest.raises((OSError, HTTPException, ValueError)):
            asked.result()


def test_how_long_requests_take_and_how_many_wait_is_told(tmp_path: Path) -> None:
    with slow_server(tmp_path, 0.2) as (_, address):
        assert ask(address) == 200
        told = metrics_of(address)
    assert 'facesearch_request_seconds_count{route="/api/v1/query"} 1.0' in told
    assert "facesearch_waiting 0.0" in told and "facesearch_upload_bytes" in told
