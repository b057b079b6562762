"""Memory for pictures that are decoded: a budget in which requests wait in turn, and that comes back."""

from __future__ import annotations

import asyncio
import weakref

import numpy as np
import pytest

from facesearch.server.room import Room, lightly


class Picture:
    """Something large, of which one sees whether it is held."""


def test_who_needs_more_than_is_free_waits_in_turn() -> None:
    told: list[str] = []

    async def reading(room: Room, name: str, size: int, go: asyncio.Event) -> None:
        async with room.held(size):
            told.append(name)
            await go.wait()

    async def story() -> None:
        room, first, rest = Room(100), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(reading(room, "a", 60, first))]
        for name, size in (("b", 70), ("c", 30), ("vast", 500), ("d", 1)):
            tasks.append(asyncio.create_task(reading(room, name, size, rest)))
            await asyncio.sleep(0)
        assert told == ["a"] and room.taken == 60  # c would fit, but b came first
        first.set()
        await asyncio.sleep(0.01)
        assert told == ["a", "b", "c"] and room.taken == 100
        rest.set()
        await asyncio.gather(*tasks)
        assert told == ["a", "b", "c", "vast", "d"] and room.taken == 0

    asyncio.run(story())


def test_who_leaves_gives_its_turn_on() -> None:
    async def story() -> None:
        room, entered = Room(10), asyncio.Event()

        async def held(size: int) -> None:
            async with room.held(size):
                entered.set()
                await asyncio.sleep(60)

        first, second = asyncio.create_task(held(8)), asyncio.create_task(held(9))
        await asyncio.sleep(0)
        third = asyncio.create_task(held(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0.01)
        assert room.taken == 10
        for one in (first, third):
            one.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert room.taken == 0

    asyncio.run(story())


def test_an_error_holds_nothing_of_the_picture_that_it_came_of() -> None:
    left: list[weakref.ref[Picture]] = []

    def failing() -> None:
        picture = Picture()
        left.append(weakref.ref(picture))
        try:
            np.zeros(3).reshape(2, 2)
        except ValueError as error:
            raise RuntimeError("it is damaged") from error

    with pytest.raises(RuntimeError, match="it is damaged") as caught:
        lightly(failing)
    assert left[0]() is None and isinstance(caught.value.__cause__, ValueError)
    assert lightly(lambda: 3) == 3
