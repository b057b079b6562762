"""A search in two looks: reduced descriptors say which few hundred may be nearest, the full ones which are.

The first look never decides: distances, their order and ties are those of the descriptors in half precision. It can
only miss, and how often it does is measured when it is built (`index.search.prepare`), against every descriptor.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.checked import is_believed, look, note
from index.config import State
from index.errors import GalleryCorruptError
from index.files import discard_indexes, shortlist_path, shortlists
from index.search.faiss_files import (
    BROKEN,
    Index,
    faiss_module,
    mapped_index,
    most_bytes,
    require_ranges,
    unreadable,
    write_index,
)
from index.search.plan import AT, HNSW, IVF
from index.search.scan import scan
from index.search.searcher import Found, Rows, rows_of
from index.settings import read_settings, settings_text
from index.stamps import file_hash
from index.values import FloatArray, HalfArray, IdArray
from index.whole import folder_written_whole, to_disk

_FURTHER = 32  # times as far at most when only some rows compete
_CHECKED = 64  # slots whose bytes tell whether an index belongs to a descriptor file
_INDEX, _REDUCTION, _IDS, _SLOTS, _ABOUT = "index.faiss", "reduction.npy", "ids.npy", "slots.npy", "about.json"
_HASHED = (_INDEX, _REDUCTION, _IDS, _SLOTS)

SameRows = Callable[[IdArray, IdArray], bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class About:
    """What an index is and what was measured when it was built. effort: cells probed, or length of the walk through the
    graph; length: how many are compared in full, for ten results; recall: share of the ten nearest found; milliseconds:
    of one search, the median; check: of the descriptors that it was built
    from; few: numbers that are rather compared in full."""

    kind: str
    dimensions: int
    effort: int
    length: int
    recall: float
    milliseconds: float
    removals: int
    check: str
    few: int


@dataclass(frozen=True)
class Shortlist:
    """A Searcher. reduction (size, dimensions); ids and slots (n,): of the rows of the index, ids ascending."""

    about: About
    index: Index
    reduction: FloatArray
    ids: IdArray
    slots: IdArray

    def fits(self, state: State) -> bool:
        return self.about.removals == state.removals

    def search(self, records: HalfArray, queries: FloatArray, k: int, competing: Rows | None = None) -> list[Found]:
        rows = rows_of(self, competing)
        length = max(self.about.length, self.about.length * k // AT)
        if len(rows) <= max(self.about.few // records.shape[1], length):
            return scan(records, self.slots[rows], self.ids[rows], queries, k)
        results = []
        for found, query in zip(self.look(queries, length, competing), queries, strict=True):
            few = found[found >= 0]
            if len(few) < k:  # the cells or the graph led to too few of those that compete
                few = rows
            results.append(scan(records, self.slots[few], self.ids[few], query[None], k)[0])
        return results

    def look(self, queries: FloatArray, length: int, competing: NDArray[np.bool_] | None = None) -> IdArray:
        """(n, length) rows whose reduced descriptors are nearest, -1 where there are no more."""
        faiss, effort, chosen = faiss_module(), self.about.effort, {}
        if competing is not None:
            farther = min(2 * len(competing) / competing.sum(), _FURTHER)  # their neighbours lie farther off
            effort = int(effort * farther)
            bits = np.packbits(competing, bitorder="little")  # to be kept as long as the search runs
            chosen["sel"] = faiss.IDSelectorBitmap(bits)
        parameters = None
        if self.about.kind == IVF:
            parameters = faiss.SearchParametersIVF(nprobe=effort, **chosen)
        elif self.about.kind == HNSW:
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, length), **chosen)
        elif chosen:
            parameters = faiss.SearchParameters(**chosen)
        rows: IdArray = self.index.search(queries @ self.reduction, length, params=parameters)[1]
        if rows.max(initial=-1) >= len(self.ids) or rows.min(initial=-1) < -1:
            raise GalleryCorruptError(
                "the index of reduced descriptors finds rows that it does not have: run `facesearch gallery repair`, "
                "which deletes it, and `facesearch index`, which builds it anew"
            )
        return rows


def checksum(records: HalfArray, slots: IdArray) -> str:
    """Of the bytes of some of these slots: another history of the same gallery has another."""
    some = slots[np.linspace(0, len(slots) - 1, min(_CHECKED, len(slots))).astype(int)]
    return hashlib.sha256(np.ascontiguousarray(records[some]).tobytes()).hexdigest()


def save(folder: Path, state: State, shortlist: Shortlist) -> None:
    """Write the index of this state, all of it or nothing, and delete all others. Raises OSError."""
    path = shortlist_path(folder, state.generation, state.stamp)
    arrays: dict[str, NDArray[Any]] = {_REDUCTION: shortlist.reduction, _IDS: shortlist.ids, _SLOTS: shortlist.slots}
    with folder_written_whole(path) as made:
        write_index(shortlist.index, made / _INDEX)
        for name, array in arrays.items():
            with (made / name).open("wb") as file:
                np.save(file, array, allow_pickle=False)
                to_disk(file)
        with (made / _ABOUT).open("wb") as text:
            hashes = {name: file_hash(made / name) for name in _HASHED}
            text.write(settings_text({"about": vars(shortlist.about), "files": hashes}))
            to_disk(text)
    for name in _HASHED:
        note(folder, path / name, look(path / name))
    discard_indexes(folder, keep=path)


def load(folder: Path, state: State, records: HalfArray, same_rows: SameRows) -> Shortlist | None:
    """The newest index of reduced descriptors that still belongs to the gallery: faces may have been added since it
    was built, but none removed. records: the descriptor file's; same_rows: whether the database has these ids at these
    slots, and no others up to the last."""
    for generation, path in shortlists(folder):
        if generation > state.generation:
            continue  # of another history
        try:
            made = read(folder, path, most_bytes(*records.shape))
        except GalleryCorruptError as error:
            _log.warning("%s", error)
            continue
        fits = made.fits(state) and int(made.slots.max(initial=0)) < len(records)
        if fits and same_rows(made.ids, made.slots) and made.about.check == checksum(records, made.slots):
            return made
    return None


def read(folder: Path, path: Path, most: int) -> Shortlist:
    """What `save` wrote of the gallery in `folder`, in files of up to so many bytes, mapped into memory. Its bytes are
    compared with their hashes once, and believed while the files look the same. Raises GalleryCorruptError."""
    try:
        content = read_settings(path / _ABOUT)
        about = About(**content["about"])
        for name in _HASHED:
            _require_hash(folder, path / name, content["files"][name], most)
        reduction, ids, slots = (
            np.load(path / name, mmap_mode="r", allow_pickle=False) for name in (_REDUCTION, _IDS, _SLOTS)
        )
        index = mapped_index(path / _INDEX)
        if not (index.ntotal == len(ids) == len(slots) and index.d == reduction.shape[1] == about.dimensions):
            raise ValueError("its files have different lengths")
        _require_rows(reduction, ids, slots)
        require_ranges(index)
    except (*BROKEN, TypeError, KeyError) as error:
        raise unreadable(path, str(error)) from error
    return Shortlist(about, index, np.array(reduction), ids, slots)


def _hash(path: Path, most: int) -> str:
    return file_hash(path) if path.stat().st_size <= most else "of no file that is so large"


def require_written(path: Path, most: int) -> None:
    """Raise GalleryCorruptError unless a saved index of up to so many bytes is what was written, whether or not it is
    believed."""
    try:
        hashes = read_settings(path / _ABOUT)["files"]
        wrong = [name for name in _HASHED if _hash(path / name, most) != hashes[name]]
        if wrong:
            raise ValueError(f"{wrong[0]} is not what was written")
    except (*BROKEN, TypeError, KeyError) as error:
        raise unreadable(path, str(error)) from error


def _require_hash(folder: Path, path: Path, expected: str, most: int) -> None:
    if is_believed(folder, path):
        return
    stamp = look(path)
    if _hash(path, most) != expected:
        raise ValueError(f"{path.name} is not what was written")
    if look(path) == stamp:
        note(folder, path, stamp)


def _require_rows(reduction: FloatArray, ids: IdArray, slots: IdArray) -> None:
    """Raise ValueError for what no rows have: they say which bytes are read."""
    kinds = [array.dtype.str for array in (reduction, ids, slots)]
    if kinds != ["<f4", "<i8", "<i8"] or ids.ndim != 1 or slots.ndim != 1 or reduction.ndim != 2:
        raise ValueError("its arrays are of another kind")
    if len(ids) == 0 or ids[0] < 1 or not (np.diff(ids) > 0).all() or slots.min() < 0:
        raise ValueError("its rows cannot be")
