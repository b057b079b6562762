"""Describe many pictures at once, where need be across interruptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.editor import Editor
from faceedit.files import write_whole

_STEP = 64  # pictures between two progress reports
_DESCRIPTORS, _STATE = "descriptors.f16", "state.json"
_KEEP = 1024  # pictures between two notes of how far the cache has come


def describe_all(
    editor: Editor, images: NDArray[np.uint8], progress: Callable[[int, int], None] | None = None,
    cache: Path | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.int64]]:  # fmt: skip
    """Half-precision descriptors (N, D), as a gallery keeps them, and the positions (N,) of the winning candidates.

    images (N, 60, 60, 3) uint8. cache: a folder whose files hold what is done; the same pictures and model go on there.
    """
    key = _key(editor, images) if cache else ""
    descriptors, best, done = _open((len(images), editor.descriptor_size), cache, key)
    for start in range(done, len(images), _STEP):
        part = slice(start, start + _STEP)
        described = editor.describe(images[part])
        descriptors[part], best[part] = described.descriptors, described.best
        now = min(start + _STEP, len(images))
        if cache and (now == len(images) or now % _KEEP == 0):
            _note(descriptors, best, cache, key, now)
        if progress:
            progress(now, len(images))
    return descriptors, best


def _open(
    shape: tuple[int, int], cache: Path | None, key: str
) -> tuple[NDArray[np.float16], NDArray[np.int64], int]:  # fmt: skip
    """Where the results go, and how many are there."""
    best = np.zeros(shape[0], np.int64)
    if cache is None:
        return np.empty(shape, np.float16), best, 0
    cache.mkdir(parents=True, exist_ok=True)
    before = _before(cache, key, 2 * shape[0] * shape[1])
    best[: len(before)] = before
    if len(before):
        return np.memmap(cache / _DESCRIPTORS, np.float16, "r+", shape=shape), best, len(before)
    (cache / _STATE).unlink(missing_ok=True)
    return np.memmap(cache / _DESCRIPTORS, np.float16, "w+", shape=shape), best, 0


def _before(cache: Path, key: str, size: int) -> list[int]:
    """The winning candidates that an earlier run noted, of whose descriptors the file has the right size."""
    try:
        state = json.loads((cache / _STATE).read_text(encoding="utf-8"))
        same = state["key"] == key and (cache / _DESCRIPTORS).stat().st_size == size
        return [int(position) for position in state["best"]] if same else []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # nothing usable is there: start over


def _note(
    descriptors: NDArray[np.float16], best: NDArray[np.int64], cache: Path, key: str, done: int
) -> None:  # fmt: skip
    assert isinstance(descriptors, np.memmap)
    descriptors.flush()
    state = {"key": key, "best": best[:done].tolist()}
    write_whole(cache / _STATE, json.dumps(state).encode())


def _key(editor: Editor, images: NDArray[np.uint8]) -> str:
    content = hashlib.sha256(editor.digest.encode())
    content.update(np.ascontiguousarray(images).data)
    return content.hexdigest()
