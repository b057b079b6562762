"""Which of the folders that a picture lies in is the person: its own, the outermost, or another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from faceedit.errors import UsageError
from faceedit.text import printable
from index.config import IDENTITY_LEVEL
from index.labels import text_key
from retrieval.tables import counted

FIRST, LAST = "first", "last"
_SHOWN = 3  # folders named in a warning


def read_level(given: str | int) -> str:
    """first, last, or a number from 1, the outermost folder below the images' root. Raises UsageError."""
    text = str(given)
    if IDENTITY_LEVEL.fullmatch(text):
        return text
    raise UsageError(f"the identity level is {text!r:.40}: give first, last, or which folder from the top, such as 2")


def person_of(name: str, level: str = LAST) -> str | None:
    """Who a picture shows, as its folders say; None where it lies in none. name: its path below the root. A picture in
    fewer folders than that takes its own."""
    *folders, _ = name.split("/")
    if not folders:
        return None
    return folders[-1] if level == LAST else folders[min(1 if level == FIRST else int(level), len(folders)) - 1]


@dataclass(frozen=True)
class SameName:
    """A folder's name that stands below several folders, so that their pictures are taken for one person. identity: the
    name; folders: their paths below the root; level: that by which they are several people."""

    identity: str
    folders: tuple[str, ...]
    level: str


def same_names(names: Iterable[str]) -> list[SameName]:
    """Of pictures whose own folders name them. names: their paths below the root."""
    places: dict[str, dict[str, str]] = {}  # by the key of the name, folders by theirs
    for folder in dict.fromkeys(name.rpartition("/")[0] for name in names):
        if folder:
            places.setdefault(text_key(folder.rpartition("/")[2]), {}).setdefault(text_key(folder), folder)
    found = (_same_name(sorted(some.values())) for some in places.values() if len(some) > 1)
    return [one for one in found if one is not None]


def _same_name(folders: list[str]) -> SameName | None:
    """None where every level names one person, as of anna and anna/anna."""
    keys: dict[str, str] = {}  # each once: of folders that lie deep in one another there are many
    parts = [tuple(keys.setdefault(key, key) for key in map(text_key, folder.split("/"))) for folder in folders]
    for level in range(1, max(map(len, parts)) + 1):
        if len({part[min(level, len(part)) - 1] for part in parts}) > 1:
            return SameName(folders[0].rpartition("/")[2], tuple(folders), FIRST if level == 1 else str(level))
    return None


def told(found: list[SameName]) -> str:
    """Both readings, and how to choose one."""
    one = found[0]
    people = list(dict.fromkeys(str(person_of(f"{folder}/x", one.level)) for folder in one.folders))
    shown = ", ".join(one.folders[:_SHOWN]) + (", ..." if len(one.folders) > _SHOWN else "")
    others = ", ".join(people[:_SHOWN]) + (", ..." if len(people) > _SHOWN else "")
    also = f" (and {counted(len(found) - 1, 'name')} more)" if len(found) > 1 else ""
    return printable(
        f"the folders {shown}{also} are taken for one person, {one.identity}. If the people are {others}, say "
        f"--identity-level {one.level}; if it is {one.identity}, --identity-level last: either is remembered"
    )
