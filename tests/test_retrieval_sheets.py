"""Contact sheets: where every picture, caption and frame lies."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.sheets import GREEN, Cell, draw_sheet


def plain(value: int, side: int = 60) -> NDArray[np.uint8]:
    return np.full((side, side, 3), value, np.uint8)


def test_a_sheet_is_an_rgb_picture_that_holds_every_picture_at_its_size() -> None:
    for side in (60, 120, 240):
        sheet = draw_sheet([[Cell(plain(10)), Cell(plain(20))], [Cell(plain(30, 240))]], side)
        assert sheet.dtype == np.uint8
        assert sheet.shape[2] == 3
        for value in (10, 20, 30):
            assert int((sheet == value).all(2).sum()) == side**2


def test_a_sheet_grows_by_the_same_step_with_every_row_and_column() -> None:
    def size(rows: int, columns: int) -> tuple[int, ...]:
        return draw_sheet([[Cell(plain(0))] * columns] * rows).shape

    assert size(1, 3)[1] - size(1, 2)[1] == size(1, 2)[1] - size(1, 1)[1] > 120
    assert size(3, 1)[0] - size(2, 1)[0] == size(2, 1)[0] - size(1, 1)[0] > 120
    assert size(2, 3) == (size(2, 1)[0], size(1, 3)[1], 3)


def test_rows_of_unequal_length_take_the_width_of_the_longest() -> None:
    cell = Cell(plain(0))
    assert draw_sheet([[cell], [cell] * 4]).shape == draw_sheet([[cell] * 4] * 2).shape


def test_captions_make_room_below_by_their_lines() -> None:
    heights = [draw_sheet([[Cell(plain(0), caption)]]).shape[0] for caption in ("", "one", "one\ntwo")]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0
    assert (draw_sheet([[Cell(plain(200), "one")]])[136:] < 100).any()


def test_a_caption_beyond_ascii_is_drawn() -> None:
    assert draw_sheet([[Cell(plain(0), "Zoë 日本")]]).shape == draw_sheet([[Cell(plain(0), "Zoe")]]).shape


def test_a_gap_moves_only_what_comes_after_it() -> None:
    cells = [Cell(plain(10)), Cell(plain(20))]
    close, apart = draw_sheet([cells]), draw_sheet([cells], gap_after=1)

    def left(sheet: NDArray[np.uint8], value: int) -> int:
        return int(np.argwhere((sheet == value).all(2))[:, 1].min())

    assert left(apart, 10) == left(close, 10)
    assert left(apart, 20) - left(close, 20) == apart.shape[1] - close.shape[1] > 0


def test_a_frame_surrounds_its_picture() -> None:
    sheet = draw_sheet([[Cell(plain(10), frame=GREEN), Cell(plain(20))]])
    green = np.argwhere((sheet == GREEN).all(2))
    inside = np.argwhere((sheet == 10).all(2))
    assert (green.min(0) < inside.min(0)).all()
    assert (green.max(0) > inside.max(0)).all()
    assert green[:, 1].max() < np.argwhere((sheet == 20).all(2))[:, 1].min()


def test_a_sheet_can_be_saved(tmp_path: Path) -> None:
    sheet = draw_sheet([[Cell(plain(10), "x")]])
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), sheet)
