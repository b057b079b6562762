"""Pictures that landmarks are learned from: rendered people with some room around the face, their exact points, and
what a detector says of them, so that its own errors are learned away.

One file for each person, NNNNN.npz: pictures (V, 144, 144, 4) uint8 RGBA on black; points (V, 5, 2), where
`faceedit.landmarks.FOUND` are in them, pixels; detected (V, K, 4, 2), where a detector saw eyes and mouth when the
picture stood before some background, at some size and roll, NaN where it saw none; yaw (V,), degrees.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceedit.face_detector import SIDES, Face, FindsFaces
from faceedit.synth.head import Floats, MorphableHead
from faceedit.synth.places import project
from faceedit.synth.render import Photographs, photograph_variety
from faceedit.synth.scene import Camera
from faceedit.synth.variety import Variety
from faceedit.training.augmentation import random_backgrounds

CAMERA = Camera(size=144, supersampling=1, eye_line=0.42, chin_line=0.76)
VARIETY = Variety(expressions=3, lights=1, loose=7, yaw=65.0, pitch=9.0)
_SEEDS = 31_000_000  # of people whom no other data set has
_LOOKS = 3  # of the detector at every picture
_SMALLEST, _LARGEST = 100, 420  # pixels of the picture that it looks at
_ROLL = 12.0  # degrees, spread
_NEAR = 0.5  # of the way from eyes to mouth, within which a detected face is the one that was rendered


@dataclass(frozen=True)
class LandmarkPictures:
    """What the files hold, of several people."""

    pictures: Tensor
    points: Tensor
    detected: Tensor
    yaw: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


def load_people(files: Sequence[Path]) -> LandmarkPictures:
    """All that these files hold."""
    people = [dict(np.load(file)) for file in files]
    names = ("pictures", "points", "detected", "yaw")
    return LandmarkPictures(*(torch.from_numpy(np.concatenate([one[name] for one in people])) for name in names))


def render_people(head: MorphableHead, detector: FindsFaces, out: Path, numbers: Iterable[int]) -> Iterator[Path]:
    """Write the file of each of these people, if it is not there yet. Raises FaceModelError for a head without
    expression shapes."""
    out.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        file = out / f"{number:05d}.npz"
        if not file.exists():
            partial = file.with_name(f".{file.name}")
            np.savez(partial, **_person(head, detector, number))
            partial.replace(file)
        yield file


def _person(head: MorphableHead, detector: FindsFaces, number: int) -> dict[str, Any]:
    shots = photograph_variety(head, _SEEDS + number, CAMERA, VARIETY)
    colours, masks = np.concatenate([shot.images[:, 0] for shot in shots]), np.concatenate([s.masks for s in shots])
    pictures = np.concatenate([colours, masks[..., None]], -1)
    points = np.concatenate([_seen_points(shot) for shot in shots])
    turns = np.concatenate([shot.places.rows for shot in shots])[:, :9].reshape(-1, 3, 3)
    rng = np.random.default_rng([number, 0x100C])
    return {
        "pictures": pictures,
        "points": points,
        "detected": np.stack([_looks(*one, detector, rng) for one in zip(pictures, points, strict=True)]),
        "yaw": np.degrees(np.arctan2(turns[:, 0, 2], turns[:, 2, 2])).astype(np.float32),
    }


def _seen_points(shot: Photographs) -> Floats:
    """(V, 5, 2) pixels: both eyes, both corners of the mouth, the chin."""
    marks = shot.landmarks
    five = np.stack([marks[36:42].mean(0), marks[42:48].mean(0), marks[48], marks[54], marks[8]])
    seen = [project(five, viewpoint, CAMERA.eye_line) for viewpoint in shot.places.rows]
    return np.asarray((np.stack(seen) + 1) / 2 * CAMERA.size, np.float32)


def _looks(picture: NDArray[np.uint8], points: Floats, detector: FindsFaces, rng: np.random.Generator) -> Floats:
    """(K, 4, 2) where the detector sees eyes and mouth, in pixels of the picture."""
    found = np.full((_LOOKS, 4, 2), np.nan, np.float32)
    random = torch.Generator().manual_seed(int(rng.integers(2**31)))
    behind = random_backgrounds(_LOOKS, CAMERA.size, random, "cpu", 0.3).permute(0, 2, 3, 1).numpy() * 255
    cover = picture[..., 3:] / 255
    for look in range(_LOOKS):
        shown = np.clip(picture[..., :3] * np.exp(0.25 * rng.normal()) + (1 - cover) * behind[look], 0, 255)
        side = round(math.exp(rng.uniform(math.log(_SMALLEST), math.log(_LARGEST))))
        roll = math.radians(float(np.clip(_ROLL * rng.normal(), -30, 30)))
        image, to_picture = _rolled(Image.fromarray(shown.astype(np.uint8)), side, roll)
        faces = detector.faces(image, min(side, SIDES[0]))
        if not faces.turns:
            _note(found[look], faces.found, to_picture, points)
    return found


def _rolled(image: Image.Image, side: int, roll: float) -> tuple[Image.Image, Floats]:
    """The picture at another size and turned about its middle; and the (2, 3) affine map from there to here."""
    share = image.width / side
    turn = share * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    map_back = np.c_[turn, image.width / 2 - turn @ [side / 2, side / 2]]
    how = Image.Resampling.BICUBIC
    small = image.resize((side, side), Image.Resampling.BOX) if share > 1 else image
    shrunk = np.c_[map_back[:, :2] / max(share, 1), map_back[:, 2] / max(share, 1)]
    edge = np.asarray(image)[0, 0].tolist()
    turned = small.transform((side, side), Image.Transform.AFFINE, shrunk.ravel().tolist(), how, fillcolor=tuple(edge))
    return turned, np.asarray(map_back, np.float32)


def _note(found: Floats, faces: Sequence[Face], to_picture: Floats, points: Floats) -> None:
    """The points of the face that was rendered, if it is among those that were detected."""
    eyes, mouth = points[:2].mean(0), points[2:4].mean(0)
    nearest = _NEAR * float(np.linalg.norm(eyes - mouth))
    for face in faces:
        given = face.landmarks
        there = np.array([given.eye_left, given.eye_right, given.mouth_left, given.mouth_right])
        here = there @ to_picture[:, :2].T + to_picture[:, 2]
        off = float(np.linalg.norm(here.mean(0) - points[:4].mean(0)))
        if off < nearest:
            nearest, found[:] = off, here
