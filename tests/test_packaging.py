"""What is installed: exact versions of every dependency are in constraints.txt, and terms and version are told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINNED_EXTRAS = (
    "cpu",
    "synth",
    "postgres",
    "ray",
    "store",
    "test-cluster",
    "dev",
)  # gpu: its package stands in for cpu's, on machines that have one
REQUIRED = sum((PROJECT["optional-dependencies"][extra] for extra in PINNED_EXTRAS), PROJECT["dependencies"])


def pinned() -> dict[str, str]:
    """Exact version by name."""
    pairs = [line.split("==") for line in LINES]
    return {canonicalize_name(name): version for name, version in pairs}


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[\w.-]+==[\d.]+(post\d+)?", line)] == []


@pytest.mark.parametrize("required", REQUIRED)
def test_every_dependency_has_an_exact_version_that_it_allows(required: str) -> None:
    one = Requirement(required)
    version = pinned().get(canonicalize_name(one.name))
    assert version is not None, f"{one.name} is not in constraints.txt: run `make constraints`"
    assert version in one.specifier


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == PROJECT["version"]


def test_the_terms_are_there_in_full() -> None:
    assert PROJECT["license"] == "Apache-2.0 AND MIT"
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in PROJECT["license-files"]]
    assert [" ".join(text.split()[:3]) for text in texts] == ["Apache License Version", "MIT License Copyright"]
    assert all(len(text) > 1_000 for text in texts)
