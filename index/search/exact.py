"""Every descriptor is compared, by a Faiss index of half precision.

Distances are exact for descriptors rounded to half precision; queries are not rounded. `index.search.scan` does the
same without Faiss: each is the other's oracle.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.checked import look, note
from index.config import State
from index.errors import DescriptorShapeError, GalleryCorruptError
from index.files import discard_indexes, exact_path
from index.search.faiss_files import (
    BROKEN,
    Index,
    faiss_module,
    is_written,
    mapped_index,
    most_bytes,
    require_believed,
    unreadable,
    write_index,
)
from index.search.scan import parts
from index.search.searcher import Found, Rows
from index.values import FloatArray, HalfArray, IdArray

LANES = 16  # numbers that Faiss compares at once
_CHUNK_BYTES = 32 * 2**20  # of float32 handed to Faiss at a time
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exact:
    """A Searcher by a Faiss index that holds every descriptor."""

    state: State
    index: Index
    ids: IdArray
    slots: IdArray

    def fits(self, state: State) -> bool:
        return state == self.state

    def search(self, records: HalfArray, queries: FloatArray, k: int, competing: Rows | None = None) -> list[Found]:
        ids = self.ids if competing is None else self.ids[competing]
        return list(zip(*nearest(self.index, queries, k, ids), strict=True))

    def differing(self, records: HalfArray) -> int:
        """How many of its rows are not to the bit what the descriptor file (slots, size) holds for them."""
        held, size, count = _codes(self.index), records.shape[1], 0
        for part in parts(len(self.ids), size):
            stored = records[self.slots[part]].view(np.uint16)
            same = (held[part, :size] == stored).all(axis=1) & ~held[part, size:].any(axis=1)
            count += len(same) - int(np.count_nonzero(same))
        return count


def build(state: State, records: HalfArray, ids: IdArray, slots: IdArray) -> Exact:
    """The index of these faces."""
    return Exact(state, build_index(records, ids, slots), ids, slots)


def save(folder: Path, exact: Exact) -> None:
    """Write the index and delete those of earlier states.

    A disk that refuses costs only time at the next start, so it is logged and not raised. Who saves one of this state
    or a later one meanwhile takes ours for what a crash left: that one is there, then.
    """
    if not os.access(folder, os.W_OK):
        return
    path = exact_path(folder, exact.state.generation, exact.state.stamp)
    try:
        write_index(exact.index, path)
        note(folder, path, look(path))
        discard_indexes(folder, "exact", before=exact.state.generation, keep=path)
    except OSError as error:
        if not (isinstance(error, FileNotFoundError) and folder.is_dir()):
            _log.warning("the search index of %s is not saved: %s", folder, error)


def load(folder: Path, state: State, ids: IdArray, slots: IdArray, size: int) -> Exact | None:
    """The saved index of this state, or None when there is none that is sound, of descriptors of this size, and has
    these ids, whose descriptors lie at these slots."""
    path = exact_path(folder, state.generation, state.stamp)
    if not path.exists():
        return None
    try:
        index = read_index(path, most_bytes(len(ids), size))
    except GalleryCorruptError as error:
        _log.warning("%s", error)
        return None
    same = index.d == padded(size) and np.array_equal(index_ids(index), ids)
    return Exact(state, index, ids, slots) if same else None


def require_written(path: Path, most: int) -> None:
    """Raise GalleryCorruptError unless a saved index of up to so many bytes is what was written, whether or not it is
    believed."""
    try:
        sound = is_written(path, most)
    except OSError as error:
        raise unreadable(path, str(error)) from error
    if not sound:
        raise unreadable(path, "it is not what was written")


def discard(folder: Path, state: State) -> None:
    """Delete the saved index of this state."""
    with suppress(OSError):
        exact_path(folder, state.generation, state.stamp).unlink(missing_ok=True)


def build_index(descriptors: NDArray[Any], ids: IdArray, slots: IdArray | None = None) -> Index:
    """An index that compares with every descriptor: squared L2 over half-precision storage.

    descriptors: (m, size), float16 or float32, may be a memory map: it is read in chunks.
    ids: (n,) int64. slots: (n,), the rows of descriptors that the ids stand for; None: all of them in order.
    """
    faiss = faiss_module()
    size = padded(descriptors.shape[1])
    rows = np.arange(len(descriptors), dtype=np.int64) if slots is None else slots
    if len(rows) != len(ids):
        raise DescriptorShapeError(f"{len(rows)} descriptors for {len(ids)} ids; expected as many")
    flat = faiss.IndexScalarQuantizer(size, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
    index = faiss.IndexIDMap2(flat)
    step = max(1, _CHUNK_BYTES // (4 * size))
    for start in range(0, len(rows), step):
        chunk = _padded_rows(descriptors[rows[start : start + step]], size)
        index.add_with_ids(chunk, np.ascontiguousarray(ids[start : start + step]))
    return index


def read_index(path: Path, most: int) -> Index:
    """An index of up to so many bytes that `build_index` made, mapped into memory. Raises GalleryCorruptError when the
    file is missing, damaged, or another kind of index."""
    try:
        require_believed(path, most)
        index = mapped_index(path)
        sound = _is_exact(faiss_module(), index)
    except BROKEN as error:
        raise unreadable(path, str(error)) from error
    if not sound:
        raise unreadable(path)
    return index


def index_ids(index: Index) -> IdArray:
    """The ids of an index, (n,) int64, in the order in which they were added."""
    ids: IdArray = faiss_module().vector_to_array(index.id_map)
    return ids


def _codes(index: Index) -> NDArray[np.uint16]:
    """The bits of the half-precision numbers of an exact index, (n, d)."""
    faiss = faiss_module()
    codes = faiss.downcast_index(index.index).codes
    bits: NDArray[np.uint16] = faiss.rev_swig_ptr(codes.data(), codes.size()).view("<u2").reshape(-1, index.d)
    return bits


def nearest(index: Index, queries: FloatArray, k: int, ids: IdArray) -> tuple[FloatArray, IdArray]:
    """The k nearest of the given ids, among equals the lowest id first.

    queries: (n, size) float32. ids: the ids of the index that may be found, without repetition.
    Returns Euclidean distances and ids, both (n, min(k, len(ids))).
    """
    wanted = min(k, len(ids))
    if wanted == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    parameters = _only(index, ids)
    queries = _padded_rows(queries, index.d)
    asked = min(wanted + 1, len(ids))
    while True:
        squared, found = index.search(queries, asked, params=parameters)
        # Equals on both sides of the border: see all of them before choosing by id.
        if asked == len(ids) or not (squared[:, wanted - 1] == squared[:, -1]).any():
            break
        asked = min(2 * asked, len(ids))
    order = np.lexsort((found, squared), axis=1)[:, :wanted]
    distances = np.sqrt(np.take_along_axis(squared, order, axis=1))
    return distances, np.take_along_axis(found, order, axis=1)


def _only(index: Index, ids: IdArray) -> Any:
    """Faiss's parameters for a search that finds only these ids; None for all."""
    if len(ids) == index.ntotal:
        return None
    faiss = faiss_module()
    others = np.setdiff1d(index_ids(index), ids, assume_unique=True)
    if len(others) < len(ids):  # every comparison looks an id up: the fewer there are, the faster
        return faiss.SearchParameters(sel=faiss.IDSelectorNot(faiss.IDSelectorBatch(others)))
    return faiss.SearchParameters(sel=faiss.IDSelectorBatch(ids))


def padded(size: int) -> int:
    """Numbers of a descriptor in an index: Faiss compares several at once only where they come in multiples."""
    return -(-size // LANES) * LANES


def _padded_rows(rows: NDArray[Any], size: int) -> FloatArray:
    """Rows (n, d) with zeros up to (n, size) float32: no distance changes."""
    made = np.zeros((len(rows), size), np.float32)
    made[:, : rows.shape[1]] = rows
    return made


def _is_exact(faiss: Any, index: Any) -> bool:
    if not isinstance(index, faiss.IndexIDMap2):
        return False
    flat = faiss.downcast_index(index.index)
    return bool(
        isinstance(flat, faiss.IndexScalarQuantizer)
        and flat.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        and {index.metric_type, flat.metric_type} == {faiss.METRIC_L2}
        and index.ntotal == flat.ntotal == index.id_map.size()
        and index.d == flat.d == flat.sq.d
        and flat.codes.size() == flat.ntotal * flat.sq.code_size == 2 * flat.ntotal * flat.d
    )
