"""The Faiss index of one state of a gallery, and its file `exact-<generation>-<stamp>.faiss`.

The state stands in the file's name, so that index and state reach the disk in one rename.
"""

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.errors import GalleryCorruptError
from index.vectors import IdArray, Index, index_ids, read_index, write_index

_NAME = re.compile(r"exact-(\d+)-([0-9a-f]+)\.faiss(\.\d+\.tmp)?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """How far a gallery has come."""

    generation: int
    stamp: str
    """random, new with each generation: tells it from the same one of a restored copy"""
    removals: int

    @property
    def file_name(self) -> str:
        """Name of the index file of this state."""
        return f"exact-{self.generation}-{self.stamp}.faiss"


@dataclass(frozen=True)
class Projection:
    """An index and what it was made from."""

    state: State
    index: Index
    ids: IdArray
    """all ids in the index, ascending"""


def load(folder: Path, state: State, ids: IdArray) -> Projection | None:
    """The saved index of this state, or None when there is none that is sound and has these ids."""
    path = folder / state.file_name
    if not path.exists():
        return None
    try:
        index = read_index(path)
    except GalleryCorruptError as error:
        _log.warning("%s", error)
        return None
    return Projection(state, index, ids) if np.array_equal(index_ids(index), ids) else None


def save(folder: Path, projection: Projection) -> None:
    """Write the index and delete those of earlier states.

    A disk that refuses costs only time at the next start, so it is logged and not raised.
    """
    try:
        write_index(projection.index, folder / projection.state.file_name)
        discard(folder, before=projection.state.generation, keep=projection.state.file_name)
    except OSError as error:
        _log.warning("the search index of %s is not saved: %s", folder, error)


def discard(folder: Path, *, before: int | None = None, keep: str = "") -> None:
    """Delete saved indexes, finished or not: all, or those up to the generation `before`."""
    for path in folder.glob("exact-*"):
        name = _NAME.fullmatch(path.name)
        if name is None or path.name == keep:
            continue
        if before is None or int(name[1]) <= before:
            with suppress(OSError):  # Windows keeps a file that another process has open
                path.unlink()
