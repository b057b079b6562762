"""A network that says who somebody is: how it wants a face, and what it says of one.

A crop lies by the rule (`faceedit.align`), so that its eyes and mouth are where they are in every other: one similarity
takes every crop to where a network wants them. On renders that finds more people than points that a detector gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.align import EYES, MOUTH, middle
from faceedit.describes import Floats
from faceedit.errors import FaceEditError, UsageError
from faceedit.images import SIZE, Picture, require_crops
from faceedit.trial import reason

SFACE = "sface"
OPENCV, ONNXRUNTIME, PYTORCH = "OpenCV", "onnxruntime", "PyTorch"
_SFACE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_LARGEST_SIDE = 1_024
_LARGEST_FED = 1e6  # mean and scale of what a network is given
_ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Wanted:
    """How a network wants a face. size: side of its picture, pixels; points: five, x and y in them, of the eyes, the
    nose and the corners of the mouth, the picture's left first; channels: RGB or BGR; a channel's value v of 0 to 255
    is given as (v - mean) x scale."""

    size: int
    points: tuple[tuple[float, float], ...]
    channels: str = "RGB"
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for what no network can want."""
        if not 16 <= self.size <= _LARGEST_SIDE:
            raise ValueError(f"size is {self.size}; expected 16 to {_LARGEST_SIDE:,} pixels")
        inside = all(len(point) == 2 and all(0 <= one <= self.size for one in point) for point in self.points)
        if len(self.points) != 5 or not inside:
            raise ValueError(f"points are {str(self.points)[:80]}; expected five in the picture, x and y in its pixels")
        if self.mouth[1] - self.eyes[1] < self.size / 10:
            raise ValueError(f"points are {str(self.points)[:80]}; expected eyes, nose, and the mouth below the eyes")
        if self.channels not in _ORDERS:
            raise ValueError(f"channels are {self.channels!r:.20}; expected RGB or BGR")
        if not (abs(self.mean) <= _LARGEST_FED and 1 / _LARGEST_FED <= self.scale <= _LARGEST_FED):
            raise ValueError(
                f"mean is {self.mean}, scale {self.scale}; expected numbers of up to a million, the scale above 0"
            )

    @property
    def eyes(self) -> tuple[float, float]:
        """Their middle."""
        return middle(*self.points[:2])

    @property
    def mouth(self) -> tuple[float, float]:
        """Its middle."""
        return middle(*self.points[3:])

    @property
    def from_crop(self) -> NDArray[np.float64]:
        """(2, 3) the similarity that takes pixels of a crop, (60, 60), to the network's."""
        down = (MOUTH - EYES) * SIZE
        across, along = (new - old for new, old in zip(self.mouth, self.eyes, strict=True))
        turn = np.array([[along, across], [-across, along]]) / down
        return np.column_stack([turn, np.array(self.eyes) - turn @ [SIZE / 2, EYES * SIZE]])


OF_SFACE = Wanted(
    112, ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
)


class Encodes(Protocol):
    """`Encoder`, or what stands in for it."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def digest(self) -> str:
        """Names the network and how it is fed, 64 hexadecimal digits."""

    @property
    def kind(self) -> str:
        """Where distances are told by kind: another network, or one that is fed otherwise, has another."""

    @property
    def size(self) -> int:
        """Numbers in what it says of a face."""

    def encode(self, crops: NDArray[np.uint8], /) -> Floats:
        """What it says of crops (N, 60, 60, 3) uint8 RGB: (N, size), each of length 1; people are as alike as these are
        by cosine."""


@dataclass(frozen=True)
class Encoder:
    """A network in an ONNX file. name: what people call it; wanted: how it wants a face; stated: what its maker says of
    its licence and training pictures; run_by: OpenCV, onnxruntime or PyTorch, which does on a device (auto, cpu, cuda).
    May be shared by threads, which wait for one another."""

    name: str
    file: Path
    wanted: Wanted
    stated: str = "nothing is said of its licence and training pictures"
    content: bytes = field(default=b"", repr=False)
    run_by: str = OPENCV
    device: str = "auto"
    _one: Lock = field(default_factory=Lock, repr=False, compare=False)

    @cached_property
    def _sha256(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self._sha256 + repr(self.wanted).encode()).hexdigest()

    @property
    def kind(self) -> str:
        of_the_extra = self._sha256.hex() == _SFACE_SHA256 and self.wanted == OF_SFACE
        return SFACE if of_the_extra else f"{self.name} {self.digest[:12]}"

    @cached_property
    def size(self) -> int:
        return int(self._raw(np.full((1, SIZE, SIZE, 3), 127, np.uint8)).shape[1])

    def encode(self, crops: NDArray[np.uint8], /) -> Floats:
        """See `Encodes`. Raises ImageError for other shapes, UsageError where the network makes no direction of a
        face."""
        require_crops(crops)
        if not len(crops):
            return np.zeros((0, self.size), np.float32)
        said = self._raw(crops)
        lengths = np.linalg.norm(said, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not (lengths > 0).all():
            raise UsageError(f"{self.file} says of a face what is no direction: it is no encoder of faces")
        return np.asarray(said / lengths, np.float32)

    def _raw(self, crops: NDArray[np.uint8]) -> Floats:
        with self._one:
            said: Floats = self._network(np.concatenate([self._seen(crop) for crop in crops]))
            return said

    def _seen(self, crop: Picture) -> Floats:
        """(1, 3, S, S) as the network wants it."""
        import cv2

        side, wanted = self.wanted.size, self.wanted
        cut = cv2.warpAffine(crop, wanted.from_crop, (side, side), borderMode=cv2.BORDER_REPLICATE)
        ordered = cut if wanted.channels == "RGB" else cut[:, :, ::-1]
        seen: Floats = (ordered.astype(np.float32) - wanted.mean) * wanted.scale
        return np.ascontiguousarray(seen.transpose(2, 0, 1)[None], np.float32)

    @cached_property
    def _network(self) -> Any:
        """What makes (N, D) of (N, 3, S, S)."""
        try:
            return _RUNNERS[self.run_by](self.content, self.device)
        except FaceEditError:
            raise
        except Exception as error:
            raise UsageError(
                f"{self.file} is no encoder that {self.run_by} can run ({reason(error)}): give another"
            ) from error


def numbers_by_opencv(file: Path, side: int) -> int:
    """How many numbers OpenCV makes of a face with a network. Raises whatever OpenCV does."""
    return _numbers(_by_opencv, file, side)


def numbers_by_onnxruntime(file: Path, side: int) -> int:
    """The same by onnxruntime."""
    return _numbers(_by_onnxruntime, file, side)


def _numbers(run: Callable[[bytes, str], Callable[[Floats], Floats]], file: Path, side: int) -> int:
    return int(run(file.read_bytes(), "cpu")(np.zeros((1, 3, side, side), np.float32)).shape[1])


def _by_opencv(content: bytes, device: str) -> Callable[[Floats], Floats]:
    """Networks in whole numbers say nothing right of several pictures at once in OpenCV 4."""
    import cv2

    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))

    def say(seen: Floats) -> Floats:
        network.setInput(seen)
        return np.asarray(network.forward(), np.float32).reshape(1, -1)

    return _one_by_one(say)


def _by_onnxruntime(content: bytes, device: str) -> Callable[[Floats], Floats]:
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def say(seen: Floats) -> Floats:
        return np.asarray(session.run(None, {name: seen})[0], np.float32).reshape(1, -1)

    return _one_by_one(say)


def _one_by_one(say: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Of several pictures what a network says of each."""
    return lambda seen: np.concatenate([say(one[None]) for one in seen])


def _by_pytorch(content: bytes, device: str) -> Callable[[Floats], Floats]:
    from faceedit.sface import by_torch

    return by_torch(content, device)


_RUNNERS = {OPENCV: _by_opencv, ONNXRUNTIME: _by_onnxruntime, PYTORCH: _by_pytorch}
