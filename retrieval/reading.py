"""Read pictures ahead of whoever describes them: in worker processes, in order, never more than a few batches at once.

A worker that a damaged file takes down with it (decoders are C) costs that file alone: every worker is asked for one
file at a time.

Workers of our own and not pebble's (5.2), which print tracebacks when a terminal's interrupt meets them while they
start, and leave a script without a main guard with an error instead of its pictures.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from retrieval.folder import stamp_of
from retrieval.one_file import Crops, Read, content_of, read, reader_name
from retrieval.reading_process import serve

FEW = 16  # so few pictures are read by one process
_ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
# glibc gives large pieces back to the system as soon as they are free, and takes them anew, all zeros, for the next
# photograph: a fifth of the time. So a process keeps what it may need again, of larger pieces nothing.
_KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}
PATIENCE = 300.0  # seconds for one file
_log = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")  # fork is unsafe once torch and Faiss are loaded


class ReadsFiles(Protocol):
    """What `retrieval.indexing` and `retrieval.redescribing` read files with."""

    @property
    def name(self) -> str:
        """Which reader it is: files that one cannot read are tried again by another."""

    def content(self, path: Path, /) -> str | None:
        """sha256 of a file's content; None for one that cannot be read or is too large."""

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        """The files in order, `batch` at a time."""

    def cropping(self, crops: Crops, /) -> ReadsFiles:
        """The same, which makes crops of pictures so."""


class FileReader:
    """Reads in worker processes, ahead of whoever asks; see `read_ahead`."""

    def __init__(self, crops: Crops | None = None, keep: int = 0) -> None:
        """keep: so many processes, from the first call on until this one ends."""
        self._crops, self._keep = crops or Crops(), keep

    @cached_property
    def name(self) -> str:  # asked for every file that could not be read; it looks for packages and reads files
        return f"{reader_name()}; {self._crops.name}"

    def content(self, path: Path, /) -> str | None:
        return content_of(path)

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        if self._keep:
            return self._kept.ahead(paths, batch)
        return read_ahead(paths, batch, reader=self._crops)

    def cropping(self, crops: Crops, /) -> FileReader:
        return FileReader(crops, self._keep)

    def keeping(self, processes: int) -> FileReader:
        """The same with so many processes that stay, for whoever reads a few files again and again."""
        return FileReader(self._crops, processes)

    @cached_property
    def _kept(self) -> _Workers:
        return _Workers(self._keep, self._crops)


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
        yield from pool.ahead(paths, batch)


class _Workers:
    """As many threads, each of which asks a process of its own."""

    def __init__(self, count: int, reader: Callable[[Path], Read]) -> None:
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        self._all = [_Worker(reader) for _ in range(count)]
        for worker in self._all:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(count, "reading")
        resource_tracker.ensure_running()  # which unblocks interrupts in the thread that starts it

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def ahead(self, paths: Sequence[Path], batch: int) -> Iterator[list[Read]]:
        """The files in order, `batch` at a time."""
        waiting = (paths[i : i + batch] for i in range(0, len(paths), batch))
        ahead: deque[list[Future[Read]]] = deque()
        while True:
            while len(ahead) < 2 and (some := next(waiting, None)):  # one that is read, one that lies ready
                ahead.append([self._threads.submit(self._read, path) for path in some])
            if not ahead:
                return
            yield [future.result() for future in ahead.popleft()]

    def _read(self, path: Path) -> Read:
        worker = self._free.get()  # there are as many as threads
        try:
            return worker.read(path)
        finally:
            self._free.put(worker)


_HIDING = threading.Lock()


@contextmanager
def _without_main(reader: object) -> Iterator[None]:
    """Start processes that do not run the user's script again, of which they need nothing unless the reader stands in
    it: spawning tells a process where the main module lies (multiprocessing.spawn.get_preparation_data)."""
    main = sys.modules["__main__"]
    if getattr(type(reader), "__module__", "") == "__main__" or getattr(reader, "__module__", "") == "__main__":
        with _HIDING, _one_thread():
            yield
        return
    with _HIDING, _one_thread():
        hidden: dict[str, object] = {n: vars(main)[n] for n in ("__spec__", "__file__") if n in vars(main)}
        try:
            main.__spec__ = None
            vars(main).pop("__file__", None)
            yield
        finally:
            vars(main).update(hidden)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that begin now compute by one thread each: there are as many of them as processors, and libraries whose
    threads wait for work by turning round and round would take it from one another."""
    now = _ALONE | _KEEPING
    before = {name: os.environ.get(name) for name in now}
    os.environ.update(now)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _NoProcessError(Exception):
    pass


class _Worker:
    """A process that reads one file at a time, and is replaced when one takes it down or holds it up."""

    def __init__(self, reader: Callable[[Path], Read]) -> None:
        self._reader = reader
        self._process: BaseProcess | None = None
        self._pipe: Connection[Path, Read | None] | None = None
        self._lock = threading.Lock()
        self._closed = self._here = False

    def read(self, path: Path) -> Read:
        reason = ""
        for _ in range(2):  # a process may also be killed for another reason, as want of memory
            if self._here or self._closed:
                break
            try:
                pipe = self._pipe or self._start()
                pipe.send(path)
                if pipe.poll(PATIENCE):
                    answer = pipe.recv()
                    assert answer is not None
                    return answer
                reason = f"{path} takes more than {PATIENCE:.0f} s to read: give a whole picture on a disk that answers"
            except _NoProcessError:
                _log.warning("no process can be started to read files in: they are read in this one")
                self._here = True
            except (EOFError, OSError):
                reason = f"{path} cannot be read: its decoder crashed; give a whole picture"
            self._end()
        if self._closed:
            return Read(path, reason="reading was ended")  # nobody asks any more
        return _unread(path, reason) if reason else self._reader(path)

    def close(self) -> None:
        """End the process, whatever it does: it holds nothing that could be lost."""
        self._closed = True
        self._end()

    def _start(self) -> Connection[Path, Read | None]:
        with self._lock:
            if self._closed:
                raise EOFError
            if hasattr(signal, "pthread_sigmask"):  # inherited: a terminal's interrupt is for this process alone
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            ours, theirs = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=serve, args=(theirs, self._reader), daemon=True)
            try:
                with _without_main(self._reader):
                    self._process.start()
            except OSError as error:
                self._process = None
                raise _NoProcessError from error
            finally:
                theirs.close()
        try:
            ready = ours.poll(PATIENCE) and ours.recv() is None
        except (EOFError, OSError):
            ready = False
        if not ready and not self._closed:
            raise _NoProcessError
        self._pipe = ours
        return ours

    def _end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join()
            self._process = self._pipe = None


def _unread(path: Path, reason: str) -> Read:
    stamp = stamp_of(path)
    if stamp is None:
        return Read(path, reason=reason, lasting=False)
    return Read(path, stamp=stamp, reason=reason)
