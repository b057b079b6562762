"""What the lenses of glasses do to the light that passes them and mirror of what is before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceedit.synth.body import lens_depth
from faceedit.synth.head import Floats
from faceedit.synth.mesh import unit
from faceedit.synth.person import Glasses

_BULGE = 0.07  # how fast the normal of a lens turns away from its middle, per centimetre
_PANE = 0.06  # how large the mirrored window is: 1 - cosine of its half angle


@dataclass(frozen=True)
class Lenses:
    """Per sample: kept (N,) the share of light that passes, mirrored (N,) the radiance that is added."""

    kept: Floats
    mirrored: Floats

    def over(self, radiance: Floats) -> Floats:
        """Radiance (N, 3) as seen through the lenses."""
        return radiance * self.kept[:, None] + self.mirrored[:, None]


def lenses(glasses: Glasses | None, landmarks: Floats, points: Floats, to_eye: Floats) -> Lenses:
    """Of samples at points (N, 3) in head coordinates, seen along to_eye (N, 3), by a person with these landmarks."""
    kept, mirrored = np.ones(len(points), np.float32), np.zeros(len(points), np.float32)
    if glasses is None or not (glasses.glare or glasses.shade):
        return Lenses(kept, mirrored)
    azimuth, elevation = np.radians(glasses.window)
    window = np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], np.float32
    )
    for eye in (landmarks[36:42].mean(0), landmarks[42:48].mean(0)):
        depth = lens_depth(landmarks) - 0.018 * float(eye[0]) ** 2
        way = (depth - points[:, 2]) / np.maximum(to_eye[:, 2], 1e-3)
        offset = points[:, :2] + way[:, None] * to_eye[:, :2] - (eye[:2] - [0, 0.2])
        size = np.array([glasses.width, glasses.width * glasses.aspect])
        inside = (np.abs(offset / size) ** glasses.squareness).sum(1) < 1
        covered = inside & (way > 0) & (to_eye[:, 2] > 0)
        normal = unit(np.concatenate([_BULGE * offset, np.ones((len(offset), 1))], 1))
        towards = 2 * (normal * to_eye).sum(1, keepdims=True) * normal - to_eye
        pane = np.clip((_PANE - (1 - towards @ window)) / (0.3 * _PANE), 0, 1)
        kept[covered] = 1 - glasses.shade
        mirrored[covered] = (glasses.glare * pane)[covered]
    return Lenses(kept, mirrored)
