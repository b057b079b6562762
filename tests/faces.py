"""Faces for galleries of tests, in one line each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.gallery import Gallery
from index.labels import HAND, Labels
from index.stamps import FileStamp
from index.values import Decision, Face, Photo, Place

_PHOTO, _STAMP = ("sha256",), ("size", "mtime_ns", "inode", "ctime_ns")


def new_face(path: str, decided: int = 0, errors: tuple[float | None, ...] = (1.0,) * 3, **given: Any) -> Face:
    """A face of the photo at `path`; given: any field of its photo, stamp or labels (which a hand gave)."""
    photo = {name: given.pop(name) for name in _PHOTO if name in given}
    stamp = {name: given.pop(name) for name in _STAMP if name in given}
    origin = given.pop("origin", HAND)
    labels = Labels.given(origin, **given)
    return Face(Photo(path, stamp=FileStamp(**stamp), **photo), labels, Decision(decided, errors))


def in_photograph(face: Face, number: int = 1, left: float = 100, size: tuple[int, int] = (900, 600)) -> Face:
    """The same face as one of those that a photograph shows, in a box of 80 x 100 pixels."""
    points = (left + 20, 240, left + 60, 240, left + 25, 280, left + 55, 280)
    place = Place((left, 200.0, 80.0, 100.0), tuple(map(float, points)), 0.9)
    return replace(face, photo=replace(face.photo, width=size[0], height=size[1]), number=number, place=place)


def unit_vectors(count: int, size: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, size) vectors of length 1, as models make them."""
    array = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)


def numbered(size: int, *numbers: int) -> NDArray[np.float32]:
    """(n, size) vectors of length 1, one for each of these numbers."""
    return np.concatenate([unit_vectors(1, size, number) for number in numbers])


def label(gallery: Gallery, labels: dict[str, Labels]) -> None:
    """Give the faces at these paths these labels."""
    ids = gallery.ids_of(list(labels))
    gallery.update_labels({ids[path]: given for path, given in labels.items()})
