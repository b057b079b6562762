"""Read pictures ahead of whoever describes them: in worker processes, in order, never more than a few batches at once.

A worker that a damaged file takes down with it (decoders are C) costs that file alone: what it was reading is read
again, one file at a time. This module must stay free of torch: every worker imports it.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType

from faceedit.errors import ImageError
from faceedit.images import Picture, read_crop

MOST_BYTES = 500_000_000  # of one file
FEW = 64  # so few pictures are read by one process
_log = logging.getLogger(__name__)
_PARTS = 4  # of each batch, for as many workers


@dataclass(frozen=True)
class Read:
    """One file: its crop (60, 60, 3) uint8 and what identifies it, or the reason why there is none."""

    path: Path
    crop: Picture | None = None
    sha256: str = ""
    size: int = 0
    mtime_ns: int = 0
    reason: str = ""


def read(path: Path) -> Read:
    """Read one file once."""
    size = mtime_ns = 0
    try:
        str(path).encode()
        stat = path.stat()  # before the content: a change from here on is seen by the next run
        size, mtime_ns = stat.st_size, stat.st_mtime_ns
        if size > MOST_BYTES:
            raise ImageError(f"{path} has {size:,} bytes, over {MOST_BYTES:,}: make it smaller")
        content = path.read_bytes()
        crop = read_crop(path, content)
    except UnicodeEncodeError:
        reason = f"{str(path)!r} has a name that is not Unicode: rename the file"
    except FileNotFoundError:
        reason = f"{path} does not exist any more"
    except (ImageError, OSError) as error:
        reason = str(error)
    else:
        return Read(path, crop, hashlib.sha256(content).hexdigest(), size, mtime_ns)
    return Read(path, size=size, mtime_ns=mtime_ns, reason=reason)


def read_ahead(
    paths: Sequence[Path], batch: int, workers: int | None = None, reader: Callable[[Path], Read] = read
) -> Iterator[list[Read]]:
    """The files in order, `batch` at a time; while one batch is used, the next are read.

    workers: processes; by default one for each processor, up to 8, and one for few files. Where none can be started (a
    script without `if __name__ == "__main__":`, no memory), files are read in this process.
    """
    if not paths:
        return
    if workers is None:
        workers = 1 if len(paths) <= FEW else min(8, os.cpu_count() or 1)
    with _Workers(workers, reader) as pool:
        yield from pool.map([paths[i : i + batch] for i in range(0, len(paths), batch)])


class _Workers:
    def __init__(self, count: int, reader: Callable[[Path], Read]) -> None:
        self._count, self._reader = count, reader
        self._pool = self._started(count)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """End the workers, which hold nothing that could be lost: one that started while its pool broke would never be
        told to end, and be waited for."""
        for process in list((getattr(self._pool, "_processes", None) or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, batches: Sequence[Sequence[Path]]) -> Iterator[list[Read]]:
        waiting = iter(batches)
        ahead: deque[tuple[Sequence[Path], list[Future[list[Read]]]]] = deque()
        while True:
            while len(ahead) < 2:  # one that is read, one that lies ready
                some = next(waiting, None)
                if some is None:
                    break
                ahead.append((some, self._submit(some)))
            if not ahead:
                return
            some, futures = ahead.popleft()
            try:
                made = [one for future in futures for one in future.result()]
            except BrokenProcessPool:
                made = self._one_by_one(some)
                ahead = deque((others, self._submit(others)) for others, _ in ahead)
            yield made

    def _submit(self, paths: Sequence[Path]) -> list[Future[list[Read]]]:
        step = -(-len(paths) // _PARTS)
        parts = [list(paths[i : i + step]) for i in range(0, len(paths), step)]
        try:
            with _uninterrupted():  # workers start here, and are not to be interrupted by a terminal
                return [self._pool.submit(_read_all, self._reader, part) for part in parts]
        except BrokenProcessPool as error:  # found out while others were handed over
            broken: Future[list[Read]] = Future()
            broken.set_exception(error)
            return [broken]

    def _one_by_one(self, paths: Sequence[Path]) -> list[Read]:
        """The same, by one worker, which is replaced whenever a file takes it down."""
        if not self._restarted(1):
            _log.warning("no process can be started to read files in: they are read in this one")
            return _read_all(self._reader, paths)
        made: list[Read] = []
        for path in paths:
            try:
                made += self._pool.submit(_read_all, self._reader, [path]).result()
            except BrokenProcessPool:
                made.append(_crashed(path))
                if not self._restarted(1):
                    return made + _read_all(self._reader, paths[len(made) :])
        self._restarted(self._count)
        return made

    def _restarted(self, count: int) -> bool:
        """Whether new workers answer."""
        self._stop()
        self._pool = self._started(count)
        try:
            with _uninterrupted():
                answer = self._pool.submit(_read_all, self._reader, [])
            return answer.result() == []
        except BrokenProcessPool:
            return False

    @staticmethod
    def _started(count: int) -> ProcessPoolExecutor:
        # fork is unsafe once torch and Faiss are loaded
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin)


def _crashed(path: Path) -> Read:
    reason = f"{path} cannot be read: its decoder crashed; give a whole picture"
    try:
        stat = path.stat()
    except OSError:
        return Read(path, reason=reason)
    return Read(path, size=stat.st_size, mtime_ns=stat.st_mtime_ns, reason=reason)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that are started in the block never hear of an interrupt, not even before `_begin`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _read_all(reader: Callable[[Path], Read], paths: Sequence[Path]) -> list[Read]:
    return [reader(path) for path in paths]


def _begin() -> None:
    """In a worker: an interrupt is for its parent to handle, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
