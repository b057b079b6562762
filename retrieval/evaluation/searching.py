"""Search a test set's pictures: by descriptors in a gallery such as a user's, by pixels with its exact search."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Describes
from index.errors import GalleryError
from index.gallery import Decision, Face, Gallery, Labels, Photo
from index.progress import Steps
from index.search.scan import scan
from index.values import FloatArray
from retrieval.describing import known_errors
from retrieval.evaluation.queries import Rows
from retrieval.opening import config_of

Pictures = NDArray[np.uint8]


@contextmanager
def gallery_of(
    describer: Describes, pictures: Pictures, folder: Path | None = None, progress: Steps | None = None
) -> Iterator[Gallery]:
    """A gallery of these pictures (N, 60, 60, 3), each at the path that is its row's number, with no label.

    folder: where it is kept, for nothing else: what an interrupted run described of the same pictures by the same model
    stays, anything else in it is thrown away. None: a temporary one. progress(done, total) is called after every batch.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="facesearch-") as temporary:
            with gallery_of(describer, pictures, Path(temporary) / "gallery", progress) as gallery:
                yield gallery
        return
    contents = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    with _opened(describer, contents, folder) as gallery:
        _describe(describer, pictures, contents, gallery, progress)
        yield gallery


def decided_values(gallery: Gallery) -> Rows:
    """(N,) the positions of the values that the pictures of a `gallery_of` were decided to have."""
    decided = {int(face.path): gallery.config.values.index(face.decided) for face in gallery.faces()}
    return np.array([decided[row] for row in range(len(decided))], np.int64)


def descriptors_of(gallery: Gallery, count: int) -> FloatArray:
    """(N, D) those of the rows of a `gallery_of`."""
    ids = gallery.ids_of([str(row) for row in range(count)])
    return gallery.descriptors([ids[str(row)] for row in range(count)])


def nearest_rows(gallery: Gallery, descriptors: NDArray[np.float32], own: Rows, k: int) -> Rows:
    """(Q, k) the rows nearest to descriptors (Q, D) in a `gallery_of`, nearest first, equals by row. own (Q,): each
    query's own row, which never counts, or -1. Fewer columns come back when the gallery is smaller."""
    found = gallery.search_many(descriptors, k + 1)
    rows = np.array([[int(match.face.path) for match in matches] for matches in found], np.int64)
    return without_own(rows.reshape(len(descriptors), -1), own, k)


def distances_to(gallery: Gallery, descriptors: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """(Q,) Euclidean, from descriptors (Q, D) to those of rows (Q,) of a `gallery_of`."""
    ids = gallery.ids_of(sorted({str(row) for row in rows.tolist()}))
    stored = gallery.descriptors([ids[str(row)] for row in rows.tolist()])
    return np.asarray(np.linalg.norm(descriptors - stored.astype(np.float32), axis=1))


def nearest_vectors(stored: NDArray[Any], asked: NDArray[Any], own: Rows, k: int) -> Rows:
    """(Q, k) the rows of vectors stored (N, D) nearest to vectors asked (Q, D), as `nearest_rows` gives them."""
    rows = np.arange(len(stored), dtype=np.int64)
    found = scan(stored, rows, rows, np.ascontiguousarray(asked, np.float32), k + 1)
    return without_own(np.stack([ids for _, ids in found]), own, k)


def directions(vectors: FloatArray) -> FloatArray:
    """Vectors (n, d), each of length 1; zeros stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def without_own(rows: Rows, own: Rows, k: int) -> Rows:
    """(Q, k) the first of rows (Q, K), nearest first, that are not the query's own (Q,): where one is left out, the
    next comes up."""
    others = rows != own[:, None]
    kept = min(k, int(others.sum(1).min(initial=k)))
    first = np.argsort(~others, axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(rows, first, 1)


@contextmanager
def _opened(describer: Describes, contents: list[str], folder: Path) -> Iterator[Gallery]:
    if folder.exists() and not _can_go_on(describer, contents, folder):
        shutil.rmtree(folder)
    if folder.exists():
        opened = Gallery.open(folder)
    else:
        opened = Gallery.create(folder, config_of(describer, folder.resolve()))
    with opened:
        yield opened


def _can_go_on(describer: Describes, contents: list[str], folder: Path) -> bool:
    """Whether the folder holds descriptions of these pictures by this model, and no others."""
    try:
        with Gallery.open(folder) as gallery:
            gallery.require_model(describer.digest, describer.descriptor_size)
            known = {face.path: face.photo.sha256 for face in gallery.faces()}
    except GalleryError:
        return False
    return known.items() <= {str(row): content for row, content in enumerate(contents)}.items()


def _describe(
    describer: Describes, pictures: Pictures, contents: list[str], gallery: Gallery, progress: Steps | None
) -> None:
    known = gallery.known().keys()
    todo = [row for row in range(len(pictures)) if str(row) not in known]
    for start in range(0, len(todo), describer.batch):
        rows = todo[start : start + describer.batch]
        described = describer.describe(pictures[rows])
        faces = [
            Face(
                Photo(str(row), contents[row]),
                Labels(),
                Decision(describer.attribute.values[int(best)], known_errors(errors)),
            )
            for row, best, errors in zip(rows, described.best, described.errors, strict=True)
        ]
        gallery.add(faces, described.descriptors)
        if progress:
            progress(len(pictures) - len(todo) + start + len(rows), len(pictures))
