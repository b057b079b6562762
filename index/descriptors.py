"""Descriptors on disk: their bytes, their hashes, and what may be stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.checked import kept_noted
from index.errors import DescriptorShapeError, DescriptorValueError, GalleryCorruptError, GalleryStorageError
from index.plain import not_following
from index.values import FloatArray, HalfArray, IdArray
from index.whole import sync_folder, to_disk

RECORD_TYPE = np.dtype("<f2")  # half precision, little-endian on every machine
_LENGTHS = 0.01  # by which a descriptor's length may be other than 1
_AT_A_TIME = 2**16  # numbers that are measured


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


def lengths_of(descriptors: NDArray[Any]) -> FloatArray:
    """(n,) of descriptors (n, size), in single precision; no number where one in it is none. Some at a time: a page of
    the paper's in single precision is 115 MB, which is slow to get."""
    lengths = np.zeros(len(descriptors), np.float32)
    many = max(1, _AT_A_TIME // descriptors.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, len(descriptors), many):
            vectors = descriptors[start : start + many].astype(np.float32)
            lengths[start : start + many] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def are_one(lengths: FloatArray) -> NDArray[np.bool_]:
    """Which of these lengths (n,) are those of descriptors as every model makes them: 1, give or take what half
    precision does to it."""
    return np.abs(lengths - 1) < _LENGTHS  # false for NaN, too


def first_unsound(descriptors: NDArray[Any]) -> tuple[int, float] | None:
    """Which of the descriptors (n, size) is the first that is not of length 1; and how long it is, which is no number
    where one in it is none."""
    lengths = lengths_of(descriptors)
    sound = are_one(lengths)
    return None if sound.all() else (int(np.argmin(sound)), float(lengths[np.argmin(sound)]))


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

    def put(self, slots: IdArray, records: HalfArray) -> None:
        """Write records (n, size) as they are at these ascending slots, onto the disk. Raises GalleryStorageError."""
        if not len(slots):
            return
        content = np.ascontiguousarray(records, RECORD_TYPE)
        ends = [*(np.flatnonzero(np.diff(slots) != 1) + 1).tolist(), len(slots)]
        starts = [0, *ends[:-1]]
        self._write([(int(slots[one]), content[one:end].tobytes()) for one, end in zip(starts, ends, strict=True)])

    def zero(self, slots: list[int]) -> None:
        """Overwrite the records of those of these slots that the file has with zeros, onto the disk."""
        blank, there = bytes(self.record_bytes), self._there()
        pieces = [(slot, blank) for slot in slots if slot < there]
        if pieces:
            self._write(pieces)

    def records(self, committed: int) -> HalfArray:
        """The first `committed` slots, (committed, size) float16, mapped into memory read-only.

        Raises GalleryCorruptError when the file is shorter.
        """
        self.require(committed)
        if committed == 0:
            return np.empty((0, self.size), dtype=RECORD_TYPE)
        try:
            # as a plain array, whose rows are taken several times as fast; it keeps the map alive
            return np.asarray(np.memmap(self.path, dtype=RECORD_TYPE, mode="r", shape=(committed, self.size)))
        except (OSError, ValueError) as error:  # replaced since it was looked at
            raise GalleryCorruptError(f"{self.path} cannot be read ({error}); try again") from error

    def ready(self) -> None:
        """Nothing need be done before the file is read: it is the truth itself."""

    def stored(self, slots: IdArray) -> tuple[list[str], HalfArray]:
        """The records (n, size) of these ascending slots as they were stored, with their hashes; zeros and "" for those
        behind the end. Not copied where they lie one behind the other."""
        content = self.whole()
        hashes = record_hashes(content, slots.tolist())
        first, last = (int(slots[0]), int(slots[-1])) if len(slots) else (0, -1)
        if last < len(content) and last - first == len(slots) - 1:
            return hashes, content[first : last + 1]
        taken = np.zeros((len(slots), self.size), content.dtype)
        there = slots < len(content)
        taken[there] = content[slots[there]]
        return hashes, taken

    def moved(self, number: int, before: Sequence[int], after: Sequence[int]) -> None:
        """Whoever says that records lie in another file has written that file."""

    def whole(self) -> HalfArray:
        """All records that are there, whole ones, (n, size) float16, mapped into memory read-only."""
        return self.records(self._there())

    def _there(self) -> int:
        """How many whole records the file has."""
        return self.path.stat().st_size // self.record_bytes if self.path.exists() else 0

    def require(self, committed: int) -> None:
        """Raise GalleryCorruptError if the file holds fewer than `committed` slots."""
        present = self.path.stat().st_size if self.path.exists() else 0
        expected = committed * self.record_bytes
        if present < expected:
            raise GalleryCorruptError(
                f"{self.path} has {present} bytes; the database expects at least {expected}; restore it from a copy, "
                "or run `facesearch gallery repair`, and the images whose descriptors are missing are described again"
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
        with kept_noted(self.path.parent, self.path):
            with open(self.path, "xb" if new else "r+b", opener=not_following) as file:
                for slot, content in pieces:
                    file.seek(slot * self.record_bytes)
                    file.write(content)
                to_disk(file)
        if new:
            sync_folder(self.path.parent)


def record_hash(record: NDArray[Any]) -> str:
    """sha256 of a descriptor's bytes as they are stored."""
    return hashlib.sha256(np.ascontiguousarray(record, RECORD_TYPE).data).hexdigest()


def record_hashes(records: NDArray[Any], slots: Iterable[int] | None = None) -> list[str]:
    """`record_hash` of each of these rows of (n, size) records, None: all; "" for a slot that lies behind them."""
    content = np.ascontiguousarray(records, RECORD_TYPE).reshape(-1).view(np.uint8).data
    size, end = records.shape[1] * RECORD_TYPE.itemsize, len(content)
    starts = [size * slot for slot in (range(len(records)) if slots is None else slots)]
    return ["" if at >= end else hashlib.sha256(content[at : at + size]).hexdigest() for at in starts]
