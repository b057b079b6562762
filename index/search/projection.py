"""The Faiss indexes of one state of a gallery: the file `exact-<generation>-<stamp>.faiss` with every descriptor, and
the folder `search-<generation>-<stamp>` with reduced ones.

The state stands in the file's name, so that index and state reach the disk in one rename.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.descriptors import HalfArray, IdArray, Index, index_ids, padded, read_index, write_index
from index.errors import GalleryCorruptError
from index.search.shortlist import Shortlist, checksum
from index.search.shortlist import read as read_shortlist
from index.search.shortlist import write as write_shortlist

_NAME = re.compile(r"exact-(\d+)-([0-9a-f]+)\.faiss(\.\d+\.tmp)?")
_FOLDER = re.compile(r"search-(\d+)-([0-9a-f]+)(\.\d+\.tmp)?")

SameRows = Callable[[IdArray, IdArray], bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """How far a gallery has come."""

    generation: int
    stamp: str
    """random, new with each generation: tells it from the same one of a restored copy"""
    removals: int
    model: tuple[str, int]
    """digest of the model that described it, and how many numbers its descriptors have"""

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
    slots: IdArray
    """where their descriptors lie"""


def load(folder: Path, state: State, ids: IdArray, slots: IdArray, size: int) -> Projection | None:
    """The saved index of this state, or None when there is none that is sound, of descriptors of this size, and has
    these ids, whose descriptors lie at these slots."""
    path = folder / state.file_name
    if not path.exists():
        return None
    try:
        index = read_index(path)
    except GalleryCorruptError as error:
        _log.warning("%s", error)
        return None
    same = index.d == padded(size) and np.array_equal(index_ids(index), ids)
    return Projection(state, index, ids, slots) if same else None


def save(folder: Path, projection: Projection) -> None:
    """Write the index and delete those of earlier states.

    A disk that refuses costs only time at the next start, so it is logged and not raised.
    """
    if not os.access(folder, os.W_OK):
        return
    try:
        write_index(projection.index, folder / projection.state.file_name)
        _discard(folder, "exact-*", projection.state.generation, projection.state.file_name)
    except OSError as error:
        _log.warning("the search index of %s is not saved: %s", folder, error)


def discard_file(folder: Path, state: State) -> None:
    """Delete the saved index of this state."""
    with suppress(OSError):
        (folder / state.file_name).unlink(missing_ok=True)


def discard(folder: Path, *, before: int | None = None, keep: str = "") -> None:
    """Delete saved indexes, finished or not: all, or those up to the generation `before`. The caller holds the writer's
    lock, since indexes of reduced descriptors are made under it."""
    for pattern in ("exact-*", "search-*"):
        _discard(folder, pattern, before, keep)


def _discard(folder: Path, pattern: str, before: int | None, keep: str) -> None:
    for path in folder.glob(pattern):
        name = _NAME.fullmatch(path.name) or _FOLDER.fullmatch(path.name)
        if name is None or path.name == keep:
            continue
        if before is None or int(name[1]) <= before:
            with suppress(OSError):  # Windows keeps a file that another process has open
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def has_shortlist(folder: Path) -> bool:
    """Whether there may be one to load."""
    return any(folder.glob("search-*"))


def load_shortlist(folder: Path, state: State, records: HalfArray, same_rows: SameRows) -> Shortlist | None:
    """The newest index of reduced descriptors that still belongs to the gallery: images may have been added since it
    was built, but none removed. records: the descriptor file's; same_rows: whether the data base has these ids at these
    slots, and no others up to the last."""
    found = [(name, path) for path in folder.glob("search-*") if (name := _FOLDER.fullmatch(path.name)) and not name[3]]
    for name, path in sorted(found, key=lambda one: -int(one[0][1])):
        if int(name[1]) > state.generation:
            continue  # of another history
        try:
            made = read_shortlist(path)
        except GalleryCorruptError as error:
            _log.warning("%s", error)
            continue
        fits = made.about.removals == state.removals and int(made.slots.max(initial=0)) < len(records)
        if fits and same_rows(made.ids, made.slots) and made.about.check == checksum(records, made.slots):
            return made
    return None


def save_shortlist(folder: Path, state: State, shortlist: Shortlist) -> None:
    """Write the index of this state and delete all others. Raises OSError."""
    name = f"search-{state.generation}-{state.stamp}"
    write_shortlist(shortlist, folder / name)
    discard(folder, keep=name)
