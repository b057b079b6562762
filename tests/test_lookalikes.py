"""What is left out since it is no face is counted: where it lies, why, and how that is told."""

from __future__ import annotations

import io
import math
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from faceedit.align import Landmarks
from faceedit.cropping import Cropper
from faceedit.errors import NoFaceError
from faceedit.face_detector import Face, FaceDetector, Faces
from faceedit.images import Picture
from faceedit.lookalikes import SHAPE, SMALL, UNSEEN, Box, Lookalike, apart, middle_of, moved, told
from retrieval.looking import faces_in
from retrieval.one_file import read_by
from tests.stand_ins import Sees

PERSON = Path(__file__).resolve().parent.parent / "sample_db" / "gallery" / "0113" / "0113_+00_00.png"
WALL = (170, 160, 140)


def mask(at: tuple[int, int] = (400, 300)) -> Image.Image:
    """A grey mask on a wall, which a detector takes for a face at first."""
    (x, y), made = at, Image.new("RGB", (800, 600), WALL)
    pen = ImageDraw.Draw(made)
    pen.ellipse((x - 88, y - 121, x + 88, y + 121), (200, 200, 200))
    for eye in (x - 38, x + 38):
        pen.ellipse((eye - 18, y - 51, eye + 18, y - 25), (245, 245, 245))
        pen.ellipse((eye - 9, y - 47, eye + 9, y - 29), (30, 20, 20))
    pen.rectangle((x - 38, y + 55, x + 38, y + 66), (150, 50, 50))
    return made.filter(ImageFilter.GaussianBlur(2))


def mask_and_person() -> Image.Image:
    made = mask((250, 300))
    made.paste(Image.open(PERSON).convert("RGB").resize((240, 240)), (520, 200))
    return made


def content(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


@pytest.fixture(scope="module")
def cropper() -> Cropper:
    pytest.importorskip("cv2")
    return Cropper()


# --- the detector ---


def row(left: float, top: float, side: float, score: float, mouth: float = 0.75) -> list[float]:
    """As YuNet says a face: its box, and the eyes, nose and mouth, that so far down in it."""
    points = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, mouth), (0.65, mouth))
    return [left, top, side, side, *(one for x, y in points for one in (left + x * side, top + y * side)), score]


class Says(FaceDetector):
    """Sees these faces in a photograph, at every turn, and none in a smaller look."""

    def __init__(self, *rows: list[float]) -> None:
        super().__init__()
        self.rows = np.array(rows, np.float32)

    def _asked(self, network: object, pixels: Picture) -> NDArray[np.float32] | None:
        return self.rows if max(pixels.shape) == 640 else None


def test_the_detector_says_what_it_left_out_and_why() -> None:
    pytest.importorskip("cv2")
    detector = Says(
        row(20, 20, 100, 0.95),
        row(200, 20, 100, 0.8, mouth=0.1),  # above the eyes
        row(200, 200, 100, 0.5, mouth=0.1),  # the same, and it looks like none
        row(-90, 200, 100, 0.99, mouth=0.1),  # at no place in the photograph
        row(100, math.inf, 100, 0.99, mouth=0.1),
        row(400, 200, 100, 0.7),  # a wall, where nobody is seen again
        row(20, 300, 100, 0.4),  # faint
    )
    photograph = Image.new("RGB", (1280, 960), WALL)
    for faces in (detector.faces(photograph), detector.standing(photograph, 640)):
        assert [round(face.box[0]) for face in faces.found] == [40] and len(faces.faint) == 1
        assert [(one.reason, *map(round, one.box)) for one in faces.lookalikes] == [
            (SHAPE, 400, 40, 200, 200),
            (UNSEEN, 800, 400, 200, 200),
        ]


# --- several looks ---


def face(box: Box) -> Face:
    left, top, width, height = box
    points = ((0.3, 0.35), (0.7, 0.35), (0.35, 0.75), (0.65, 0.75))
    return Face(box, Landmarks(*((left + x * width, top + y * height) for x, y in points)), 0.95)


class SaysEach(Sees):
    """Says of each look, in shares of the photograph's sides, what it finds and what it leaves out; turned so often."""

    def __init__(self, *looks: tuple[int, Sequence[Box], Sequence[Box]]) -> None:
        self.looks = list(looks)

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        turns, found, left_out = self.looks.pop(0)
        upright = photograph.rotate(90 * turns, expand=True)
        width, height = upright.size
        found, left_out = (
            [(left * width, top * height, wide * width, high * height) for left, top, wide, high in some]
            for some in (found, left_out)
        )
        return Faces(upright, turns, tuple(map(face, found)), (), tuple(Lookalike(one, SHAPE) for one in left_out))


HERE, THERE, ELSEWHERE = (0.1, 0.1, 0.2, 0.2), (0.6, 0.6, 0.1, 0.1), (0.7, 0.1, 0.1, 0.1)
LARGE = (3200, 2400)


def shares(lookalikes: Sequence[Lookalike], size: tuple[int, int]) -> list[Box]:
    both = (*size, *size)
    return [tuple(round(one / side, 2) for one, side in zip(each.box, both, strict=True)) for each in lookalikes]  # type: ignore[misc]


def test_each_place_is_told_once_however_often_it_was_looked_at() -> None:
    looks = SaysEach((0, [], [HERE, THERE]), (0, [], [ELSEWHERE, HERE]), (0, [], [THERE]))
    with pytest.raises(NoFaceError, match="; 3 places look like faces and were left out") as raised:
        Cropper(load=lambda: looks).cut(Path("x.png"), Image.new("RGB", LARGE))
    assert looks.looks == [] and shares(raised.value.lookalikes, LARGE) == [HERE, THERE, ELSEWHERE]


def test_a_place_where_somebody_is_found_in_the_end_was_not_left_out() -> None:
    looks = SaysEach((0, [], [HERE, THERE]), (0, [HERE], []), (0, [HERE], []))
    cuts = Cropper(load=lambda: looks).cut(Path("x.png"), Image.new("RGB", LARGE))
    assert len(cuts.faces) == 1 and shares(cuts.lookalikes, LARGE) == [THERE]


def test_places_of_a_finer_look_beside_known_faces_are_told() -> None:
    looks = SaysEach((0, [(0.1, 0.1, 0.1, 0.1)], [THERE]), (0, [], [ELSEWHERE]))
    cuts = Cropper(load=lambda: looks).cut(Path("x.png"), Image.new("RGB", (2400, 1800)))
    assert looks.looks == [] and shares(cuts.lookalikes, (2400, 1800)) == [THERE, ELSEWHERE]


def test_places_stay_where_they_are_whichever_way_a_look_was_turned() -> None:
    """A quarter turn to the left takes what is at the left and top to the left and bottom."""
    looks = SaysEach((1, [], [(0.1, 0.7, 0.2, 0.2)]), (0, [], [HERE]), (3, [], [(0.7, 0.1, 0.2, 0.2)]))
    with pytest.raises(NoFaceError) as raised:
        Cropper(load=lambda: looks).cut(Path("x.png"), Image.new("RGB", LARGE))
    assert looks.looks == [] and shares(raised.value.lookalikes, LARGE) == [HERE]


def test_who_is_too_small_is_told() -> None:
    looks = SaysEach((0, [HERE, (0.6, 0.6, 0.01, 0.012)], []))
    cuts = Cropper(load=lambda: looks).cut(Path("x.png"), Image.new("RGB", (1000, 750)))
    assert len(cuts.faces) == 1 and [one.reason for one in cuts.lookalikes] == [SMALL]


@pytest.mark.parametrize("turns", [-3, -1, 0, 1, 2, 3, 4])
def test_a_place_is_moved_as_the_pixels_are(turns: int) -> None:
    before = Image.new("L", (60, 40))
    before.paste(255, (5, 10, 17, 18))
    after = before.rotate(90 * turns, expand=True)
    double = (2 * after.width, 2 * after.height)
    [one] = moved([Lookalike((5, 10, 12, 8), SHAPE)], before.size, turns, double)
    left, top, width, height = one.box
    assert after.resize(double, Image.Resampling.NEAREST).getbbox() == (left, top, left + width, top + height)


def test_a_place_in_a_face_is_none_of_its_own() -> None:
    one, within, beside = (Lookalike(box, SHAPE) for box in (HERE, (0.15, 0.15, 0.05, 0.05), THERE))
    assert apart([one, within, beside], []) == (one, beside)
    assert apart([one, within, beside], [HERE]) == (beside,)


# --- what is told ---


@pytest.mark.parametrize(
    ("reasons", "text"),
    [
        ([SMALL], "1 place, at 20,40, looks like a face and was left out (too small to know anybody by)"),
        ([UNSEEN] * 2, "2 places look like faces and were left out (not seen again at a second look)"),
        (
            [SMALL, *[UNSEEN] * 1200],
            "1,201 places look like faces and were left out (1,200 not seen again at a second look, 1 too small to "
            "know anybody by)",
        ),
    ],
)
def test_how_many_were_left_out_is_told_with_the_reasons(reasons: list[str], text: str) -> None:
    assert told(Counter(reasons), (10, 20, 20, 40)) == text


@pytest.mark.parametrize("turns", range(4))
def test_where_nobody_is_found_a_user_is_told_of_what_looks_like_one(cropper: Cropper, turns: int) -> None:
    picture = mask().rotate(90 * turns, expand=True)
    with pytest.raises(NoFaceError, match=r"no face is found in x\.png; 1 place, at \d+,\d+, looks like a") as raised:
        cropper.cut(Path("x.png"), picture)
    [one] = pickle.loads(pickle.dumps(raised.value)).lookalikes
    across, down = np.subtract(middle_of(one.box), np.divide(picture.size, 2))
    assert one.reason == UNSEEN and max(abs(across), abs(down)) < 40


def test_it_is_told_where_it_lies_in_the_photograph_as_people_see_it(cropper: Cropper) -> None:
    """EXIF says that the camera was held upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lies = mask((300, 300)).rotate(90, expand=True)
    with pytest.raises(NoFaceError) as raised:
        cropper.cut(Path("x.jpg"), content(lies, "JPEG", exif=exif, quality=95))
    x, y = middle_of(raised.value.lookalikes[0].box)
    assert abs(x - 300) < 40 and abs(y - 300) < 40


def test_beside_somebody_it_is_counted_and_costs_no_word(cropper: Cropper, tmp_path: Path) -> None:
    said: list[str] = []
    cuts = cropper.cut(Path("x.png"), mask_and_person(), said)
    assert (len(cuts.faces), [one.reason for one in cuts.lookalikes], said) == (1, [UNSEEN], [])
    mask_and_person().save(tmp_path / "x.png")
    file = read_by(cropper, tmp_path / "x.png")
    assert (len(file.faces), file.lookalikes, file.warnings) == (1, (UNSEEN,), ())
    shown = faces_in(cropper, content(mask_and_person()))
    assert shown.lookalikes == cuts.lookalikes and abs(middle_of(shown.lookalikes[0].box)[0] - 250) < 40


def test_where_nobody_is_found_it_is_counted_too(cropper: Cropper, tmp_path: Path) -> None:
    mask().save(tmp_path / "x.png")
    file = read_by(cropper, tmp_path / "x.png")
    assert (file.faces, file.faceless, file.lookalikes) == ((), True, (UNSEEN,))
    Image.new("RGB", (800, 600), WALL).save(tmp_path / "x.png")
    assert read_by(cropper, tmp_path / "x.png").lookalikes == ()
