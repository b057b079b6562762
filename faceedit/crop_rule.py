"""Whether a picture is the crop of a face already, as `faceedit.align` cuts them out."""

from __future__ import annotations

from PIL import Image

from faceedit.align import EYES, MOUTH
from faceedit.face_detector import Face

SMALL = 256  # pixels; a square of up to that many is taken for a crop without a look at it
_LARGEST_CROP = 512  # a larger square is taken for a photograph
_SQUARE = 1.1  # a crop's longer side is at most so many times the shorter
# Of a crop's side: how far eyes and mouth may lie elsewhere, and how far apart they are. Nearly all crops of renders
# keep to both, all of real people; of portraits that are no crops none does (eyes and mouth 0.14 to 0.18 apart).
_ELSEWHERE, _APART = 0.16, (0.22, 0.48)


def may_be_crop(width: int, height: int) -> bool:
    """Whether a picture of so many pixels can be a crop of a face: nearly square and not too large, or small."""
    return max(width, height) <= SMALL or (is_square(width, height) and min(width, height) <= _LARGEST_CROP)


def is_square(width: int, height: int) -> bool:
    """Nearly, as crops are."""
    return max(width, height) <= _SQUARE * min(width, height)


def lies_by_the_rule(face: Face, photograph: Image.Image) -> bool:
    """Whether the central square of an upright photograph is the face's crop already (`faceedit.align`)."""
    side = min(photograph.size)
    left, top = (photograph.width - side) / 2, (photograph.height - side) / 2
    eyes, mouth = face.landmarks.eyes, face.landmarks.mouth
    middle = (eyes[0] + mouth[0]) / 2
    off = ((eyes[1] - top) / side - EYES, (mouth[1] - top) / side - MOUTH, (middle - left) / side - 0.5)
    return max(map(abs, off)) <= _ELSEWHERE and _APART[0] <= (mouth[1] - eyes[1]) / side <= _APART[1]
