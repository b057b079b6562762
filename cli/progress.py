"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

_EVERY = 10.0  # seconds between lines where there is no terminal


class ProgressBar:
    """`with ProgressBar("describing") as bar: bar.update(done, total, "61 images/s")`; nothing when `quiet`."""

    def __init__(self, title: str = "", quiet: bool = False) -> None:
        self._title, self._quiet = title, quiet
        self._started = self._spoken = time.monotonic()
        self._first: int | None = None
        self._bar = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(title, total=None, note="")

    def __enter__(self) -> ProgressBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While somebody is asked something."""
        if self._bar:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar:
                self._bar.start()

    def tell(self, what: str, done: int, total: int) -> None:
        """What is being done, and how far it is."""
        self.update(done, total, title=what)

    def update(self, done: int, total: int, note: str = "", title: str | None = None) -> None:
        """Show how far the work is; without a note, the time left is estimated from the rate so far."""
        if self._quiet:
            return
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
