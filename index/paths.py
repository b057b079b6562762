"""The paths of photos below the image root."""

from __future__ import annotations

import unicodedata

from index.errors import ImageRowError
from index.limits import LONGEST_PATH

_NO_NAMES = frozenset(("", ".", ".."))  # parts of a path that are no names of folders or files


def path_forms(path: str) -> tuple[str, ...]:
    """A path as it is written, and as disks of other systems write it: composed, or not."""
    return tuple(dict.fromkeys((path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))))


def check_path(path: str) -> None:
    """Raise ImageRowError for a path that is not a plain relative path with forward slashes."""
    if "\0" in path or not _NO_NAMES.isdisjoint(path.split("/")):
        raise ImageRowError(
            f"image path is {path!r:.200}; expected a path below the image root, relative to it and "
            "with forward slashes, such as 'holiday/anna.jpg'"
        )
    try:
        length = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ImageRowError(f"image path is {path!r:.200}, which is not valid Unicode; rename the file") from error
    if length > LONGEST_PATH:
        raise ImageRowError(
            f"image path is {path!r:.60}... and has {length:,} bytes; expected {LONGEST_PATH:,} at most"
        )
