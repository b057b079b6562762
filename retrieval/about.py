"""What a gallery is, in one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from index.files import gallery_bytes, saved_indexes
from index.gallery import Gallery, Redescription


@dataclass(frozen=True)
class GalleryInfo:
    """gallery: its folder; images, people: how many; problems: files that could not be read; image_root: what the
    images' paths start from; model: the digest of the one that described it, task, values, descriptor: what that one
    decides, and how many numbers it makes of an image; redescription: by another model, begun and not finished; bytes:
    on the disk; indexes: that are saved."""

    gallery: Path
    images: int
    people: int
    problems: int
    image_root: Path
    model: str
    task: str
    values: tuple[int, ...]
    descriptor: int
    redescription: Redescription | None
    bytes: int
    indexes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        under_way = asdict(self.redescription) if self.redescription else None
        plain = {"gallery": str(self.gallery), "image_root": str(self.image_root), "model": self.model[:12]}
        lists = {"values": list(self.values), "indexes": list(self.indexes), "redescription": under_way}
        return {**vars(self), **plain, **lists}


def about(gallery: Gallery) -> GalleryInfo:
    """What the gallery holds, where, described by which model, and how it is searched."""
    config = gallery.config
    return GalleryInfo(
        gallery=gallery.folder,
        images=len(gallery),
        people=gallery.count_identities(),
        problems=len(gallery.problems()),
        image_root=config.image_root,
        model=config.model_digest,
        task=config.attribute,
        values=config.values,
        descriptor=config.descriptor_size,
        redescription=gallery.redescription(),
        bytes=gallery_bytes(gallery.folder),
        indexes=tuple(path.name for path in saved_indexes(gallery.folder)),
    )
