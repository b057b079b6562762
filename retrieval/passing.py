"""What in a folder is no picture of anybody's by its name alone: thumbnails, trash, and what a user leaves out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase, translate
from functools import cached_property
from pathlib import Path

from faceedit.errors import UsageError

HIDDEN, EXCLUDED = "hidden", "excluded"
NAMES = (  # what NAS, disks and archives put beside pictures; whatever the case
    *("@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN", "lost+found", "__MACOSX"),
    *("System Volume Information", "Network Trash Folder", "Temporary Items", "Thumbs.db", "ehthumbs.db"),
    *("ehthumbs_vista.db", "desktop.ini"),
)
ENDINGS = {  # of files
    "thumbnails": (".thm",),  # JPEGs that cameras put beside their videos
    "unfinished": (".part", ".partial", ".crdownload", ".download", ".tmp"),
    "backups": ("~", "_original"),  # of editors, and of exiftool
    "camera raw": tuple(  # most begin as a TIFF does, with a small picture that a decoder takes for the whole
        ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 "
        ".rwl .sr2 .srf .srw .x3f".split()
    ),
}
_BY_NAME = {name.lower(): name for name in NAMES}
_ANY_ENDING = tuple(ending for endings in ENDINGS.values() for ending in endings)


@dataclass(frozen=True)
class Looks:
    """How a folder is looked through. exclude: globs of names, or, with a slash, of paths below it or absolute ones,
    which are passed over besides what always is; follow_links: also into folders that a link leads to."""

    exclude: tuple[str, ...] = ()
    follow_links: bool = False

    def below(self, folder: Path) -> Looks:
        """The same with globs of paths below this folder instead of absolute ones, which may name it by any links."""
        places = {os.path.abspath(folder), str(folder.resolve())}  # noqa: PTH100, which follows links
        more = [below for glob in self.exclude if _is_absolute(glob) for below in _inside(glob, places)]
        return replace(self, exclude=(*self.exclude, *more))

    def unmatched(self, folder: Path, passed: Iterable[tuple[str, str]]) -> list[str]:
        """The absolute globs that nothing is passed over for, of a folder. passed: names below it, and as what."""
        absolute = [glob for glob in self.exclude if _is_absolute(glob)]
        if not absolute:
            return []
        left_out = [name for name, kind in passed if kind == EXCLUDED]
        return [glob for glob in absolute if not Looks((glob,)).below(folder).matches_any(left_out)]

    def matches_any(self, names: Iterable[str]) -> bool:
        """Whether one of these paths below the folder is passed over for a glob."""
        return any(self._is_excluded(name.rpartition("/")[2], name) for name in names)

    def __post_init__(self) -> None:
        """Raises UsageError for a glob that means nothing."""
        for glob in self.exclude:
            if not glob.strip("/."):
                raise UsageError(f"--exclude {glob!r} names nothing: give a glob such as 'old*' or 'anna/raw'")

    def passes_over(self, name: str, path: str, is_folder: bool) -> str | None:
        """As what a file or folder of this name, at this path below the folder, is passed over; None where it is looked
        at."""
        if name[0] == ".":
            return HIDDEN
        small = name.lower()
        if small in _BY_NAME:
            return _BY_NAME[small]
        if small.endswith(_ANY_ENDING) and not is_folder:
            return next(kind for kind, endings in ENDINGS.items() if small.endswith(endings))
        return EXCLUDED if self.exclude and self._is_excluded(name, path) else None

    def _is_excluded(self, name: str, path: str) -> bool:
        return bool(self._names.fullmatch(name) or self._paths.fullmatch(path))

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return _pattern([glob.strip("/") for glob in self.exclude if "/" not in glob.rstrip("/")])

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        globs = [glob.removeprefix("./").strip("/") for glob in self.exclude if "/" in glob.rstrip("/")]
        return _pattern([*globs, *(glob.removeprefix("**/") for glob in globs if glob.startswith("**/"))])


USUAL = Looks()


def _is_absolute(glob: str) -> bool:
    return glob.startswith(("/", "~/"))


def _inside(glob: str, places: Iterable[str]) -> list[str]:
    """What an absolute glob means below a folder, by any of that folder's own absolute paths: a slash and the rest, so
    that it is of a path also where only a name is left."""
    asked = os.path.expanduser(glob).rstrip("/").split("/")  # noqa: PTH111, a glob is no path
    found = []
    for place in places:
        above = place.rstrip("/").split("/")
        fits = (name in (part, "") or fnmatchcase(part, name) for part, name in zip(above, asked, strict=False))
        if len(asked) > len(above) and all(fits):
            found.append("/" + "/".join(asked[len(above) :]))
    return found


def _pattern(globs: list[str]) -> re.Pattern[str]:
    """What any of the globs means; nothing for none."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")
