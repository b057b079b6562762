"""Memory for pictures that are decoded: a budget that all requests share, and what is done so that it comes back."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

BYTES_A_PIXEL = 12
"""What decoding a picture and looking for faces in it takes at most: 600 MB for 49 megapixels, measured."""
_T = TypeVar("_T")


class Room:
    """So many bytes. Who needs more than is free waits, in turn; what needs more than there is has all of it, alone.
    Of one event loop."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are taken now."""
        return self._most - self._free

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Have this room for the length of the block."""
        size = min(size, self._most)
        if self._waiting or size > self._free:
            await self._turn(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._give_back(size)

    async def _turn(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at that moment
                self._give_back(size)
            else:
                self._waiting.remove((size, turn))
                self._call()
            raise

    def _give_back(self, size: int) -> None:
        self._free += size
        self._call()

    def _call(self) -> None:
        """Whose turn it is."""
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= size
                turn.set_result(None)


def lightly(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises; then nothing holds what it needed: an error's calls keep no picture, and the
    system has the memory back that glibc keeps for the thread (780 MB after a few vast pictures)."""
    try:
        return work()
    except Exception as error:
        _let_go(error)
        raise
    finally:
        _trim()


def _let_go(error: BaseException | None) -> None:
    """Of what the calls that an error came through held."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
