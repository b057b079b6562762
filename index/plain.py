"""What the files of a gallery's folder must be: plain files that lie there, not links, pipes or devices.

A gallery may come from a stranger. This is looked at once, when it is opened; what is written later does not follow a
link that somebody put there since.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from index.errors import GalleryCorruptError

_OWN = ("gallery.", "descriptors-", "exact-", "search-", "search.json", "checked.json")
_MOST = 2**20  # bytes of a file of settings
_SUM = "sha256"
_JOURNAL = "-journal"
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")  # at the end of a journal: sqlite.org/fileformat.html, super-journal
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def require_plain(folder: Path) -> None:
    """Raise GalleryCorruptError where a file of the gallery is a link, a pipe or a device: what is read would come from
    elsewhere, or never, and what is written would land there."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_OWN):
            _require_plain(path, path.name.startswith("search-"))


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


def settings_text(content: Mapping[str, Any]) -> bytes:
    """JSON with a digest of it, which tells damage."""
    found = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps({**content, _SUM: found}, indent=2) + "\n").encode()


def read_settings(path: Path) -> dict[str, Any]:
    """What `settings_text` made, without following a link of its name. Raises OSError, ValueError for what is no plain
    file, too large, or not what was written."""
    with os.fdopen(os.open(path, os.O_RDONLY | _NOT_FOLLOWED), "rb") as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no plain file")
        text = file.read(_MOST + 1)
    try:
        content = json.loads(text) if len(text) <= _MOST else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON of ours: {error}") from error
    if not isinstance(content, dict) or content.pop(_SUM, "") == "" or settings_text(content) != text:
        raise ValueError("it is not what was written")
    return content


def not_following(name: str, flags: int) -> int:
    """An opener for `open`, which refuses links."""
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
