"""Keep a gallery in order: its labels and its place; and what a change of it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Final

from faceedit.errors import UsageError
from faceedit.text import printable
from index.gallery import Face, Gallery
from index.labels import HAND, LABEL_KINDS, LONGEST_LABEL
from index.search.plan import size_text
from index.where import LARGEST, Comparison, Condition
from retrieval.checks import is_unicode, require_keepable
from retrieval.choosing import Meant, chosen_ids
from retrieval.errors import NothingFoundError
from retrieval.gallery_info import missing_files
from retrieval.levels import FIRST, LAST
from retrieval.run_reports import unsearched
from retrieval.tables import counted

if TYPE_CHECKING:
    from index.care.compact import Compaction


class Keep(Enum):
    """A label that stays as it is."""

    KEEP = "as it is"


KEEP: Final = Keep.KEEP


@dataclass(frozen=True)
class Removal:
    """images: how many were removed; not_searched: why the index could not be built anew, where there was one;
    forgotten: of how many pruned ones the labels are not kept any more; hidden: names of those that later runs leave
    out."""

    images: int
    not_searched: Exception | None = None
    forgotten: int = 0
    hidden: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The same for people."""
        also = f"; labels of {counted(self.forgotten, 'pruned image')} forgotten" if self.forgotten else ""
        also += f"; {counted(len(self.hidden), 'face')} hidden from later runs" if self.hidden else ""
        return [f"{counted(self.images, 'image')} removed, their descriptors erased{also}"]

    def warnings(self) -> list[str]:
        """What is not as it was."""
        return unsearched(self.not_searched)


@dataclass(frozen=True)
class Compacted:
    """sizes: bytes before and after, without the index; not_searched: why that could not be built anew."""

    sizes: Compaction
    not_searched: Exception | None = None

    def lines(self, gallery: object) -> list[str]:
        """The same for people."""
        before, after = size_text(self.sizes.before), size_text(self.sizes.after)
        return [f"{printable(str(gallery))}: {before} before, {after} now, without the index"]

    def warnings(self) -> list[str]:
        """What is not as it was."""
        return unsearched(self.not_searched)


def correct_labels(
    gallery: Gallery, images: Sequence[Meant], where: Condition | None, labels: Mapping[str, object]
) -> int:
    """Give the images that are meant these labels by hand; how many. None or empty text takes one away. Other faces of
    those people have their names as suggestions.

    Raises UsageError where none is given, or one that a gallery cannot hold.
    """
    changes = {
        name: _whole_number(name, value) if LABEL_KINDS[name] is int else _text(name, value)
        for name, value in labels.items()
        if value is not KEEP
    }
    if not changes:
        *first, last = (f"--{name}" for name in LABEL_KINDS)
        raise UsageError(f"say what to change: {', '.join(first)} or {last}")
    chosen_ids(gallery, images, where, one_each=True)  # what is not there is told before anything is waited for
    with gallery.turn():
        found = gallery.get(chosen_ids(gallery, images, where, one_each=True))
        done = gallery.update_labels({face.id: face.labels.changed(HAND, **changes) for face in found})
        gallery.people.suggest()
    return done


def _whole_number(name: str, given: object) -> int | None:
    """Of a number or its text."""
    if given is None or given == "":
        return None
    try:
        number = int(given) if isinstance(given, str) else index(given)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} {given!r} is no whole number: give one, such as 15, or nothing") from error
    if abs(number) >= LARGEST:
        raise UsageError(f"{name} {given!r} is too large a number: give one such as 15")
    return number


def _text(name: str, given: object) -> str | None:
    if given is not None and not isinstance(given, str):
        raise UsageError(f"{name} {given!r} is no text: give it as text, or nothing")
    if given and not is_unicode(given):
        raise UsageError(f"{name} {given!r} is not valid Unicode: give it in UTF-8")
    if given and "\0" in given:
        raise UsageError(f"{name} {given!r:.40} has a zero byte in it, which no name has: take it out")
    if given and len(given) > LONGEST_LABEL:
        raise UsageError(f"{name} {given!r:.30}... has {len(given):,} characters: give {LONGEST_LABEL:,} at most")
    return given or None


def would_remove(
    gallery: Gallery, images: Sequence[Meant], where: Condition | None, identity: str | None
) -> list[Face]:
    """Which faces are meant to be removed, by name, by condition, or as all of a person. Raises UsageError,
    UnknownImageError, NothingFoundError."""
    if identity is not None:
        _require_person(identity, alone=not images and where is None)
        where = Comparison("identity", "=", (identity,))
    return gallery.get(chosen_ids(gallery, images, where))


def removed_images(gallery: Gallery, ids: Sequence[int], hide: bool | None) -> Removal:
    """Remove faces. hide: whether they stay away when their photos are read again; None: those of photos that stay,
    since others are in them."""
    hidden = list(ids) if hide else [] if hide is False else _beside_others(gallery, ids)
    names = tuple(face.name for face in gallery.get(hidden) if face.photo.sha256)
    return Removal(gallery.remove(ids, hide=hidden), hidden=names)


def _beside_others(gallery: Gallery, ids: Sequence[int]) -> list[int]:
    """Those of these faces in whose photos others stay."""
    stay = set(gallery.siblings(ids)) - set(ids)
    photos = gallery.all_ids_of([face.path for face in gallery.get(sorted(stay))])
    return sorted({id_ for some in photos.values() for id_ in some} - stay)


def removed_person(gallery: Gallery, identity: str, hide: bool, alone: bool) -> Removal:
    """Remove a person, and what is kept of it. hide: its faces stay away when their photos are read again; alone:
    whether nothing else was said to be removed. Raises UsageError, NothingFoundError."""
    _require_person(identity, alone)
    named = gallery.faces(Comparison("identity", "=", (identity,))) if hide else ()
    names = tuple(face.name for face in named if face.photo.sha256)
    removed, forgotten = gallery.remove_person(identity, hide=hide)
    if not removed and not forgotten:
        raise NothingFoundError(f"nobody is called {identity!r}")
    return Removal(removed, forgotten=forgotten, hidden=names)


def _require_person(identity: str, alone: bool) -> None:
    if not alone:
        raise UsageError("an identity with paths or a condition: choose one")
    if not identity or not is_unicode(identity):
        raise UsageError(f"identity {identity!r} is no name: give one as `facesearch gallery list` shows it")


def relocate(gallery: Gallery, root: Path) -> int:
    """Say where the images lie now, or that they lie in a part of a folder that is to be indexed as a whole, or that
    it is only this part again; how many are not there. Raises UsageError for a folder that holds none of them, and for
    one that lies in the folder that names people."""
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give the one that the images lie in now")
    full, before = root.resolve(), gallery.config.image_root
    require_keepable(full)
    missing, below, out_of = missing_files(gallery, full), _way(full, before), _way(before, full)
    if out_of and not all(face.path.startswith(f"{out_of}/") for face in gallery.faces()):
        out_of = ""
    if (below or out_of) and (stayed := missing_files(gallery, before)) <= missing:
        missing = stayed
    else:
        below = out_of = ""
    if missing == gallery.count_photos() > 0:
        raise UsageError(f"{root} holds none of the gallery's {missing:,} images: give the folder they moved to")
    if out_of:
        _require_people_below(gallery.identity_level, out_of, root)
    gallery.set_image_root(full, below, out_of)
    return missing


def _way(above: Path, folder: Path) -> str:
    """The path of a folder below another; empty where it does not lie there."""
    return folder.relative_to(above).as_posix() if above in folder.parents else ""


def _require_people_below(level: str | None, out_of: str, root: Path) -> None:
    if level not in (None, LAST) and (1 if level == FIRST else int(level)) <= out_of.count("/") + 1:
        raise UsageError(
            f"people are named by a folder that {root} is or lies in (identity level {level}): say another one with "
            "`facesearch index --identity-level` first"
        )
