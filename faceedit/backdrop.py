"""What stands behind an imagined face. Faces are imagined on neutral grey, whatever stood behind the person; to be
looked at they get back a plain colour of what did."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Floats, Moves
from faceedit.images import Picture

NEUTRAL = 127.5  # the grey, of 0..255
_LIKE_GREY = (
    0.2 * 255
)  # a painted colour this far from it is mostly the person's (chosen on renders of people who were not learnt from)
_SURELY = 0.9  # what is less likely behind the person does not count
_FEWEST = 20  # pixels of 60 x 60 that count where hardly any is


def behind(picture: Picture, itself: Moves) -> Floats:
    """(3,) float32 of 0..255: the median colour of what stands behind the person of (60, 60, 3) uint8 RGB. itself: how
    the person was imagined at the pose that the picture has. Ears and hair that an imagined face leaves out are taken
    for what is behind it, too: therefore one colour, and no picture of it."""
    away = 1 - alone(itself.said.astype(np.float32))
    least = min(_SURELY, float(np.sort(away, axis=None)[-_FEWEST]))
    return np.asarray(np.median(picture[away >= least], axis=0), np.float32)


def alone(said: Floats) -> Floats:
    """(H, W) as `person`, of what stage one's decoder said of each pixel (13, H, W), colours in 0..255."""
    scores = np.exp(said[4:7] - said[4:7].max(0))
    return person(scores[2] / scores.sum(0), said[7:10])


def person(painted: Floats, colour: Floats) -> Floats:
    """(H, W) how much of each pixel is the person, 0..1: all that is moved, and of what is painted (H, W), a share,
    what has a colour (3, H, W) of its own instead of the grey. On rendered people it is off by 0.1 (root of the mean
    square within the face), as networks are that learned it of the same numbers."""
    far = ((colour - NEUTRAL) ** 2).sum(0)
    return np.asarray(1 - painted * np.exp(-far / _LIKE_GREY**2), np.float32)


def standing(made: NDArray[np.float32], said: Floats, colour: Floats) -> NDArray[np.float32]:
    """A face (H, W, 3) imagined on neutral grey, before a colour (3,) of 0..255; said (13, H, W), see `alone`."""
    return np.asarray(made + (1 - alone(said))[..., None] * (colour - NEUTRAL), np.float32)
