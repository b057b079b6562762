"""Where eyes, mouth and chin of a detected face are, by the rule that crops lie by (`faceedit.align`).

Detectors follow other rules at three-quarter views, and know no chin. A small network looks at the square around the
points of a detector and says where ours are; it has learned from renders, whose points are exact
(`faceedit.training.landmarks`). OpenCV runs it: whoever reads photographs needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import EYES, MOUTH, Landmarks
from faceedit.errors import ModelFileError
from faceedit.images import Picture

if TYPE_CHECKING:
    from faceedit.face_detector import Face

SIDE, CELLS = 64, 16  # pixels of what the network sees; places in each direction for which it says how likely they are
VIEW = 1.3  # of the side of the crop that a detector's eyes and mouth would give
FOUND = ("eye_left", "eye_right", "mouth_left", "mouth_right", "chin")
FOLDER = Path(__file__).resolve().parent.parent / "sample_db" / "models" / "landmarks"
NETWORK, CARD = "landmarks.onnx", "landmarks.json"
_HIGHER = 0.4846  # height in the square of the middle of eyes and mouth: the chin needs more room than the forehead
_SAMPLES = 2  # per pixel and direction
_AGAIN = "install facesearch again"
Floats = NDArray[np.float32]


class LandmarkFinder:
    """The landmarks of detected faces. May be shared by threads."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """folder: of the network and its card. Raises ModelFileError for files that are damaged or not there, and
        ImportError without OpenCV."""
        import cv2

        self._cv2, self._one = cv2, Lock()
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(np.frombuffer(_checked(folder), np.uint8))
        except cv2.error as error:
            raise ModelFileError(f"{folder / NETWORK} is no network that OpenCV can run: {_AGAIN}") from error

    def __call__(self, photograph: Image.Image, face: Face, /) -> Landmarks:
        """Those of a face that was detected in an upright RGB photograph, in its pixels."""
        return self.judged(photograph, face)[0]

    def judged(self, photograph: Image.Image, face: Face) -> tuple[Landmarks, float]:
        """The same, and how spread over the places the points are, nats: 0 where each is at one, 5.5 where anywhere."""
        square = square_around(_points(face.landmarks)[None])[0]
        heat = self._heat(self._seen(photograph, square))
        found = np.asarray(middles(heat)[0] @ square[:, :2].T + square[:, 2], np.float64)
        points = {name: (float(x), float(y)) for name, (x, y) in zip(FOUND, found, strict=True)}
        return Landmarks(**points), spread(heat)

    def places(self, seen: Picture) -> Floats:
        """Where the points FOUND lie in a square (64, 64, 3) uint8 RGB: (5, 2) x and y, as shares of its side."""
        return np.asarray(middles(self._heat(seen))[0])

    def _heat(self, seen: Picture) -> Floats:
        with self._one:
            self._network.setInput(self._cv2.dnn.blobFromImage(seen, 1 / 255))
            return np.array(self._network.forward(), np.float32)

    def _seen(self, photograph: Image.Image, square: Floats) -> Picture:
        """The square of a photograph as (64, 64, 3) uint8, averaged down; beyond the border that is repeated."""
        corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) @ square[:, :2].T + square[:, 2]
        fine = SIDE * _SAMPLES
        reduction = max(1, int(_length(square) / fine))
        margin = 2 * reduction
        most = np.array(photograph.size)
        low = np.clip(np.floor(corners.min(0)) - margin, 0, most - 1).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + margin, low + 1, most).astype(int)
        part = np.asarray(photograph.reduce(reduction, (*low.tolist(), *high.tolist())))
        # from a sample's middle to the part's pixels, whose middles OpenCV counts as whole numbers
        turn = square[:, :2] / reduction / fine
        corner = (square[:, 2] - low) / reduction + turn @ [0.5, 0.5] - 0.5
        how = self._cv2.INTER_LINEAR | self._cv2.WARP_INVERSE_MAP
        mapping, border = np.c_[turn, corner], self._cv2.BORDER_REPLICATE
        sampled = self._cv2.warpAffine(part, mapping, (fine, fine), flags=how, borderMode=border)
        return np.asarray(self._cv2.resize(sampled, (SIDE, SIDE), interpolation=self._cv2.INTER_AREA))


@cache
def shipped_finder() -> LandmarkFinder:
    """The network that comes along, loaded once."""
    return LandmarkFinder()


def by_network(photograph: Image.Image, face: Face) -> Landmarks:
    """The landmarks of a detected face by the network that comes along, which is loaded with the first."""
    return shipped_finder()(photograph, face)


def landmarks_digest() -> str:
    """sha256 of the network that comes along, as its card says: other crops are cut by another one. Raises
    ModelFileError."""
    return _pinned(FOLDER)


def require_landmarks() -> None:
    """Raise ModelFileError unless the network that comes along is there, and whole."""
    _checked(FOLDER)


def square_around(points: NDArray[np.floating]) -> Floats:
    """What the network sees of faces whose eyes and corners of the mouth a detector says: (N, 4, 2) -> (N, 2, 3) affine
    maps from shares of the square to the picture. It stands upright by the eyes."""
    eyes, mouth, across = points[:, :2].mean(1), points[:, 2:].mean(1), points[:, 1] - points[:, 0]
    roll = np.arctan2(across[:, 1], across[:, 0])
    side = np.linalg.norm(mouth - eyes, axis=1) / (MOUTH - EYES) * VIEW
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]).transpose(2, 0, 1)
    turn = turn * side[:, None, None]
    corner = (eyes + mouth) / 2 - turn @ np.array([0.5, _HIGHER])
    return np.concatenate([turn, corner[:, :, None]], 2).astype(np.float32)


def middles(heat: Floats) -> Floats:
    """The mean place under the softmax of each map: (N, 5, 16, 16) -> (N, 5, 2) x and y, as shares of the side."""
    likely = _likely(heat)
    places = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    return np.stack([likely.sum(2) @ places, likely.sum(3) @ places], -1).astype(np.float32)


def spread(heat: Floats) -> float:
    """The mean entropy of what the softmax of each map (N, 5, 16, 16) says, nats, 0 to log(256)."""
    likely = _likely(heat)
    return float(-(likely * np.log(likely + 1e-9)).sum((2, 3)).mean())


def _likely(heat: Floats) -> Floats:
    """The softmax of each map."""
    likely = np.exp(heat - heat.max((2, 3), keepdims=True))
    return np.asarray(likely / likely.sum((2, 3), keepdims=True))


def _points(landmarks: Landmarks) -> NDArray[np.float64]:
    """(4, 2) the points that a detector gives."""
    return np.array([landmarks.eye_left, landmarks.eye_right, landmarks.mouth_left, landmarks.mouth_right])


def _length(square: Floats) -> float:
    return math.hypot(square[0, 0], square[1, 0])


def _pinned(folder: Path) -> str:
    try:
        return str(json.loads((folder / CARD).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{folder / CARD} is no card of a landmark network ({error}): {_AGAIN}") from error


def _checked(folder: Path) -> bytes:
    """The network's bytes, which are those that its card names."""
    pinned, file = _pinned(folder), folder / NETWORK
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read ({error.strerror}): {_AGAIN}") from error
    if hashlib.sha256(content).hexdigest() != pinned:
        raise ModelFileError(f"{file} is not the network that {CARD} names: {_AGAIN}")
    return content
