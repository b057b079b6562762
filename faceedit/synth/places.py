"""Which place of the head each pixel shows, and where a place lies in another picture of the same face.

A picture's places are stored in half precision: 0.008 centimetres at the most, a sixteenth of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import ManifestError
from faceedit.synth.head import Floats
from faceedit.synth.scene import Camera

_MOST = 2**28  # bytes of one file: twelve thousand views


@dataclass(frozen=True)
class Viewpoint:
    """From where a crop sees a head. turn: head to camera (3, 3); x, eyes: what lies in the middle of its width, and on
    its eye line, in centimetres of the plane through the head's centre; height: centimetres that it shows of that
    plane; distance: of the camera."""

    turn: Floats
    x: float
    eyes: float
    height: float
    distance: float

    @classmethod
    def of(cls, landmarks: Floats, turn: Floats, camera: Camera) -> Viewpoint:
        """Where the rule of alignment puts the crop of a face with these 68 landmarks (68, 3)."""
        seen = landmarks @ turn.T
        flat = seen[:, :2] * (camera.distance / (camera.distance - seen[:, 2:]))
        eyes, mouth, chin = flat[36:48].mean(0), flat[[48, 54]].mean(0), flat[8]
        height = (eyes[1] - chin[1]) / (camera.chin_line - camera.eye_line)
        return cls(turn, float(eyes[0] + mouth[0]) / 2, float(eyes[1]), float(height), camera.distance)

    @property
    def row(self) -> Floats:
        """(13,) the turn, row by row, then x, eyes, height and distance."""
        return np.array([*self.turn.ravel(), self.x, self.eyes, self.height, self.distance], np.float32)


@dataclass(frozen=True)
class Places:
    """points (V, S, S, 3) float16: head coordinates in centimetres, NaN beside the person; viewpoints: of each."""

    points: NDArray[np.float16]
    viewpoints: tuple[Viewpoint, ...]

    @property
    def rows(self) -> Floats:
        """(V, 13) the viewpoints."""
        return np.stack([viewpoint.row for viewpoint in self.viewpoints])


def save_places(file: Path, places: Places) -> None:
    """Write an .npz of points (V, S, S, 3) float16 and viewpoints (V, 13) float32."""
    np.savez_compressed(file, points=places.points, viewpoints=places.rows)


def load_places(file: Path) -> tuple[NDArray[np.float16], Floats]:
    """Points and viewpoints of such a file. Raises ManifestError where it is none."""
    try:
        with ZipFile(file) as members:
            unpacked = sum(member.file_size for member in members.infolist())
            if unpacked > _MOST:  # a stranger's may unpack to far more than it takes on the disk
                raise ValueError(f"it unpacks to {unpacked:,} bytes; expected {_MOST:,} at most")
        with np.load(file, allow_pickle=False) as data:
            points, viewpoints = data["points"], data["viewpoints"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ManifestError(f"{file} holds no places of pixels ({error}): render the database again") from error
    if points.ndim != 4 or points.shape[3] != 3 or viewpoints.shape != (len(points), 13):
        raise ManifestError(f"{file} holds places {points.shape} of viewpoints {viewpoints.shape}: render it again")
    return points, viewpoints


def project(points: NDArray[np.floating], viewpoint: NDArray[np.floating], eye_line: float = 0.35) -> Floats:
    """Where points (..., 3) of the head lie in the crop of a viewpoint (13,): (..., 2) across and down, -1..1 from
    border to border as torch's grid_sample counts them without aligned corners."""
    turn, (x, eyes, height, distance) = viewpoint[:9].reshape(3, 3), viewpoint[9:]
    seen = points.astype(np.float32) @ turn.T
    flat = seen[..., :2] * (distance / (distance - seen[..., 2:]))
    across, down = (flat[..., 0] - x) / height + 0.5, (eyes - flat[..., 1]) / height + eye_line
    return np.stack([2 * across - 1, 2 * down - 1], -1).astype(np.float32)
