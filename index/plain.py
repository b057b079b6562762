"""What the files of a gallery's folder must be: plain files that lie there, not links, pipes or devices.

A gallery may come from a stranger. This is looked at once, when it is opened; what is written later does not follow a
link that somebody put there since.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

from index.errors import GalleryCorruptError

_OWN = ("gallery.", "descriptors-", "exact-", "search-", "search.json", "checked.json", "told.json", "jobs.json")
_PICTURES = "pictures"  # many, of which each is looked at when it is shown (`index.pictures`)
_JOURNAL = "-journal"
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")  # at the end of a journal: sqlite.org/fileformat.html, super-journal


def require_plain(folder: Path) -> None:
    """Raise GalleryCorruptError where a file of the gallery is a link, a pipe or a device: what is read would come from
    elsewhere, or never, and what is written would land there."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_OWN):
            _require_plain(path, path.name.startswith("search-"))
        elif path.name == _PICTURES and (path.is_symlink() or not path.is_dir()):
            raise GalleryCorruptError(f"{path} is no folder of pictures that lies there: delete it, it is made again")


def _require_plain(path: Path, may_be_folder: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # another process works there
        return
    if S_ISDIR(mode) and may_be_folder:
        for inside in sorted(path.iterdir()):
            _require_plain(inside, False)
    elif not S_ISREG(mode):
        what = "a folder" if S_ISDIR(mode) else "a link to another place" if S_ISLNK(mode) else "no plain file"
        raise GalleryCorruptError(
            f"{path} is {what}, which no file of a gallery may be: put the file itself there, delete it, or give the "
            "folder that it lies in"
        )
    elif path.name.endswith(_JOURNAL):
        _require_own_journal(path)


def _require_own_journal(path: Path) -> None:
    """Raise GalleryCorruptError where SQLite's journal names a file beside it, wherever that lies: opening the database
    would delete it. Ours never does, since nothing is written into two databases at once."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(_NAMES_ANOTHER)))
            end = file.read()
    except FileNotFoundError:
        return
    if end == _NAMES_ANOTHER:
        raise GalleryCorruptError(
            f"{path} names another file, which opening the gallery would delete: delete {path.name}, and run "
            "`facesearch gallery verify`; or restore the gallery's folder from a copy"
        )


def not_following(name: str, flags: int) -> int:
    """An opener for `open`, which refuses links."""
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
