"""Contact sheets: pictures in rows, with captions and coloured frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceedit.errors import ImageError
from faceedit.images import LARGEST, SIZE, Picture, read_large, write_picture
from index.values import Face
from retrieval.answers import SHOWN, Answer, Result, columns
from retrieval.photographs import upright
from retrieval.tables import shown

GREEN, RED, GREY = (30, 160, 70), (200, 60, 50), (150, 150, 150)
_AROUND = 3  # times a face's box that is shown of its photograph
SIDE = 120  # pixels, of pictures that are no larger
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet, square, uint8, with text below and perhaps a frame."""

    picture: Picture
    caption: str = ""
    frame: tuple[int, int, int] | None = None


def draw_sheet(rows: Sequence[Sequence[Cell]], side: int = SIDE, gap_after: int = 0) -> Picture:
    """(H, W, 3) uint8; side: of every picture, in pixels; gap_after: leave a gap after this many columns (between the
    query and its results)."""
    margin, frame = 8, 3
    font = ImageFont.load_default(size=11)
    lines = max((cell.caption.count("\n") + 1 for row in rows for cell in row if cell.caption), default=0)
    height = side + 2 * frame + lines * 14 + margin
    width = side + 2 * frame + margin
    columns = max((len(row) for row in rows), default=1)
    gap = 2 * margin if gap_after else 0
    sheet = Image.new("RGB", (columns * width + margin + gap, len(rows) * height + margin), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            x = margin + c * width + (gap if gap_after and c >= gap_after else 0)
            y = margin + r * height
            if cell.frame:
                pen.rectangle((x, y, x + side + 2 * frame - 1, y + side + 2 * frame - 1), fill=cell.frame)
            picture = Image.fromarray(cell.picture).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(picture, (x + frame, y + frame))
            caption = "\n".join(_fitted(line, font, side) for line in cell.caption.split("\n"))
            pen.multiline_text((x + frame, y + side + 2 * frame + 1), caption, _INK, font, spacing=2)
    return np.array(sheet, dtype=np.uint8)


def write_answers(answers: Sequence[Answer], path: Path) -> None:
    """The sheet of some answers, as a file. Raises ImageError."""
    write_picture(answer_sheet(answers), path)


def answer_sheet(answers: Sequence[Answer]) -> Picture:
    """(H, W, 3) uint8, one row for each answer: the query, every step of the edit, then the results, all as large as
    the largest of them, 120 to 240 pixels."""
    rows: list[list[Cell]] = []
    pictures: dict[tuple[Path, int], Picture] = {}
    for answer in answers:
        names = columns([answer]) or [SHOWN[0]]
        row = [Cell(answer.source, "query")]
        row.extend(Cell(step.picture, f"imagined\n{step.text}") for step in answer.steps)
        for result in answer.results:
            found = ", ".join(shown(result.value_of(name)) for name in names)
            caption = f"{result.rank}: {result.distance:.3f}\n{result.called} at {found}"
            key = (result.path, result.number)
            if key not in pictures:  # a sweep finds some of them again
                pictures[key] = _picture(result)
            row.append(Cell(pictures[key], caption, GREY))
        rows.append(row)
    largest = max(len(cell.picture) for row in rows for cell in row)
    return draw_sheet(rows, min(max(largest, SIDE), LARGEST), gap_after=1 + len(answers[0].steps))


def _picture(result: Result) -> Picture:
    try:
        return read_large(result.path) if result.box is None else _in_photograph(result.path, result.face)
    except ImageError:  # the file has gone since it was indexed: the table still names it
        return np.full((SIZE, SIZE, 3), 128, np.uint8)


def _in_photograph(path: Path, face: Face) -> Picture:
    """(240, 240, 3) uint8: the part of the photograph around a face, with its box."""
    assert face.box is not None
    left, top, width, height = face.box
    wide, high = face.photo.width, face.photo.height
    side = max(width, height, min(_AROUND * max(width, height), wide, high))
    x, y = _within(left + width / 2, side, wide), _within(top + height / 2, side, high)
    whole = upright(path, face.photo, round(LARGEST * max(wide, high) / side))
    scale = max(whole.size) / max(wide, high)
    ends = (round(scale * x), round(scale * y), round(scale * (x + side)), round(scale * (y + side)))
    part = whole.crop(ends).resize((LARGEST, LARGEST))
    share = LARGEST / side
    box = ((left - x) * share, (top - y) * share, (left + width - x) * share, (top + height - y) * share)
    ImageDraw.Draw(part).rectangle(box, outline=GREEN, width=3)
    return np.array(part, dtype=np.uint8)


def _within(middle: float, side: float, length: float) -> float:
    """Where a part of this side begins, around the middle, or beside it at an end of the whole."""
    return max(0.0, min(middle - side / 2, length - side))


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or as much of its beginning as fits into the width with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
