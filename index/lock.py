"""The right to write to a gallery, held by one Gallery object at a time."""

import os
import sys
from pathlib import Path
from typing import IO

from index.errors import GalleryLockedError, GalleryStorageError


class WriterLock:
    """An advisory lock on a file that names its holder; the system frees it when a process dies.

    On Windows the file only names the last writer: there SQLite's own write lock, which every
    change of a gallery holds from beginning to end, is what keeps writers apart.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self) -> None:
        """Take the lock at once, or raise GalleryLockedError naming the holder's process id. Raises GalleryStorageError
        where nothing can be written."""
        try:
            file = self._path.open("a+", encoding="ascii", errors="replace")
        except OSError as error:
            raise GalleryStorageError(
                f"{self._path} cannot be written ({error.strerror}): give a gallery's folder that can be written to"
            ) from error
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise GalleryLockedError(
                f"the gallery {self._path.parent} is being written by process {holder}; only one "
                "can write at a time: wait for it to finish, or stop it, and try again"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back. The file stays: deleting it would let two writers in."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":

    def _lock(file: IO[str]) -> None:
        """Nothing to do: see WriterLock."""

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
