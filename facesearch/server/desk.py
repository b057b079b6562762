"""Where questions wait for the networks: one thread answers them, those that wait together at once.

Requests take turns, a question each: one that asks twenty things at once (a sweep) goes on beside those that ask one,
and keeps none of them waiting for all of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Any

from facesearch.server.errors import full
from facesearch.server.settings import Limits
from retrieval.answers import Answer
from retrieval.query import Question

Ask = Callable[[Sequence[Question]], list[Answer]]


@dataclass(eq=False)
class _Waiting:
    """What one request waits for: answers, or something else that only the networks' thread may do. answers: to the
    first of its questions; gone: whether nobody waits any more."""

    questions: Sequence[Question] = ()
    other: Callable[[], Any] | None = None
    future: Future[Any] = field(default_factory=Future)
    answers: list[Answer] = field(default_factory=list)
    gone: bool = False


class Desk:
    """Takes questions from many requests. A request that gives up frees its place."""

    def __init__(self, ask: Ask, limits: Limits, told: Callable[[int], None] = lambda count: None) -> None:
        """ask: answers questions; told: of how many pictures went through the networks together."""
        self._ask, self._limits, self._told = ask, limits, told
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="networks", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    async def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in their order. Raises RefusedError where too many wait, and what `FaceSearch.ask` does."""
        answers: list[Answer] = await self._waited(_Waiting(questions))
        return answers

    async def do(self, other: Callable[[], Any]) -> Any:
        """What `other` returns, run in the networks' thread."""
        return await self._waited(_Waiting(other=other))

    def close(self) -> None:
        """Answer what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    async def _waited(self, one: _Waiting) -> Any:
        with self._changed:
            if self._closed:
                raise full("the server is being ended")
            if len(self._queue) >= self._limits.waiting:
                raise full("too many questions wait for an answer")
            self._queue.append(one)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(one.future)
        except asyncio.CancelledError:
            with self._changed, suppress(ValueError):  # its turn may have come
                one.gone = True
                self._queue.remove(one)
            raise

    def _work(self) -> None:
        while (turns := self._next()) is not None:
            if len(turns) == 1 and turns[0][0].other is not None:
                _settle(turns[0][0], turns[0][0].other)
            elif turns:
                self._answer(turns)

    def _next(self) -> list[tuple[_Waiting, int]] | None:
        """What is done next: of several requests some questions, or one other thing; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            first = self._queue[0]
            if first.other is not None:
                self._queue.popleft()
                return [(first, 0)] if first.future.set_running_or_notify_cancel() else []
            before_other = list(takewhile(lambda one: one.other is None, self._queue))
            counts = shares([len(one.questions) - len(one.answers) for one in before_other], self._limits.together)
            turns = list(zip(before_other, counts, strict=True))
            for one, _ in turns:
                self._queue.remove(one)
            left = [one for one, count in turns if not count]
            self._queue.extendleft(reversed(left))  # they come before those that had a turn
            return [(one, count) for one, count in turns if count and self._begins(one)]

    def _begins(self, one: _Waiting) -> bool:
        """Whether somebody waits for it, as far as is known."""
        return one.future.running() or one.future.set_running_or_notify_cancel()

    def _answer(self, turns: list[tuple[_Waiting, int]]) -> None:
        asked = [(one, one.questions[len(one.answers) :][:count]) for one, count in turns]
        questions = [question for _, some in asked for question in some]
        self._told(len(questions))
        try:
            answers = iter(self._ask(questions))
        except Exception:  # of one of them: each hears of its own
            for one, _ in asked:
                _settle(one, partial(self._ask, one.questions))
            return
        for one, some in asked:
            one.answers += [next(answers) for _ in some]
        self._hand_out([one for one, _ in asked])

    def _hand_out(self, some: Sequence[_Waiting]) -> None:
        """Answers to those that have all of theirs; the others wait for the rest."""
        with self._changed:
            for one in some:
                if len(one.answers) == len(one.questions):
                    one.future.set_result(one.answers)
                elif not one.gone:
                    self._queue.append(one)


def shares(wanted: Sequence[int], most: int) -> list[int]:
    """How many of `most` turns each has who wants so many: one each in their order, and again, until none is left."""
    given = [0] * len(wanted)
    while most and given != list(wanted):
        for at, (has, wants) in enumerate(zip(given, wanted, strict=True)):
            if most and has < wants:
                given[at] += 1
                most -= 1
    return given


def _settle(one: _Waiting, made: Callable[[], Any]) -> None:
    try:
        result = made()
    except BaseException as error:
        one.future.set_exception(error)
    else:
        one.future.set_result(result)
