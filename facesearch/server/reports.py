"""Evaluations that were made here: their figures, a file each in the gallery's folder, and no picture of anybody."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import Any

from facesearch.server.errors import RefusedError
from index.plain import not_following
from index.whole import replaced

FOLDER = "reports"
KEPT = 50  # the last of them
_LARGEST_FILE = 1_000_000
_DEEPEST = 8
_NAME = re.compile(r"([1-9]\d{0,8})\.json")


class Reports:
    """The reports of one gallery, by number. May be shared by threads."""

    def __init__(self, gallery: Path) -> None:
        self._folder = gallery / FOLDER
        self._lock = Lock()

    def keep(self, figures: dict[str, Any]) -> int:
        """One more; its number. The oldest goes where there are too many. Raises OSError."""
        with self._lock:
            if self._folder.is_symlink():
                raise OSError(f"{self._folder} is a link: delete it")
            self._folder.mkdir(parents=True, exist_ok=True)
            numbers = list(self._numbers())
            number = max(numbers, default=0) + 1
            made = {"made": datetime.now(UTC).isoformat(timespec="seconds"), **figures}
            replaced(self._path(number), json.dumps(made, allow_nan=False).encode())
            for old in sorted(numbers)[: max(0, len(numbers) + 1 - KEPT)]:
                self._path(old).unlink(missing_ok=True)
        return number

    def all(self) -> list[dict[str, Any]]:
        """Number and figures of each that can be read, the newest first."""
        read = ((number, self._read(number)) for number in sorted(self._numbers(), reverse=True)[:KEPT])
        return [{"id": number, "figures": figures} for number, figures in read if figures is not None]

    def get(self, number: int) -> dict[str, Any]:
        """The figures of one. Raises RefusedError where there is none."""
        figures = self._read(number)
        if figures is None:
            raise RefusedError(
                404, "not_found", f"there is no report {number}: give one that the list of reports shows"
            )
        return figures

    def remove(self, number: int) -> None:
        """Delete one. Raises RefusedError where there is none."""
        self.get(number)
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"

    def _numbers(self) -> Iterator[int]:
        with suppress(OSError):
            if not self._folder.is_symlink():
                yield from (int(found[1]) for path in self._folder.iterdir() if (found := _NAME.fullmatch(path.name)))

    def _read(self, number: int) -> dict[str, Any] | None:
        """None for what is none of ours, or damaged: a gallery may come from a stranger."""
        path = self._path(number)
        try:
            if self._folder.is_symlink() or not S_ISREG(path.lstat().st_mode) or path.stat().st_size > _LARGEST_FILE:
                return None
            with open(path, "rb", opener=not_following) as file:
                found = json.loads(os.read(file.fileno(), _LARGEST_FILE), parse_constant=_refused)
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) and _is_plain(found, _DEEPEST) else None


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _is_plain(value: Any, deep: int) -> bool:
    """Whether it is what can be sent on: finite numbers, not too deep."""
    if isinstance(value, dict):
        return deep > 0 and all(_is_plain(one, deep - 1) for one in value.values())
    if isinstance(value, list):
        return deep > 0 and all(_is_plain(one, deep - 1) for one in value)
    return not isinstance(value, float) or math.isfinite(value)
