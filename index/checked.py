"""Which files of a gallery were found to be what was written, and are believed while they look as they did then.

`checked.json` says how each of them looked: size, mtime, inode and ctime, which no copy keeps. It may be deleted at any
time; then everything is read and compared once more. Whoever writes into a file that is believed notes how it looks
afterwards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index.settings import read_settings, settings_text
from index.stamps import FileStamp
from index.whole import replaced

_CHECKED = "checked.json"
_RECENT, _PATIENCE, _STEP = 2e9, 5, 0.02  # nanoseconds, looks, seconds between them
_Stamps = dict[str, list[int]]


def look(path: Path) -> FileStamp | None:
    """How a file looks now; None where it is not there."""
    try:
        return FileStamp.of(os.lstat(path))
    except OSError:
        return None


def is_noted(folder: Path, path: Path, stamp: FileStamp | None) -> bool:
    """Whether the file of the gallery was found sound when it looked like this."""
    return stamp is not None and _read(folder).get(_name(folder, path)) == _listed(stamp)


def is_believed(folder: Path, path: Path) -> bool:
    """Whether the file was found sound when it looked as it does now. One that was written to a moment ago is looked at
    a few times: its writer will note how it looks when it is on the disk."""
    for _ in range(_PATIENCE):
        stamp = look(path)
        if stamp is None or is_noted(folder, path, stamp):
            return stamp is not None
        if not 0 <= time.time_ns() - stamp.mtime_ns < _RECENT:
            return False
        time.sleep(_STEP)
    return False


def note(folder: Path, path: Path, stamp: FileStamp | None) -> None:
    """Believe the file while it looks like this. Where nothing can be written, it is read again the next time."""
    if stamp is None or not os.access(folder, os.W_OK):
        return
    before = _read(folder)
    there = {path.name for path in folder.iterdir()}  # no name that was read is followed
    kept = {name: given for name, given in before.items() if name.split("/")[0] in there}
    after = {**kept, _name(folder, path): _listed(stamp)}
    if after != before:
        with suppress(OSError):
            replaced(folder / _CHECKED, settings_text(after))


@contextmanager
def kept_noted(folder: Path, path: Path) -> Iterator[None]:
    """Write into a file in this block: it is believed afterwards if it was before, or was not there."""
    before = look(path)
    believed = before is None or is_noted(folder, path, before)
    yield
    if believed:
        note(folder, path, look(path))


def damage(folder: Path) -> list[str]:
    """A sentence where the file itself is not what was written."""
    path = folder / _CHECKED
    if not path.exists() or _read(folder):
        return []
    return [f"{path} is damaged: `facesearch gallery repair` deletes it"]


def forget(folder: Path) -> None:
    """Believe no file any more."""
    with suppress(OSError):
        (folder / _CHECKED).unlink(missing_ok=True)


def _read(folder: Path) -> _Stamps:
    """Nothing where it cannot be read, or is damaged: then everything is compared again."""
    try:
        return read_settings(folder / _CHECKED)
    except (OSError, ValueError):
        return {}


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _listed(stamp: FileStamp) -> list[int]:
    return [stamp.size, stamp.mtime_ns, stamp.inode, stamp.ctime_ns]
