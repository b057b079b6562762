"""What a store says, as a disk would say it: of a file how it is now, and why it refuses.

What a store refuses, for whatever reason, is a StoreError: the next try may go well, and nobody must believe that a
file has gone or is damaged.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from errno import EREMOTEIO
from hashlib import blake2b
from pathlib import Path
from typing import Any

_S3 = ("s3", "s3a")
_KEYS = "$AWS_PROFILE, or $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "uid")


class StoreError(OSError):
    """A store that does not answer, or refuses: nothing is known of what lies there."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def stat_of(told: dict[str, Any]) -> os.stat_result:
    """What a store tells of a file, as a disk tells it. inode: of its tag, which changes with the content. A store that
    says neither when nor what has changed by now, so that the content has to say it."""
    kind = stat.S_IFDIR if told["type"] == "directory" else stat.S_IFREG
    tag = next((str(told[name]).strip('"') for name in _TAGS if told.get(name)), "")
    seconds = next((_seconds(told[name]) for name in _TIMES if told.get(name)), 0 if tag else time.time_ns() // 10**9)
    inode = int.from_bytes(blake2b(tag.encode(), digest_size=8).digest(), "big") >> 1 if tag else 0
    values = (kind | 0o444, inode, 0, 1, 0, 0, int(told["size"] or 0), seconds, seconds, 0)
    return os.stat_result(values, {"st_mtime": float(seconds), "st_mtime_ns": seconds * 10**9, "st_ctime_ns": 0})


def _seconds(when: Any) -> int:
    """Whole ones: a listing may know more of them than a look at the file does."""
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return int(when.timestamp() if isinstance(when, datetime) else when)


def patience_with(address: str) -> dict[str, Any]:
    """How long S3 is waited for, unless fsspec's own settings say it: 10 s for a connection, a minute for bytes."""
    from fsspec.config import conf

    if address.partition("://")[0] not in _S3 or "config_kwargs" in conf.get("s3", {}):
        return {}
    return {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 1}}}


@contextmanager
def told_by(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a store is a StoreError; libraries of stores raise what they like. What they say in
    addresses behind a question mark may be a secret."""
    try:
        yield
    except (StoreError, FileNotFoundError):
        raise
    except Exception as error:
        raise StoreError(EREMOTEIO, _refused(path, error), str(path)) from error


def _refused(path: Path, error: Exception) -> str:
    """What a store said, and how to mend it where that is known: of a look at one file S3 says `Forbidden`, no more."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    plain = re.sub(r"\?\S+", "?...", said.replace(str(path), ""))[:200].rstrip(".")
    scheme, _, key = str(path).partition("://")
    holder, kind = key.partition("/")[0], type(error).__name__
    if scheme in _S3 and isinstance(error, PermissionError):
        rights = "list and read it (s3:ListBucket, s3:GetObject)"
        return f"the bucket {holder} refuses (403: {plain}): let these keys {rights}, or give others by {_KEYS}"
    if isinstance(error, PermissionError):
        return f"{holder} refuses ({plain}): let these keys list and read it, or give others"
    keys = f": give them by {_KEYS}, or say $FSSPEC_S3_ANON=true where none are needed"
    return f"the store does not answer ({kind}: {plain}){keys if kind == 'NoCredentialsError' else ''}"
