"""Keep a gallery in order: its labels, its place, what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from faceedit.describes import Describes
from faceedit.errors import UsageError
from index.care.compact import Compaction
from index.gallery import Gallery
from index.values import HAND
from index.where import Condition
from retrieval.about import missing_files
from retrieval.choosing import Meant, chosen_ids


class Keep(Enum):
    """A label that stays as it is."""

    KEEP = "as it is"


KEEP: Final = Keep.KEEP


@dataclass(frozen=True)
class Removal:
    """images: how many were removed; not_searched: why the index could not be built anew, where there was one."""

    images: int
    not_searched: Exception | None = None


@dataclass(frozen=True)
class Compacted:
    """sizes: bytes before and after, without the index; not_searched: why that could not be built anew."""

    sizes: Compaction
    not_searched: Exception | None = None


def correct_labels(
    gallery: Gallery,
    images: Sequence[Meant],
    where: Condition | None,
    labels: Mapping[str, str | int | Keep | None],
) -> int:
    """Give the images that are meant these labels by hand; how many. Raises UsageError where none is given."""
    changes = {name: value for name, value in labels.items() if value is not KEEP}
    if not changes:
        raise UsageError("say what to change: --identity, --pose, --illumination or --expression")
    with gallery.writing():
        found = gallery.get(chosen_ids(gallery, images, where))
        return gallery.update_labels({face.id: face.labels.changed(HAND, **changes) for face in found})


def relocate(gallery: Gallery, root: Path) -> int:
    """Say where the images lie now; how many are not there. Raises UsageError for a folder that holds none of them."""
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give the one that the images lie in now")
    missing = missing_files(gallery, root)
    if missing == len(gallery) > 0:
        raise UsageError(f"{root} holds none of the gallery's {missing:,} images: give the folder they moved to")
    gallery.set_image_root(root.resolve())
    return missing


def require_another(gallery: Gallery, describer: Describes) -> None:
    """Raise UsageError for the model that described the gallery already."""
    config, under_way = gallery.config, gallery.redescription()
    if (config.model_digest, config.descriptor_size) != (describer.digest, describer.descriptor_size):
        return
    other = "another --model"
    if under_way is not None:
        other = f"the model {under_way.model_digest[:12]} to go on with the one under way, or --give-up"
    raise UsageError(f"{gallery.folder} is described by the model {describer.digest[:12]} already: give {other}")
