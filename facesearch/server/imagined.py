"""Imagined faces that can still be looked at: in memory, for some minutes, as links that nobody can guess."""

from __future__ import annotations

import io
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from PIL import Image

from faceedit.images import Picture, resized
from facesearch.server.errors import RefusedError
from facesearch.server.settings import Limits
from retrieval.answers import Step
from retrieval.source import Source

SOURCE = "source"


class Imagined:
    """The source and the steps of the last answers. What was uploaded is not kept: of it only the crop of the face,
    at most 240 pixels a side, stays as long as the link does."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = limits.imagined, limits.imagined_seconds, clock
        self._kept: OrderedDict[str, tuple[float, Source, tuple[Step, ...]]] = OrderedDict()
        self._lock = Lock()

    def keep(self, source: Source, steps: tuple[Step, ...]) -> str:
        """The name under which they can be looked at."""
        name, now = secrets.token_urlsafe(12), self._clock()
        cropped = crop_only(source)
        with self._lock:
            self._kept[name] = (now + self._seconds, cropped, _based_on(cropped, steps))
            old = [one for one, (until, _, _) in self._kept.items() if until < now]
            for one in old or list(self._kept)[: -self._most]:
                del self._kept[one]
        return name

    def picture(self, name: str, which: str, size: int | None = None) -> bytes:
        """PNG of the source or of a step, '0' being the first; size: its side, if it is to be smaller. Raises
        RefusedError for what is not there any more."""
        with self._lock:
            kept = self._kept.get(name)
        if kept is None or kept[0] < self._clock():
            raise RefusedError(404, "forgotten", "this imagined face is not kept any more: ask again")
        _, source, steps = kept
        if which != SOURCE and (not which.isdecimal() or int(which[:9]) >= len(steps)):
            raise RefusedError(404, "not_found", f"there is no step {which[:20]!r}: give source, or a number from 0")
        picture = source.picture if which == SOURCE else steps[int(which[:9])].picture
        return png(picture if size is None or size >= len(picture) else resized(picture, size))


def crop_only(source: Source) -> Source:
    """The same without the content of a file: the crop alone, as large as it is looked at."""
    return Source(source.crop, None, source.picture) if isinstance(source.kept, bytes) else source


def _based_on(source: Source, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    made: list[Step] = []
    for step in steps:
        made.append(replace(step, before=made[-1] if made else source))
    return tuple(made)


def png(picture: Picture) -> bytes:
    """(H, W, 3) uint8 RGB as a PNG file's content."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=1)
    return content.getvalue()
