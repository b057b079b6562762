"""Which images of a gallery somebody means: by id, by path, or by a condition."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np

from faceedit.errors import UsageError
from index.errors import UnknownImageError
from index.gallery import Gallery
from index.values import path_forms
from index.where import LARGEST, Condition
from retrieval.checks import is_unicode
from retrieval.errors import NothingFoundError

Meant = int | np.integer | str | os.PathLike[str]
"""An id, the path of a file, or a path as the gallery lists it."""


def chosen_ids(gallery: Gallery, meant: Sequence[Meant], where: Condition | None) -> list[int]:
    """The ids of the images that are meant, ascending.

    Raises UsageError for a path that is not there, UnknownImageError for such an id, NothingFoundError where none
    fulfils the condition.
    """
    if not meant and where is None:
        raise UsageError("say which images: their paths or ids, or --where a condition")
    if meant and where is not None:
        raise UsageError("paths and --where together: choose one")
    if meant:
        return sorted({_id_of(gallery, one) for one in meant})
    ids = [face.id for face in gallery.faces(where)]
    if not ids:
        raise NothingFoundError("no image fulfils the condition")
    return ids


def _id_of(gallery: Gallery, one: Meant) -> int:
    if isinstance(one, Integral) and not isinstance(one, bool):
        id_ = int(one)
        if abs(id_) >= LARGEST:
            raise UnknownImageError(
                f"the gallery holds no image {id_}: give an id that `facesearch gallery list` shows"
            )
        return gallery.get([id_])[0].id
    if not isinstance(one, str | os.PathLike):
        raise UsageError(f"{one!r} is no image: give an id, or a path as `facesearch gallery list` shows it")
    name = os.fspath(one)
    if not is_unicode(name):
        raise UsageError(f"the path {name!r} is not valid Unicode: no gallery holds such a one")
    if name.isdecimal() and len(name) < len(str(LARGEST)):
        return gallery.get([int(name)])[0].id
    named = [form for path in (name, _relative(gallery, name)) for form in path_forms(path)]
    known = gallery.ids_of(named)
    if not known:
        raise UsageError(f"the gallery holds no image {name!r}: give a path as `facesearch gallery list` shows it")
    return known[next(path for path in named if path in known)]


def _relative(gallery: Gallery, name: str) -> str:
    """The path below the image root of a file that is named as the shell sees it."""
    path, root = Path(name).absolute(), gallery.config.image_root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else name
