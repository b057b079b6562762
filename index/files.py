"""The files of a gallery's folder: every name, making and deleting them.

A descriptor file is known by its number, an index by the state that it was made from: no name is read from anywhere.
It must stay light: every process that reads pictures imports it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index.errors import GalleryCorruptError
from index.whole import sync_folder

DATABASE = "gallery.db"
_NEW_DATABASE = f"{DATABASE}.new"
UNFINISHED = f"{DATABASE}.copy"  # of a copy that is not whole yet
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
