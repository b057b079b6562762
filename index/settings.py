"""Small files of settings: JSON that carries a digest of itself, and is read without trust."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

_MOST = 2**20  # bytes of a file of settings
_SUM = "sha256"
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def settings_text(content: Mapping[str, Any]) -> bytes:
    """JSON with a digest of it, which tells damage."""
    found = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps({**content, _SUM: found}, indent=2) + "\n").encode()


def read_settings(path: Path) -> dict[str, Any]:
    """What `settings_text` made, without following a link of its name. Raises OSError, ValueError for what is no plain
    file, too large, or not what was written."""
    with os.fdopen(os.open(path, os.O_RDONLY | _NOT_FOLLOWED), "rb") as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no plain file")
        text = file.read(_MOST + 1)
    try:
        content = json.loads(text) if len(text) <= _MOST else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON of ours: {error}") from error
    if not isinstance(content, dict) or content.pop(_SUM, "") == "" or settings_text(content) != text:
        raise ValueError("it is not what was written")
    return content
