"""Which Ray there is, and joining it.

This module must stay free of ray until a cluster is asked for.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faceedit.errors import MissingPackageError, UsageError
from faceedit.text import lines_of
from retrieval.errors import ClusterError

HERE = "ray"
_ADDRESS = re.compile(r"ray://[A-Za-z0-9.\-\[\]:_]+:[0-9]{1,5}")
_REACH = 10.0  # seconds until a machine says that it is there
_TIMES = 3  # that a head is asked for a process of its own for this client: a busy one may not start it in time
_STORE = 200 * 2**20  # bytes that Ray on this machine alone keeps for results


def read_workers(given: str) -> str:
    """Where Ray is: 'ray' for this machine, or the cluster that $RAY_ADDRESS names, or ray://HOST:PORT. Raises
    UsageError."""
    if given != HERE and not _ADDRESS.fullmatch(given):
        raise UsageError(
            f"the workers are {given!r:.60}: say ray, for Ray on this machine or at $RAY_ADDRESS, or ray://HOST:10001"
        )
    return given


def connect(address: str) -> None:
    """Join the cluster at an address of `read_workers`, or begin one here, without a word on stderr: what Ray tells is
    not ours. Raises ClusterError where nobody answers, MissingPackageError without Ray."""
    ray = load_ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    named = address if address != HERE else os.environ.get("RAY_ADDRESS")
    if named in (None, "", "local"):
        quiet |= {"include_dashboard": False, "object_store_memory": _STORE}
    try:
        _require_listening(named or "")
        with warnings.catch_warnings(), _nothing_on_stderr():
            warnings.simplefilter("ignore")
            _persistently(lambda: ray.init(address=named or "local", **quiet))
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray answers at {named or 'this machine'} ({_reason(error)}): start it there with `ray start "
            "--head`, of the same version of Ray and Python, or say --workers ray without $RAY_ADDRESS"
        ) from error


def load_ray() -> Any:
    """Ray itself, which tells nobody that it is used and takes no hook of its own. Raises MissingPackageError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # of what its libraries write to stderr themselves
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "describing by Ray needs ray, which is not installed: pip install -c constraints.txt '.[cpu,ray]'"
        ) from error
    return ray


def first_line(error: object) -> str:
    """The kind of an error and what it says first, for a line of ours."""
    lines = lines_of(error)
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__


def _reason(error: Exception) -> str:
    """Ray's clients are told the whole traceback of the head, of which the last line says what was wrong."""
    lines = lines_of(error)
    return f"{lines[-1]:.200}" if isinstance(error, ConnectionAbortedError) and len(lines) > 1 else first_line(error)


@contextmanager
def _nothing_on_stderr() -> Iterator[None]:
    """Ray's own libraries write there, without asking Python: that they heard how much they shall tell, for one."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _require_listening(address: str) -> None:
    """Raise OSError where nobody listens at host:port, for which Ray would wait for minutes, and not silently."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()


def _persistently(connect: Callable[[], object]) -> None:
    """Again where the head could not start the process that serves this client: Ray gives it 30 seconds."""
    for again in reversed(range(_TIMES)):
        try:
            connect()
            return
        except ConnectionAbortedError:
            if not again:
                raise
