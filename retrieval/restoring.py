"""A gallery made of what another was exported as."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from faceedit.errors import UsageError
from index.care.restore import restore
from index.gallery import Gallery
from index.named_stores import name_store
from index.progress import Steps
from index.stored import place_of
from index.truth.address import Address
from retrieval.checks import require_keepable, require_output_folder
from retrieval.folder import is_folder
from retrieval.gallery_info import missing_files
from retrieval.tables import counted, shown


@dataclass(frozen=True)
class Restored:
    """gallery: its folder; images: how many; image_root: what their paths start from; missing: how many photos are not
    there."""

    gallery: Path
    images: int
    image_root: Path
    missing: int

    def lines(self) -> list[str]:
        """The same for people."""
        below = shown(self.image_root)
        return [f"{shown(self.gallery)}: {counted(self.images, 'image')}, whose files lie below {below}"]

    def warnings(self) -> list[str]:
        """What is to be done."""
        where = "say where they are with `facesearch gallery relocate`"
        return [f"the files of {counted(self.missing, 'image')} are not there; {where}"] if self.missing else []


def restored(
    place: Address, exported: str | os.PathLike[str], root: str | os.PathLike[str] | None, progress: Steps | None
) -> Restored:
    """Make the gallery of a folder. root: where the images lie, if that is elsewhere than the export says. Raises
    UsageError, FaceEditError for a folder that cannot be written into, and what `index.care.restore` does."""
    source, images = Path(exported), None if root is None else place_of(root)
    if images is not None and not is_folder(images):
        raise UsageError(f"{root} is no folder: give the one that the images lie in")
    require_keepable((images or source).resolve())  # the images lie in one of them
    if not isinstance(place, Path):
        raise UsageError(f"{place} is on a server, and an export is read into a folder only: give a folder as --db")
    require_output_folder(place)
    name_store(images or source)
    restore(source, place, None if images is None else images.resolve(), progress)
    with Gallery.open(place) as gallery:
        below = gallery.config.image_root
        return Restored(place, len(gallery), below, missing_files(gallery, below))
