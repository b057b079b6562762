"""What runs a stranger's network is tried in a process of its own: whatever that does, this one goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceedit.errors import UsageError
from faceedit.people import read_encoder
from faceedit.trial import tried
from tests.trials import chatters, falls, fills, folder, goes_on, length, refuses


def test_a_trial_answers_what_the_work_does(tmp_path: Path) -> None:
    file = tmp_path / "n"
    file.write_bytes(b"12345")
    assert tried(length, file, 3) == 15 and tried(chatters, file) == 3


def test_nothing_lies_beside_what_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    monkeypatch.chdir(tmp_path)
    assert tried(folder, Path("n")) == []


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (refuses, r"^\(-2:Unspecified error\) no such \\x1b\[31mlayer$"),
        (falls, f"ends the process that tries it, with -{int(signal.SIGFPE)}"),
        (goes_on, "does not answer within 1 s"),
        (fills, "MemoryError"),
    ],
)
def test_what_a_trial_ends_in_is_one_line(tmp_path: Path, work: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tried(work, tmp_path / "n", patience=1.0 if work is goes_on else 60.0)


# --- networks that take OpenCV down ---


def write_hostile(folder: Path, kind: str) -> Path:
    """An encoder that OpenCV 4.14 does not survive, or whose weights lie elsewhere."""
    onnx = pytest.importorskip("onnx")
    from tests.test_people import write_encoder  # its torch would be loaded by every process that tries something

    file = write_encoder(folder)
    model = onnx.load(file)
    weights = model.graph.initializer[0]
    if kind == "no groups":
        node = onnx.helper.make_node("Conv", ["seen", "kernel"], ["fields"], kernel_shape=[3, 3], group=0)
        model.graph.node[0].CopyFrom(node)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "kernel"))
    if kind == "sizes beyond all":
        weights.dims[:] = [2**32, 2**32]
    if kind.startswith("weights"):
        content = np.array(weights.float_data, np.float32).tobytes()
        (folder / "weights.bin").write_bytes(content)
        weights.ClearField("float_data")
        weights.data_location = onnx.TensorProto.EXTERNAL
        place = {"beside": "weights.bin", "above": "../weights.bin", "of the system": "/dev/zero"}[kind[8:]]
        weights.external_data.add(key="location", value=place)
        weights.external_data.add(key="length", value=str(len(content)))
    file.write_bytes(model.SerializeToString())
    return file


KINDS = ("no groups", "sizes beyond all", "weights beside", "weights above", "weights of the system")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_takes_opencv_down_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The weights of an ONNX file that lie beside it are no part of its hash: they are not looked for."""
    pytest.importorskip("cv2")
    file = write_hostile(tmp_path / "in", kind)
    monkeypatch.chdir(file.parent)
    with pytest.raises(UsageError, match=r"mine\.onnx is no network that can be run \(OpenCV: ") as raised:
        read_encoder(file)
    assert "\n" not in str(raised.value)


def test_a_detector_that_takes_opencv_down_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from faceedit.cropping import CropSettings, detector_of

    with pytest.raises(UsageError, match="is no YuNet that OpenCV can run") as raised:
        detector_of(CropSettings(), write_hostile(tmp_path, "no groups"))
    assert "\n" not in str(raised.value)
    (tmp_path / "large.onnx").touch()
    os.truncate(tmp_path / "large.onnx", 2**40)
    with pytest.raises(UsageError, match="which no YuNet has"):
        detector_of(CropSettings(), tmp_path / "large.onnx")
