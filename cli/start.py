"""The first line of ours that runs: Ctrl-C ends the command in one line from here on, also while modules are loaded."""

from __future__ import annotations

import os
import signal

from cli.streams import open_streams

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
