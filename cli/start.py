"""What comes before other modules of ours: from here on Ctrl-C ends the command in one line, and standard streams are
there, however whoever started us left them: closed, not to be written to, or on a disk that is full."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = ("stdin", "stdout", "stderr")
_OUTPUT, _ERRORS = 1, 2
_NOTHING_BEGUN = b"facesearch: interrupted: nothing was begun\n"


def _leave(number: int, frame: object) -> None:
    """At once: what an interrupted import raises depends on whose module it is."""
    try:
        os.write(2, _NOTHING_BEGUN)
    except OSError:  # closed
        pass
    os._exit(130)


def heed_termination() -> None:
    """Let SIGTERM be what Ctrl-C is: schedulers and containers end a process by it, and to the first process of a
    container it would mean nothing."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        heed_termination()
        before = signal.getsignal(signal.SIGINT)
        if before is signal.default_int_handler:  # whoever started us may have said that it be passed over
            signal.signal(signal.SIGINT, _leave)
        open_streams()
        from cli.app import main as run

        signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:  # before ours was set, or before the command looks for it
        _leave(signal.SIGINT, None)
    finally:  # the work is done, or given up
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Lenient(io.FileIO):
    """What cannot be written is lost, and ends nothing."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def open_streams() -> None:
    """A stream that was closed is as /dev/null: else the next file would take its place, and get what is printed. So is
    one of the wrong direction: a shell whose errors are closed gives its own script, which it reads, in place of them.
    What is said on stderr beside the work never ends the work, wherever it goes."""
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None or not _goes(number, os.O_RDONLY if number == 0 else os.O_WRONLY):
            _open_nothing(number)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))
    if isinstance(sys.stderr, io.TextIOWrapper):
        buffer = io.BufferedWriter(_Lenient(_ERRORS, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True)


def flush_output() -> OSError | None:
    """Write what was printed and still waits; what the system says where that cannot be: then it is lost."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _open_nothing(_OUTPUT)  # else it is tried once more when the process ends, which says so in words of its own
        return error
    return None


def _goes(number: int, way: int) -> bool:
    """Whether a stream that is open was opened for that."""
    try:
        from fcntl import F_GETFL, fcntl
    except ImportError:  # a system that does not tell
        return True
    return fcntl(number, F_GETFL) & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) in (way, os.O_RDWR)


def _open_nothing(number: int) -> None:
    """Also for processes that we start."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)
