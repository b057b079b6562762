"""How pictures would lie in their crops if these had been cut by a detector's five points, as many aligned crops are:
the mouth's line sets the scale instead of the chin, and the points themselves lie otherwise on turned faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.align import Landmarks, crop_corner, crop_side
from faceedit.errors import TrainingError
from faceedit.images import SIZE, Picture
from faceedit.yunet import opencv, shipped_weights, yunet

_SHOWN, _AROUND = 4 * SIZE, SIZE  # pixels: of a picture when it is looked at, and of its border, repeated, around it
_BEHIND = 150.0  # grey behind the person
_LEAST, _MOST = 0.6, 1.6  # of our crop's side: what else is no face's
_DEGREE = 5  # of a polynomial of the angle's sine
_FEWEST = 20  # pictures, to know what all have


def frames_of(
    pictures: NDArray[np.uint8], masks: NDArray[np.uint8], sideways: NDArray[np.floating], faces: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(M, 3) of people on black (M, 60, 60, 3) with their masks (M, 60, 60): the crop that YuNet's points would have
    given, by the rule of `faceedit.align` for eyes and mouth: its side as a share of ours, and how far its middle is
    from ours, across and down, in halves of ours; of a view in which no face is found as all have it.

    sideways (M,): the sine of the angle by which the face is turned; faces (M,): pictures with the same number show one
    face. What is said of a view is what all have at its angle, and what the views of its face have in common: the rest
    is the detector's noise on small pictures. Raises MissingPackageError without the detector, TrainingError where it
    finds hardly a face.
    """
    seen = looked_at(pictures, masks)
    found = seen[:, 0] > 0
    if found.sum() < _FEWEST:
        raise TrainingError(
            f"the detector finds a face in {found.sum()} of {len(found)} pictures: render others, or train with "
            "--knob detected=0"
        )
    told = np.c_[np.log(seen[found, 0]), seen[found, 1:] / seen[found, :1]]
    powers = np.vander(sideways, _DEGREE + 1)
    usual = powers @ np.linalg.lstsq(powers[found], told, rcond=None)[0]
    numbers, each = np.unique(faces, return_inverse=True)
    sums, counts = np.zeros((len(numbers), 3)), np.bincount(each[found], minlength=len(numbers))
    np.add.at(sums, each[found], told - usual[found])
    told = usual + (sums / np.maximum(counts, 1)[:, None])[each]
    side = np.exp(told[:, :1])
    return np.concatenate([side, told[:, 1:] * side], 1).astype(np.float32)


def looked_at(pictures: NDArray[np.uint8], masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(M, 3) the same as the detector says it of each picture alone; 0 where it finds no face."""
    side = _SHOWN + 2 * _AROUND
    detector = yunet(shipped_weights(), side)
    found = np.zeros((len(pictures), 3), np.float32)
    for i, (person, mask) in enumerate(zip(pictures, masks, strict=True)):
        picture = person + (1 - mask[..., None] / 255.0) * _BEHIND
        faces = detector.detect(_framed(picture.clip(0, 255).astype(np.uint8)))[1]
        if faces is not None:
            points = (faces[faces[:, 14].argmax(), 4:14].reshape(5, 2) - _AROUND) / _SHOWN
            right_eye, left_eye, _, right_mouth, left_mouth = map(tuple, points.tolist())
            found[i] = _frame(Landmarks(right_eye, left_eye, right_mouth, left_mouth))  # the person's right is left
    return found


def _frame(landmarks: Landmarks) -> tuple[float, float, float]:
    """Of points in shares of our crop."""
    side, (left, top) = crop_side(landmarks), crop_corner(landmarks)
    if not _LEAST < side < _MOST:
        return 0.0, 0.0, 0.0
    return side, 2 * left + side - 1, 2 * top + side - 1


def _framed(picture: Picture) -> Picture:
    cv2 = opencv()
    large = cv2.resize(picture[..., ::-1], (_SHOWN, _SHOWN), interpolation=cv2.INTER_CUBIC)
    around = [_AROUND] * 4
    return np.ascontiguousarray(cv2.copyMakeBorder(large, *around, cv2.BORDER_REPLICATE))
