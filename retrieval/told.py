"""What a gallery's owner was told once and need not be told again: `told.json` in its folder, which may be deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from index.settings import read_settings, settings_text
from index.whole import replaced
from retrieval.levels import SameName

_TOLD = "told.json"
_NAMES = "same_names"


def untold(folder: Path, found: Sequence[SameName]) -> list[SameName]:
    """Those names of which a folder was not told of before; from now on they were. folder: the gallery's."""
    before = _read(folder)
    keys = {one: {_key(one, place) for place in one.folders} for one in found}
    new = [one for one in found if not keys[one] <= before]
    if new:
        after = sorted(before.union(*keys.values()))
        with suppress(OSError):  # then it is told again
            replaced(folder / _TOLD, settings_text({_NAMES: after}))
    return new


def forget_told(folder: Path) -> None:
    """As if nothing was told: what is remembered stands for names."""
    (folder / _TOLD).unlink(missing_ok=True)


def _read(folder: Path) -> set[str]:
    """Nothing where it cannot be read, or is damaged: then it is told again."""
    try:
        return set(map(str, read_settings(folder / _TOLD)[_NAMES]))
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _key(one: SameName, folder: str) -> str:
    return hashlib.sha256(f"{one.identity}\0{folder}".encode()).hexdigest()[:8]
