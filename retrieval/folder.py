"""The pictures of a folder. This module must stay free of torch: commands look here before they load anything."""

from __future__ import annotations

from pathlib import Path

from faceedit.images import SUFFIXES
from retrieval.errors import NoImagesError


def find_images(root: Path) -> list[Path]:
    """Every file below `root` whose suffix is a picture's, as absolute paths in order; hidden files and folders are
    left out. Raises NoImagesError when there is none."""
    if not root.exists():
        raise NoImagesError(f"{root} does not exist: give the folder of the gallery's images")
    if not root.is_dir():
        raise NoImagesError(f"{root} is a file: give the folder of the gallery's images")
    root = root.resolve()
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and _is_file(path)
    )
    if not found:
        known = " ".join(sorted(SUFFIXES))
        raise NoImagesError(f"{root} holds no image ({known}): give the folder of the gallery's images")
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # reading it will say why
