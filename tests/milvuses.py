"""A Milvus Lite for tests: a file of its own for each."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import pytest

WHY_NOT = "Milvus Lite is not installed for tests: `make test-cluster` does so"


@cache
def installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("pymilvus", "milvus_lite"))


@pytest.fixture
def lite(tmp_path: Path) -> str:
    """The word for a file that nobody has made yet."""
    if not installed():
        pytest.skip(WHY_NOT)
    return str(tmp_path / "lite.db")
