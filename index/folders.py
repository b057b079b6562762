"""Folders: the right to write into one, one that comes whole, and making and deleting them however deep they are."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import GalleryError, GalleryExistsError, GalleryLockedError, GalleryStorageError
from index.progress import Alive
from index.whole import replaced, sync_folder, umask

_LOCK = "gallery.lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARK = ".facesearch-partial"  # in a folder that is being written, locked


class WriterLock:
    """The right to write into a folder, held by one object at a time; the system frees it when a process dies.

    A file beside it names the holder's process.
    """

    def __init__(self, folder: Path, name: str = _LOCK) -> None:
        self._folder = folder
        # where the system knows no locks, a file that a killed process leaves would lock forever: rather refuse
        self._lock = FileLock(
            folder / name, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True
        )
        self._holder = folder / f"{name}.holder"

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return bool(self._lock.is_locked)

    def acquire(self, patience: float = 0.0, alive: Alive | None = None) -> None:
        """Take the lock within so many seconds, or raise GalleryLockedError naming the holder's process id. alive:
        called every second until then. Raises GalleryStorageError where nothing can be written."""
        try:
            self._wait(patience, alive)
        except Timeout as error:
            raise GalleryLockedError(
                f"the gallery {self._folder} is being written by process {self._named()}; only one "
                "can write at a time: wait for it to finish, or stop it, and try again"
            ) from error
        except OSError as error:
            raise _unwritable(Path(self._lock.lock_file), error) from error
        try:
            replaced(self._holder, f"{os.getpid()}\n".encode())
        except OSError as error:
            if error.errno not in _FULL:
                self._lock.release()
                raise _unwritable(self._holder, error) from error
            self._holder.unlink(missing_ok=True)  # what is written need not be here; the lock is held without a name

    def _wait(self, patience: float, alive: Alive | None) -> None:
        while alive is not None and patience > 1:
            with suppress(Timeout):
                self._lock.acquire(timeout=1)
                return
            alive()
            patience -= 1
        self._lock.acquire(timeout=patience)

    def let_claim(self) -> None:
        """Nobody claims a part of a folder."""

    def require(self) -> None:
        """The system takes no lock away from a process."""

    def release(self) -> None:
        """Give the lock back. The files stay: deleting them would let two writers in."""
        self._lock.release()

    def _named(self) -> str:
        try:
            return self._holder.read_text(encoding="ascii", errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"


def make_folders(folder: Path) -> None:
    """Make a folder and those that it lies in, one after the other: a Path does it one within the other, to no great
    depth."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)


def remove_folder(folder: Path) -> None:
    """Delete a folder with all in it, however deep; what cannot be deleted stays."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # it calls itself for every folder in a folder
        for place in reversed(_folders_in(folder)):
            for path in place.iterdir():
                path.unlink()
            place.rmdir()


def _folders_in(folder: Path) -> list[Path]:
    """The folder and all below it, each before those that lie in it."""
    found = [folder]
    for place in found:
        with os.scandir(place) as entries:
            found += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return found


def require_new_folder(folder: Path) -> None:
    """Raise GalleryExistsError for a folder that holds something, is a link, or is the one we are in."""
    there = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    if there or folder.resolve() == Path.cwd():
        raise GalleryExistsError(f"{folder} is there already: give a folder that does not exist yet, or is empty")


@contextmanager
def new_folder_whole(target: Path) -> Iterator[Path]:
    """A folder that gets its name when the block ends well, with those that it lies in. What a killed run of ours left
    is deleted, nothing else."""
    above = [folder for folder in target.absolute().parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _new_folder(target) as made:
            yield made
    except BaseException:
        for folder in above:
            with suppress(OSError):  # somebody uses it by now
                folder.rmdir()
        raise


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        _discard_left(left)
    made, lock = _held_folder(target)
    try:
        yield made
        if target.exists():
            target.rmdir()
        made.rename(target)
        for mark in target.glob(f"{_MARK}*"):  # and the name of who held it
            mark.unlink()
        sync_folder(target.parent)
    except BaseException as error:
        remove_folder(made)
        if isinstance(error, OSError) and target.is_dir() and any(target.iterdir()):
            raise GalleryExistsError(f"{target} came into being meanwhile: give another folder") from error
        raise
    finally:
        lock.release()


def _held_folder(target: Path) -> tuple[Path, WriterLock]:
    """An empty folder beside the target, with our mark, and the lock of it. Raises OSError, GalleryStorageError; then
    nothing is left."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        made.chmod(0o777 & ~umask())
        lock = WriterLock(made, _MARK)
        try:
            lock.acquire()
            return made, lock
        except GalleryLockedError:  # another run took it for a leftover, and deletes it
            continue
        except GalleryStorageError:
            if made.exists():
                remove_folder(made)
                raise


def _discard_left(folder: Path) -> None:
    """Delete a folder that a killed run has left: one with our mark, which nobody holds."""
    if not (folder / _MARK).is_file():
        with suppress(OSError):
            folder.rmdir()  # if it is empty
        return
    lock = WriterLock(folder, _MARK)
    try:
        lock.acquire()
    except GalleryError:
        return  # somebody is at it
    lock.release()
    remove_folder(folder)


def _unwritable(path: Path, error: OSError) -> GalleryStorageError:
    return GalleryStorageError(
        f"{path} cannot be written ({error.strerror}): give a gallery's folder that can be written to"
    )
