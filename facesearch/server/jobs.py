"""Long work that somebody asked for: one job after the other, watched, cancelled, and remembered when it is over."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facesearch.server.errors import FORESEEN, RefusedError, as_error, full
from index.whole import replaced

FILE = "jobs.json"
KEPT = 100  # jobs that are remembered
_LARGEST_FILE, _LARGEST = 20_000_000, 10**9
WAITING, RUNNING, DONE, FAILED, CANCELLED, INTERRUPTED = STATES = (
    "waiting",
    "running",
    "done",
    "failed",
    "cancelled",
    "interrupted",
)
OPEN = (WAITING, RUNNING)

Tell = Callable[[str, int, int], None]
Work = Callable[[Tell], dict[str, Any]]
"""What a job does: it tells how far it is, and returns what came of it."""


class _CancelledError(Exception):
    """Somebody cancelled the job that is under way."""


@dataclass(frozen=True)
class Job:
    """kind: what it does; asked: to what; state: one of STATES; doing, done, of: how far it is; began, ended: ISO 8601
    in UTC; outcome: what came of it, or {code, message, hint} where it failed."""

    id: int
    kind: str
    asked: dict[str, Any]
    state: str = WAITING
    doing: str = ""
    done: int = 0
    of: int = 0
    asked_at: str = ""
    began: str = ""
    ended: str = ""
    outcome: dict[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class Jobs:
    """The jobs of one server. They are written beside the gallery, so that the next server knows how they ended."""

    def __init__(self, gallery: Path, most_waiting: int) -> None:
        self._file, self._most = gallery / FILE, most_waiting
        self._jobs = {job.id: job for job in _read(self._file)}
        self._work: dict[int, Work] = {}
        self._cancelled: set[int] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop what is under way: what it finished is kept."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def all(self) -> list[Job]:
        """Newest first."""
        with self._changed:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def get(self, id_: int) -> Job:
        """Raises RefusedError for one that is not known."""
        with self._changed:
            job = self._jobs.get(id_)
        if job is None:
            raise RefusedError(404, "not_found", f"there is no job {id_}: give one that the list of jobs shows")
        return job

    @property
    def running(self) -> Job | None:
        """The one under way."""
        with self._changed:
            return next((job for job in self._jobs.values() if job.state == RUNNING), None)

    def add(self, kind: str, asked: dict[str, Any], work: Work) -> Job:
        """One more. Raises RefusedError where too many wait."""
        with self._changed:
            if sum(job.is_open for job in self._jobs.values()) >= self._most:
                raise full("too many jobs wait")
            job = Job(max(self._jobs, default=0) + 1, kind, asked, asked_at=_now())
            self._jobs[job.id], self._work[job.id] = job, work
            self._keep()
            self._changed.notify_all()
        return job

    def cancel(self, id_: int) -> Job:
        """Cancel one that waits or is under way. Raises RefusedError for one that is over."""
        job = self.get(id_)
        with self._changed:
            if not self._jobs[id_].is_open:
                raise RefusedError(409, "over", f"job {id_} is over, it is {job.state}: nothing is left to cancel")
            self._cancelled.add(id_)
            if self._jobs[id_].state == WAITING:
                self._work.pop(id_, None)
                self._change(id_, state=CANCELLED, ended=_now())
                self._keep()
        return self.get(id_)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work or self._closed)
                if self._closed:
                    return
                id_ = min(self._work)
                work = self._work.pop(id_)
                self._change(id_, state=RUNNING, began=_now())
                self._keep()
            state, outcome = self._done(id_, work)
            with self._changed:
                self._change(id_, state=state, ended=_now(), outcome=outcome)
                self._keep()

    def _done(self, id_: int, work: Work) -> tuple[str, dict[str, Any] | None]:
        def tell(doing: str, done: int, of: int) -> None:
            with self._changed:
                if self._closed or id_ in self._cancelled:
                    raise _CancelledError
                self._change(id_, doing=doing, done=done, of=of)

        try:
            return DONE, work(tell)
        except _CancelledError:
            return INTERRUPTED if self._closed else CANCELLED, None
        except FORESEEN as error:
            return FAILED, as_error(error).model_dump()
        except Exception as error:  # a mistake of ours ends the job, not the jobs
            return FAILED, {"code": "failed", "message": f"{type(error).__name__}: {error}", "hint": ""}

    def _change(self, id_: int, **changes: Any) -> None:
        self._jobs[id_] = replace(self._jobs[id_], **changes)
        self._changed.notify_all()

    def _keep(self) -> None:
        """Write them down, where there is a gallery to write beside."""
        for old in sorted(id_ for id_, job in self._jobs.items() if not job.is_open)[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[old]
        if self._file.parent.is_dir():
            text = json.dumps([asdict(job) for job in self._jobs.values()], default=str)
            with suppress(OSError):  # a full disk ends no job
                replaced(self._file, text.encode())


def _read(file: Path) -> list[Job]:
    """What an earlier server wrote; none of it where that is damaged. What was open then was interrupted."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LARGEST_FILE:
            return []
        jobs = [Job(**one) for one in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    if not all(map(_is_sound, jobs)):
        return []
    return [replace(job, state=INTERRUPTED) if job.is_open else job for job in jobs]


def _is_sound(job: Job) -> bool:
    """Whether it says what a job can say: the gallery that it lies in may be a stranger's."""
    numbers, texts = (job.id, job.done, job.of), (job.kind, job.state, job.doing, job.asked_at, job.began, job.ended)
    return (
        all(type(one) is int and 0 <= one < _LARGEST for one in numbers)
        and all(type(one) is str for one in texts)
        and job.id > 0
        and job.state in STATES
        and type(job.asked) is dict
        and type(job.outcome) in (dict, type(None))
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
