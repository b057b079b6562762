"""A plain folder per identity: ROOT/anna/anything.jpg is anna."""

from __future__ import annotations

from pathlib import Path

from faceedit.errors import ImportSourceError
from faceedit.images import SUFFIXES
from faceedit.sources.listing import Listing, Photograph


def list_folders(root: Path) -> Listing:
    """Every picture below a folder of its own identity; deeper folders belong to the first.

    Pictures directly in `root`, and files that are no pictures, are listed as skipped. Raises ImportSourceError when
    nothing is left.
    """
    if not root.is_dir():
        raise ImportSourceError(f"{root} is no folder: give the one that holds a folder for each person")
    listing = Listing(("identity",))
    taken: set[str] = set()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        relative = path.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        shown = relative.as_posix()
        if path.suffix.lower() not in SUFFIXES:
            listing.skip(shown, f"its suffix {path.suffix!r} is no picture's", expected=True)
        elif len(relative.parts) == 1:
            listing.skip(shown, "it lies in no person's folder, so that nobody knows who it is")
        else:
            name = relative.with_suffix("").as_posix()
            if name in taken:  # a.png beside a.jpg
                name = f"{name}_{path.suffix[1:].lower()}"
            taken.add(name)
            keys = (shown, path.name, path.stem)
            listing.photographs.append(Photograph(path, name, {"identity": relative.parts[0]}, keys))
    if not listing.photographs:
        raise ImportSourceError(f"{root} holds no picture in a person's folder: give one with a folder for each person")
    return listing
