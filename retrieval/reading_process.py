"""What a process that reads files does: answer for one after the other.

It begins with what this module imports, in every process anew, so that is little: no torch, nothing of a gallery."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from retrieval.one_file import Read

MOST_MEMORY = 3 * 2**30  # address space


def serve(pipe: Connection[Read | None, Path], reader: Callable[[Path], Read]) -> None:
    """In a worker: answer until the other end is closed, or its process gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    try:
        pipe.send(None)
        while True:
            pipe.send(reader(pipe.recv()))
    except (EOFError, OSError):
        return


def _limit_memory() -> None:
    """So that a file whose header claims any size is refused, where the system knows such a limit."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or hard > MOST_MEMORY:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, hard))
