"""Two hundred kills at random moments and sixty failures of the disk: nothing committed is lost, nothing half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashing import FAULTS, OPERATIONS, ROWS

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_a_gallery_survives_two_hundred_kills_and_sixty_faults(tmp_path: Path) -> None:
    """What is looked at after each of them, and how the end is compared, is `tests/crashing.py`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashing", "--kills=200", "--faults=60", "--seed=20261126", str(tmp_path / "c")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1_500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    count = json.loads(done.stdout)
    print(count)
    assert count["kills"] >= 200 and count["faults"] >= 60
    for name in OPERATIONS:
        assert count[f"killed while: {name}"] > 3
    for rows in ROWS:
        assert count[rows] > 0
    for kind in FAULTS:
        assert count[f"fault: {kind}"] > 3
