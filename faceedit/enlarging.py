"""An imagined face at the size of a larger crop: what stage one moved at 60 pixels it moves at any size. Torch comes
with the first picture that was moved, not with this module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.backdrop import standing
from faceedit.describes import Edit, Floats, Moves
from faceedit.errors import ImageError
from faceedit.images import SIZE, Picture, resized


def enlarged(edit: Edit, crop: Picture, backdrop: Floats | None = None) -> Picture:
    """The edit of a crop (S, S, 3) uint8 RGB, S of 60 or more, at the crop's own size: the crop as stage one moves it,
    since a flow is smooth, and what stage two corrected of it at 60 pixels, but for the finest, which stage one copies
    and stage two blurs. Where no pixels were moved nothing becomes finer. backdrop (3,) of 0..255: what a face that was
    imagined on neutral grey is to stand before. Raises ImageError for a crop that is not square, or smaller."""
    side = len(crop)
    if crop.dtype != np.uint8 or crop.shape != (side, side, 3) or side < SIZE:
        raise ImageError(f"a crop of shape {crop.shape} {crop.dtype}: give a square one of {SIZE} pixels or more")
    if edit.moves is None or (edit.moves.kept and side == SIZE):
        return resized(edit.refined, side)
    # against stage one's own picture, not the moved one made small: sampling twice leaves halos along the outline
    corrected = edit.refined.astype(np.float32) - edit.generated
    corrected = corrected if edit.moves.kept else _smooth(corrected)
    if side == SIZE:  # the networks' own: they sharpen what they move
        made, said = edit.generated + corrected, edit.moves.said.astype(np.float32)
    else:
        made, said = _moved(edit.moves, crop, corrected)
    shown = made if backdrop is None else standing(made, said, backdrop)
    return np.ascontiguousarray(shown.round().clip(0, 255).astype(np.uint8))


def _moved(moves: Moves, crop: Picture, corrected: NDArray[np.float32]) -> tuple[NDArray[np.float32], Floats]:
    """The crop (S, S, 3) as the moves say, and the correction (60, 60, 3); and what they say there (13, S, S)."""
    import torch
    from torch.nn.functional import interpolate

    from faceedit.networks import blended, invented, pixel_grid

    size = crop.shape[:2]
    with torch.inference_mode():
        source, said, more = (
            torch.from_numpy(np.ascontiguousarray(maps, np.float32))[None]
            for maps in (crop.transpose(2, 0, 1), moves.said, corrected.transpose(2, 0, 1))
        )
        finer = interpolate(said, size=size, mode="bilinear")
        maps = blended(source, finer, pixel_grid(size[0]), torch.from_numpy(moves.black), moves.kept).maps
        made = maps[:, :3] + interpolate(more, size=size, mode="bicubic")
        if moves.kept:
            made = torch.where(invented(maps[:, 9:]), made, source)
        return made[0].permute(1, 2, 0).numpy(), finer[0].numpy()


_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # a standard deviation of one pixel


def _smooth(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(60, 60, 3) without what is finest."""
    for axis in (0, 1):
        wide = np.pad(picture, [(2, 2) if i == axis else (0, 0) for i in range(3)], mode="edge")
        picture = sum(
            (by * np.take(wide, range(i, i + SIZE), axis) for i, by in enumerate(_BINOMIAL)), np.zeros_like(picture)
        )
    return picture
