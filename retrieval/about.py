"""What a gallery is, in one value."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from index.gallery import Gallery, Migration


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
    redescription: Migration | None
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
        task=config.task,
        values=config.values,
        descriptor=config.descriptor_size,
        redescription=gallery.migration(),
        bytes=_bytes(gallery.folder),
        indexes=tuple(sorted(path.name for path in gallery.folder.iterdir() if _is_index(path))),
    )


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process works there
            stat = path.stat()
            total += stat.st_size if S_ISREG(stat.st_mode) else 0
    return total


def _is_index(path: Path) -> bool:
    return path.name.startswith(("exact-", "search-")) and not path.name.endswith(".tmp")
