"""Whether a picture is the crop of a face already, as `faceedit.align` cuts them out, and whether by the same points.

Others cut crops by other points: by a detector's, whose mouth sets the scale, or as passport photographs are. Nobody in
them is found as well as in crops of ours, so these are cut anew, where it is plain how they lie (docs/results.md)."""

from __future__ import annotations

from PIL import Image

from faceedit.align import EYES, MOUTH, Landmarks, crop_corner, crop_side
from faceedit.face_detector import Face
from faceedit.images import SIZE

SMALL = 256  # pixels; a square of up to that many is taken for a crop after a glance
_LARGEST_CROP = 512  # a larger square is taken for a photograph
_SQUARE = 1.1  # a crop's longer side is at most so many times the shorter
# Of a crop's side: how far eyes and mouth may lie elsewhere, and how far apart they are. Nearly all crops of renders
# keep to both, all of real people; of portraits that are no crops none does (eyes and mouth 0.14 to 0.18 apart).
_ELSEWHERE, _APART = 0.16, (0.22, 0.48)
# Of 400 renders that were cut by exact points the landmark network says 0.956 to 1.058 of their sides, and middles up
# to 0.03 beside theirs (98 of 100). What differs by half of that is cut anew where that costs no sharpness.
_AS_LARGE, _OFF, _BESIDE = 1.01, 0.07, 0.03
_FINE = 2 * SIZE  # pixels of a crop that is as sharp when it is cut anew
SURE = 0.88  # as sure as a glance is of 97 of 100 renders, and of half of those with something before the face


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


def is_cut_by(points: Landmarks, width: int, height: int) -> bool:
    """Whether the central square of a picture of so many pixels is the crop that these points give, as nearly as the
    landmark network says so; points that know no chin follow another rule, and tell nothing."""
    if points.chin is None:
        return True
    square, side, (left, top) = min(width, height), crop_side(points), crop_corner(points)
    aside, down = left + (side - width) / 2, top + (side - height) / 2
    allowed = square if square < _FINE else square / 2
    return abs(side - _AS_LARGE * square) <= _OFF * allowed and max(abs(aside), abs(down)) <= _BESIDE * allowed
