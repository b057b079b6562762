"""One FaceSearch and all that a server has beside it: what routes are given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request
from starlette.requests import ClientDisconnect

from facesearch.server.desk import Desk
from facesearch.server.errors import LATER, RefusedError, full
from facesearch.server.guard import Keys
from facesearch.server.imagined import Imagined
from facesearch.server.jobs import Jobs
from facesearch.server.metrics import Metrics
from facesearch.server.reports import Reports
from facesearch.server.room import BYTES_A_PIXEL, Room, lightly
from facesearch.server.roots import Roots
from facesearch.server.settings import Settings
from facesearch.server.uploads import Uploads
from index.errors import GalleryError
from index.pictures import PictureCache
from retrieval.face_search import FaceSearch

_T = TypeVar("_T")
_READERS = 2  # pictures that are decoded at one time
_LOOKERS = 2  # looks at how the gallery is, at one time: threads of their own, whatever keeps the others
_VAST = 4_000_000  # pixels of a picture whose memory is given back at once: that takes a moment


@dataclass
class Service:
    """Everything behind the routes."""

    faces: FaceSearch
    settings: Settings
    desk: Desk
    imagined: Imagined
    uploads: Uploads
    jobs: Jobs
    reports: Reports
    keys: Keys
    roots: Roots
    pictures: PictureCache
    metrics: Metrics
    readers: CapacityLimiter
    lookers: ThreadPoolExecutor
    room: Room
    demo: bool = False
    reading: int = 0
    ready: bool = False

    async def read(self, work: Callable[[], _T], pixels: int = 0) -> _T:
        """What `work` returns, run in one of few threads that decode pictures, when there is memory for one of so many
        pixels. Raises RefusedError where too many wait for that."""
        if self.reading >= self.settings.limits.waiting:
            raise full("too many pictures wait to be read")
        self.reading += 1
        try:
            async with self.room.held(pixels * BYTES_A_PIXEL):
                return await run_sync(work if pixels < _VAST else partial(lightly, work), limiter=self.readers)
        finally:
            self.reading -= 1

    async def look(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, which says how the gallery is; run in one of few threads for that alone. Raises
        RefusedError where that takes too long, as where a database hangs."""
        look = self.lookers.submit(work)
        said = asyncio.wrap_future(look)
        done, _ = await asyncio.wait({said}, timeout=self.settings.limits.look_seconds)
        if not done:
            look.cancel()  # one that has begun keeps its thread: there are no more of them than that
            said.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody asks it any more
            raise RefusedError(LATER, "not_answering", "the gallery does not answer: see whether its database does", 5)
        return said.result()

    def close(self) -> None:
        """End jobs and questions, and close the gallery."""
        self.jobs.close()
        self.desk.close()
        self.lookers.shutdown(wait=False, cancel_futures=True)
        self.faces.close()


def service_of(faces: FaceSearch, settings: Settings, *, demo: bool = False) -> Service:
    """All that a server needs around a FaceSearch."""
    limits, metrics = settings.limits, Metrics()
    made = Service(
        faces=faces,
        settings=settings,
        desk=Desk(faces.ask, limits, metrics.together),
        imagined=Imagined(limits),
        uploads=Uploads(limits),
        jobs=Jobs(faces.folder, limits.jobs),
        reports=Reports(faces.folder),
        keys=Keys(settings),
        roots=Roots(settings.roots),
        pictures=PictureCache(faces.folder),
        metrics=metrics,
        readers=CapacityLimiter(_READERS),
        lookers=ThreadPoolExecutor(_LOOKERS, "looks"),
        room=Room(limits.memory),
        demo=demo,
    )
    metrics.gauge("waiting", "Requests that wait for the networks.", lambda: made.desk.waiting)
    metrics.gauge("upload_bytes", "Bytes of uploads in memory.", lambda: made.uploads.held)
    metrics.gauge("decoding_bytes", "Memory that pictures which are decoded may take now.", lambda: made.room.taken)
    metrics.gauge("engine_lag", "Faces that the gallery's engine does not know as they are.", lambda: _lag(faces))
    return made


def _lag(faces: FaceSearch) -> float:
    """No number where the gallery cannot be asked."""
    try:
        return faces.gallery.lag
    except GalleryError:
        return nan


async def service(request: Request) -> Service:
    """For routes: what they work with. A coroutine, so that it costs no change of threads."""
    found: Service = request.app.state.service
    return found


async def while_there(request: Request, work: Awaitable[_T]) -> _T:
    """What `work` gives; given up when the client leaves. Raises ClientDisconnect."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has left; what it still sends is not looked at."""
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            return


def require_quiet(service: Service) -> None:
    """Raise RefusedError while a job is at the gallery: who changes it would have to wait for that."""
    job = service.jobs.running
    if job is not None and job.kind != "evaluate":
        text = f"job {job.id} ({job.kind}) is under way: wait until it is done, or cancel it"
        raise RefusedError(409, "job_under_way", text, later=5)
