"""What of a folder a gallery knows already, and where its pictures are now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.gallery import Face, FileStamp
from retrieval.checks import is_unicode
from retrieval.folder import is_gone, stamp_of
from retrieval.reading import ReadsFiles
from retrieval.renames import Renames, follow


@dataclass(frozen=True)
class Contents:
    """Where known pictures are now. stamps: of the files that were looked at, by name, as they were before; contents:
    the sha256 of those that were read; renames: what follows from it."""

    stamps: Mapping[str, FileStamp]
    contents: Mapping[str, str | None]
    renames: Renames


def named(images: Iterable[Path], root: Path) -> dict[str, Path]:
    """Pictures, which lie below the root, by their names there."""
    above = f"{root}/".replace("//", "/")
    return {str(path).removeprefix(above): path for path in images}


def gone_faces(known: Mapping[str, Face], images: Mapping[str, Path], root: Path) -> list[Face]:
    """Known pictures whose files have certainly gone."""
    return [face for name, face in known.items() if name not in images and is_gone(root / face.path)]


def is_as_it_was(path: Path, before: FileStamp) -> bool:
    """Whether a file looks as it did; where that cannot be told, reading it will say why."""
    stamp = stamp_of(path)
    return stamp is not None and before.same_as(stamp)


def compare(known: Mapping[str, Face], gone: Sequence[Face], files: Mapping[str, Path], reader: ReadsFiles) -> Contents:
    """Look at the content of those files, by name, that are not as the gallery knows them, but may be known.

    gone: known pictures whose files are not there. A file that can be no known one, by its size, is not read."""
    told = {name: path for name, path in files.items() if is_unicode(name)}
    stamps = {name: stamp for name, path in told.items() if (stamp := stamp_of(path))}  # before content is read
    old = [*(known[name] for name in stamps if name in known), *gone]
    sizes = {face.photo.stamp.size for face in old}
    contents = {name: reader.content(told[name]) for name, stamp in stamps.items() if stamp.size in sizes}
    return Contents(stamps, contents, follow(old, contents))
