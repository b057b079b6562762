"""Pictures of people whom a stand-in knows, each a little otherwise than the next."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.describes import Accepted, Floats, Usual
from faceedit.images import Picture
from index.truth.address import Address
from retrieval.face_search import FaceSearch
from tests.stand_ins import KnowsPeople, ReadsHere

USUAL = Usual("people", "2026-11-26", 10, 0.1, 0.2, 0.4, (Accepted(0.01, 1.2, 1, 1, 1), Accepted(1e-4, 1.0, 1, 1, 1)))
ANNA, BEN, CARL = 40, 90, 140


class Alike(KnowsPeople):
    """Who it is, by the corner's red; a little otherwise by its green; and, by its blue, half way to another."""

    def __init__(self, name: str = "alike", usual_who: Usual | None = USUAL, size: int = 64) -> None:
        super().__init__(usual_who=usual_who, descriptor_size=size)
        self.digest = hashlib.sha256(name.encode()).hexdigest()

    def of_person(self, descriptor: Floats, picture: Picture, /) -> Floats:
        half = self.descriptor_size // 2
        red, green, blue = picture[0, 0].astype(int).tolist()
        who = direction(half, red) + 0.3 * direction(half, 1_000 + green)
        who = who + (direction(half, blue) if blue else 0)
        look = descriptor[half:] / np.linalg.norm(descriptor[half:])
        return np.concatenate([who / np.linalg.norm(who), look]).astype(np.float32) * np.float32(0.5**0.5)


def direction(size: int, seed: int) -> NDArray[np.float64]:
    made = np.random.default_rng(seed).normal(size=size)
    return np.asarray(made / np.linalg.norm(made))


def save(path: Path, person: int, number: int, other: int = 0) -> Path:
    noise = np.random.default_rng(1000 * person + number).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    noise[0, 0] = (person, number, other)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    return path


def search(folder: Address, describer: Alike | None = None) -> FaceSearch:
    """A gallery that groups people."""
    return FaceSearch(folder, describer=describer or Alike(), reader=ReadsHere())
