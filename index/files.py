"""The files of a gallery's folder: every name, making and deleting them, the writer's lock, a hash.

A descriptor file is known by its number, an index by the state that it was made from: no name is read from anywhere.
It must stay light: every process that reads pictures imports it.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import GalleryCorruptError, GalleryError, GalleryExistsError, GalleryLockedError, GalleryStorageError
from index.whole import replaced, sync_folder, umask

DATABASE = "gallery.db"
_NEW_DATABASE = f"{DATABASE}.new"
UNFINISHED = f"{DATABASE}.copy"  # of a copy that is not whole yet
_LOCK = "gallery.lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARK = ".facesearch-partial"  # in a folder that is being written, locked
_DESCRIPTORS = re.compile(r"descriptors-(\d{1,18})\.f16")
_INDEX = re.compile(r"(?:exact|search)-(\d{1,18})-([0-9a-f]{8})(?:\.faiss)?(\.\d+\.tmp)?")


def descriptor_path(folder: Path, number: int) -> Path:
    """The descriptor file of this number. Raises GalleryCorruptError for what is none."""
    return _named(folder, f"descriptors-{number}.f16", _DESCRIPTORS)


def descriptor_numbers(folder: Path) -> list[int]:
    """The numbers of the descriptor files that are there, ascending."""
    return sorted(int(found[1]) for path in folder.iterdir() if (found := _DESCRIPTORS.fullmatch(path.name)))


def discard_descriptors(folder: Path, keep: Collection[int] = ()) -> None:
    """Delete descriptor files of other numbers: what a compaction or a redescription replaced, or a crash left."""
    for number in descriptor_numbers(folder):
        if number not in keep:
            with suppress(OSError):  # Windows keeps a file that another process has open; the next writer deletes it
                path = descriptor_path(folder, number)
                path.unlink()
                for beside in (".json", ".digests"):  # of a copy
                    path.with_suffix(beside).unlink(missing_ok=True)


def exact_path(folder: Path, generation: int, stamp: str) -> Path:
    """The index of every descriptor, of this state. Raises GalleryCorruptError for what is no state."""
    return _named(folder, f"exact-{generation}-{stamp}.faiss", _INDEX)


def shortlist_path(folder: Path, generation: int, stamp: str) -> Path:
    """The index of reduced descriptors, of this state. Raises GalleryCorruptError for what is no state."""
    return _named(folder, f"search-{generation}-{stamp}", _INDEX)


def _named(folder: Path, name: str, known: re.Pattern[str]) -> Path:
    """A file by a name that is made of what the database holds, which must not lead elsewhere."""
    if known.fullmatch(name) is None:
        raise GalleryCorruptError(
            f"the database names a file {name!r:.60}, which is none of a gallery's: restore gallery.db from a copy, or "
            "delete the gallery folder and index the images again"
        )
    return folder / name


def shortlists(folder: Path) -> list[tuple[int, Path]]:
    """The saved indexes of reduced descriptors with their generations, the newest first."""
    found = [(name, path) for path in folder.glob("search-*") if (name := _INDEX.fullmatch(path.name)) and not name[3]]
    return sorted(((int(name[1]), path) for name, path in found), key=lambda one: -one[0])


def saved_indexes(folder: Path) -> list[Path]:
    """All finished indexes of a folder, by name."""
    found = ((path, _INDEX.fullmatch(path.name)) for path in folder.iterdir())
    return sorted(path for path, name in found if name and not name[3])


def discard_indexes(folder: Path, kind: str = "", *, before: int | None = None, keep: Path | None = None) -> None:
    """Delete saved indexes, finished or not: all, or those up to the generation `before`; kind: 'exact', 'search', or
    both. The caller holds the writer's lock where it deletes those of reduced descriptors, which are made under it."""
    for path in folder.iterdir():
        name = _INDEX.fullmatch(path.name)
        if name is None or path == keep or not path.name.startswith(kind):
            continue
        if before is None or int(name[1]) <= before:
            with suppress(OSError):  # Windows keeps a file that another process has open
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def discard_all(folder: Path) -> None:
    """Delete all that a gallery consists of, also half a one: what was left of one whose database is gone."""
    discard_indexes(folder)
    discard_descriptors(folder)
    for name in (DATABASE, _NEW_DATABASE):
        for suffix in ("", "-wal", "-shm"):
            (folder / (name + suffix)).unlink(missing_ok=True)


def discard_unfinished(folder: Path) -> None:
    """Delete what a copy into this folder has made so far."""
    discard_descriptors(folder)
    for suffix in ("-wal", "-shm", ""):  # as long as the file itself is there, this is a copy that is not whole
        (folder / (UNFINISHED + suffix)).unlink(missing_ok=True)


@contextmanager
def database_made_whole(folder: Path) -> Iterator[Path]:
    """Where to write a new database: it gets its name at the end of the block, with all its tables or not at all."""
    new = folder / _NEW_DATABASE
    yield new
    new.replace(folder / DATABASE)
    sync_folder(folder)


def gallery_bytes(folder: Path) -> int:
    """What the database and the descriptors of a folder occupy."""
    total = 0
    for path in folder.iterdir():
        if path.name.startswith(DATABASE) or _DESCRIPTORS.fullmatch(path.name):
            with suppress(FileNotFoundError):  # another process works there
                total += path.stat().st_size
    return total


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

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock within so many seconds, or raise GalleryLockedError naming the holder's process id. Raises
        GalleryStorageError where nothing can be written."""
        try:
            self._lock.acquire(timeout=patience)
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
