"""Descriptors on disk and the exact Faiss index made from them.

Faiss is imported only when an index is built, read or searched, and is never given a path: it
cannot open non-ASCII paths everywhere, and it does not write crash-safely.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import (
    DescriptorShapeError,
    DescriptorValueError,
    FaissMissingError,
    GalleryCorruptError,
    GalleryStorageError,
)

RECORD_TYPE = np.dtype("<f2")  # half precision, little-endian on every machine
LANES = 16  # numbers that Faiss compares at once
CHUNK_BYTES = 32 * 2**20  # of float32 handed to Faiss at a time

FloatArray: TypeAlias = NDArray[np.float32]
HalfArray: TypeAlias = NDArray[np.float16]
IdArray: TypeAlias = NDArray[np.int64]
Index: TypeAlias = Any  # faiss.IndexIDMap2: Faiss carries no types


def checked_descriptors(descriptors: NDArray[Any], size: int) -> FloatArray:
    """The descriptors as contiguous float32 (n, size).

    Raises DescriptorShapeError for another shape, DescriptorValueError for a number that is not
    finite once it is stored in half precision.
    """
    if descriptors.ndim != 2 or descriptors.shape[1] != size:
        raise DescriptorShapeError(
            f"descriptors have shape {descriptors.shape}; expected (n, {size}), as the gallery "
            "was made for; describe the images with the gallery's own model"
        )
    array = np.ascontiguousarray(descriptors, dtype=np.float32)
    limit = float(np.finfo(np.float16).max)
    sound = (np.abs(array) <= limit).all(axis=1)  # false for NaN and infinity too
    if not sound.all():
        raise DescriptorValueError(
            f"descriptor {int(np.argmin(sound))} of {len(array)} holds a NaN or a value beyond "
            f"{limit:.0f}; expected finite numbers of half precision: check its image and the model"
        )
    return array


class DescriptorFile:
    """Fixed-size half-precision records in one file: slot i starts at byte i * size * 2.

    Which slots count is for the database to say. What lies behind them was left by a crash, is
    never read, and is overwritten by the next append. The file is never shortened, since another
    process may have it mapped into its memory.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.record_bytes = size * RECORD_TYPE.itemsize

    def append(self, descriptors: NDArray[Any], committed: int) -> int:
        """Write (n, size) descriptors behind the committed slots, onto the disk; the first slot.

        Raises DescriptorShapeError, DescriptorValueError, and GalleryCorruptError when the file
        has fewer than `committed` slots.
        """
        records = checked_descriptors(descriptors, self.size).astype(RECORD_TYPE)
        self.require(committed)
        self._write([(committed, records.tobytes())])
        return committed

    def zero(self, slots: list[int]) -> None:
        """Overwrite the records of these slots with zeros, onto the disk."""
        blank = bytes(self.record_bytes)
        self._write([(slot, blank) for slot in slots])

    def records(self, committed: int) -> HalfArray:
        """The first `committed` slots, (committed, size) float16, mapped into memory read-only.

        Raises GalleryCorruptError when the file is shorter.
        """
        self.require(committed)
        if committed == 0:
            return np.empty((0, self.size), dtype=RECORD_TYPE)
        try:
            return np.memmap(self.path, dtype=RECORD_TYPE, mode="r", shape=(committed, self.size))
        except (OSError, ValueError) as error:  # replaced since it was looked at
            raise GalleryCorruptError(f"{self.path} cannot be read ({error}); try again") from error

    def whole(self) -> HalfArray:
        """All records that are there, whole ones, (n, size) float16, mapped into memory read-only."""
        present = self.path.stat().st_size if self.path.exists() else 0
        return self.records(present // self.record_bytes)

    def require(self, committed: int) -> None:
        """Raise GalleryCorruptError if the file holds fewer than `committed` slots."""
        present = self.path.stat().st_size if self.path.exists() else 0
        expected = committed * self.record_bytes
        if present < expected:
            raise GalleryCorruptError(
                f"{self.path} has {present} bytes; the database expects at least {expected}; restore it from a copy, "
                "or run `facesearch gallery repair`, which removes the images whose descriptors are missing"
            )

    def _write(self, pieces: list[tuple[int, bytes]]) -> None:
        try:
            self._write_out(pieces)
        except OSError as error:
            raise GalleryStorageError(
                f"{self.path} cannot be written ({error.strerror or error}); check the free space and the permissions "
                "there; what was finished is kept"
            ) from error

    def _write_out(self, pieces: list[tuple[int, bytes]]) -> None:
        new = not self.path.exists()
        # Not "ab": on POSIX that always writes at the end, also behind what a crash left.
        with self.path.open("xb" if new else "r+b") as file:
            for slot, content in pieces:
                file.seek(slot * self.record_bytes)
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)


def record_hash(record: NDArray[Any]) -> str:
    """sha256 of a descriptor's bytes as they are stored."""
    return hashlib.sha256(record.astype(RECORD_TYPE).tobytes()).hexdigest()


def build_exact(descriptors: NDArray[Any], ids: IdArray, slots: IdArray | None = None) -> Index:
    """An index that compares with every descriptor: squared L2 over half-precision storage.

    descriptors: (m, size), float16 or float32, may be a memory map: it is read in chunks.
    ids: (n,) int64. slots: (n,), the rows of descriptors that the ids stand for; None: all of
    them in order. Distances are exact for the descriptors rounded to half precision; the query
    is not rounded.
    """
    faiss = faiss_module()
    size = padded(descriptors.shape[1])
    rows = np.arange(len(descriptors), dtype=np.int64) if slots is None else slots
    if len(rows) != len(ids):
        raise DescriptorShapeError(f"{len(rows)} descriptors for {len(ids)} ids; expected as many")
    half = faiss.ScalarQuantizer.QT_fp16
    flat = faiss.IndexScalarQuantizer(size, half, faiss.METRIC_L2)
    index = faiss.IndexIDMap2(flat)
    step = max(1, CHUNK_BYTES // (4 * size))
    for start in range(0, len(rows), step):
        chunk = _padded_rows(descriptors[rows[start : start + step]], size)
        index.add_with_ids(chunk, np.ascontiguousarray(ids[start : start + step]))
    return index


def write_index(index: Index, path: Path) -> None:
    """Write the index so that `path` holds either all of it or what was there before.

    The bytes go to a temporary file beside it piece by piece, so that the index is never in
    memory twice. Raises OSError when the disk refuses.
    """
    faiss = faiss_module()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    failures: list[OSError] = []
    try:
        with temporary.open("wb") as file:
            writer = faiss.PyCallbackIOWriter(_careful_write(file.write, failures))
            try:
                faiss.write_index(index, writer)
            except RuntimeError as error:
                raise (failures[0] if failures else OSError(str(error))) from error
            del writer
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_index(path: Path) -> Index:
    """An index that `build_exact` made, mapped into memory: ready in milliseconds, read-only.

    Never add to it: Faiss would abort the process. Raises GalleryCorruptError when the file is
    missing, damaged, or another kind of index.
    """
    try:
        index = mapped_index(path)
        sound = _is_exact(faiss_module(), index)
    except (RuntimeError, MemoryError, ValueError, AttributeError, OSError) as error:
        raise _unreadable(path) from error
    if not sound:
        raise _unreadable(path)
    return index


def mapped_index(path: Path) -> Index:
    """Any index of Faiss, mapped into memory. Raises RuntimeError, MemoryError, ValueError, OSError."""
    faiss = faiss_module()
    content = np.memmap(path, dtype=np.uint8, mode="r")
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(content), content.nbytes))
    index.referenced_objects = [content]  # the index points into it
    return index


def index_ids(index: Index) -> IdArray:
    """The ids of an index, (n,) int64, in the order in which they were added."""
    ids: IdArray = faiss_module().vector_to_array(index.id_map)
    return ids


def nearest(index: Index, queries: FloatArray, k: int, ids: IdArray) -> tuple[FloatArray, IdArray]:
    """The k nearest of the given ids, among equals the lowest id first.

    queries: (n, size) float32. ids: the ids of the index that may be found, without repetition.
    Returns Euclidean distances and ids, both (n, min(k, len(ids))).
    """
    faiss = faiss_module()
    wanted = min(k, len(ids))
    if wanted == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    parameters = None
    if len(ids) < index.ntotal:
        others = np.setdiff1d(index_ids(index), ids, assume_unique=True)
        if len(others) < len(ids):  # every comparison looks an id up: the fewer there are, the faster
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorNot(faiss.IDSelectorBatch(others)))
        else:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(ids))
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


def padded(size: int) -> int:
    """Numbers of a descriptor in an index: Faiss compares several at once only where they come in multiples."""
    return -(-size // LANES) * LANES


def _padded_rows(rows: NDArray[Any], size: int) -> FloatArray:
    """Rows (n, d) with zeros up to (n, size) float32: no distance changes."""
    made = np.zeros((len(rows), size), np.float32)
    made[:, : rows.shape[1]] = rows
    return made


def _careful_write(write: Callable[[bytes], int], failures: list[OSError]) -> Callable[[bytes], None]:
    """Keep the first error of the disk, which Faiss would blur into a RuntimeError."""

    def callback(content: bytes) -> None:
        try:
            write(content)
        except OSError as error:
            failures.append(error)
            raise

    return callback


def _is_exact(faiss: Any, index: Any) -> bool:
    if not isinstance(index, faiss.IndexIDMap2):
        return False
    flat = faiss.downcast_index(index.index)
    return bool(
        isinstance(flat, faiss.IndexScalarQuantizer)
        and flat.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        and {index.metric_type, flat.metric_type} == {faiss.METRIC_L2}
        and index.ntotal == flat.ntotal == index.id_map.size()
        and index.d == flat.d
    )


def _unreadable(path: Path) -> GalleryCorruptError:
    return GalleryCorruptError(
        f"{path} is not a sound index of this gallery; delete it, and the next search rebuilds it"
    )


def faiss_module() -> Any:
    """Faiss, imported now. Raises FaissMissingError."""
    try:
        return import_module("faiss")
    except ImportError as error:
        raise FaissMissingError(
            f"faiss cannot be imported ({error}); searching needs it: "
            "in the folder of facesearch, pip install '.[cpu]', or '.[gpu]' on a machine with a GPU, never both"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make a new or renamed file's name durable, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
