"""People of a data set cut out of what is behind them, by their masks, and put before neutral grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import ManifestError
from faceedit.images import NEUTRAL, read_crop, read_crops
from faceedit.manifest import Manifest


@dataclass(frozen=True)
class CutOut:
    """People on black: images (N, 60, 60, 3) uint8, masks (M, 60, 60) uint8 alpha, mask_rows (N,) each picture's."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    mask_rows: NDArray[np.int64]


def people_of(manifest: Manifest, images: NDArray[np.uint8]) -> CutOut:
    """The people of the manifest's pictures (N, 60, 60, 3), from which what is behind them is taken away in place.

    Raises ManifestError for a picture without a mask, ImageError for a mask or background that cannot be read.
    """
    require_masks(manifest)
    names = {name: number for number, name in enumerate(dict.fromkeys(manifest.columns["mask"]))}
    masks = read_crops([manifest.root / name for name in names])[..., 0]
    mask_rows = np.array([names[name] for name in manifest.columns["mask"]], np.int64)
    cut = CutOut(images, masks, mask_rows)
    if "background" in manifest.columns:
        _take_away(cut, manifest.columns["background"], manifest.root)
    return cut


def _take_away(cut: CutOut, backgrounds: Sequence[str], root: Path) -> None:
    """image = person + (1 - alpha) * background, solved for the person. An empty name: it is on black already."""
    behind = {name: read_crop(root / name) for name in set(backgrounds) if name}
    for row, name in enumerate(backgrounds):
        if name:
            clear = 255 - cut.masks[cut.mask_rows[row]].astype(np.int32)[..., None]
            rest = cut.images[row] - (clear * behind[name] + 127) // 255
            cut.images[row] = rest.clip(0, 255)


def on_neutral(manifest: Manifest, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The manifest's pictures (N, 60, 60, 3) with neutral grey instead of what is behind the person.

    Raises ManifestError for a picture without a mask.
    """
    cut = people_of(manifest, images.copy())
    clear = 255 - cut.masks[cut.mask_rows].astype(np.uint16)[..., None]
    grey = (clear * round(255 * NEUTRAL) + 127) // 255
    return np.asarray(np.minimum(cut.images + grey, 255), dtype=np.uint8)


def require_masks(manifest: Manifest) -> None:
    """Raise ManifestError unless every picture has a mask."""
    advice = "train with --recipe paper, or on pictures that `facesearch synth` rendered"
    if "mask" not in manifest.columns:
        raise ManifestError(
            f"the manifest in {manifest.root} has no column 'mask', so that backgrounds cannot be chosen: {advice}"
        )
    for path, mask in zip(manifest.columns["path"], manifest.columns["mask"], strict=True):
        if not mask:
            raise ManifestError(f"{path} has no mask, so that its background cannot be chosen: {advice}")
