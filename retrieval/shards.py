"""Parts of a folder's files for several processes at once: each file belongs to one, by its name alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

from faceedit.errors import UsageError
from retrieval.kinds import Sorted
from retrieval.names import Names, Pictures

MOST = 100_000
TURN = 600.0  # seconds that a shard waits until it may write
_TEXT = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """The part `number` of `count`, from 0. A path belongs to the same part on every machine, whatever else there
    is."""

    number: int
    count: int

    def __post_init__(self) -> None:
        """Raises UsageError for what is no part."""
        if not 0 < self.count <= MOST or not 0 <= self.number < self.count:
            raise UsageError(
                f"no shard {self.number}/{self.count}: give a number and how many there are, up to {MOST:,}; they are "
                "counted from 0, as 0/4, 1/4, 2/4 and 3/4"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, path: str) -> bool:
        """Whether the file at this path below the image root belongs to it."""
        digest = blake2b(os.fsencode(path), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number

    def of(self, found: Sorted, below: str) -> Sorted:
        """Of what lies below a folder this part. below: the folder's path below the image root, empty or with a slash
        at its end. Folders that cannot be read concern every part."""
        names = Names(name for name in found.pictures.names if self.has(below + name))
        return replace(
            found,
            pictures=Pictures(found.pictures.root, names),
            passed=[(name, kind) for name, kind in found.passed if self.has(below + name)],
            new=[passed for passed in found.new if self.has(passed.path)],
            gone=self.among(found.gone),
        )

    def among(self, paths: Iterable[str]) -> list[str]:
        """Those of these paths below the image root that belong to it."""
        return [path for path in paths if self.has(path)]


def read_shard(given: str | Shard) -> Shard:
    """What `3/64` says. Raises UsageError."""
    if isinstance(given, Shard):
        return given
    found = _TEXT.fullmatch(given)
    if found is None:
        raise UsageError(f"the shard is {given!r:.40}: give its number and how many there are, as 3/64")
    return Shard(int(found[1]), int(found[2]))


def require_whole(shard: Shard | None, **wishes: object) -> None:
    """Raise UsageError for what is asked of a shard and takes a look at all files. wishes: options by name, nothing
    where they are not given."""
    asked = [name for name, given in wishes.items() if given]
    if shard is not None and asked:
        raise UsageError(
            f"{' and '.join(asked)} with a shard: a shard knows only its part; say so to a run over the whole folder, "
            "after all shards"
        )
