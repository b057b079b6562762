"""Faiss: imported only when an index is built, read or searched, and never given a path, since it cannot open non-ASCII
ones everywhere and does not write crash-safely."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from index.errors import FaissMissingError, GalleryCorruptError
from index.files import written_whole

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
    memory twice. Raises OSError when the disk refuses."""
    faiss = faiss_module()
    failures: list[OSError] = []
    with written_whole(path) as file:
        writer = faiss.PyCallbackIOWriter(_careful_write(file.write, failures))
        try:
            faiss.write_index(index, writer)
        except RuntimeError as error:
            raise (failures[0] if failures else OSError(str(error))) from error
        del writer


def mapped_index(path: Path) -> Index:
    """Any index of Faiss, mapped into memory: ready in milliseconds, read-only. Never add to it: Faiss would abort the
    process. Raises one of BROKEN."""
    faiss = faiss_module()
    content = np.memmap(path, dtype=np.uint8, mode="r")
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(content), content.nbytes))
    index.referenced_objects = [content]  # the index points into it
    return index


def unreadable(path: Path, reason: str = "") -> GalleryCorruptError:
    """The error of a damaged index."""
    why = f" ({reason})" if reason else ""
    return GalleryCorruptError(
        f"{path} is not a sound index of this gallery{why}; delete it, and the next search rebuilds it"
    )


def _careful_write(write: Callable[[bytes], int], failures: list[OSError]) -> Callable[[bytes], None]:
    """Keep the first error of the disk, which Faiss would blur into a RuntimeError."""

    def callback(content: bytes) -> None:
        try:
            write(content)
        except OSError as error:
            failures.append(error)
            raise

    return callback
