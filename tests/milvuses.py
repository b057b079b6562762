"""Milvus for tests: Milvus Lite, a file of its own for each; and a server, one a process of pytest.

The server comes in a wheel of its own, which needs an older setuptools than anything else: `make test-cluster` puts it
beside the virtual environment, into one whose name ends in -milvus.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

WHY_NOT = "Milvus Lite is not installed for tests: `make test-cluster` does so"
NO_SERVER = "no Milvus server is installed for tests: on Linux `make test-cluster` does so, into another environment"
PATIENCE = 300.0  # seconds until a server must have started; it unpacks 400 MB first
_numbers = itertools.count(1)


@cache
def installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("pymilvus", "milvus_lite"))


def program() -> Path:
    """Where the server lies, if it is installed."""
    return Path(os.environ.get("FACESEARCH_MILVUS_SERVER") or f"{sys.prefix}-milvus/bin/milvus-server")


@pytest.fixture
def lite(tmp_path: Path) -> str:
    """The word for a file that nobody has made yet."""
    if not installed():
        pytest.skip(WHY_NOT)
    return str(tmp_path / "lite.db")


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[str]:
    """The word for a server that runs, but for the collection. Its files do not lie in pytest's folder, which the next
    pytest that starts may delete."""
    if not (program().exists() and importlib.util.find_spec("pymilvus")):
        pytest.skip(NO_SERVER)
    port = free_port()
    with TemporaryDirectory(prefix="facesearch-milvus-", ignore_cleanup_errors=True) as folder:
        command = [str(program()), "--proxy-port", str(port), "--data", folder]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as process:
            try:
                wait_for(port, process)
                yield f"milvus://127.0.0.1:{port}"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # nobody needs what it holds


@pytest.fixture
def collection(milvus_server: str) -> str:
    """The word for a collection of the server that nobody has made yet."""
    return f"{milvus_server}/test_{next(_numbers)}"


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers, not only listens."""
    from pymilvus import MilvusClient

    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(Exception):
            client = MilvusClient(f"http://127.0.0.1:{port}", timeout=5)
            client.list_collections(timeout=5)
            client.close()
            return
        assert process.poll() is None, f"the Milvus server ended with {process.returncode}"
        assert time.monotonic() < deadline, "the Milvus server does not answer"
        time.sleep(1)
