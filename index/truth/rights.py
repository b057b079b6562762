"""What a writer may have of a gallery to itself: all of it, a moment, or a folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """Where only one writes at a time, each of them is the right to write at all. kind: which of those below; folder:
    that is claimed, below the images' folder."""

    kind: str
    folder: str = ""

    @property
    def folders(self) -> list[str]:
        """The folder, and those that it lies in, the outermost first."""
        parts = self.folder.split("/") if self.folder else []
        return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


WHOLE = Right("whole")
"""Nobody else writes."""
TURN = Right("turn")
"""Nobody else writes for a moment; others hold their claims meanwhile."""


def claim(folder: str) -> Right:
    """Nobody else claims this folder, one in it, or one that it lies in."""
    return Right("claim", folder)
