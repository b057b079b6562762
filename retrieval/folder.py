"""What lies below a folder. This module must stay free of torch: commands look here before they load anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from errno import ELOOP
from heapq import heappop, heappush
from pathlib import Path
from typing import TypeVar

from faceedit.formats import SUFFIXES
from index.stamps import FileStamp
from index.store_answers import StoreError
from index.stored import Entry, Stored, is_address, place_of, scan
from retrieval.errors import NoImagesError
from retrieval.names import Names
from retrieval.passing import USUAL, Looks

_T = TypeVar("_T")
Refused = list[tuple[Path, str]]
FILE, FOLDER = "file", "folder"
NO_FILE, BROKEN, LINKS = "no regular files", "broken links", "links to folders"


@dataclass
class Listing:
    """Every file below `root`, which is absolute. pictures: names below it of files whose suffix is a picture's;
    others: of those whose content has to say what they are; passed: names of files and folders that are passed over,
    and as what; refused: folders that cannot be read, and why."""

    root: Path
    pictures: Names = field(default_factory=Names)
    others: Names = field(default_factory=Names)
    passed: list[tuple[str, str]] = field(default_factory=list)
    refused: Refused = field(default_factory=list)


def require_folder(root: Path) -> None:
    """Raise NoImagesError where there is no such folder."""
    if not _answering(root.exists):
        raise NoImagesError(f"{root} does not exist: give the folder of the gallery's images")
    if not is_folder(root):
        raise NoImagesError(f"{root} is a file: give the folder of the gallery's images")


def is_folder(root: Path) -> bool:
    """Raises NoImagesError where a store does not answer: then nobody knows."""
    return _answering(root.is_dir)


def _answering(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except StoreError as error:
        raise NoImagesError(f"{error}: nothing was changed; try again when it answers") from error


def list_folder(root: Path, looks: Looks = USUAL, own: Collection[Path] = ()) -> Listing:
    """What lies below a folder, however deep. Links to files are followed; links to folders where `looks` says so, each
    folder once, so that loops end. own: files and folders that are left out without a word, as the gallery's.
    """
    walk = _Walk(root.resolve(), looks.below(root), own)
    walk.run()
    return walk.found


def is_gone(path: Path) -> bool:
    """Whether there is certainly no file at the path: where its folder may not be read, nobody knows."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def stamps_of(root: Path, names: Sequence[str]) -> dict[str, FileStamp | None]:
    """What `stamp_of` says of each of these files below a folder; a store is not asked for each."""
    if isinstance(root, Stored):
        return root.stamps(names)
    above = above_names(root)
    return {name: stamp_of(above + name) for name in names}


def above_names(root: Path) -> str:
    """What stands before the names of files below a folder."""
    return f"{str(root).rstrip('/')}/"


def stamp_of(path: Path | str) -> FileStamp | None:
    """What tells whether the file changes; None where it cannot be looked at."""
    try:
        if is_address(str(path)):
            return FileStamp.of(place_of(path).stat())
        return FileStamp.of(os.stat(path))  # noqa: PTH116, half the time of a Path's
    except (OSError, ValueError):
        return None


class _Walk:
    """Folders one after the other, not one within the other: they may lie deeper than calls can."""

    def __init__(self, root: Path, looks: Looks, own: Collection[Path]) -> None:
        self.found = Listing(root)
        self._looks, self._own = looks, {str(path.resolve()) for path in own}
        self._links: list[str] = []  # a heap, so that it does not matter in what order the system lists them
        self._seen: set[tuple[int, int]] = set()

    def run(self) -> None:
        """Real folders first, so that a picture is known by its own place and not by a link's."""
        self._below("")
        while self._links:
            link = heappop(self._links)
            if self._looks.follow_links:
                self._below(f"{link}/")
            else:
                self.found.passed.append((link, LINKS))

    def _below(self, folder: str) -> None:
        waiting = [folder]
        while waiting:
            waiting += self._read(waiting.pop())

    def _read(self, folder: str) -> list[str]:
        """Sort the entries of a folder, whose name is empty or ends with a slash; the folders in it."""
        place, folders = f"{self.found.root}{os.sep}{folder}".rstrip(os.sep) or os.sep, []
        try:
            if self._looks.follow_links and not is_address(place) and not self._is_new(place):
                self.found.passed.append((folder.rstrip("/"), LINKS))
                return []
            with scan(place) as entries:
                for entry in entries:
                    if self._is_to_read(entry, folder + entry.name):
                        folders.append(f"{folder}{entry.name}/")
        except OSError as error:
            path = place_of(place)
            reason = f"{path} cannot be read ({error.strerror}): check its permissions, and whether its disk is there"
            self.found.refused.append((path, reason))
        return folders

    def _is_to_read(self, entry: Entry, name: str) -> bool:
        """Whether it is a folder to look into; all else is put where it belongs."""
        if entry.path in self._own:
            return False
        kind = _what(entry)
        passed = self._looks.passes_over(entry.name, name, kind in (FOLDER, LINKS))
        if passed is None and kind == FOLDER:
            return True
        if passed is None and kind == LINKS:
            heappush(self._links, name)
        elif passed is None and kind == FILE:
            (self.found.pictures if suffix_of(entry.name) in SUFFIXES else self.found.others).append(name)
        else:
            self.found.passed.append((name, passed or kind))
        return False

    def _is_new(self, place: str) -> bool:
        """Whether no folder that was read is this one."""
        stat = Path(place).stat()
        folder = (stat.st_dev, stat.st_ino)
        if folder in self._seen:
            return False
        self._seen.add(folder)
        return True


def in_order(items: list[_T], name: Callable[[_T], str] = str) -> list[_T]:
    """Sorted by names folder by folder, whatever comes before a slash in the alphabet."""
    return sorted(items, key=lambda item: name(item).replace("/", "\0"))


def suffix_of(name: str) -> str:
    """In small letters, with its dot; empty where there is none."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _what(entry: Entry) -> str:
    """FILE, FOLDER or as what it is passed over; FILE where the system does not say: reading it will say why."""
    try:
        if entry.is_symlink():
            return FILE if entry.is_file() else LINKS if entry.is_dir() else _behind(entry)
        return FOLDER if entry.is_dir() else FILE if entry.is_file() else NO_FILE
    except OSError as error:
        return BROKEN if error.errno == ELOOP else FILE


def _behind(entry: Entry) -> str:
    """What a link leads to that is neither a file nor a folder."""
    return NO_FILE if Path(entry.path).exists() else BROKEN
