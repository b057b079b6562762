"""Files whole or not there, and names that a stranger may have written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from faceedit.errors import FaceEditError

LONGEST_PATH = 4096  # bytes, the most that Linux opens
_KEPT = 60  # characters of a file's name in that of its unfinished one


def files_below(root: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Every file below a folder, in order; and the files and folders that cannot be looked at, with the system's
    reason, such as those whose path is longer than it opens. Links to folders are not followed. One folder after the
    other, not one within the other: they may lie deeper than calls can."""
    found, folders, refused = list[Path](), [root], list[tuple[Path, str]]()
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if entry.is_dir(follow_symlinks=False) else found).append(Path(entry.path))
        except OSError as error:
            refused.append((folder, str(error.strerror)))
    return sorted(path for path in found if _is_file(path, refused)), refused


def _is_file(path: Path, refused: list[tuple[Path, str]]) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        refused.append((path, str(error.strerror)))
        return False


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, however deep. Raises OSError."""
    missing = list(takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    for one in reversed(missing):
        one.mkdir(exist_ok=True)


def write_whole(file: Path, data: bytes) -> None:
    """Write beside the file, then take its name. Raises OSError; what was there before then stays, and nothing else."""
    partial = file.with_name(f".{file.name[:_KEPT]}.partial")  # a disk takes 255 bytes, which the name alone may have
    try:
        partial.write_bytes(data)
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, none of whose code is run; None for one that is not installed."""
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def read_small(file: Path, most: int, error: type[FaceEditError], who: str) -> bytes:
    """The content of a regular file of at most so many bytes. who: what the file is, for the message.

    Raises `error` for a larger one, a pipe or a device, none of which is read, and OSError.
    """
    if file.exists() and not file.is_file():
        raise error(f"{file} is no regular file, as {who} is: give another folder")
    with file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise error(f"{file} has over {most:,} bytes, more than {who} may have: it is none, give another folder")
    return content


def require_inside(names: Iterable[str], file: Path, error: type[FaceEditError]) -> None:
    """Raise `error` for the first name that a table gives to a picture and that leads out of the table's own folder.

    Links are followed: who puts one into a folder of pictures means it.
    """
    for name in names:
        if leads_out(name):
            shown = name if len(name) <= 100 else f"{name[:100]}..."
            raise error(
                f"{file} names {shown!r}, which is no path below its own folder {file.parent}: put the table into a "
                "folder that holds all its pictures, and write their paths from there"
            )


def leads_out(name: str) -> bool:
    """Whether a path is not one below the folder that it is to be looked up in: it is absolute, climbs above, or no
    system opens it."""
    if "\0" in name or len(os.fsencode(name)) > LONGEST_PATH:
        return True
    return name.startswith("/") or os.path.normpath(name).split("/", 1)[0] == ".."
