"""facesearch doctor names what is there, what is missing, and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from retrieval.installation import Finding, examine, safely


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = run(["doctor", "--json", *arguments])
    return code, {found["name"]: found for found in json.loads(capsys.readouterr().out)}


def test_a_sound_installation_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(capsys)
    assert code == 0
    needed = ("python", "torch", "faiss", "openmp", "sqlite", "pillow", "machine", "model pose", "model illumination")
    assert {name: found[name]["state"] for name in needed} == dict.fromkeys(needed, "ok")
    assert all(one["mend"] for one in found.values() if one["state"] != "ok")
    assert "wal" in found["sqlite"]["about"]


def test_it_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("ok        facesearch")


def test_a_damaged_model_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, found = findings(capsys, "--models", str(tmp_path))
    assert code == 1 and found["model pose"]["state"] == "broken"
    assert found["model pose"]["mend"] == "install facesearch again, or give --models"


def test_both_packages_of_faiss_are_broken() -> None:
    found = {one.name: one for one in examine(versions=lambda package: "1.9" if package.startswith("faiss") else "")}
    assert (found["faiss"].state, found["faiss"].about) == ("broken", "faiss-cpu and faiss-gpu are both installed")
    assert found["embreex"].state == "optional"


def test_spinning_threads_are_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    code, found = findings(capsys)
    assert code == 1 and "unset OMP_WAIT_POLICY" in found["openmp"]["mend"]


def test_a_check_that_fails_is_a_finding() -> None:
    def _sqlite() -> list[Finding]:
        raise OSError("no disk")

    assert safely(_sqlite) == [Finding("sqlite", "broken", "OSError: no disk")]
