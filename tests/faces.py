"""Faces for galleries of tests, in one line each."""

from __future__ import annotations

from typing import Any

from index.gallery import Gallery
from index.values import HAND, Decision, Face, FileStamp, Labels, Photo

_PHOTO, _STAMP = ("sha256",), ("size", "mtime_ns", "inode", "ctime_ns")


def new_face(path: str, decided: int = 0, errors: tuple[float | None, ...] = (1.0,) * 3, **given: Any) -> Face:
    """A face of the photo at `path`; given: any field of its photo, stamp or labels (which a hand gave)."""
    photo = {name: given.pop(name) for name in _PHOTO if name in given}
    stamp = {name: given.pop(name) for name in _STAMP if name in given}
    origin = given.pop("origin", HAND)
    labels = Labels.given(origin, **given)
    return Face(Photo(path, stamp=FileStamp(**stamp), **photo), labels, Decision(decided, errors))


def label(gallery: Gallery, labels: dict[str, Labels]) -> None:
    """Give the faces at these paths these labels."""
    ids = gallery.ids_of(list(labels))
    gallery.update_labels({ids[path]: given for path, given in labels.items()})
