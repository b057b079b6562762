"""Faiss: imported only when an index is built, read or searched, and never given a path, since it cannot open non-ASCII
ones everywhere and does not write crash-safely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from index.checked import is_believed, look, note
from index.errors import FaissMissingError, GalleryCorruptError
from index.whole import written_whole

Index: TypeAlias = Any  # Faiss carries no types
BROKEN = (RuntimeError, MemoryError, ValueError, AttributeError, OSError)  # what reading damaged bytes ends in


def faiss_module() -> Any:
    """Faiss, imported now. Raises FaissMissingError."""
    try:
        return import_module("faiss")
    except ImportError as error:
        raise FaissMissingError(
            f"faiss cannot be imported ({error}); searching needs it: "
            "in the folder of facesearch, pip install '.[cpu]', or '.[gpu]' on a machine with a GPU, never both"
        ) from error


def write_index(index: Index, path: Path) -> None:
    """Write the index so that `path` holds either all of it or what was there before, piece by piece: it is never in
    memory twice. Behind it stands the sha256 of its bytes. Raises OSError when the disk refuses."""
    faiss = faiss_module()
    failures: list[OSError] = []
    seen = hashlib.sha256()

    def write(content: bytes) -> None:
        seen.update(content)
        file.write(content)

    with written_whole(path) as file:
        writer = faiss.PyCallbackIOWriter(_careful_write(write, failures))
        try:
            faiss.write_index(index, writer)
        except RuntimeError as error:
            raise (failures[0] if failures else OSError(str(error))) from error
        del writer
        file.write(seen.digest())


def most_bytes(count: int, size: int) -> int:
    """That no index of so many descriptors of `size` numbers, or of reduced ones, exceeds: what is larger is not read,
    which might take for ever."""
    return count * (2 * size + 2_000) + 2_000 * size + 200_000_000


def require_believed(path: Path, most: int) -> None:
    """Raise ValueError unless an index in a gallery's folder is what was written; it is read once, and believed while
    it looks the same. Raises OSError."""
    folder = path.parent
    if is_believed(folder, path):
        return
    stamp = look(path)
    if not is_written(path, most):
        raise ValueError("it is not what was written")
    if look(path) == stamp:
        note(folder, path, stamp)


def is_written(path: Path, most: int) -> bool:
    """Whether an index of up to so many bytes is what `write_index` wrote, by the hash at its end. Raises OSError."""
    found, left = hashlib.sha256(), path.stat().st_size - hashlib.sha256().digest_size
    if left > most:
        return False
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 2**20))):
            found.update(block)
            left -= len(block)
        return left == 0 and file.read() == found.digest()


def mapped_index(path: Path) -> Index:
    """Any index of Faiss, mapped into memory: ready in milliseconds, read-only. Never add to it: Faiss would abort the
    process. Raises one of BROKEN."""
    faiss = faiss_module()
    content = np.memmap(path, dtype=np.uint8, mode="r")
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(content), content.nbytes))
    index.referenced_objects = [content]  # the index points into it
    return index


def require_ranges(index: Index) -> None:
    """Raise ValueError for a reduced index whose codes, links or lists lead out of it: Faiss believes them, and would
    take the process down."""
    faiss = faiss_module()
    if isinstance(index, faiss.IndexHNSW):
        _require_links(faiss, index)
        index = faiss.downcast_index(index.storage)
    if isinstance(index, faiss.IndexIVF):
        _require(index.quantizer.ntotal == index.nlist == index.invlists.nlist, "its cells")
        _require(index.invlists.code_size == index.code_size == index.sq.code_size, "its codes")
    else:
        _require(isinstance(index, faiss.IndexScalarQuantizer), "its kind")
        _require(index.codes.size() == index.ntotal * index.sq.code_size == index.ntotal * index.d, "its codes")
    _require(index.sq.qtype == faiss.ScalarQuantizer.QT_8bit and index.sq.d == index.d, "its quantizer")
    _require(index.sq.trained.size() == 2 * index.d, "its quantizer")


def _require_links(faiss: Any, index: Index) -> None:
    graph, count = index.hnsw, index.ntotal
    levels, offsets, steps = (
        faiss.vector_to_array(part).astype(np.int64)
        for part in (graph.levels, graph.offsets, graph.cum_nneighbor_per_level)
    )
    _require(len(levels) == count and len(offsets) == count + 1 and offsets[0] == 0, "its links")
    _require(len(steps) > max(levels.max(initial=1), graph.max_level + 1) and levels.min(initial=1) > 0, "its levels")
    _require(bool((np.diff(offsets) == steps[levels]).all()) and offsets[-1] == graph.neighbors.size(), "its links")
    links = faiss.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size())
    _require(links.min(initial=0) >= -1 and links.max(initial=-1) < count, "its links")
    _require(-1 <= graph.entry_point < count and graph.max_level < levels.max(initial=0), "its entry")


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(f"{what} cannot be")


def unreadable(path: Path, reason: str = "") -> GalleryCorruptError:
    """The error of a damaged index."""
    why = f" ({reason})" if reason else ""
    return GalleryCorruptError(
        f"{path} is not a sound index of this gallery{why}: every descriptor is read instead, and the next search, or "
        "`facesearch index`, rebuilds it"
    )


def _careful_write(write: Callable[[bytes], None], failures: list[OSError]) -> Callable[[bytes], None]:
    """Keep the first error of the disk, which Faiss would blur into a RuntimeError."""

    def callback(content: bytes) -> None:
        try:
            write(content)
        except OSError as error:
            failures.append(error)
            raise

    return callback
