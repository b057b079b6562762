"""Which images of a gallery have lost their files, and whether that may be believed: a disk that is not there looks as
if everything on it was deleted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from faceedit.text import printable
from index.gallery import Face, Gallery
from retrieval.comparing import compare, gone_faces, is_as_it_was, named
from retrieval.errors import PruneError
from retrieval.kinds import Sorted
from retrieval.reading import ReadsFiles
from retrieval.tables import counted

_FEW = 5  # places that one line names


@dataclass(frozen=True)
class Gone:
    """images: those whose files are not there; of: how many the gallery holds; doubts: why that may be so without
    anybody having deleted them, one for each place, empty where nothing speaks for it."""

    images: tuple[Face, ...]
    of: int
    doubts: tuple[str, ...]

    @property
    def text(self) -> str:
        """What would be removed, and what speaks against it, on one line."""
        more = f"; and {len(self.doubts) - _FEW:,} more" if len(self.doubts) > _FEW else ""
        doubts = "; ".join(self.doubts[:_FEW]) + more
        return f"--prune would remove {len(self.images):,} of {counted(self.of, 'image')}: {doubts}"


Ask = Callable[[Gone], bool]
"""Whether so much is to be removed."""


def refuse(gone: Gone) -> bool:
    """Nobody can be asked. Raises PruneError."""
    raise PruneError(
        f"{gone.text}: is a disk missing? Nothing was removed or described. Bring it back, or say --yes to remove "
        "them; --prune --dry-run lists them"
    )


def judged(
    gone: Iterable[Face], found: Iterable[str], root: Path, of: int, unlisted: Collection[Path] = frozenset()
) -> Gone:
    """Images whose files have gone, and what speaks against removing them.

    found: paths below the root of all pictures that are there; of: how many images the gallery holds; unlisted: folders
    that could not be read.
    """
    images = tuple(gone)
    folders, unread = _folders(found), {str(folder) for folder in unlisted}
    places = Counter(place for face in images if (place := _place(root, face.path, folders, unread)) is not None)
    doubts = [f"{place} {_why(place, unread)} ({counted(number, 'image')})" for place, number in places.items()]
    if not doubts and len(images) > of / 2:
        doubts = ["it is most of the gallery"]
    return Gone(images, of, tuple(map(printable, doubts)))


def would_go(gallery: Gallery, found: Sorted, reader: ReadsFiles) -> Gone:
    """What `--prune` would remove of a gallery now, after looking through a folder; nothing is changed."""
    root, known = gallery.config.image_root, gallery.known()
    images = named(found.pictures, root)
    files = {n: p for n, p in images.items() if n not in known or not is_as_it_was(p, known[n].photo.stamp)}
    gone = gone_faces(known, images, root)
    moved = {face.id for face in compare(known, gone, files, reader).renames.moved.values()}
    left = [face for face in gone if face.id not in moved]
    return judged(left, images, root, len(known), {place for place, _ in found.refused})


def _folders(found: Iterable[str]) -> set[str]:
    """Every folder with a picture in it, or anywhere below it."""
    folders: set[str] = set()
    for name in found:
        folder = name.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _place(root: Path, path: str, folders: set[str], unlisted: set[str]) -> Path | None:
    """The place with which a picture went: a whole folder, or a link whose end is not there; None where it alone went.

    folders: those with pictures; unlisted: absolute ones that could not be read."""
    for end in (0, *(place for place, letter in enumerate(path) if letter == "/")):
        folder = path[:end]
        if folder not in folders or str(root / folder) in unlisted:
            return root / folder
    return root / path if (root / path).is_symlink() else None


def _why(place: Path, unlisted: set[str]) -> str:
    """What is to be seen where pictures were."""
    if str(place) in unlisted and place.exists():
        return "cannot be read"
    if place.is_symlink() and not place.exists():
        return "is a link that leads nowhere"
    try:
        with os.scandir(place) as entries:
            return "is empty" if next(entries, None) is None else "holds no picture any more"
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
