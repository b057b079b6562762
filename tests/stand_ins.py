"""What stands in for the network where a test is about something else: no torch, microseconds a picture."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.attributes import POSE, TASKS, AttributeSpace
from faceedit.cropping import Cropper, CropSettings, detector_of, unseen
from faceedit.describes import Described, Edit, Floats, Usual, Who
from faceedit.errors import ImageError
from faceedit.face_detector import Faces
from faceedit.images import SIZE, Picture
from faceedit.landmarks import by_network
from retrieval.face_search import FaceSearch
from retrieval.one_file import Crops, Read, content_of, read_by, reader_name

ROOT = Path(__file__).resolve().parent.parent


class HashEditor:
    """Descriptors and decisions that the picture's content and the model's name decide, and nothing else does."""

    def __init__(
        self,
        name: str = "stand-in",
        attribute: AttributeSpace = POSE,
        descriptor_size: int = 16,
        batch: int = 64,
        neutral: bool = False,
        usual: Usual | None = None,
    ) -> None:
        self.digest = hashlib.sha256(f"{name} {attribute.name} {descriptor_size}".encode()).hexdigest()
        self.attribute, self.descriptor_size, self.batch, self.neutral = attribute, descriptor_size, batch, neutral
        self.usual = usual
        self.who: Who | None = None
        self.usual_who: Usual | None = None
        self.described: list[int] = []  # how many pictures each call was given
        self.edited: list[int] = []

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
            raise ImageError(f"pictures of shape {images.shape[1:]} {images.dtype}: give ({SIZE}, {SIZE}, 3) uint8")
        self.described.append(len(images))
        best = np.array([self._number(image) % len(self.attribute) for image in images], np.int64)
        errors = np.full((len(images), len(self.attribute)), np.nan, np.float32)
        rows = np.arange(len(images))
        errors[rows, best], errors[rows, (best + 1) % len(self.attribute)] = 1.5, 2.5
        made = [self._descriptor(image) for image in images]
        return Described(np.array(made, np.float32).reshape(-1, self.descriptor_size), best, errors)

    def edit(self, image: Picture, value: int, /) -> Edit:
        """The picture moved sideways and made darker, each by the value's position."""
        at = self.attribute.index(value)
        moved = np.ascontiguousarray(np.roll(image, at, axis=1))
        refined = (moved * (1 - 0.02 * at)).astype(np.uint8)
        return Edit(moved, refined, self._descriptor(image, str(value)))

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        self.edited.append(len(images))
        places = zip(images, values.tolist(), strict=True)
        return [self.edit(image, self.attribute.values[place]) for image, place in places]

    @property
    def portrays(self) -> bool:
        return False

    def portraits(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        return self.edit_many(images, values)

    def backdrop(self, image: Picture) -> None:
        """Nothing stands before neutral grey."""

    def of_person(self, descriptor: Floats, picture: Picture, /) -> Floats:
        return descriptor

    def _number(self, image: Picture, of: str = "") -> int:
        return int.from_bytes(hashlib.sha256(f"{self.digest} {of}".encode() + image.tobytes()).digest()[:8], "big")

    def _descriptor(self, image: Picture, of: str = "") -> Floats:
        made = np.random.default_rng(self._number(image, of)).normal(size=self.descriptor_size)
        return (made / np.linalg.norm(made)).astype(np.float32)


def stand_in_search(
    folder: Path, *, model: Path | None = None, attribute: str | None = None, **options: Any
) -> FaceSearch:
    """A FaceSearch without a network, and without processes that read files, as `cli.app.run(arguments,
    stand_in_search)` makes one: the name of the model's folder decides what is made of a picture."""
    name = Path(model or "stand-in").name
    editors = {space.name: HashEditor(name, space, 28_800) for space in TASKS.values()}
    kept = {name: options[name] for name in ("candidates", "reader") if name in options}
    finder = Cropper(glance=unseen)
    return FaceSearch(folder, describer=editors, attribute=attribute, finder=finder, **{"reader": ReadsHere(), **kept})


def told_lines(lines: str, *arguments: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """A command with `stand_in_search`, in a process of its own, to which standard input says these lines; first: what
    that process does before."""
    program = (
        "import sys; from cli.app import run; from tests.stand_ins import stand_in_search\n"
        f"{first}\n"
        "sys.exit(run(sys.argv[1:], stand_in_search))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=False)


class Sees:
    """What finds faces in tests, which sees as much of a photograph that stands upright."""

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        raise NotImplementedError

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        return self.faces(photograph, side)


def believing(crops: Crops = Crops()) -> Callable[[Path], Read]:  # noqa: B008
    """Reads files as `crops` does, but looks at no square whether it shows somebody: pictures of tests seldom do."""

    @cache
    def cropper() -> Cropper:
        settings = CropSettings(faces=crops.faces)
        return Cropper(settings, detector_of(settings, crops.detector), by_network, unseen)

    return lambda path: read_by(cropper(), path)


class ReadsHere:
    """Reads files in this process, `most` at a time where that is given."""

    def __init__(
        self, most: int | None = None, crops: Callable[[Path], Read] | None = None, name: str | None = None
    ) -> None:
        self._most, self._crops, self._name = most, crops or believing(), name or reader_name()
        self._told = crops is None  # what becomes of pictures

    @property
    def name(self) -> str:
        return self._name

    def content(self, path: Path, /) -> str | None:
        return content_of(path)

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        step = min(batch, self._most or batch)
        for start in range(0, len(paths), step):
            yield [self._crops(path) for path in paths[start : start + step]]

    def cropping(self, crops: Crops, /) -> ReadsHere:
        one = copy(self)
        one._crops = believing(crops) if self._told else self._crops
        return one


class KnowsPeople(HashEditor):
    """Also says who it is, by the colour in a picture's corner, in the first half of a descriptor."""

    def __init__(self, tells_strangers: bool = True, usual_who: Usual | None = None, **more: Any) -> None:
        super().__init__("knows", **more)
        self.who = Who(0, self.descriptor_size // 2, tells_strangers)
        self.usual_who = usual_who

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        ours = super().describe(images)
        made = [self.of_person(one, image) for one, image in zip(ours.descriptors, images, strict=True)]
        return Described(np.array(made, np.float32).reshape(ours.descriptors.shape), ours.best, ours.errors)

    def of_person(self, descriptor: Floats, picture: Picture, /) -> Floats:
        half = self.descriptor_size // 2
        who = np.random.default_rng(picture[0, 0].astype(int).tolist()).normal(size=half)
        look = descriptor[half:] / np.linalg.norm(descriptor[half:])
        return np.concatenate([who / np.linalg.norm(who), look]).astype(np.float32) * np.float32(math.sqrt(0.5))
