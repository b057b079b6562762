"""The folders that clients may name: below those that the server was started with, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from facesearch.server.errors import RefusedError

_MOST_SHOWN = 1_000


class Roots:
    """Folders by number, from 0, and what lies below them."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(root.resolve() for root in roots)

    def names(self) -> list[str]:
        """What clients see of each: its name."""
        return [root.name or str(root) for root in self._roots]

    def place(self, root: int, below: str) -> Path:
        """A path below a root, which need not be there. Raises RefusedError for one that leads elsewhere."""
        if not self._roots:
            raise RefusedError(409, "no_root", "the server was started without folders to look into: give it a --root")
        if not 0 <= root < len(self._roots):
            raise RefusedError(404, "not_found", f"there is no root {root}: give a number that the gallery lists")
        parts = PurePosixPath(below).parts
        plain = not below.startswith("/") and ".." not in parts and "\0" not in below and "\\" not in below
        found = self._resolved(root, parts) if plain else None
        if found is None:
            raise RefusedError(
                422, "outside", "the folder lies outside what may be looked into: give one below the root"
            )
        return found

    def _resolved(self, root: int, parts: Sequence[str]) -> Path | None:
        """None for what leads elsewhere, as a link may."""
        try:
            found = self._roots[root].joinpath(*parts).resolve()
            found.is_dir()
        except (OSError, ValueError, RuntimeError):  # a name that is too long, links in a circle
            return None
        return found if found.is_relative_to(self._roots[root]) else None

    def folders(self, root: int, below: str) -> list[str]:
        """The names of the folders in a folder. Raises RefusedError where there is none."""
        place = self.place(root, below)
        if not place.is_dir():
            raise RefusedError(404, "not_found", "there is no such folder: give one that is listed")
        found = (path for path in place.iterdir() if not path.name.startswith(".") and path.is_dir())
        return sorted((path.name for path in found if _is_text(path.name)), key=str.casefold)[:_MOST_SHOWN]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
