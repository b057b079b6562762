"""Reading and describing photographs on the machines of a Ray cluster, some at a time and each file once.

Plain actors over parts of our own: Ray's data sets were ten times slower here. An actor loads the model once and has
two parts at a time, so that it reads one while it describes another. A part whose actor or machine is lost is given to
another one; where it takes that with it as well, it is halved until one file is left, which is told as unreadable.
This module must stay free of ray until a cluster is asked for.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from index.stored import place_of
from retrieval.cluster_connection import connect, first_line, load_ray, read_workers
from retrieval.cluster_worker import Recipe, Worker
from retrieval.describing import Content, Made
from retrieval.errors import ClusterError
from retrieval.folder import stamp_of
from retrieval.one_file import UNKNOWN, Read

if TYPE_CHECKING:
    from ray.actor import ActorHandle

PATIENCE = 300.0  # seconds without any worker, or for one to begin
_LOST = 2  # times that a part may take its worker with it
_AT_ONCE = 2  # parts that a worker has
_FEWEST = 16  # files of a part, where there are more
_RECRUIT = 5.0  # seconds between looks for machines that came


@dataclass
class _Part:
    """Files that go together. lost: how often it took its worker with it; alone: whether it is given to a worker that
    has nothing else, which others would be blamed for."""

    paths: list[str]
    lost: int = 0
    alone: bool = False


@dataclass
class _Hand:
    """A worker that has begun, and what it has to do by the object that Ray gives for it."""

    actor: ActorHandle[Any]
    parts: dict[Any, _Part] = field(default_factory=dict)

    def takes(self, part: _Part) -> bool:
        if part.alone or any(one.alone for one in self.parts.values()):
            return not self.parts
        return len(self.parts) < _AT_ONCE


class Cluster:
    """Machines that describe, as `retrieval.indexing.DescribesFiles`; use it in a `with` block.

    address: of `read_workers`; recipe: what each worker makes of files. Entering it raises MissingPackageError without
    the extra `ray`, ClusterError where nobody answers.
    """

    def __init__(self, address: str, recipe: Recipe) -> None:
        self._address, self._recipe = read_workers(address), recipe
        self._ours = False
        self._hands: list[_Hand] = []
        self._starting: dict[Any, ActorHandle[Any]] = {}
        self._failed = 0  # starts in a row
        self._looked = self._answered = 0.0
        self._interrupts = 0
        self._notes = False  # whether they are counted

    def __enter__(self) -> Cluster:
        ray = load_ray()
        if not ray.is_initialized():
            self._ours = True
            connect(self._address)
        self._note_interrupts()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the workers go, whatever they do: they hold nothing that could be lost."""
        ray = load_ray()
        try:
            for actor in (*self._starting.values(), *(hand.actor for hand in self._hands)):
                ray.kill(actor)
            self._starting, self._hands = {}, []
            if self._ours:
                ray.shutdown()
        finally:
            if self._notes:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._interrupts and error is None:  # it came with the last part, or since
            raise KeyboardInterrupt

    def ahead(self, paths: Sequence[Path], /) -> Iterator[tuple[list[Read], dict[Content, Made]]]:
        """All of the files in parts, as they are done. Raises ClusterError where no worker is left or can begin, and
        what reading and describing here would raise."""
        if not paths:
            return
        again, new = deque[_Part](), self._parts(paths)
        self._answered = time.monotonic()
        while True:
            if self._interrupts:
                raise KeyboardInterrupt
            self._recruit(len(paths))
            self._hand_out(again, new)
            running = [ref for hand in self._hands for ref in hand.parts]
            if not running and not again:
                return
            done, _ = load_ray().wait([*running, *self._starting], num_returns=1, timeout=1.0)
            self._require_answers(bool(done))
            for ref in done:
                if ref in self._starting:
                    self._begun(ref)
                else:
                    yield from self._finished(ref, again)

    def _note_interrupts(self) -> None:
        """Heed Ctrl-C for sure: what it raises where Ray forgets an object is lost there."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupts += 1
            signal.default_int_handler(number, frame)

        ours = threading.current_thread() is threading.main_thread()
        self._notes = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._notes:
            signal.signal(signal.SIGINT, interrupt)

    def _parts(self, paths: Sequence[Path]) -> Iterator[_Part]:
        size = max(_FEWEST, min(self._recipe.batch, len(paths) // (4 * max(1, self._wanted()))))
        for start in range(0, len(paths), size):
            yield _Part([str(path) for path in paths[start : start + size]])

    def _hand_out(self, again: deque[_Part], new: Iterator[_Part]) -> None:
        """To whoever has less than it could; what was lost first."""
        again.extend(islice(new, 0 if again else 1))
        for hand in sorted(self._hands, key=lambda hand: len(hand.parts)):
            while again and hand.takes(again[0]):
                part = again.popleft()
                hand.parts[hand.actor.describe.remote(part.paths)] = part
                again.extend(islice(new, 0 if again else 1))

    def _finished(self, ref: Any, again: deque[_Part]) -> Iterator[tuple[list[Read], dict[Content, Made]]]:
        ray = load_ray()
        hand = next((hand for hand in self._hands if ref in hand.parts), None)
        if hand is None:  # its worker is lost, and so it has been given back
            return
        try:
            made = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except ray.exceptions.RayError:
            self._hands.remove(hand)
            ray.kill(hand.actor)
            for part in hand.parts.values():
                yield from self._lost(part, again)
            return
        del hand.parts[ref]
        self._answered, self._failed = time.monotonic(), 0
        yield made

    def _lost(self, part: _Part, again: deque[_Part]) -> Iterator[tuple[list[Read], dict[Content, Made]]]:
        """A part whose worker is lost: once more, then in halves, and in the end without its one file."""
        lost, half = part.lost + 1, len(part.paths) // 2
        if half and (lost >= _LOST or part.alone):
            again.extend(_Part(paths, 0, alone=True) for paths in (part.paths[:half], part.paths[half:]))
        elif lost < _LOST:
            again.append(replace(part, lost=lost, alone=True))
        else:
            yield [_unread(part.paths[0])], {}

    def _recruit(self, files: int) -> None:
        """Ask for as many workers as there is room for: machines come and go."""
        now = time.monotonic()
        if now - self._looked < _RECRUIT and (self._hands or self._starting):
            return
        self._looked = now
        ray, gpus = load_ray(), self._gpus()
        of_each = max(1, int(ray.cluster_resources().get("CPU", 1)) // gpus) if gpus else 1
        kind = ray.remote(num_cpus=of_each, num_gpus=1 if gpus else 0, max_concurrency=_AT_ONCE)(Worker)
        room = min(self._wanted(), -(-files // _FEWEST)) - len(self._hands) - len(self._starting)
        for _ in range(room):
            actor = kind.remote(replace(self._recipe, processes=of_each))
            self._starting[actor.begin.remote()] = actor

    def _wanted(self) -> int:
        return self._gpus() or max(1, int(load_ray().cluster_resources().get("CPU", 1)))

    def _gpus(self) -> int:
        return 0 if self._recipe.device == "cpu" else int(load_ray().cluster_resources().get("GPU", 0))

    def _begun(self, ref: Any) -> None:
        ray, actor = load_ray(), self._starting.pop(ref)
        try:
            ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except ray.exceptions.RayError as error:
            ray.kill(actor)
            self._failed += 1
            if self._failed > 2 * self._wanted() + 2:
                raise ClusterError(
                    f"the workers at {self._address} end while they begin ({first_line(error)}): see Ray's own logs; "
                    "what was finished is kept"
                ) from error
            return
        self._answered, self._failed = time.monotonic(), 0
        self._hands.append(_Hand(actor))

    def _require_answers(self, some: bool) -> None:
        """Raise ClusterError where nobody works for so long that nobody will."""
        if some or self._hands:
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered > PATIENCE:
            raise ClusterError(
                f"no worker at {self._address} for {PATIENCE:.0f} s: its machines are lost or busy with other work; "
                "what was finished is kept, so run this again when they are there"
            )


def _unread(path: str) -> Read:
    """A file that is told as one that cannot be read."""
    reason = f"{path} ends the process that describes it, each time: give a whole picture"
    stamp = stamp_of(path)
    return Read(place_of(path), stamp=stamp or UNKNOWN, reason=reason, lasting=stamp is not None)


def _cause(error: Any) -> Exception:
    """What a worker raised: one of our own errors as it is."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception) and hasattr(cause, "exit_code"):
        return cause
    return ClusterError(f"a worker failed ({first_line(cause or error)}): what was finished is kept")
