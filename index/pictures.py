"""Small pictures of what a gallery shows, kept for the next look: derived, bounded, and erased with what they show.

They lie in the gallery's folder, `pictures/`, named by the content that they are made of. The folder may be deleted at
any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from threading import Lock

from index.plain import not_following
from index.whole import replaced

FOLDER = "pictures"
MOST_BYTES = 200_000_000
_LARGEST = 20_000_000  # bytes of one
_ROOM = 0.8  # share of them that stays when there are too many
_NAME = re.compile(r"([0-9a-f]{64})-(?:face(\d{1,19})-)?\d{1,5}\.jpg")

Known = Callable[[Collection[str], Collection[int]], tuple[Collection[str], Collection[int]]]
"""Which of these contents (sha256) and of these ids of faces a gallery has."""


class PictureCache:
    """The small pictures of one gallery. May be shared by threads."""

    def __init__(self, gallery: Path, most: int = MOST_BYTES) -> None:
        self._folder, self._most = gallery / FOLDER, most
        self._lock = Lock()
        self._bytes: int | None = None

    def get(self, sha256: str, size: int, face: int | None = None) -> bytes | None:
        """The picture of a content, or of a face in it, at a size; None where there is none yet."""
        path = self._path(sha256, size, face)
        try:
            if not self._is_ours() or not S_ISREG(path.lstat().st_mode):  # a pipe would be waited for
                return None
            with open(path, "rb", opener=not_following) as file:
                content = file.read(_LARGEST + 1)
            os.utime(path, follow_symlinks=False)
        except OSError:
            return None
        return content if len(content) <= _LARGEST else None

    def put(self, content: bytes, sha256: str, size: int, face: int | None = None) -> None:
        """Keep it, where there is room: a full disk costs no picture."""
        with suppress(OSError), self._lock:
            self._folder.mkdir(exist_ok=True)
            if self._is_ours():
                replaced(self._path(sha256, size, face), content)
                self._make_room(len(content))

    def forget(self, sha256: str, size: int, face: int | None = None) -> None:
        """Erase one."""
        if self._is_ours():
            self._path(sha256, size, face).unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """Whether the folder is there and is no link, which somebody may have put there since the gallery was
        opened."""
        return self._folder.is_dir() and not self._folder.is_symlink()

    def _path(self, sha256: str, size: int, face: int | None) -> Path:
        name = f"{sha256}-{size}.jpg" if face is None else f"{sha256}-face{face}-{size}.jpg"
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r:.100} names no picture: expected a sha256 and a size")
        return self._folder / name

    def _make_room(self, more: int) -> None:
        """Delete those that were not looked at for the longest time."""
        self._bytes = sum(size for _, size, _ in _files(self._folder)) if self._bytes is None else self._bytes + more
        if self._bytes <= self._most:
            return
        found = sorted(_files(self._folder))
        self._bytes = sum(size for _, size, _ in found)
        for _, size, path in found:
            if self._bytes <= _ROOM * self._most:
                return
            path.unlink(missing_ok=True)
            self._bytes -= size


def discard_pictures(gallery: Path, known: Known) -> None:
    """Erase the pictures of what the gallery does not hold any more, and what a crash left. What cannot be erased
    raises OSError."""
    folder = gallery / FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return
    found = {path: _NAME.fullmatch(path.name) for path in folder.iterdir()}
    names = [name for name in found.values() if name]
    contents, faces = known({name[1] for name in names}, {int(name[2]) for name in names if name[2]})
    for path, name in found.items():
        if name is None or name[1] not in contents or (name[2] and int(name[2]) not in faces):
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each was last looked at, and its size."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                yield about.st_mtime, about.st_size, Path(entry.path)
