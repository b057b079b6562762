"""The pictures that README shows are what the page and a query show."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docs.make_page_picture import TARGET, page_picture
from docs.make_query_picture import TARGET as QUERIES
from docs.make_query_picture import query_picture
from retrieval.answers import Answer

pytestmark = pytest.mark.slow
README = Path(__file__).resolve().parent.parent / "README.md"


def small(content: bytes) -> np.ndarray[Any, Any]:
    """What one sees from afar: fonts of machines differ."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((118, 70)), np.float32)


def test_the_picture_of_the_page_is_what_the_page_shows() -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium: apt install chromium")
    there = TARGET.read_bytes()
    assert len(there) < 200_000 and "docs/page.png" in README.read_text(encoding="utf-8")
    assert np.abs(small(there) - small(page_picture())).mean() < 6


def test_the_picture_of_four_queries_is_what_they_show_and_what_readme_says_of_them_holds() -> None:
    made, answers = query_picture()
    there = QUERIES.read_bytes()
    assert len(there) < 800_000 and "asked for, in the other the second" in README.read_text(encoding="utf-8")
    assert np.abs(small(there) - small(made)).mean() < 4
    assert [rank_of_the_right(answer) for answer in answers] == [1, 2, 1, 1]


def rank_of_the_right(answer: Answer) -> int:
    """Of the first result that shows the person as asked; 0: there is none."""
    asked = {name: value for name, value in answer.asked.items() if name != "inpainting"}
    person = Path(answer.query).name[:4]
    right = (
        result.rank
        for result in answer
        if result.identity == person and all(result.value_of(name) == value for name, value in asked.items())
    )
    return next(right, 0)
