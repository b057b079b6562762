"""Which images of a gallery somebody means: by id, by path, or by a condition."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral

import numpy as np

from faceedit.errors import UsageError
from index.errors import UnknownImageError
from index.gallery import Gallery
from index.paths import path_forms
from index.stored import place_of
from index.where import LARGEST, Condition
from retrieval.checks import is_unicode
from retrieval.errors import NothingFoundError

Meant = int | np.integer | str | os.PathLike[str]
"""An id, the path of a file, or a path as the gallery lists it."""


def chosen_ids(
    gallery: Gallery, meant: Sequence[Meant], where: Condition | None, *, one_each: bool = False
) -> list[int]:
    """The ids of the faces that are meant, ascending: by a path all of that photo, by `path#2` the second of them.

    one_each: a path may mean one face only. Raises UsageError for a path that is not there, UnknownImageError for such
    an id, NothingFoundError where none fulfils the condition.
    """
    if not meant and where is None:
        raise UsageError("say which images: their paths or ids, or --where a condition")
    if meant and where is not None:
        raise UsageError("paths and --where together: choose one")
    if meant:
        return sorted({id_ for one in meant for id_ in _ids_of(gallery, one, one_each)})
    ids = [face.id for face in gallery.faces(where)]
    if not ids:
        raise NothingFoundError("no image fulfils the condition")
    return ids


def _ids_of(gallery: Gallery, one: Meant, one_each: bool) -> list[int]:
    if isinstance(one, Integral) and not isinstance(one, bool):
        id_ = int(one)
        if abs(id_) >= LARGEST:
            raise UnknownImageError(
                f"the gallery holds no image {id_}: give an id that `facesearch gallery list` shows"
            )
        return [gallery.get([id_])[0].id]
    if not isinstance(one, str | os.PathLike):
        raise UsageError(f"{one!r} is no image: give an id, or a path as `facesearch gallery list` shows it")
    name = os.fspath(one)
    if not is_unicode(name):
        raise UsageError(f"the path {name!r} is not valid Unicode: no gallery holds such a one")
    if name.isdecimal() and len(name) < len(str(LARGEST)):
        return [gallery.get([int(name)])[0].id]
    found = _at(gallery, name)
    photo, _, number = name.rpartition("#")
    if not found and photo and number.isdecimal() and len(number) < len(str(LARGEST)):
        found = [id_ for id_ in _at(gallery, photo) if gallery.get([id_])[0].number == int(number)]
    if not found:
        raise UsageError(f"the gallery holds no image {name!r}: give a path as `facesearch gallery list` shows it")
    if one_each and len(found) > 1:
        raise UsageError(f"{name!r} shows {len(found)} faces: say which, such as {name}#2, or give its id")
    return found


def _at(gallery: Gallery, name: str) -> list[int]:
    """The ids of all faces in a photo that is named so."""
    named = [form for path in (name, _relative(gallery, name)) for form in path_forms(path)]
    known = gallery.all_ids_of(named)
    return next((known[path] for path in named if path in known), [])


def _relative(gallery: Gallery, name: str) -> str:
    """The path below the image root of a file that is named as the shell sees it."""
    path, root = place_of(name).absolute(), gallery.config.image_root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else name
