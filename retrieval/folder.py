"""The pictures of a folder. This module must stay free of torch: commands look here before they load anything."""

from __future__ import annotations

import os
from pathlib import Path

from faceedit.images import SUFFIXES
from index.stamps import FileStamp
from retrieval.errors import NoImagesError

Refused = list[tuple[Path, str]]


def find_images(root: Path, refused: Refused | None = None) -> list[Path]:
    """Every file below `root` whose suffix is a picture's, as absolute paths in order; hidden files and folders are
    left out, links to folders not followed.

    refused: folders that may not be read are added to it, with the reason. Raises NoImagesError when there is no
    picture.
    """
    if not root.exists():
        raise NoImagesError(f"{root} does not exist: give the folder of the gallery's images")
    if not root.is_dir():
        raise NoImagesError(f"{root} is a file: give the folder of the gallery's images")
    root = root.resolve()
    refused = [] if refused is None else refused
    found = sorted(_below(root, refused))
    if not found and refused:
        raise NoImagesError(f"{refused[0][1]}; nothing else below {root} is an image")
    if not found:
        known = " ".join(sorted(SUFFIXES))
        raise NoImagesError(f"{root} holds no image ({known}): give the folder of the gallery's images")
    return found


def is_gone(path: Path) -> bool:
    """Whether there is certainly no file at the path: where its folder may not be read, nobody knows."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def stamp_of(path: Path) -> FileStamp | None:
    """What tells whether the file changes; None where it cannot be looked at."""
    try:
        return FileStamp.of(path.stat())
    except (OSError, ValueError):
        return None


def _below(root: Path, refused: Refused) -> list[Path]:
    def refuse(error: OSError) -> None:
        place = Path(error.filename)
        refused.append((place, f"{place} cannot be read ({error.strerror}): check its permissions"))

    found = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and _is_file(path):
                found.append(path)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # reading it will say why
