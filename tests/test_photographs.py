"""The face that is meant in a photograph which somebody asks about."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import Landmarks, align
from faceedit.cropping import Cropper
from faceedit.errors import MissingPackageError, NoFaceError, UsageError
from faceedit.face_detector import Face, Faces
from faceedit.images import read_crop
from retrieval.face_search import FaceSearch
from retrieval.source import read_source
from tests.stand_ins import HashEditor, ReadsHere, Sees


class Finds(Sees):
    """Stands in for the detector: finds what it was told to."""

    def __init__(self, *found: Face) -> None:
        self.found, self.seen = found, 0

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        self.seen += 1
        return Faces(photograph, 0, self.found)


def face(x: float, y: float, eyes: float) -> Face:
    """With its eyes so far apart, around (x, y)."""
    points = ((x - eyes / 2, y), (x + eyes / 2, y), (x - eyes / 3, y + eyes), (x + eyes / 3, y + eyes))
    return Face((x - eyes, y - eyes, 2 * eyes, 3 * eyes), Landmarks(*points), 0.9)


LARGE, SMALL = face(200, 150, 60), face(500, 150, 30)


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    picture(700, 400).save(tmp_path / "photograph.png")
    return tmp_path / "photograph.png"


def missing() -> Finds:
    raise MissingPackageError("pip install '.[photos]'")


def test_the_face_is_cut_out_in_whatever_form_the_photograph_is_given(photograph: Path) -> None:
    finder = Cropper(load=lambda: Finds(LARGE))
    opened = picture(700, 400)
    expected = align(opened, LARGE.landmarks, 60), align(opened, LARGE.landmarks, 171)  # 60 pixels from eyes to mouth
    for given in (
        photograph,
        str(photograph),
        photograph.read_bytes(),
        bytearray(png(opened)),
        opened,
        np.array(opened),
    ):
        source = read_source(given, finder=finder)
        assert np.array_equal(source.crop, expected[0]) and np.array_equal(source.picture, expected[1])
        assert source.warnings == () and (source.path == photograph) == isinstance(given, str | Path)
    assert read_source(photograph, 90, finder=finder).picture.shape == (90, 90, 3)


def test_of_several_the_largest_is_meant_or_the_one_that_is_named(photograph: Path) -> None:
    finder = Cropper(load=lambda: Finds(LARGE, SMALL))
    source = read_source(photograph, finder=finder)
    assert source.warnings == ("face 1 of 2 at 200,180 is meant, the largest; its number chooses another (--face)",)
    for number, meant in ((1, LARGE), (2, SMALL)):
        named = read_source(photograph, finder=finder, face=number)
        assert np.array_equal(named.crop, align(picture(700, 400), meant.landmarks, 60)) and named.warnings == ()
    with pytest.raises(NoFaceError, match=r"there is no face 3 in .*: it shows 2, and 1 is the largest"):
        read_source(photograph, finder=finder, face=3)


def test_which_face_is_said_when_the_photograph_is_read(photograph: Path) -> None:
    finder = Cropper(load=lambda: Finds(LARGE, SMALL))
    with pytest.raises(UsageError, match="face 2 of a picture that was read already: say which when it is read"):
        read_source(read_source(photograph, finder=finder), face=2)


def test_a_fault_in_its_metadata_hides_no_face(photograph: Path) -> None:
    content = photograph.read_bytes()
    at = content.index(b"IDAT") - 4
    fault = len(b"a\0b").to_bytes(4, "big") + b"tEXta\0b" + b"none"  # a wrong sum
    source = read_source(content[:at] + fault + content[at:], finder=Cropper(load=lambda: Finds(LARGE)))
    assert np.array_equal(source.crop, align(picture(700, 400), LARGE.landmarks, 60))
    assert len(source.warnings) == 1


def test_a_face_that_cannot_be_cut_out_is_none_or_leaves_a_crop_as_it_is(photograph: Path, tmp_path: Path) -> None:
    finder = Cropper(load=lambda: Finds(face(-2_000, 150, 60)))
    with pytest.raises(NoFaceError, match="cannot be cut out: it lies too near the border"):
        read_source(photograph, finder=finder)
    picture(400, 400).save(tmp_path / "crop.png")
    assert np.array_equal(read_source(tmp_path / "crop.png", finder=finder).crop, read_crop(tmp_path / "crop.png"))


@pytest.mark.parametrize("number", [0, -1, 1.5, "1", True])
def test_what_is_no_number_of_a_face_is_refused(photograph: Path, number: int) -> None:
    with pytest.raises(UsageError, match=r"face is .*: give its number, 1 for the largest"):
        read_source(photograph, finder=Cropper(load=lambda: Finds(LARGE)), face=number)


@pytest.mark.parametrize(("width", "height"), [(60, 60), (256, 240), (128, 128)])
def test_what_is_made_as_crops_are_is_not_looked_at(tmp_path: Path, width: int, height: int) -> None:
    detector = Finds(LARGE)
    path = tmp_path / "crop.png"
    picture(width, height).save(path)
    source = read_source(path, finder=Cropper(load=lambda: detector))
    assert detector.seen == 0 and np.array_equal(source.crop, read_crop(path))


@pytest.mark.parametrize("found", [(), (face(200, 140, 140),)])
def test_a_larger_crop_stays_as_it_is(tmp_path: Path, found: tuple[Face, ...]) -> None:
    """Whether its face is found where it belongs, or hidden from the detector."""
    path = tmp_path / "crop.png"
    picture(400, 400).save(path)
    source = read_source(path, finder=Cropper(load=lambda: Finds(*found)))
    assert np.array_equal(source.crop, read_crop(path))


def test_what_is_amiss_with_a_crop_that_was_looked_at_is_told_once() -> None:
    content = png(picture(300, 300))[:-12]
    assert read_source(content, finder=Cropper(load=Finds)).warnings == ("the end is missing",)


def test_a_photograph_without_a_face_is_refused(photograph: Path) -> None:
    with pytest.raises(NoFaceError, match=r"no face is found in .*photograph\.png: give") as told:
        read_source(photograph, finder=Cropper(load=Finds))
    assert told.value.exit_code == 4


def test_without_the_extra_crops_are_read_and_photographs_refused(photograph: Path, tmp_path: Path) -> None:
    finder = Cropper(load=missing)
    with pytest.raises(MissingPackageError, match="has 700 x 400 pixels and is no crop of a face; pip install"):
        read_source(photograph, finder=finder)
    picture(500, 500).save(tmp_path / "crop.png")
    assert np.array_equal(read_source(tmp_path / "crop.png", finder=finder).crop, read_crop(tmp_path / "crop.png"))


def test_a_photograph_is_queried_edited_and_decided_about(photograph: Path, tmp_path: Path) -> None:
    detector, other = Finds(LARGE, SMALL), tmp_path / "gallery"
    other.mkdir()
    picture(60, 60).save(other / "one.png")
    with FaceSearch(
        tmp_path / "db", describer=HashEditor(), reader=ReadsHere(), finder=Cropper(load=lambda: detector)
    ) as faces:
        faces.index(other)
        first, second = faces.query(photograph, pose=30), faces.query(photograph, pose=30, face=2)
        assert first.query == second.query == str(photograph) and first[0].distance != second[0].distance
        assert faces.edit(photograph, pose=30, face=2)[-1].edit.descriptor.tolist() == (
            second.steps[-1].edit.descriptor.tolist()
        )
        assert faces.decide(photograph) == faces.decide(faces.read(photograph, face=1))
        assert len(faces.sweep(photograph, face=2)) == 7


@pytest.mark.slow
def test_a_real_detector_finds_whom_a_photograph_shows(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    people = sorted((Path(__file__).resolve().parent.parent / "sample_db" / "gallery").glob("*/*_+00_00.png"))[:2]
    made = Image.new("RGB", (900, 600), (120, 150, 180))
    for left, side, path in zip((100, 500), (160, 260), people, strict=True):
        made.paste(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, 150))
    source = read_source(made.rotate(90, expand=True), finder=Cropper())
    assert source.warnings[0].startswith("face 1 of 2 at ")
    larger = np.asarray(Image.open(people[1]).convert("RGB")).astype(float)
    smaller = np.asarray(Image.open(people[0]).convert("RGB")).astype(float)
    assert np.abs(source.crop - larger).mean() < np.abs(source.crop - smaller).mean()
