"""Writing files so that a reader finds the whole of one or none of it."""

from __future__ import annotations

from pathlib import Path


def write_whole(file: Path, data: bytes) -> None:
    """Write beside the file, then take its name. Raises OSError; what was there before then stays."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(data)
    partial.replace(file)
