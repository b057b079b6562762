"""What commands tell: results on stdout, as text or JSON; on stderr what is amiss, and how far they are."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from faceedit.text import printable

if TYPE_CHECKING:
    from retrieval.source import Source

_EVERY = 10.0  # seconds between lines of progress where there is no terminal


def show(as_json: bool, content: object, lines: Iterable[str]) -> None:
    """A result: its content as one JSON value, or its lines."""
    print(json.dumps(content) if as_json else "\n".join(lines))


def say(what: str, lines: Iterable[str]) -> None:
    """Beside the result, on stderr: each line after what it is, such as skipped, or a warning."""
    for line in lines:
        print(f"{what}: {line}", file=sys.stderr)


def warn_of(*sources: Source | None) -> None:
    """Say what is amiss with pictures' files, and costs no pixel."""
    for source in filter(None, sources):
        say("warning", (printable(f"{source.name}: {warning}") for warning in source.warnings))


class ProgressBar:
    """A bar on a terminal, a line now and then elsewhere: `with ProgressBar("describing") as bar: bar.update(1, 9)`."""

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._started = self._spoken = time.monotonic()
        self._first: int | None = None
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(title, total=None, note="")

    def __enter__(self) -> ProgressBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def confirmed(self, question: str) -> bool:
        """What somebody at the terminal says to it."""
        if self._bar:
            self._bar.stop()
        try:
            print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        finally:
            if self._bar:
                self._bar.start()

    def tell(self, what: str, done: int, total: int) -> None:
        """What is being done, and how far it is."""
        self.update(done, total, title=what)

    def update(self, done: int, total: int, note: str = "", title: str | None = None) -> None:
        """Show how far the work is; without a note, the time left is estimated from the rate so far."""
        if title is not None and title != self._title:
            self._title, self._first, self._started = title, None, time.monotonic()
        if self._first is None:
            self._first = done
        text = f"{done:,} of {total:,}  {note or self._time_left(done, total)}"
        if self._bar:
            self._bar.update(self._task, description=self._title, completed=done, total=total, note=text)
        elif time.monotonic() - self._spoken >= _EVERY:
            self._spoken = time.monotonic()
            print(f"{self._title}: {text}", file=sys.stderr, flush=True)

    def _time_left(self, done: int, total: int) -> str:
        assert self._first is not None
        seconds, gone = time.monotonic() - self._started, done - self._first
        if not gone or seconds <= 0:
            return ""
        return f"{gone / seconds:.0f}/s, {duration((total - done) * seconds / gone)} left"


def duration(seconds: float) -> str:
    """'1:02:03' or '2:03'"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
