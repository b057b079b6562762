"""Which images of a gallery have lost their files, and whether that may be believed: a disk that is not there looks as
if everything on it was deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceedit.text import printable
from index.gallery import Face, Gallery
from index.stored import scan
from retrieval.comparing import Comparison
from retrieval.errors import PruneError
from retrieval.kinds import holds_picture
from retrieval.passing import USUAL, Looks
from retrieval.reading import ReadsFiles
from retrieval.tables import counted

_FEW = 5  # places that one line names


@dataclass(frozen=True)
class Gone:
    """images: those whose files are not there; of: how many the gallery holds; doubts: why that may be so without
    anybody having deleted them, one for each place, empty where nothing speaks for it."""

    images: tuple[Face, ...]
    of: int
    doubts: tuple[str, ...]

    @property
    def text(self) -> str:
        """What would be removed, and what speaks against it, on one line."""
        more = f"; and {len(self.doubts) - _FEW:,} more" if len(self.doubts) > _FEW else ""
        doubts = "; ".join(self.doubts[:_FEW]) + more
        return f"--prune would remove {len(self.images):,} of {counted(self.of, 'image')}: {doubts}"

    def lines(self) -> list[str]:
        """Which they are, for people."""
        return [printable(face.path) for face in self.images]

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {"would_remove": [face.path for face in self.images], "of": self.of, "doubts": list(self.doubts)}

    def warnings(self) -> list[str]:
        """How many they are, and what speaks against it."""
        asked = "is a disk missing? Only --yes removes them without asking"
        doubts = (f"warning: {doubt}: {asked}" for doubt in self.doubts)
        return [f"{counted(len(self.images), 'image')} of {self.of:,} would be removed", *doubts]


Ask = Callable[[Gone], bool]
"""Whether so much is to be removed."""


def refuse(gone: Gone) -> bool:
    """Nobody can be asked. Raises PruneError."""
    raise PruneError(
        f"{gone.text}: is a disk missing? Nothing was removed or described. Bring it back, or say --yes to remove "
        "them; --prune --dry-run lists them"
    )


def judged(gone: Iterable[Face], of: int, places: Places) -> Gone:
    """Images whose files have gone, and what speaks against removing them. of: how many images the gallery holds."""
    images = tuple(gone)
    lost = Counter(place for face in images if (place := places.lost_with(face.path)) is not None)
    doubts = [f"{place} {_why(place, places.unlisted)} ({counted(number, 'image')})" for place, number in lost.items()]
    if not doubts and len(images) > of / 2:
        doubts = ["it is most of the gallery"]
    return Gone(images, of, tuple(map(printable, doubts)))


def would_go(
    gallery: Gallery, pictures: Sequence[Path], looks: Looks, unlisted: Collection[Path], reader: ReadsFiles
) -> Gone:
    """What `--prune` would remove of a gallery now, after looking through a folder; nothing is changed. unlisted:
    folders that could not be read."""
    compared = Comparison(gallery, reader, gallery.undescribed())
    compared.look(pictures)
    compared.lost()
    moved = {face.id for face in compared.renames()[0].moved.values()}
    left = [face for face in compared.gone if face.id not in moved]
    return judged(left, gallery.count_photos(), Places(gallery.config.image_root, looks, unlisted))


class Places:
    """The folders below an image root, as they are now: also those that were not looked through. looks: how the others
    were; unlisted: those that could not be read."""

    def __init__(self, root: Path, looks: Looks = USUAL, unlisted: Collection[Path] = frozenset()) -> None:
        self.unlisted = {str(folder) for folder in unlisted}
        self._root, self._follow_links = root, looks.follow_links
        self._holds: dict[str, bool] = {}

    def lost_with(self, path: str) -> Path | None:
        """The place with which a picture went: a whole folder, or a link whose end is not there; None where it alone
        went."""
        for end in (0, *(place for place, letter in enumerate(path) if letter == "/")):
            folder = self._root / path[:end]
            if str(folder) in self.unlisted or not self._holds_picture(folder):
                return folder
        return self._root / path if (self._root / path).is_symlink() else None

    def _holds_picture(self, folder: Path) -> bool:
        """Whether a picture lies in it or anywhere below it."""
        name = str(folder)
        if name not in self._holds:
            self._holds[name] = holds_picture(folder, self._follow_links)
        return self._holds[name]


def _why(place: Path, unlisted: Collection[str]) -> str:
    """What is to be seen where pictures were."""
    if str(place) in unlisted and place.exists():
        return "cannot be read"
    if place.is_symlink() and not place.exists():
        return "is a link that leads nowhere"
    try:
        with scan(str(place)) as entries:
            return "is empty" if next(entries, None) is None else "holds no picture any more"
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
