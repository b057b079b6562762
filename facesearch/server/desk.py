"""Where questions wait for the networks: one thread answers them, those that wait together at once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from facesearch.server.errors import full
from facesearch.server.settings import Limits
from retrieval.answers import Answer
from retrieval.query import Question

Ask = Callable[[Sequence[Question]], list[Answer]]


@dataclass(eq=False)
class _Waiting:
    """What one request waits for: answers, or something else that only the networks' thread may do."""

    questions: Sequence[Question] = ()
    other: Callable[[], Any] | None = None
    future: Future[Any] = field(default_factory=Future)


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
                self._queue.remove(one)
            raise

    def _work(self) -> None:
        while (some := self._next()) is not None:
            if some and some[0].other is not None:
                _settle(some[0], some[0].other)
            elif some:
                self._answer(some)

    def _next(self) -> list[_Waiting] | None:
        """What is done next: several requests' questions, or one other thing; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            some: list[_Waiting] = []
            while self._queue and self._fits(some):
                one = self._queue.popleft()
                if one.future.set_running_or_notify_cancel():
                    some.append(one)
            return some

    def _fits(self, some: list[_Waiting]) -> bool:
        """Whether the first that waits may go along."""
        alone = self._queue[0].other is not None or some[-1].other is not None if some else False
        return not alone and sum(len(one.questions) for one in some) < self._limits.together

    def _answer(self, some: list[_Waiting]) -> None:
        questions = [question for one in some for question in one.questions]
        self._told(len(questions))
        try:
            answers = iter(self._ask(questions))
        except Exception:  # of one of them: each hears of its own
            for one in some:
                _settle(one, partial(self._ask, one.questions))
            return
        for one in some:
            one.future.set_result([next(answers) for _ in one.questions])


def _settle(one: _Waiting, made: Callable[[], Any]) -> None:
    try:
        result = made()
    except BaseException as error:
        one.future.set_exception(error)
    else:
        one.future.set_result(result)
