"""What tells whether a file has changed: how it looks from outside, without reading it, and its content's sha256."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 2**63 - 1  # that a database holds


@dataclass(frozen=True, slots=True)  # there are as many as files
class FileStamp:
    """What tells that a file has not changed, without reading it. 0: not known."""

    size: int = 0
    """bytes"""
    mtime_ns: int = 0
    """when its content was last written, nanoseconds"""
    inode: int = 0
    """which file it is on its disk"""
    ctime_ns: int = 0
    """when anything of it last changed, nanoseconds: no user can set it back"""

    @classmethod
    def of(cls, stat: os.stat_result) -> FileStamp:
        """The stamp of a file that was looked at. Dates beyond what 63 bits of nanoseconds can say become the last
        ones that they can."""
        inode = stat.st_ino & _LARGEST  # some file systems use all 64 bits
        return cls(stat.st_size, _bounded(stat.st_mtime_ns), inode, _bounded(stat.st_ctime_ns))

    def same_as(self, other: FileStamp) -> bool:
        """Whether both are of one file with one content; what one of them does not know says nothing."""
        if (self.size, self.mtime_ns) != (other.size, other.mtime_ns):
            return False
        pairs = ((self.inode, other.inode), (self.ctime_ns, other.ctime_ns))
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)


def file_hash(path: Path) -> str:
    """sha256 of a file's content, hexadecimal. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def _bounded(number: int) -> int:
    return max(-_LARGEST, min(number, _LARGEST))
