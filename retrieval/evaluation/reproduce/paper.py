"""What Ghodrati et al. (BMVC 2016) report on Multi-PIE, to stand beside what is measured here."""

from __future__ import annotations

POSES = (-45, -30, -15, 0, 15, 30, 45)

MSE = {"pose": (381.5, 376.3), "illumination": (193.3, 146.6), "inpainting": (None, 64.6)}
"""Per-pixel MSE of stage one and stage two (Table 1 and section 4.2); of inpainting only stage two is reported."""

MSE_NEUTRAL = (578.5, 570.5)
"""Table 1, second row: 510 pictures with neutral illumination."""

MSE_OCCLUDED = 1473.0
"""Occluded against complete pictures (section 4.2)."""

RECALL = {1: 0.499, 5: 0.761}
"""Retrieval by a generated pose (section 4.1)."""

_FIGURE_5 = (
    (None, 331, 343, 361, 445, 510, 531),
    (329, None, 260, 277, 343, 465, 484),
    (390, 339, None, 218, 315, 418, 461),
    (401, 416, 302, None, 269, 387, 439),
    (432, 434, 329, 228, None, 277, 378),
    (456, 479, 397, 296, 242, None, 345),
    (527, 513, 430, 357, 330, 337, None),
)

MSE_BY_PAIR: dict[str, dict[str, float]] = {
    str(source): {str(target): float(mse) for target, mse in zip(POSES, row, strict=True) if mse is not None}
    for source, row in zip(POSES, _FIGURE_5, strict=True)
}
"""Figure 5, left: MSE of stage two by source pose, then target pose."""
