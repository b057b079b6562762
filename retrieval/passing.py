"""What in a folder is no picture of anybody's by its name alone: thumbnails, trash, and what a user leaves out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

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
    """How a folder is looked through. exclude: globs of names, or, with a slash, of paths below it, which are passed
    over besides what always is; follow_links: also into folders that a link leads to."""

    exclude: tuple[str, ...] = ()
    follow_links: bool = False

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
        excluded = self.exclude and (self._names.fullmatch(name) or self._paths.fullmatch(path))
        return EXCLUDED if excluded else None

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return _pattern([glob.strip("/") for glob in self.exclude if "/" not in glob.rstrip("/")])

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        return _pattern([glob.removeprefix("./").strip("/") for glob in self.exclude if "/" in glob.rstrip("/")])


USUAL = Looks()


def _pattern(globs: list[str]) -> re.Pattern[str]:
    """What any of the globs means; nothing for none."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")
