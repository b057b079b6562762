"""Which known picture each file of a folder is, where files have taken other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from index.values import Face


@dataclass(frozen=True)
class Renames:
    """moved: the known picture that each of these names has now; written_over: the ids of those whose file is
    another's now, and whose content is nowhere else."""

    moved: dict[str, Face] = field(default_factory=dict)
    written_over: list[int] = field(default_factory=list)


def follow(known: Sequence[Face], contents: Mapping[str, str | None]) -> Renames:
    """Where the known pictures are now: names that were others' before are followed too, as when two are swapped.

    known: pictures that are not at their names any more as far as one can tell without reading: whose file has gone,
    or has another size or time. contents: sha256 by name of the files that may be one of them, those at known names
    among them; None where a file cannot be read, which is then not taken for another's.
    """
    free: dict[str, list[Face]] = {}  # whose content is not where it was
    for picture in known:
        if picture.photo.sha256 and contents.get(picture.path, "") not in (None, picture.photo.sha256):
            free.setdefault(picture.photo.sha256, []).append(picture)
    at = {picture.path: picture for picture in known}
    moved: dict[str, Face] = {}
    for name, content in contents.items():
        stays = name in at and at[name].photo.sha256 == content
        if content and free.get(content) and not stays:
            moved[name] = free[content].pop(0)
    kept = {picture.id for picture in moved.values()}
    return Renames(moved, [at[name].id for name in moved if name in at and at[name].id not in kept])
