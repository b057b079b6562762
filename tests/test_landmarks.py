"""Eyes, mouth and chin of a detected face, where our crops have them; and how the network for that learns."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import CHIN, EYES, MOUTH, Landmarks
from faceedit.cropping import Cropper
from faceedit.errors import ModelFileError
from faceedit.face_detector import Face, FaceDetector
from faceedit.landmarks import FOLDER, FOUND, LandmarkFinder, by_network, middles, square_around
from faceedit.synth.head import MorphableHead
from faceedit.training.landmark_batches import Batches
from faceedit.training.landmark_pictures import LandmarkPictures, load_people, render_people
from faceedit.training.landmarks import (
    LandmarkNetwork,
    LandmarkRun,
    crop_of,
    export_landmarks,
    landmark_loss,
    places,
    train_landmarks,
)

GALLERY = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
SIDE, LEFT, TOP = 200, 260, 150
POSES = ("-45", "-30", "+00", "+30", "+45")


def turned(points: NDArray[np.float64], degrees: float, about: tuple[float, float]) -> NDArray[np.float64]:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray((points - about) @ turn.T + about)


def array(landmarks: Landmarks) -> NDArray[np.float64]:
    """(5, 2)"""
    return np.array([getattr(landmarks, name) for name in FOUND])


def face_of(points: NDArray[np.float64]) -> Face:
    eye_left, eye_right, mouth_left, mouth_right = (tuple(point) for point in points[:4].tolist())
    return Face((LEFT, TOP, SIDE, SIDE), Landmarks(eye_left, eye_right, mouth_left, mouth_right), 0.9)


def scene(path: Path) -> Image.Image:
    made = Image.new("RGB", (720, 500), (120, 150, 180))
    made.paste(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC), (LEFT, TOP))
    return made


def people(pose: str) -> list[Path]:
    return sorted(GALLERY.glob(f"*/*_{pose}_00.png"))[:6]


@pytest.fixture(scope="module")
def finder() -> LandmarkFinder:
    pytest.importorskip("cv2")
    return LandmarkFinder()


def off_the_rule(landmarks: Landmarks) -> NDArray[np.float64]:
    """How far a crop's rule is missed, in its sides: across, by the eyes, and by the side itself."""
    points = (array(landmarks) - (LEFT, TOP)) / SIDE
    eyes, mouth = points[:2].mean(0), points[2:4].mean(0)
    side = (points[4, 1] - eyes[1]) / (CHIN - EYES)
    return np.array([(eyes[0] + mouth[0]) / 2 - 0.5, eyes[1] - EYES, side - 1])


@pytest.mark.parametrize("pose", POSES)
def test_crops_of_rendered_people_are_cut_where_they_were_rendered(finder: LandmarkFinder, pose: str) -> None:
    detector, mine, detected = FaceDetector(), [], []
    for path in people(pose):
        photograph = scene(path)
        (face,) = detector.faces(photograph).found
        mine.append(off_the_rule(finder(photograph, face)))
        given = face.landmarks
        side = (given.mouth[1] - given.eyes[1]) / (MOUTH - EYES)
        chin = (given.eyes[0], given.eyes[1] + (CHIN - EYES) * side)
        points = (given.eye_left, given.eye_right, given.mouth_left, given.mouth_right)
        detected.append(off_the_rule(Landmarks(*points, chin)))
    own, other = (np.sqrt(np.square(errors).mean()) for errors in (mine, detected))
    assert own < 0.05 and own < other


def test_a_rolled_face_has_its_points_turned(finder: LandmarkFinder) -> None:
    photograph = scene(people("+00")[0])
    about = (LEFT + SIDE / 2, TOP + SIDE / 2)
    straight = np.array([(325, 220), (395, 220), (335, 290), (385, 290)], float)
    upright = array(finder(photograph, face_of(straight)))
    rolled = photograph.rotate(-20, Image.Resampling.BICUBIC, center=about, fillcolor=(120, 150, 180))
    found = array(finder(rolled, face_of(turned(straight, 20, about))))
    assert np.abs(found - turned(upright, 20, about)).max() < 0.02 * SIDE


def test_a_larger_photograph_has_the_same_points(finder: LandmarkFinder) -> None:
    photograph = scene(people("+30")[1])
    points = np.array([(325, 220), (395, 220), (335, 290), (385, 290)], float)
    large = photograph.resize((photograph.width * 5, photograph.height * 5), Image.Resampling.BICUBIC)
    small, found = array(finder(photograph, face_of(points))), array(finder(large, face_of(5 * points)))
    assert np.abs(found / 5 - small).max() < 0.02 * SIDE


def test_a_face_at_the_border_has_points(finder: LandmarkFinder) -> None:
    photograph = scene(people("+00")[2]).crop((LEFT + 40, TOP + 30, LEFT + SIDE - 40, TOP + SIDE - 10))
    points = np.array([(325, 220), (395, 220), (335, 290), (385, 290)], float) - (LEFT + 40, TOP + 30)
    found = array(finder(photograph, face_of(points))) + np.array([40, 30])
    assert abs(found[:2, 1].mean() / SIDE - EYES) < 0.04 and abs(found[2:4, 1].mean() / SIDE - MOUTH) < 0.05


def test_photographs_are_cut_by_the_network_and_given_detectors_by_their_own_points(finder: LandmarkFinder) -> None:
    photograph, detector = scene(people("+45")[0]), FaceDetector()
    (face,) = detector.faces(photograph).found
    (cut,), (own,) = (one.cut(Path("scene"), photograph).faces for one in (Cropper(), Cropper(load=lambda: detector)))
    assert cut.face is not None and cut.face.landmarks == by_network(photograph, face) == finder(photograph, face)
    assert own.face is not None and own.face.landmarks == face.landmarks and face.landmarks.chin is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("landmarks.json", b"{}", "landmarks.json is no card of a landmark network"),
        ("landmarks.json", b"[", "landmarks.json is no card of a landmark network"),
        ("landmarks.onnx", b"other", "landmarks.onnx is not the network that landmarks.json names"),
        ("landmarks.onnx", None, "landmarks.onnx cannot be read"),
    ],
)
def test_a_damaged_network_is_refused(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    pytest.importorskip("cv2")
    folder = tmp_path / "landmarks"
    shutil.copytree(FOLDER, folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelFileError, match=f"{message}.*: install facesearch again"):
        LandmarkFinder(folder)


def test_the_network_that_comes_along_is_small() -> None:
    assert (FOLDER / "landmarks.onnx").stat().st_size < 2_000_000
    assert tuple(json.loads((FOLDER / "landmarks.json").read_text(encoding="utf-8"))["points"]) == FOUND


# --- learning ---


def test_a_map_with_one_peak_is_that_place_and_both_ways_to_read_it_agree() -> None:
    heat = np.zeros((1, 5, 16, 16), np.float32)
    heat[0, 3, 4, 9] = 50
    found = middles(heat)
    assert found[0, 3] == pytest.approx((9.5 / 16, 4.5 / 16)) and found[0, 0] == pytest.approx((0.5, 0.5))
    noise = np.random.default_rng(0).normal(size=(3, 5, 16, 16)).astype(np.float32)
    assert middles(noise) == pytest.approx(places(torch.from_numpy(noise)).numpy(), abs=1e-6)


def test_the_square_stands_upright_by_the_eyes_around_eyes_and_mouth() -> None:
    straight = np.array([(40, 50), (60, 50), (44, 75), (56, 75)], float)
    for degrees in (0.0, 30.0):
        square = square_around(turned(straight, degrees, (0, 0))[None])[0]
        inside = (turned(straight, degrees, (0, 0)) - square[:, 2]) @ np.linalg.inv(square[:, :2]).T
        assert inside[0, 1] == pytest.approx(inside[1, 1], abs=1e-5)
        assert inside[:2, 0].mean() == pytest.approx(0.5, abs=1e-5)
        assert inside[2:, 1].mean() - inside[:2, 1].mean() == pytest.approx((MOUTH - EYES) / 1.3, abs=1e-5)


def stand_ins(count: int = 6) -> LandmarkPictures:
    """A bright spot at each point on a grey disc: all that a network needs to see."""
    rng = np.random.default_rng(0)
    pictures, points = np.zeros((count, 144, 144, 4), np.uint8), np.zeros((count, 5, 2), np.float32)
    rows, columns = np.mgrid[0:144, 0:144] + 0.5
    for number in range(count):
        points[number] = np.array([(58, 60), (86, 60), (62, 95), (82, 95), (72, 112)]) + rng.normal(size=(5, 2))
        pictures[number][np.hypot(columns - 72, rows - 80) < 50] = (90, 90, 90, 255)
        for x, y in points[number]:
            pictures[number][np.hypot(columns - x, rows - y) < 3] = (255, 255, 255, 255)
    looks = points[:, None, :4] + rng.normal(size=(count, 2, 4, 2)).astype(np.float32)
    looks[0, 0] = np.nan  # a face that was not found
    yaw = np.linspace(-60, 60, count).astype(np.float32)
    return LandmarkPictures(*map(torch.from_numpy, (pictures, points, looks, yaw)))


@pytest.fixture(scope="module")
def batches() -> Batches:
    return Batches(stand_ins(), 0)


def test_batches_say_where_the_points_are_in_what_is_seen(batches: Batches) -> None:
    off = []
    for step in range(20):
        batch = batches.draw(step, 1)
        seen, true = batch.seen[0].mean(0), batch.true[0] * 64
        spots = torch.stack([seen[int(y.clamp(0, 63)), int(x.clamp(0, 63))] for x, y in true])
        off.append(float(spots.mean() - seen[20:50, 20:44].median()))
    assert np.median(off) > 0.1  # spots are brighter than the face, but where something hides them


def test_the_same_step_gives_the_same_batch(batches: Batches) -> None:
    one, again, other = batches.draw(3, 4), Batches(stand_ins(), 0).draw(3, 4), batches.draw(4, 4)
    assert torch.equal(one.seen, again.seen) and torch.equal(one.true, again.true)
    assert not torch.equal(one.seen, other.seen)


def test_the_loss_is_nothing_where_all_is_right_and_weighs_the_crop() -> None:
    true = torch.tensor([[(0.3, 0.4), (0.7, 0.4), (0.4, 0.6), (0.6, 0.6), (0.5, 0.9)]])
    assert landmark_loss(true, true) == 0
    assert crop_of(true)[0].tolist() == pytest.approx([0.5, 0.4, 0.5 / (CHIN - EYES)])
    apart, along = true.clone(), true.clone()
    apart[:, 0, 0] -= 0.05
    apart[:, 1, 0] += 0.05  # the crop stays
    along[:, :2, 0] += 0.05  # the crop moves
    assert landmark_loss(along, true) > landmark_loss(apart, true) > 0


class Stopped(Exception):
    """Whoever trains stops in the middle."""


@pytest.mark.slow
def test_training_reports_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    data, reported = stand_ins(), list[int]()

    def note(step: int, errors: Mapping[str, float]) -> None:
        assert set(errors) == {f"{who} {what}" for who in ("front", "sideways") for what in ("across", "down", "side")}
        reported.append(step)

    def stop(step: int, errors: Mapping[str, float]) -> None:
        raise Stopped

    def trained(out: Path, report: Callable[[int, Mapping[str, float]], None]) -> torch.nn.Module:
        return train_landmarks(data, data, LandmarkRun(out, 8, batch=4, every=4), report)

    whole = trained(tmp_path / "whole", note)
    with pytest.raises(Stopped):
        trained(tmp_path / "parts", stop)
    parts = trained(tmp_path / "parts", note)
    assert reported == [4, 8, 8]
    for one, other in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_opencv_runs_what_was_exported_to_the_same_points(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("onnx")
    torch.manual_seed(1)
    network = LandmarkNetwork().eval()
    export_landmarks(network, tmp_path, {}, "none")
    seen = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = torch.from_numpy(seen).permute(2, 0, 1)[None] / 255
    expected = places(network(picture))[0].detach().numpy()
    assert LandmarkFinder(tmp_path).places(seen) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_rendered_people_come_with_their_points_and_what_a_detector_says(tmp_path: Path, head: MorphableHead) -> None:
    pytest.importorskip("cv2")
    (file,) = render_people(head, FaceDetector(), tmp_path, [0])
    data = load_people([file])
    assert data.pictures.shape[1:] == (144, 144, 4) and data.points.shape == (len(data), 5, 2)
    crop = crop_of(data.points) / 144  # the camera stands where these lines are
    assert (crop[:, 1] - 0.42).abs().max() < 1e-3 and (crop[:, 2] - (0.76 - 0.42) / (CHIN - EYES)).abs().max() < 1e-3
    off = (data.detected - data.points[:, None, :4]).norm(dim=3) / (144 * crop[:, 2, None, None])
    assert off.isfinite().float().mean() > 0.8 and off.nanmedian() < 0.08
    before = file.stat().st_mtime_ns
    assert list(render_people(head, FaceDetector(), tmp_path, [0])) == [file] and file.stat().st_mtime_ns == before
