"""facesearch reproduce: its printed claims, its page, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.app import run
from tests.conftest import write_data_set


@pytest.mark.slow
def test_the_command_prints_every_claim_and_where_the_page_is(
    models_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_data_set(tmp_path / "data", people=2, lights=2, test_people=2), tmp_path / "report"
    command = ["reproduce", "--data", str(data), "--models", str(models_folder), "--device", "cpu"]
    done = run([*command, "--out", str(out), "--pairs", "6", "--queries", "4"])
    printed = capsys.readouterr().out
    assert done == 0
    assert len(re.findall(r"^(?:holds|does not hold|not measured): ", printed, re.M)) == 13
    assert str(out / "report.html") in printed
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "report.json").write_text("{}")
    assert run([*command, "--out", str(tmp_path / "another")]) == 1
    assert "holds another report" in capsys.readouterr().err
