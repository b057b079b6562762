"""What Linux says of running processes."""

from __future__ import annotations

from pathlib import Path


def children(pid: int) -> list[int]:
    """Of all threads of a process; none where it has gone."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(one) for thread in threads for one in (thread / "children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Children, and theirs."""
    own = children(pid)
    return [*own, *(one for child in own for one in descendants(child))]


def memory(pid: int) -> int:
    """Bytes that a process occupies, its share of what it shares with others; 0 where it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
