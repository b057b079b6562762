"""Pictures in a store, such as S3: an address is a path, below which others lie, and is asked what a file is asked.

fsspec knows the stores; it is loaded when one is asked, so that folders cost nothing. What they say of it is read by
`index.store_answers`.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from errno import EISDIR, ENOENT, EREMOTEIO, EROFS
from pathlib import Path, PosixPath
from typing import Any, TypeAlias

from index.errors import AddressError
from index.stamps import FileStamp
from index.store_answers import StoreError, patience_with, stat_of, told_by

_ADDRESS = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/].*)", re.DOTALL)
_COLLAPSED = re.compile(r"[a-z][a-z0-9+.\-]+:/[^/]")  # what a Path makes of an address
_PLACE = re.compile(r"/([a-z][a-z0-9+.\-]*):/")
_OURS = ("file", "local")
_BLOCK = 2**20  # bytes that are asked for at once
_MISSING = (
    "pictures in a store need fsspec and what knows that store ({}): pip install -c constraints.txt '.[cpu,store]' for "
    "s3://, and for others what fsspec names"
)


class Stored(PosixPath):
    """A path in a store, as `place_of` reads it. Its text is its address; only reading is possible."""

    def __str__(self) -> str:
        plain = super().__str__()
        found = _PLACE.match(plain)
        return f"{found[1]}://{plain[found.end() :]}" if found else plain

    def __repr__(self) -> str:
        return f"Stored({str(self)!r})"

    def resolve(self, strict: bool = False) -> Stored:
        return self

    def absolute(self) -> Stored:
        return self

    def exists(self, **_: Any) -> bool:
        return self._mode() != 0

    def is_dir(self, **_: Any) -> bool:
        return stat.S_ISDIR(self._mode())

    def is_file(self, **_: Any) -> bool:
        return stat.S_ISREG(self._mode())

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As it is now. Raises StoreError; FileNotFoundError only where the store, and what holds it, is there."""
        with told_by(self):
            system, key = self._system()
            try:
                return stat_of(system.info(key))
            except FileNotFoundError:
                self._require_holder(system, key)
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(self)) from None

    def lstat(self) -> os.stat_result:
        return self.stat()

    def open(self, mode: str = "r", buffering: int = -1, *_: Any, **__: Any) -> Any:
        """Only `rb`. Raises OSError."""
        if mode != "rb":
            raise OSError(EROFS, "a store is only read", str(self))
        found = self.stat()
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(self))
        raw = _Content(self, found.st_size)
        return raw if buffering == 0 else io.BufferedReader(raw, _BLOCK)

    def read_bytes(self) -> bytes:
        """All of it. Raises FileNotFoundError, StoreError."""
        return self.part(None, None)

    def part(self, start: int | None, stop: int | None) -> bytes:
        """Bytes from one place to before another. Raises FileNotFoundError, StoreError."""
        with told_by(self):
            system, key = self._system()
            return bytes(system.cat_file(key, start=start, end=stop))

    def entries(self) -> Iterator[StoredEntry]:
        """What lies directly below it. Raises FileNotFoundError, StoreError."""
        with told_by(self):
            system, key = self._system()
            found = system.ls(key, detail=True)
        above = key.strip("/")
        for one in found:
            name = one["name"].strip("/")
            if name != above:  # else what a console makes to show an empty folder
                yield StoredEntry.of(self, name.removeprefix(f"{above}/"), one)

    def stamps(self, names: Sequence[str]) -> dict[str, FileStamp | None]:
        """What tells whether these files below it change: by one question for each folder, not for each file."""
        found = dict[str, FileStamp | None].fromkeys(names)
        for folder in dict.fromkeys(name.rpartition("/")[0] for name in names):
            below = f"{folder}/" if folder else ""
            try:
                there = {below + one.name: one for one in (self / folder).entries()}
            except OSError:  # nothing is known of them: reading will say why
                continue
            found |= {name: FileStamp.of(one.stat()) for name, one in there.items() if name in found}
        return found

    def _mode(self) -> int:
        try:
            return self.stat().st_mode
        except FileNotFoundError:
            return 0

    def _system(self) -> tuple[Any, str]:
        """What asks the store, and how it names this place. What was listed before is forgotten: others write there."""
        try:
            from fsspec.core import url_to_fs

            system, key = url_to_fs(str(self), **patience_with(str(self)))
        except (ImportError, ValueError) as error:
            raise StoreError(EREMOTEIO, _MISSING.format(str(error).partition("\n")[0]), str(self)) from error
        system.invalidate_cache()
        return system, key

    def _require_holder(self, system: Any, key: str) -> None:
        """Raise StoreError where even the bucket, or whatever holds all, is not there."""
        holder = key.strip("/").partition("/")[0]
        try:
            system.info(holder)
        except FileNotFoundError:
            raise StoreError(EREMOTEIO, f"there is no {holder}", str(self)) from None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """What `os.DirEntry` is, of something in a store. kind: file, directory, or empty: no path has such a name."""

    name: str
    path: str
    kind: str
    told: Any = field(repr=False)

    @classmethod
    def of(cls, folder: Stored, name: str, told: dict[str, Any]) -> StoredEntry:
        """Of what a store told of it."""
        named = name not in ("", ".", "..") and "/" not in name and "\0" not in name
        kind = told["type"] if named else ""
        return cls(name.replace("/", "_") or "_", f"{folder}/{name}", kind, told)

    def is_symlink(self) -> bool:
        return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.kind == "directory"

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.kind == "file"

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return stat_of(self.told)


Entry: TypeAlias = "os.DirEntry[str] | StoredEntry"


def is_address(text: str) -> bool:
    """Whether it names something in a store, and not a file."""
    return "://" in text and text[0] != "/"


def place_of(given: str | os.PathLike[str]) -> Path:
    """The file or folder that a text names, here or in a store. Raises AddressError for an address that is none, shows
    a secret, or has been made a Path, which makes one slash of two."""
    if isinstance(given, Stored):
        return given
    text = os.fspath(given)
    if not is_address(text):
        if isinstance(given, Path) and _was_address(given):
            raise AddressError(f"{text!r:.40} is an address: give it as text, not as a path")
        return Path(given)
    found = _ADDRESS.fullmatch(text)
    if found is None or "::" in text or found[1] in _OURS:
        raise AddressError(f"{text!r:.80} is no address of a store: give one such as s3://bucket/folder, or a folder")
    if ":" in found[2].partition("/")[0].rpartition("@")[0]:
        raise AddressError(f"the address {found[1]}://... shows a password: leave it to the environment of that store")
    return Stored(f"/{found[1]}:", *(part for part in found[2].split("/") if part))


def place_typed(typed: Path) -> Path:
    """The same of what a command line has made a Path of, so that shells complete it: `s3:/bucket/x` is an address
    where there is no such file. Raises AddressError."""
    return place_of(str(typed).replace(":/", "://", 1)) if _was_address(typed) else typed


def _was_address(path: Path) -> bool:
    """Whether it is what a Path makes of an address, and no file is called that."""
    return not isinstance(path, Stored) and _COLLAPSED.match(str(path)) is not None and not path.exists()


def scan(place: str) -> AbstractContextManager[Iterator[Entry]]:
    """What `os.scandir` gives of a folder, here or in a store. Raises OSError."""
    if not is_address(place):
        return os.scandir(place)
    found = place_of(place)
    assert isinstance(found, Stored)
    return nullcontext(found.entries())


class _Content(io.RawIOBase):
    """What is read of a file in a store, and when."""

    def __init__(self, path: Stored, size: int) -> None:
        self._path, self._size, self._place = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._place + len(buffer), self._size)
        content = self._path.part(self._place, end) if end > self._place else b""
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)
