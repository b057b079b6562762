"""The picture of the page that README shows is what the page shows."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docs.make_page_picture import TARGET, page_picture

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
