"""Whether a picture that is taken for a crop as it is shows anybody: one glance of the detector at 64 pixels.

That takes 0.6 ms. Of crops of renders and of real people it misses none, of those with something before the face 1 %;
of walls, leaves and noise it takes 7 % for somebody.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from faceedit.errors import MissingPackageError
from faceedit.images import Picture
from faceedit.yunet import shipped_weights, yunet

_SIDE = 64  # pixels
_LEAST = 0.1  # how sure the detector is, at least: a look at a photograph asks for 0.6, since there is much in it
_FLAT = 2.0  # spread of grey levels below which there is nothing to see
_MOST = 50


class Glance:
    """May be shared by threads."""

    def __init__(self) -> None:
        """Raises MissingPackageError without the extra `photos`."""
        self._network: Any = yunet(shipped_weights(), _SIDE, _LEAST, _MOST)
        self._one = Lock()

    def __call__(self, crop: Picture) -> bool:
        """Of (S, S, 3) uint8 RGB."""
        import cv2

        seen = cv2.resize(np.ascontiguousarray(crop[:, :, ::-1]), (_SIDE, _SIDE))
        with self._one:
            rows = self._network.detect(seen)[1]
        return rows is not None and len(rows) > 0


@cache
def _shipped() -> Glance | None:
    try:
        return Glance()
    except MissingPackageError:
        return None


def shows_somebody(crop: Picture) -> bool:
    """Whether a face may be seen in a crop (S, S, 3) uint8 RGB; without the extra `photos`, whether anything can be."""
    if float(crop.std((0, 1)).max()) < _FLAT:
        return False
    look = _shipped()
    return look is None or look(crop)
