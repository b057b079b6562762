"""Write docs/query.png, four queries of the sample gallery: `python docs/make_query_picture.py`, compared by a test.

Nobody in it is real. The query pictures and what is asked of them are the demo's.
"""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from faceedit.images import Picture
from retrieval.answers import Answer
from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB

TARGET = Path(__file__).with_name("query.png")
SHOWN = ("0104_+00_06", "0109_-30_13", "0128_+15_06", "0136_+00_13_occluded")


def query_picture() -> tuple[bytes, list[Answer]]:
    """The content of docs/query.png, and the answers that it shows."""
    with (SAMPLE_DB / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(stream)}
    with tempfile.TemporaryDirectory() as folder, FaceSearch(folder, SAMPLE_DB / "models", identity="own") as faces:
        faces.index(SAMPLE_DB / "gallery", SAMPLE_DB / "gallery")
        answers = [_asked(faces, rows[name]) for name in SHOWN]
        sheet = _below_each_other([answer.sheet for answer in answers])
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "PNG", optimize=True)
    return content.getvalue(), answers


def _asked(faces: FaceSearch, row: dict[str, str]) -> Answer:
    pose, light = (int(row[name]) if row[name] else None for name in ("ask_pose", "ask_illumination"))
    path = SAMPLE_DB / "queries" / row["path"]
    return faces.query(path, pose=pose, illumination=light, inpaint=row["ask_inpaint"] == "yes", k=5)


def _below_each_other(sheets: list[Picture]) -> Picture:
    widest = max(sheet.shape[1] for sheet in sheets)
    return np.concatenate(
        [np.pad(sheet, ((0, 0), (0, widest - sheet.shape[1]), (0, 0)), constant_values=255) for sheet in sheets]
    )


if __name__ == "__main__":
    made, _ = query_picture()
    TARGET.write_bytes(made)
    print(f"{TARGET} has {len(made):,} bytes")
