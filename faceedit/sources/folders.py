"""A plain folder per identity: ROOT/anna/anything.jpg is anna."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from faceedit.errors import ImportSourceError
from faceedit.files import files_below
from faceedit.formats import SUFFIXES
from faceedit.sources.listing import Listing, Photograph, free_name


def list_folders(root: Path) -> Listing:
    """Every picture below a folder of its own identity; deeper folders belong to the first.

    Pictures directly in `root`, and files that are no pictures, are listed as skipped. Raises ImportSourceError when
    nothing is left.
    """
    if not root.is_dir():
        raise ImportSourceError(f"{root} is no folder: give the one that holds a folder for each person")
    listing = Listing(f"folders {root.resolve()}", ("identity",))
    taken: set[str] = set()
    found, refused = files_below(root)
    files = [path for path in found if not _is_hidden(path, root)]
    for path, reason in refused:
        if not _is_hidden(path, root):
            listing.skip(path.relative_to(root).as_posix(), f"it cannot be read ({reason})")
    names = Counter(path.name for path in files) + Counter(path.stem for path in files)
    for path in files:
        relative = path.relative_to(root)
        shown = relative.as_posix()
        if path.suffix.lower() not in SUFFIXES:
            listing.skip(shown, f"its suffix {path.suffix!r} is no picture's", expected=True)
        elif len(relative.parts) == 1:
            listing.skip(shown, "it lies in no person's folder, so that nobody knows who it is")
        else:
            name = free_name(relative.with_suffix("").as_posix(), taken)
            alone = [key for key in (path.name, path.stem) if names[key] == 1]
            listing.photographs.append(Photograph(path, name, {"identity": relative.parts[0]}, (shown, *alone)))
    if not listing.photographs:
        raise ImportSourceError(f"{root} holds no picture in a person's folder: give one with a folder for each person")
    return listing


def _is_hidden(path: Path, root: Path) -> bool:
    """Whether it, or a folder that it lies in, is hidden."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)
