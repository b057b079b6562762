"""An imagined face at the size of a larger crop: what stage one moved at 60 pixels it moves at any size. Torch comes
with the first picture that was moved, not with this module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.describes import Edit, Moves
from faceedit.errors import ImageError
from faceedit.images import SIZE, Picture, resized


def enlarged(edit: Edit, crop: Picture) -> Picture:
    """The edit of a crop (S, S, 3) uint8 RGB, S of 60 or more, at the crop's own size: the crop as stage one moves it,
    since a flow is smooth, and what stage two corrected of it at 60 pixels. Where no pixels were moved nothing becomes
    finer. Raises ImageError for a crop that is not square, or smaller."""
    side = len(crop)
    if crop.dtype != np.uint8 or crop.shape != (side, side, 3) or side < SIZE:
        raise ImageError(f"a crop of shape {crop.shape} {crop.dtype}: give a square one of {SIZE} pixels or more")
    if edit.moves is None or side == SIZE:
        return resized(edit.refined, side)
    # against stage one's own picture, not the moved one made small: sampling twice leaves halos along the outline
    corrected = edit.refined.astype(np.float32) - edit.generated
    return _moved(crop, edit.moves, corrected)


def _moved(crop: Picture, moves: Moves, corrected: NDArray[np.float32]) -> Picture:
    """The crop (S, S, 3) as the moves say, and the correction (60, 60, 3)."""
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
        pixels = made[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.numpy())
