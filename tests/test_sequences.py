"""Whatever users do in whatever order, galleries of every kind say the same, also after kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import new_address

Run = Callable[..., dict[str, int]]


@pytest.fixture
def sequences(tmp_path: Path) -> Run:
    """Runs them in a process of its own; what was counted."""

    def run(*kinds: str, seed: int, steps: int, kills: float) -> dict[str, int]:
        numbers = ("--seed", str(seed), "--steps", str(steps), "--kills", str(kills))
        command = [sys.executable, "-m", "tests.sequences", *numbers, str(tmp_path / "work"), *kinds]
        environment = {**os.environ, "FACESEARCH_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(__file__).parents[1], env=environment, timeout=1_500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        counted: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        return counted

    return run


@pytest.mark.slow
def test_an_index_of_reduced_descriptors_answers_as_one_of_all_does(sequences: Run, tmp_path: Path) -> None:
    counted = sequences(
        f"exact,faiss,{tmp_path / 'exact'}", f"reduced,reduced,{tmp_path / 'reduced'}", seed=1, steps=6, kills=0.0
    )
    assert counted["answers"] > 100


@pytest.mark.cluster
def test_servers_and_engines_answer_as_a_folder_does(
    sequences: Run, postgres: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kinds = [f"exact,faiss,{tmp_path / 'exact'}"]
    kinds += [f"{name},{name},{new_address(postgres)}" for name in ("faiss", "pgvector")]
    kinds += [f"lite,{request.getfixturevalue('lite')},{new_address(postgres)}"]
    counted = sequences(*kinds, seed=2, steps=8, kills=0.3)
    assert counted["answers"] > 300 and sum(n for name, n in counted.items() if name.startswith("kills")) >= 3
    if counted.get("late"):
        assert counted["late answers of pgvector"] and counted["late answers of lite"]
