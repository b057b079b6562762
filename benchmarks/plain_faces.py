"""Faces in photographs by the plainest way that finds them: one picture at a time, decoded in full, scaled from the
whole each time, looked at in four turns, and every face once more in a crop around it. What `faceedit` does is measured
against this (benchmarks/photographs_speed.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from faceedit.align import Landmarks
from faceedit.yunet import shipped_weights

_MIRROR = [1, 0, 2, 4, 3]
_SIDES = (640, 1280, 2560)
Pixels = np.ndarray
Points = np.ndarray  # (5, 2)


class PlainDetector:
    def __init__(self, threshold: float = 0.6) -> None:
        import cv2

        self._cv2: Any = cv2
        self._net = cv2.FaceDetectorYN.create(str(shipped_weights()), "", (320, 320), threshold, 0.3, 500)

    def __call__(self, rgb: Pixels) -> Iterator[Landmarks]:
        """The points of every face of (H, W, 3) uint8."""
        bgr = np.ascontiguousarray(rgb[:, :, ::-1])
        height, width = bgr.shape[:2]
        sides = [side for side in _SIDES if side == _SIDES[0] or side < 2 * max(height, width)]
        turns = 0
        for side in (320, *sides):
            scores = [self._surest(bgr, n, side) for n in range(4)]
            turns = int(np.argmax(scores))
            if max(scores) > 0:
                break
        image = np.ascontiguousarray(np.rot90(bgr, turns))
        for side in sides:
            points = [one for score, one in self._coarse(image, side) if self._upright(one)]
            if points:
                for one in points:
                    yield _landmarks(_back(self._refined(image, one), turns, height, width))
                return

    def _surest(self, bgr: Pixels, turns: int, side: int) -> float:
        turned = np.ascontiguousarray(np.rot90(bgr, turns))
        return max((score for score, points in self._coarse(turned, side) if self._upright(points)), default=0.0)

    def _once(self, bgr: Pixels) -> list[tuple[float, Points]]:
        self._net.setInputSize((bgr.shape[1], bgr.shape[0]))
        rows = self._net.detect(bgr)[1]
        return [] if rows is None else [(float(row[14]), row[4:14].reshape(5, 2).astype(float)) for row in rows]

    def _coarse(self, bgr: Pixels, side: int) -> list[tuple[float, Points]]:
        share = side / max(bgr.shape[:2])
        how = self._cv2.INTER_AREA if share < 1 else self._cv2.INTER_LINEAR
        small = self._cv2.resize(bgr, None, fx=share, fy=share, interpolation=how)
        return [(score, points / share) for score, points in self._once(small)]

    @staticmethod
    def _upright(p: Points) -> bool:
        eyes, mouth = p[:2].mean(0), p[3:].mean(0)
        x, y = p[1] - p[0], mouth - eyes
        lengths = np.linalg.norm(x) * np.linalg.norm(y) + 1e-9
        across = (x[0] * y[1] - x[1] * y[0]) / lengths > 0.8
        return bool(across and y[1] > 0.5 * np.linalg.norm(y) and 0 < (p[2] - eyes) @ y < y @ y)

    def _refined(self, bgr: Pixels, points: Points, size: int = 160, spread: float = 3.4) -> Points:
        """The points again, the mean of a crop turned upright and its mirror image."""
        eyes, mouth, across = points[:2].mean(0), points[3:].mean(0), points[1] - points[0]
        middle = (eyes + mouth) / 2
        radius = max(np.linalg.norm(mouth - eyes), np.linalg.norm(across)) * spread / 2 * 1.3
        angle = np.degrees(np.arctan2(across[1], across[0]))
        matrix = self._cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), angle, size / (2 * radius))
        matrix[:, 2] += size / 2 - middle
        crop = self._cv2.warpAffine(bgr, matrix, (size, size), borderMode=self._cv2.BORDER_REPLICATE)
        back, found = self._cv2.invertAffineTransform(matrix), []
        for mirrored in (False, True):
            seen = self._once(crop[:, ::-1].copy() if mirrored else crop)
            if seen:
                one = max(seen, key=lambda face: face[0])[1]
                one = np.c_[size - 1 - one[:, 0], one[:, 1]][_MIRROR] if mirrored else one
                one = one @ back[:, :2].T + back[:, 2]
                found += [one] if np.abs(one.mean(0) - middle).max() < radius else []
        return np.asarray(np.mean(found, 0)) if found else points


def _back(p: Points, turns: int, height: int, width: int) -> Points:
    """Points of np.rot90(image, turns) in the image itself."""
    x, y = p[:, 0], p[:, 1]
    return np.asarray(
        [p, np.c_[width - 1 - y, x], np.c_[width - 1 - x, height - 1 - y], np.c_[y, height - 1 - x]][turns]
    )


def _landmarks(p: Points) -> Landmarks:
    right_eye, left_eye, _, right_mouth, left_mouth = ((float(x), float(y)) for x, y in p)
    return Landmarks(right_eye, left_eye, right_mouth, left_mouth)
