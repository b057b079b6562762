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


def test_the_picture_of_four_queries_is_what_they_show_and_all_four_are_right_as_readme_says() -> None:
    made, answers = query_picture()
    there = QUERIES.read_bytes()
    assert len(there) < 800_000 and "all four\nare right" in README.read_text(encoding="utf-8")
    assert np.abs(small(there) - small(made)).mean() < 4
    for answer in answers:
        first = answer[0]
        assert first.identity == Path(answer.query).name[:4]
        assert all(first.value_of(name) == value for name, value in answer.asked.items() if name != "inpainting")
