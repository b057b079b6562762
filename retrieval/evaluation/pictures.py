"""The crops of a labelled data set, whose pictures may be whole photographs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.cropping import Cropper, Cuts
from faceedit.errors import ManifestError, MissingPackageError, NoFaceError
from faceedit.images import SIZE, Picture
from faceedit.manifest import Manifest
from index.checks import check_box
from index.errors import ImageRowError
from index.values import Box, share_of
from retrieval.same_faces import Seen, same_places

BOX = "box"  # the column that says which of several faces a row means: left top width height, in pixels
_READERS = 4  # threads


def labelled_crops(manifest: Manifest, cropper: Cropper | None = None) -> NDArray[np.uint8]:
    """(N, 60, 60, 3): crops, cut anew where others cut them, of a photograph the face that the row's box means, or else
    the largest. Raises ImageError for a picture that cannot be read, ManifestError where no face is found, or none in
    that box."""
    paths, cropper = manifest.paths(), cropper or Cropper()
    boxes = [_box(path, cell) for path, cell in zip(paths, manifest.columns.get(BOX, ("",) * len(paths)), strict=True)]
    out = np.empty((len(paths), SIZE, SIZE, 3), np.uint8)

    def read(place: int) -> None:
        out[place] = _meant(cropper, paths[place], boxes[place])

    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return out


def _box(path: Path, cell: str) -> Box | None:
    numbers = cell.replace(",", " ").split()
    if not numbers:
        return None
    try:
        left, top, width, height = map(float, numbers)
        check_box(str(path), (left, top, width, height))
    except (ValueError, ImageRowError) as error:
        raise ManifestError(f"the box of {path} is {cell!r:.60}: give left, top, width and height in pixels") from error
    return left, top, width, height


def _meant(cropper: Cropper, path: Path, box: Box | None) -> Picture:
    try:
        cuts = cropper.cut(path, None)
    except (NoFaceError, MissingPackageError) as error:
        raise ManifestError(f"{error}; leave it out of the manifest") from error
    if box is None or cuts.size is None:
        return cuts.faces[0].crop
    found = same_places([Seen(0, share_of(box, cuts.size))], _seen(cuts))
    if not found:
        raise ManifestError(f"no face of {path} lies in the box {' '.join(map(str, box))}: {len(cuts.faces)} are found")
    return cuts.faces[next(iter(found))].crop


def _seen(cuts: Cuts) -> Sequence[Seen]:
    boxes = [None if cut.face is None else cut.face.box for cut in cuts.faces]
    return [Seen(number, share_of(box, cuts.size)) for number, box in enumerate(boxes, 1)]
