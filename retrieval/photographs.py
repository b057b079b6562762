"""Photographs as whoever asks sees them: which face is meant in one, and how one of a gallery stands upright."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from faceedit.colours import Told
from faceedit.cropping import ALL, AUTO, Cropper, Cut
from faceedit.decoding import read_photograph
from faceedit.errors import NoFaceError
from index.values import Photo


def meant(cropper: Cropper, name: Path, content: bytes | Image.Image, face: int | None, told: Told) -> Cut:
    """The crop of a face in a picture, and the same as large as the picture has it, 60 to 240, unless the picture is a
    crop already.

    face: its number, from 1, the largest first; None: the largest. told: what a user should know is added to it. Raises
    NoFaceError, also for a number that there is none of, MissingPackageError for what can be no crop where there is no
    detector, ImageError.
    """
    cuts = cropper.having(AUTO if face is None else ALL).cut(name, content, told, larger=True)
    found = cuts.faces
    if face is not None and not 1 <= face <= len(found):
        raise NoFaceError(f"there is no face {face} in {name}: it shows {len(found)}, and 1 is the largest")
    one = found[(face or 1) - 1]
    if face is None and len(found) > 1:
        assert one.face is not None
        left, top, width, height = one.face.box
        told.append(
            f"face 1 of {len(found)} at {left + width / 2:.0f},{top + height / 2:.0f} is meant, the largest; its "
            "number chooses another (--face)"
        )
    return one


def upright(path: Path, photo: Photo, longest: int) -> Image.Image:
    """The file of a photo of a gallery, in RGB as it was set upright, its longer side at least `longest` pixels where
    it has as many. Raises ImageError."""
    image = read_photograph(path, longest=longest)
    return image.rotate(90 * photo.turn, expand=True) if photo.turn else image
