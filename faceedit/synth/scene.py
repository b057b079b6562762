"""The studio: seven cameras, twenty lights and what stands behind the head, as named parameters.

As in Multi-PIE the twenty belong to the room and do not turn with the camera, and the background belongs to the camera:
one picture per pose, the same for everybody and under every light. Other lights may stand by the camera, before which
a sitter turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.synth.head import Floats

POSES = (-45, -30, -15, 0, 15, 30, 45)


@dataclass(frozen=True)
class Light:
    """One flash: where it stands seen from the head (degrees; azimuth > 0 = image right in the frontal view)."""

    azimuth: float
    elevation: float
    power: float = 2.6
    spread: float = 0.07  # radius over distance: how soft its shadows are

    @property
    def direction(self) -> Floats:
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


@dataclass(frozen=True)
class Illumination:
    """A light condition: the room's own light and the lamps; the twenty have one flash at most.

    tint: the lamps' colour, red, green and blue about 1. by_camera: they stay where the camera is when the head turns,
    and their places are seen from a head that looks into it.
    """

    room: float
    flashes: tuple[Light, ...] = ()
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    by_camera: bool = False


def _flashes() -> tuple[Light, ...]:
    level = [Light(azimuth, 12) for azimuth in (-90, -67, -45, -30, -15, 0, 15, 30, 45, 67, 90)]
    above = [Light(azimuth, 48) for azimuth in (-60, -30, 0, 30, 60)]
    below = [Light(-45, -25), Light(0, -30), Light(45, -25)]
    return (*level, *above, *below)


# Number 0 is the room alone, 1..11 the flashes at eye level from left to right, 12..16 those above, 17..19 below.
ILLUMINATIONS = (Illumination(room=1.15), *(Illumination(room=0.22, flashes=(f,)) for f in _flashes()))


@dataclass(frozen=True)
class Camera:
    """How a person is photographed. Angles in degrees, lengths in centimetres.

    yaw_jitter, pitch_jitter, roll_jitter: spread of how exactly a sitter holds the head in one picture.
    """

    distance: float = 110.0
    size: int = 60
    supersampling: int = 3
    yaw_jitter: float = 0.8
    pitch_jitter: float = 0.8
    roll_jitter: float = 0.6
    # where the crop puts the face, as shares of its height (design: alignment)
    eye_line: float = 0.35
    chin_line: float = 0.90


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """Head-to-camera rotation (3, 3), degrees; negative yaw turns the face to the image's left edge."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, dtype=np.float32)


def background(pose: int, size: int = 60) -> NDArray[np.uint8]:
    """What the camera of this pose sees behind everybody: (size, size, 3) uint8 sRGB.

    A wall whose tone falls off to one side, with the blurred edges of a door or a stand before it.
    """
    rng = np.random.default_rng([POSES.index(pose), 0xBAC])
    y, x = np.mgrid[0:size, 0:size] / size
    tone = np.array([0.42, 0.43, 0.44]) + rng.normal(size=3) * 0.02 + rng.uniform(-0.08, 0.08)
    slope = rng.uniform(-0.12, 0.12, 2)
    picture = tone + (slope[0] * (x - 0.5) + slope[1] * (y - 0.5))[..., None]
    for _ in range(3):
        left, width = rng.uniform(-0.2, 1.0), rng.uniform(0.08, 0.3)
        top, height = rng.uniform(-0.3, 0.8), rng.uniform(0.2, 1.0)
        soft = rng.uniform(0.015, 0.05)
        cover = _edge(x - left, soft) * _edge(left + width - x, soft)
        cover = cover * _edge(y - top, soft) * _edge(top + height - y, soft)
        colour = rng.uniform(0.12, 0.62) + rng.normal(size=3) * 0.03
        picture = picture + (0.6 * cover)[..., None] * (colour - picture)
    return np.asarray(np.clip(picture, 0, 1) * 255 + 0.5, dtype=np.uint8)


def _edge(distance: NDArray[np.floating], soft: float) -> NDArray[np.floating]:
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / soft, -40, 40))))
