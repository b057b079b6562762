"""Faces in photographs: found, set upright, cut out; and what is said where there is none."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import EYES, MOUTH, Landmarks, align
from faceedit.crop_rule import lies_by_the_rule
from faceedit.cropping import Cropper, CropSettings, detector_of
from faceedit.decoding import read_photograph
from faceedit.errors import LandmarkError, MissingPackageError, NoFaceError, UsageError
from faceedit.face_detector import Face, FaceDetector, Faces, scaled
from faceedit.images import as_crop
from faceedit.yunet import LEAST_SCORE
from tests.stand_ins import Sees
from tests.test_people import write_encoder

PICTURES = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
PEOPLE = sorted(path for path in PICTURES.glob("*/*_+00_00.png"))
SKY = (120, 150, 180)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    pytest.importorskip("cv2")
    return FaceDetector()


def scene(size: tuple[int, int], *places: tuple[int, int, int]) -> Image.Image:
    """Rendered people before a sky, each a square with its left, top and side."""
    made = Image.new("RGB", size, SKY)
    for (left, top, side), path in zip(places, PEOPLE, strict=False):
        made.paste(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return made


def is_the_face(face: Face, left: float, top: float, side: float) -> bool:
    """Eyes and mouth lie in the square where a crop has them."""
    eyes, mouth = face.landmarks.eyes, face.landmarks.mouth
    at = [(eyes[1] - top) / side - EYES, (mouth[1] - top) / side - MOUTH, (eyes[0] - left) / side - 0.5]
    return max(map(abs, at)) < 0.1


def test_a_face_is_found_where_it_is(detector: FaceDetector) -> None:
    faces = detector.faces(scene((900, 700), (300, 200, 240)))
    assert (len(faces.found), faces.turns, faces.photograph.size) == (1, 0, (900, 700))
    face = faces.found[0]
    left, top, width, height = face.box
    assert is_the_face(face, 300, 200, 240) and face.score > 0.8
    assert 300 < left + width / 2 < 540 and 200 < top + height / 2 < 440 and face.area == width * height


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photograph_that_lies_on_its_side_is_set_upright(detector: FaceDetector, turns: int) -> None:
    upright = scene((900, 700), (300, 200, 240))
    faces = detector.faces(upright.rotate(-90 * turns, expand=True))
    assert faces.turns == turns and np.array_equal(np.asarray(faces.photograph), np.asarray(upright))
    assert len(faces.found) == 1 and is_the_face(faces.found[0], 300, 200, 240)


def test_every_face_is_found_the_largest_first(detector: FaceDetector) -> None:
    places = [(40, 60, 120), (220, 90, 200), (470, 40, 150), (700, 120, 180), (100, 400, 160), (500, 380, 240)]
    faces = detector.faces(scene((1000, 700), *places))
    assert len(faces.found) == len(places)
    for face, place in zip(faces.found, sorted(places, key=lambda place: -place[2]), strict=True):
        assert is_the_face(face, *place)


def test_in_a_crowd_everybody_is_seen(detector: FaceDetector) -> None:
    """A network says several boxes of each face, of which only so many are kept before they become one."""
    places = [(left, top, 44) for top in range(0, 460, 48) for left in range(0, 590, 48)]
    photograph = Image.new("RGB", (640, 512), SKY)
    for (left, top, side), path in zip(places, cycle(PEOPLE), strict=False):
        photograph.paste(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, top))
    seen = detector._detected(np.ascontiguousarray(np.asarray(photograph)[:, :, ::-1]), 1.0)
    sure = [face for face in seen if face.score >= LEAST_SCORE]
    assert len(places) == 130 and sum(any(is_the_face(face, *one) for face in sure) for one in places) >= 128


def test_of_more_places_than_a_photograph_may_have_the_surest_are_asked_about() -> None:
    pytest.importorskip("cv2")

    class Sees600(FaceDetector):
        def _asked(self, network: object, pixels: np.ndarray) -> np.ndarray:
            return np.stack([np.full(15, share, np.float32) for share in np.linspace(0.9, 0.2, 600)])

    seen = list(Sees600()._detected(np.zeros((640, 640, 3), np.uint8), 1.0))
    assert len(seen) == 500 and seen[0].score > seen[-1].score > 0.3


@pytest.mark.slow
def test_what_was_looked_at_before_changes_nothing(detector: FaceDetector) -> None:
    wanted = FaceDetector().faces(scene((900, 700), (300, 200, 240))).found
    for before in (scene((300, 700)), scene((2600, 1200), (300, 200, 90)), scene((64, 64))):
        detector.faces(before, 1280)
        assert detector.faces(scene((900, 700), (300, 200, 240))).found == wanted


@pytest.mark.parametrize(
    ("size", "place"),  # found by the second look, and by the third
    [((2400, 1800), (1200, 720, 100)), pytest.param((4000, 3000), (2000, 1200, 120), marks=pytest.mark.slow)],
)
def test_a_small_face_in_a_large_photograph_is_found(
    detector: FaceDetector, size: tuple[int, int], place: tuple[int, int, int]
) -> None:
    cuts = Cropper(load=lambda: detector).cut(Path("scene"), scene(size, place))
    [cut] = cuts.faces
    assert cut.face is not None and is_the_face(cut.face, *place) and cuts.size == size


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_a_dark_photograph_shows_its_face(detector: FaceDetector, share: float) -> None:
    dark = Image.eval(scene((900, 700), (300, 200, 240)), lambda value: round(share * value))
    assert len(detector.faces(dark).found) == 1


def test_a_grey_photograph_shows_its_face(detector: FaceDetector) -> None:
    assert len(detector.faces(scene((900, 700), (300, 200, 240)).convert("L").convert("RGB")).found) == 1


@pytest.mark.parametrize("kind", ["black", "sky", "noise", "one pixel", "a line"])
def test_where_nobody_is_nobody_is_found(detector: FaceDetector, kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    pictures = {
        "black": Image.new("RGB", (640, 480)),
        "sky": Image.new("RGB", (640, 480), SKY),
        "noise": Image.fromarray(noise),
        "one pixel": Image.new("RGB", (1, 1), SKY),
        "a line": Image.new("RGB", (3000, 1), SKY),
    }
    assert detector.faces(pictures[kind]).found == ()


def test_another_network_may_be_given_and_is_refused_where_it_is_none(detector: FaceDetector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist: give the ONNX file"):
        FaceDetector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(UsageError, match=r"text\.onnx is no YuNet that OpenCV can run"):
        FaceDetector(tmp_path / "text.onnx").faces(scene((100, 100)))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackageError, match=r"pip install '\.\[photos\]'"):
        FaceDetector()
    detector_of(CropSettings(), None)
    for faces in ("all", "largest"):
        with pytest.raises(MissingPackageError):
            detector_of(CropSettings(faces=faces), None)


def test_crops_lie_by_the_rule_and_portraits_do_not(detector: FaceDetector) -> None:
    crops = [detector.faces(Image.open(path).convert("RGB")) for path in PEOPLE[:8]]
    assert all(len(one.found) == 1 and lies_by_the_rule(one.found[0], one.photograph) for one in crops)
    portrait = detector.faces(scene((600, 600), (150, 150, 300)))
    assert len(portrait.found) == 1 and not lies_by_the_rule(portrait.found[0], portrait.photograph)


# --- crops ---


class Finds(Sees):
    """Stands in for the detector."""

    def __init__(self, *found: Face) -> None:
        self.found = found

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        return Faces(photograph, 0, self.found)


def face_at(x: float, y: float, eyes: float) -> Face:
    """With its eyes so far apart, around (x, y)."""
    points = ((x - eyes / 2, y), (x + eyes / 2, y), (x - eyes / 3, y + eyes), (x + eyes / 3, y + eyes))
    return Face((x - eyes, y - eyes, 2 * eyes, 3 * eyes), Landmarks(*points), 0.9)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photograph.png")
    return tmp_path / "photograph.png"


def missing() -> Finds:
    raise MissingPackageError("pip install '.[photos]'")


def cropped(photograph: Path, found: Sequence[Face], faces: str = "auto", size: int = 60) -> np.ndarray:
    return Cropper(CropSettings(size, faces=faces), lambda: Finds(*found)).only(photograph, None)


def test_the_only_face_is_cut_out_as_its_landmarks_say(photograph: Path) -> None:
    one = face_at(120, 100, 30)
    expected = Cropper().only(photograph, one.landmarks)
    assert np.array_equal(cropped(photograph, [one]), expected)


def test_of_several_faces_the_largest_is_cut_out_where_that_is_said(photograph: Path) -> None:
    large, small = face_at(120, 100, 40), face_at(300, 90, 20)
    with pytest.raises(LandmarkError, match="shows 2 faces, and nobody says which is meant; --faces largest"):
        cropped(photograph, [large, small])
    assert np.array_equal(cropped(photograph, [large, small], "largest"), cropped(photograph, [large]))


def test_a_crop_is_taken_as_it_is(photograph: Path) -> None:
    lies = face_at(200, 0.35 * 300, 0.35 * 300)
    whole = as_crop(Image.open(photograph))
    assert np.array_equal(cropped(photograph, [lies]), whole)
    assert np.array_equal(cropped(photograph, [], "aligned"), whole)


def test_where_no_face_is_found_that_is_said(photograph: Path) -> None:
    with pytest.raises(LandmarkError, match=r"no face is found in .*; --faces aligned"):
        cropped(photograph, [])


@pytest.mark.parametrize(
    ("size", "crop"),
    [((60, 60), True), ((500, 480), True), ((240, 100), True), ((400, 300), False), ((900, 900), False)],
)
def test_without_a_detector_what_can_be_no_crop_is_refused(tmp_path: Path, size: tuple[int, int], crop: bool) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", size, SKY).save(path)
    if crop:
        assert Cropper(load=missing).only(path, None).shape == (60, 60, 3)
    else:
        with pytest.raises(
            LandmarkError, match=rf"has {size[0]} x {size[1]} pixels and is no crop of a face; pip install"
        ):
            Cropper(load=missing).only(path, None)


class LooksAgain(Finds):
    """Finds some in a photograph, and others besides, one more with every finer look of one that stands upright; what
    may be one is faint."""

    def __init__(self, found: Sequence[Face], besides: Sequence[Face], faint: Sequence[Face] = ()) -> None:
        super().__init__(*found)
        self.besides, self.faint, self.looks = besides, faint, 0

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        return Faces(photograph, 0, _in(photograph, self.found), _in(photograph, self.faint))

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        assert side == (1280, 2560)[self.looks] <= max(photograph.size)
        self.looks += 1
        seen = [*self.found, *self.besides[: self.looks]]
        return Faces(photograph, 0, _in(photograph, seen), _in(photograph, self.faint))


def _in(photograph: Image.Image, shares: Sequence[Face]) -> tuple[Face, ...]:
    return tuple(scaled(share, photograph.width, photograph.height) for share in shares)


def share_at(x: float, y: float, eyes: float) -> Face:
    """In shares of a photograph of 4 to 3."""
    return scaled(face_at(4 * x, 3 * y, eyes), 1 / 4, 1 / 3)


@pytest.mark.parametrize(
    ("size", "found", "looks"),
    [
        ((2400, 1800), [share_at(0.2, 0.4, 0.3), share_at(0.7, 0.4, 0.28)], 1),  # several
        ((2400, 1800), [share_at(0.2, 0.4, 0.2)], 1),  # one, and small in it
        ((2400, 1800), [share_at(0.4, 0.4, 0.5)], 0),  # a portrait
        ((1200, 900), [share_at(0.2, 0.4, 0.3), share_at(0.7, 0.4, 0.28)], 0),  # all that can be seen was
    ],
)
def test_beside_several_people_or_small_ones_smaller_are_looked_for(
    size: tuple[int, int], found: list[Face], looks: int
) -> None:
    detector = LooksAgain(found, [share_at(0.45, 0.8, 0.06), share_at(0.9, 0.85, 0.05)])
    cuts = Cropper(load=lambda: detector).cut(Path("party.jpg"), jpeg(size))
    assert (detector.looks, len(cuts.faces), cuts.size) == (looks, len(found) + looks, size)
    areas = [cut.face.area for cut in cuts.faces if cut.face is not None]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize(
    ("width", "faint", "looks"),
    [
        (2400, share_at(0.1, 0.9, 0.02), 1),
        (4000, share_at(0.1, 0.9, 0.02), 2),
        (4000, share_at(0.9, 0.85, 0.02), 1),  # it is somebody, as is seen then
        (4000, share_at(0.9, 0.85, 0.2), 0),  # it is faint for another reason
        (4000, share_at(0.42, 0.42, 0.02), 0),  # it is a part of the face
        (4000, share_at(0.9, 0.85, 0.001), 0),  # nobody could be known by so few pixels
        (1500, share_at(0.9, 0.85, 0.02), 0),  # a finer look would show no more
    ],
)
def test_beside_a_portrait_somebody_is_looked_for_who_is_seen_faintly(width: int, faint: Face, looks: int) -> None:
    detector = LooksAgain([share_at(0.4, 0.4, 0.5)], [share_at(0.9, 0.85, 0.02), share_at(0.95, 0.1, 0.02)], [faint])
    cuts = Cropper(load=lambda: detector).cut(Path("party.jpg"), jpeg((width, 3 * width // 4)))
    assert (detector.looks, len(cuts.faces)) == (looks, 1 + looks)


class Looks(Finds):
    """Finds the same face wherever it is looked for, from some size on, and notes what it was shown."""

    def __init__(self, share: Face, least: int = 0) -> None:
        self.share, self.least, self.shown = share, least, list[tuple[tuple[int, int], int]]()

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        self.shown.append((photograph.size, side))
        found = (scaled(self.share, *photograph.size),) if side >= self.least else ()
        return Faces(photograph, 0, found)


def jpeg(size: tuple[int, int], seed: int = 0) -> bytes:
    """Smooth, so that it does not matter how it was made smaller."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.parametrize(("eyes", "larger", "decoded"), [(0.2, False, 1000), (0.02, False, 4000), (0.2, True, 1000)])
def test_no_more_of_a_photograph_is_decoded_than_its_crops_need(eyes: float, larger: bool, decoded: int) -> None:
    content = jpeg((4000, 3000))
    share = Face((0.4, 0.3, 0.2, 0.3), face_at(0.5, 0.4, eyes).landmarks, 0.9)
    looks = Looks(share)
    cuts = Cropper(load=lambda: looks).cut(Path("large.jpg"), content, larger=larger)
    assert looks.shown == [((1000, 750), 640)] and cuts.size == (4000, 3000)
    [cut] = cuts.faces
    assert cut.face is not None and cut.face.box == pytest.approx((1600, 900, 800, 900))
    full = align(read_photograph(Path("large.jpg"), content=content), cut.face.landmarks, 60)
    assert np.abs(cut.crop.astype(int) - full).max() <= 4
    assert (None if cut.larger is None else len(cut.larger)) == (240 if larger else None)


@pytest.mark.parametrize(
    ("size", "least", "sides"),
    [((4000, 3000), 1280, [640, 1280]), ((4000, 3000), 2560, [640, 1280, 2560]), ((600, 450), 2560, [640])],
)
def test_small_faces_are_looked_for_in_more_pixels_while_none_is_found(
    size: tuple[int, int], least: int, sides: list[int]
) -> None:
    looks = Looks(Face((0.4, 0.3, 0.2, 0.3), face_at(0.5, 0.4, 0.02).landmarks, 0.9), least)
    with nullcontext() if max(sides) >= least else pytest.raises(NoFaceError):
        assert len(Cropper(load=lambda: looks).cut(Path("large.jpg"), jpeg(size)).faces) == 1
    assert [side for _, side in looks.shown] == sides
    assert all(max(shown) >= min(side, *size) for shown, side in looks.shown)


def test_a_crop_that_lies_on_its_side_is_set_upright() -> None:
    class Turns(Finds):
        def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
            return Faces(photograph.rotate(90, expand=True), 1, self.found)

    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    lies = face_at(150, 0.35 * 300, 0.35 * 300)
    cuts = Cropper(load=lambda: Turns(lies)).cut(Path("crop.png"), noise)
    assert cuts.turns == 1 and np.array_equal(cuts.faces[0].crop, align(noise.rotate(90), lies.landmarks, 60))


def test_the_points_that_cut_a_face_out_may_be_others(photograph: Path) -> None:
    one, other = face_at(120, 100, 30), face_at(220, 120, 50)
    cutter = Cropper(load=lambda: Finds(one), points=lambda photograph, face: other.landmarks)
    [cut] = cutter.cut(photograph, None).faces
    assert np.array_equal(cut.crop, Cropper().only(photograph, other.landmarks))
    assert cut.face == Face(one.box, other.landmarks, one.score)


def test_what_cannot_be_asked_together_is_refused() -> None:
    with pytest.raises(UsageError, match="no --faces 'some': choose one of auto, all, largest, aligned"):
        CropSettings(faces="some")
    with pytest.raises(UsageError, match="--detector and --faces aligned together"):
        detector_of(CropSettings(faces="aligned"), Path("other.onnx"))


def test_a_detector_that_is_none_is_known_before_any_picture_is_looked_at(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "junk.onnx").write_bytes(b"no network")
    for file in (tmp_path / "junk.onnx", write_encoder(tmp_path)):
        with pytest.raises(UsageError, match="is no YuNet that OpenCV can run") as raised:
            detector_of(CropSettings(), file)
        assert "\n" not in str(raised.value)
