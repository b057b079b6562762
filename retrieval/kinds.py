"""What files are by their first bytes, where their suffixes do not say; what is known of them is not read again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faceedit.formats import DECODERS, MISSING, SUFFIXES, first_bytes, kind_of
from index.gallery import Gallery, Passed
from retrieval.checks import is_unicode
from retrieval.errors import NoImagesError
from retrieval.folder import Listing, Refused, in_order, list_folder, require_folder, stamp_of, suffix_of
from retrieval.passing import USUAL, Looks

NO_SUFFIX, OTHERS = "without a suffix", "of other kinds"
_LONGEST = 12  # characters of a suffix that says anything


@dataclass
class Sorted:
    """pictures: absolute paths in order; passed: names below the listed folder that are passed over, and as what;
    refused: files and folders that cannot be read, and why; new: what to remember of files that are no pictures, by
    their paths in the gallery; gone: paths of which nothing need be remembered any more."""

    pictures: list[Path] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)
    refused: Refused = field(default_factory=list)
    new: list[Passed] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def find_images(root: Path, refused: Refused | None = None, looks: Looks = USUAL) -> list[Path]:
    """The pictures below a folder, as absolute paths in order.

    refused: files and folders that may not be read are added to it, with the reason. Raises NoImagesError for what is
    no folder, and where there is no picture.
    """
    require_folder(root)
    found = sort_out(list_folder(root, looks))
    require_pictures(root, found)
    if refused is not None:
        refused += found.refused
    return found.pictures


def look_through(folder: Path, looks: Looks, own: Collection[Path], gallery: Gallery | None) -> Sorted:
    """What lies below a folder, of which a gallery may know something already; nothing where the folder is not there.

    own: files and folders that are left out without a word, as the gallery's own."""
    root = folder.resolve()
    listing = list_folder(folder, looks, own) if root.is_dir() else Listing(root)
    if gallery is None or not root.is_relative_to(gallery.config.image_root):
        return sort_out(listing)
    name = root.relative_to(gallery.config.image_root).as_posix()
    below = "" if name == "." else f"{name}/"
    remembered = gallery.passed()
    asked = [below + other for other in listing.others if below + other not in remembered and is_unicode(other)]
    return sort_out(listing, below, gallery.ids_of(asked).keys(), remembered)


def require_pictures(root: Path, found: Sorted) -> None:
    """Raise NoImagesError where a folder holds no picture."""
    require_folder(root)
    if found.pictures:
        return
    if found.refused:
        raise NoImagesError(f"{found.refused[0][1]}; nothing else below {root} is an image")
    known = " ".join(sorted(SUFFIXES))
    passed = f"; passed over: {counts_text(found.passed)}" if found.passed else ""
    raise NoImagesError(f"{root} holds no image ({known}){passed}: give the folder of the gallery's images")


def counts_text(passed: list[tuple[str, str]]) -> str:
    """How much is passed over as what, most first: '3 .txt, 1 hidden'."""
    kinds = Counter(kind for _, kind in passed)
    return ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items(), key=lambda one: (-one[1], one[0])))


def sort_out(
    listing: Listing,
    below: str = "",
    known: Collection[str] = frozenset(),
    remembered: Mapping[str, Passed] | None = None,
) -> Sorted:
    """Which files of a folder are pictures.

    below: the folder's path in the gallery, empty or with a slash at its end; known: paths of files there that are
    pictures; remembered: those that are none.
    """
    found = Sorted(passed=list(listing.passed), refused=list(listing.refused))
    before = {path: passed for path, passed in (remembered or {}).items() if path.startswith(below)}
    names = list(listing.pictures)
    for name in listing.others:
        path = below + name
        try:
            kind = None if path in known else _kind(f"{listing.root}{os.sep}{name}", path, before, found)
        except OSError as error:
            place = listing.root / name
            found.refused.append((place, f"{place} cannot be read ({error.strerror}): check its permissions"))
            continue
        if kind is None:
            names.append(name)
        else:
            found.passed.append((name, kind))
    found.gone = list(before)
    found.passed = in_order(found.passed, lambda passed: passed[0])
    found.pictures = [listing.root / name for name in in_order(names)]
    return found


def _kind(place: str, path: str, before: dict[str, Passed], found: Sorted) -> str | None:
    """As what a file is passed over; None for a picture. What is still true of it is taken out of `before`."""
    stamp, known = stamp_of(place), before.get(path)
    if known and stamp and known.reader == DECODERS and known.stamp.same_as(stamp):
        del before[path]
        return known.kind
    kind = kind_of(first_bytes(Path(place)), stamp.size if stamp else None)
    if kind is not None and kind not in MISSING:
        return None
    kind = kind or _by_suffix(place)
    if stamp and is_unicode(path):
        before.pop(path, None)
        found.new.append(Passed(path, kind, stamp, DECODERS))
    return kind


def _by_suffix(place: str) -> str:
    suffix = suffix_of(os.path.basename(place))  # noqa: PTH119
    if not suffix:
        return NO_SUFFIX
    return suffix if len(suffix) <= _LONGEST and suffix[1:].isascii() and suffix[1:].isalnum() else OTHERS
