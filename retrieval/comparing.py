"""What of a folder a gallery knows already, and where its pictures are now: page by page, so that more of them take no
more memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from index.gallery import Face, FileStamp, Gallery, KnownFile
from index.stored import place_of
from retrieval.checks import is_unicode
from retrieval.folder import above_names, is_gone, stamp_of, stamps_of
from retrieval.names import Names, Pictures, names_below
from retrieval.reading import ReadsFiles
from retrieval.renames import Renames, follow
from retrieval.shards import Shard

_SHOWN = 10  # names that are kept of images that are left out


@dataclass
class LeftOut:
    """Images whose files are there and are not looked at any more: how many, and the first paths."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(path)


class Comparison:
    """One look at the pictures of a folder.

    unchanged: how many are as they were; skipped: what could not be read before and is as it was; faceless: what showed
    no face and is as it was; todo: names below the
    image root of all others; gone: known pictures whose files have certainly gone; left_out: those whose files are
    there and not among the pictures. What is kept in memory grows with what has changed, and by 8 bytes for each known
    picture.
    """

    def __init__(
        self,
        gallery: Gallery,
        reader: ReadsFiles,
        waiting: Collection[int] = frozenset(),
        retry: bool = False,
        shard: Shard | None = None,
    ) -> None:
        """waiting: ids of the faces that are to be described again; retry: also what could not be read before; shard:
        the only part that is looked at."""
        self.faceless: list[tuple[Path, str]] = []
        self.unchanged = 0
        self.skipped: list[tuple[Path, str]] = []
        self.todo = Names()
        self.gone: list[Face] = []
        self.left_out = LeftOut()
        self._gallery, self._reader, self._retry, self._shard = gallery, reader, retry, shard
        self.waiting = {face.path for face in gallery.get(sorted(waiting))}
        self._root = gallery.config.image_root
        self._above = above_names(self._root)
        self._seen = array("q")  # ids of photos
        self._described = 0  # how many of these have a face
        self._changed: dict[str, Face] = {}  # known faces at names whose files are otherwise now
        self._contents: dict[str, tuple[FileStamp, str | None]] = {}  # of such files, where they were read

    def look(
        self,
        images: Sequence[Path],
        touched: Callable[[list[Face]], None] | None = None,
        stays: Callable[[list[str]], None] | None = None,
    ) -> None:
        """Look at all of them, which lie below the image root. touched: told of each page which known faces' files have
        the content that they had and look otherwise, each as its file looks now; stays: the names of what need not be
        looked at."""
        for names in names_below(images, self._root):
            self._look_at(names, touched, stays)

    def lost(self, folder: Path | None = None, unlisted: Collection[Path] = ()) -> None:
        """Find out which known pictures were not among those that were looked at: `gone` and `left_out`, of which only
        those in this folder, but not below what could not be listed, are told."""
        if self._described == self._gallery.count_photos():
            return
        seen, gone = np.array(self._seen, np.int64), list[str]()
        for page in self._gallery.photos():
            ids = np.array([id_ for id_, _ in page])
            for place in np.flatnonzero(~np.isin(ids, seen)).tolist():
                path = page[place][1]
                if self._shard is not None and not self._shard.has(path):
                    continue
                if is_gone(self._root / path):
                    gone.append(path)
                elif _is_left_out(self._root / path, folder, unlisted):
                    self.left_out.add(path)
        self.gone = list(self._gallery.faces_at(gone).values())

    def renames(self) -> tuple[Renames, dict[str, FileStamp]]:
        """Which known picture each of the files to do is, and how those looked that were compared. Files that can be no
        known ones, by their size, are not read."""
        old = [*self._changed.values(), *self.gone]
        sizes = {face.photo.stamp.size for face in old}
        stamps: dict[str, FileStamp] = {}
        contents: dict[str, str | None] = {}
        for name, stamp in self._stamps() if old else ():
            if name in self._contents:
                stamps[name], contents[name] = self._contents[name]
            elif stamp.size in sizes:
                stamps[name], contents[name] = stamp, self._reader.content(place_of(self._above + name))
        return follow(old, contents), stamps

    def pictures(self) -> Pictures:
        """What is to do, as paths."""
        return Pictures(self._root, self.todo)

    def _stamps(self) -> Iterator[tuple[str, FileStamp]]:
        for page in self.todo.pages():
            stamps = stamps_of(self._root, [name for name in page if is_unicode(name)])
            yield from ((name, stamp) for name, stamp in stamps.items() if stamp is not None)

    def _look_at(
        self, names: list[str], touched: Callable[[list[Face]], None] | None, stays: Callable[[list[str]], None] | None
    ) -> None:
        known = self._gallery.known_files([name for name in names if is_unicode(name)])
        stamps = stamps_of(self._root, names)
        self._seen.extend(file.photo for file in known.values())
        self._described += sum(file.described for file in known.values())
        as_before = {name for name, file in known.items() if self._is_as_before(name, file, stamps[name])}
        other = [name for name in names if name not in as_before]
        same = self._same(other, known, stamps)
        self.todo.extend(name for name in other if name not in same)
        if same and touched is not None:
            touched(list(same.values()))
        if as_before and stays is not None:
            stays(list(as_before))

    def _is_as_before(self, name: str, file: KnownFile, stamp: FileStamp | None) -> bool:
        """Whether there is nothing to do about it; it is counted."""
        if stamp is None:
            return False
        if file.problem is None:
            unchanged = file.described and file.stamp.same_as(stamp)
            self.unchanged += unchanged
            return unchanged
        again = self._retry or file.problem.reader != self._reader.name or not file.problem.stamp.same_as(stamp)
        if not again:
            told = self.faceless if file.problem.faceless else self.skipped
            told.append((self._root / name, file.problem.told(self._root)))
        return not again

    def _same(
        self, names: list[str], known: dict[str, KnownFile], stamps: dict[str, FileStamp | None]
    ) -> dict[str, Face]:
        """By the names of those of these files that have the content that is known of them, a face as its file looks
        now; others are kept to be compared."""
        found = {}
        described = [name for name in names if name in known and known[name].described]
        for name, face in self._gallery.faces_at(described).items():
            stamp = stamps[name]
            if stamp is None:
                continue
            if stamp.size == face.photo.stamp.size and name not in self.waiting:
                content = self._reader.content(place_of(self._above + name))
                if content == face.photo.sha256:
                    found[name] = replace(face, photo=replace(face.photo, stamp=stamp))
                    continue
                self._contents[name] = stamp, content
            self._changed[name] = face
        self.unchanged += len(found)
        return found


def _is_left_out(path: Path, folder: Path | None, unlisted: Collection[Path]) -> bool:
    if folder is None or folder not in path.parents or any(place in path.parents for place in unlisted):
        return False
    return stamp_of(path) is not None
