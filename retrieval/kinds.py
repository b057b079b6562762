"""What files are by their first bytes, where their suffixes do not say; what is known of them is not read again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from faceedit.formats import MISSING, SUFFIXES, decoders, first_bytes, kind_of
from index.gallery import Gallery, Passed
from index.stored import Entry, is_address, place_of, scan
from retrieval.checks import is_unicode
from retrieval.errors import NoImagesError
from retrieval.folder import Listing, Refused, in_order, is_folder, list_folder, require_folder, stamp_of, suffix_of
from retrieval.names import Pictures
from retrieval.passing import USUAL, Looks

NO_SUFFIX, OTHERS = "without a suffix", "of other kinds"
_LONGEST = 12  # characters of a suffix that says anything


@dataclass
class Sorted:
    """pictures: absolute paths in order; passed: names below the listed folder that are passed over, and as what;
    refused: files and folders that cannot be read, and why; new: what to remember of files that are no pictures, by
    their paths in the gallery; gone: paths of which nothing need be remembered any more."""

    pictures: Pictures
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
    return list(found.pictures)


def look_through(folder: Path, looks: Looks, own: Collection[Path], gallery: Gallery | None) -> Sorted:
    """What lies below a folder, of which a gallery may know something already; nothing where the folder is not there.

    own: files and folders that are left out without a word, as the gallery's own."""
    root = folder.resolve()
    listing = list_folder(folder, looks, own) if is_folder(root) else Listing(root)
    if gallery is None or not root.is_relative_to(gallery.config.image_root):
        return sort_out(listing)
    below = below_root(root, gallery.config.image_root)
    return sort_out(listing, below, lambda paths: gallery.ids_of(paths).keys(), gallery.passed())


def below_root(folder: Path, root: Path) -> str:
    """The path of a folder below an image root, empty or with a slash at its end."""
    name = folder.relative_to(root).as_posix()
    return "" if name == "." else f"{name}/"


def holds_picture(folder: Path, follow_links: bool = False) -> bool:
    """Whether a picture lies in a folder or anywhere below it, but in what is passed over by name; no more is looked at
    than it takes to find one."""
    waiting, seen = [str(folder)], set[str]()
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place) if follow_links and not is_address(place) else place
        if real in seen:
            continue
        seen.add(real)
        with suppress(OSError), scan(place) as entries:
            for entry in entries:
                if USUAL.passes_over(entry.name, entry.name, entry.is_dir()) is not None:
                    continue
                if entry.is_dir(follow_symlinks=follow_links):
                    waiting.append(entry.path)
                elif _is_picture(entry):
                    return True
    return False


def _is_picture(entry: Entry) -> bool:
    if not entry.is_file():
        return False
    with suppress(OSError):
        if suffix_of(entry.name) in SUFFIXES:
            return True
        kind = kind_of(first_bytes(place_of(entry.path)), entry.stat().st_size)
        return kind is not None and kind not in MISSING
    return False


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
    known: Callable[[Sequence[str]], Collection[str]] = lambda paths: (),
    remembered: Mapping[str, Passed] | None = None,
) -> Sorted:
    """Which files of a folder are pictures: those are added to the listing's own.

    below: the folder's path in the gallery, empty or with a slash at its end; known: which of these paths there are
    pictures' whatever they begin with; remembered: those that are none's.
    """
    found = Sorted(Pictures(listing.root, listing.pictures), list(listing.passed), list(listing.refused))
    before = {path: passed for path, passed in (remembered or {}).items() if path.startswith(below)}
    names = listing.pictures
    for page in listing.others.pages():
        paths = [below + name for name in page]
        there = known([path for path in paths if path not in before and is_unicode(path)])
        names.extend(name for name, path in zip(page, paths, strict=True) if path in there)
        names.extend(_pictures_of([name for name in page if below + name not in there], below, before, found))
    found.gone = list(before)
    found.passed = in_order(found.passed, lambda passed: passed[0])
    return found


def _pictures_of(names: Sequence[str], below: str, before: dict[str, Passed], found: Sorted) -> Iterator[str]:
    """Those of these files that are pictures by their content; all others are put where they belong."""
    root = found.pictures.root
    for name in names:
        try:
            kind = _kind(f"{root}{os.sep}{name}", below + name, before, found)
        except OSError as error:
            place = root / name
            found.refused.append((place, f"{place} cannot be read ({error.strerror}): check its permissions"))
            continue
        if kind is None:
            yield name
        else:
            found.passed.append((name, kind))


def _kind(place: str, path: str, before: dict[str, Passed], found: Sorted) -> str | None:
    """As what a file is passed over; None for a picture. What is still true of it is taken out of `before`."""
    stamp, known = stamp_of(place), before.get(path)
    if known and stamp and known.reader == decoders() and known.stamp.same_as(stamp):
        del before[path]
        return known.kind
    kind = kind_of(first_bytes(place_of(place)), stamp.size if stamp else None)
    if kind is not None and kind not in MISSING:
        return None
    kind = kind or _by_suffix(place)
    if stamp and is_unicode(path):
        before.pop(path, None)
        found.new.append(Passed(path, kind, stamp, decoders()))
    return kind


def _by_suffix(place: str) -> str:
    suffix = suffix_of(os.path.basename(place))  # noqa: PTH119
    if not suffix:
        return NO_SUFFIX
    return suffix if len(suffix) <= _LONGEST and suffix[1:].isascii() and suffix[1:].isalnum() else OTHERS
