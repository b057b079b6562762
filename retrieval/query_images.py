"""The pictures that a command is to query with: one, several, whole folders, or as standard input names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.errors import ImageError, UsageError
from faceedit.text import printable
from index.stored import place_of
from retrieval.checks import require_file, require_picture_name
from retrieval.kinds import find_images

if TYPE_CHECKING:
    from retrieval.answers import Answer
    from retrieval.source import Source

_STANDARD_INPUT = Path("-")


@dataclass(frozen=True)
class Asked:
    """images: files and folders; - stands for the paths on standard input; person: somebody of the gallery instead;
    face: which of those in an image. Raises UsageError for both, or neither."""

    images: Sequence[Path]
    person: str | None = None
    face: int | None = None

    def __post_init__(self) -> None:
        if bool(self.images) == (self.person is not None) or (self.person is not None and self.face is not None):
            raise UsageError("say whom to ask for: images, or --person NAME or NUMBER, who has no --face")

    @property
    def single(self) -> Path | None:
        """The one image, or the name of a person; None when there may be several."""
        if self.person is not None:
            return Path(self.person)
        one = self.images[0]
        return one if len(self.images) == 1 and one != _STANDARD_INPUT and not one.is_dir() else None

    def require(self, sheet: Path | None, as_json: bool) -> None:
        """Refuse what cannot be read, or answered in such a form, before the gallery is opened. Raises UsageError,
        ImageError, NoImagesError."""
        if self.single is None and (as_json or sheet is not None):
            raise UsageError(f"{'--sheet' if sheet else '--json'} is for one image: take --jsonl or --csv for several")
        for image in self.images:
            if image.is_dir():
                find_images(image)
            elif image != _STANDARD_INPUT:
                require_file(image, "an image")
        if sheet is not None:
            require_picture_name(sheet, None if self.person is not None else self.single)

    def sources(
        self, lines: Iterable[str], read: Callable[[Path], Source], skipped: Callable[[str], None]
    ) -> Iterator[tuple[Path, Source | None]]:
        """Each of `each` with what is read there, a person with nothing. Of several images those that cannot be read
        are told to `skipped`. Raises ImageError for the only one."""
        for image in self.each(lines):
            try:
                source = None if self.person is not None else read(image)
            except ImageError as error:
                if self.single is not None:
                    raise
                skipped(printable(str(error)))
            else:
                yield image, source

    def each(self, lines: Iterable[str]) -> Iterator[Path]:
        """Every image that is meant, one at a time, or the name of the person; lines: of standard input, which are read
        as they come."""
        if self.person is not None:
            yield Path(self.person)
        for image in self.images:
            if image == _STANDARD_INPUT:
                names = (
                    line.removeprefix("\ufeff").rstrip("\r\n") for line in lines
                )  # as lists of Windows begin and end
                yield from (place_of(name) for name in names if name)
            elif image.is_dir():
                yield from find_images(image)
            else:
                yield image


@dataclass
class Outcome:
    """tell: is told of pictures that cannot be read; failed: how many these are; answered: how many queries; found:
    whether any found somebody."""

    tell: Callable[[list[str]], None]
    failed: int = 0
    answered: int = 0
    found: bool = False

    def skip(self, reason: str) -> None:
        """A picture that cannot be read."""
        self.failed += 1
        self.tell([reason])

    def count(self, answers: Iterable[Answer]) -> None:
        """One more query, and what was answered."""
        self.answered += 1
        self.found |= any(answer.results for answer in answers)

    def missing(self, max_distance: float | None) -> tuple[str, list[str]] | None:
        """What was not done or not found: what that is, and a line of it; None where nothing is missing."""
        if self.failed:
            return "warning", [f"{self.failed:,} of the images could not be queried with"]
        if not self.answered:
            return "nothing asked", ["no image was named on standard input"]
        if not self.found:
            within = "" if max_distance is None else f", within a distance of {max_distance:g}"
            return "nothing found", [f"no picture of the gallery meets the conditions{within}"]
        return None
