"""Every parser of ours against inputs that nobody would write: a few of each here, `benchmarks/fuzz.py` tries more.

What a longer run has found stands below, and is tried every time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from faceedit.align import POINTS
from tests.fuzzing import PARSERS

FEW_OF_ALL = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
FEW = {"exports": 15, "labels": 15, "weights": 25, "conditions": 25}


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # inputs are large
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_or_refuses_in_one_line(name: str) -> None:
    def once(one: Any) -> None:
        PARSERS[name].check(one)

    settings(FEW_OF_ALL, max_examples=FEW.get(name, 50))(given(PARSERS[name].inputs)(once))()


_POINTS = ",".join(f"{point}_{axis}" for point in POINTS for axis in "xy")
FOUND = [
    ("words", "9" * 400),  # a size beyond what is a number
    ("words", "9" * 5_000),
    ("words", "://"),  # no address of a store, and no name
    ("words", f"head={'9' * 400}"),  # a whole number that is no float
    ("settings", b"[" * 5_000),  # nested deeper than Python's own stack
    ("settings", b'{"source": "csv x", "crops": {}, "seed": []}'),  # a seed by which nothing can be looked up
    ("landmarks", b"path,identity\n" + b"x" * 300 + b",anna\n"),  # a name that no disk holds
    ("landmarks", f"path,identity,{_POINTS}\n../a.png,anna{',5' * 8}\n".encode()),
    ("manifests", b"path,identity\n" + b"x" * 300 + b",anna\n"),
    ("manifests", b"path,identity\n/etc/passwd,anna\n"),
    ("manifests", b"path,identity,mask\na.png,anna,a/../../b.png\n"),
    ("manifests", b"path,identity\na\0.png,anna\n"),
    ("manifests", b"path,identity" + b",x" * 100_000 + b"\n"),  # names were once counted one by one
    ("manifests", "path,identity,pose\na.png,anna,\u0665\n".encode()),  # a digit, but none of ours
    ("cards", b'{"format": ' + b"[" * 5_000),
    ("cards", b'{"format": 1' + b"0" * 5_000 + b"}"),
    ("cells", "\t=1+1"),
    ("cells", " \u202e=1+1"),
    ("cells", "\uff1d1+1"),
]


@pytest.mark.parametrize(("name", "found"), FOUND)
def test_what_was_found_once_stays_mended(name: str, found: Any) -> None:
    PARSERS[name].check(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize(
    ("name", "hurts"),
    [
        ("manifests", lambda content: b"../" in content or b"/etc/passwd" in content),
        ("cards", lambda text: b"NaN" in text or b"[[[[" in text),
        ("exports", lambda files: any(hurt in files["faces.jsonl"] for hurt in (b"NaN", b"../", b"[[[[", b"Infinity"))),
        ("weights", lambda change: change[1] == b"\0\0\xc0\x7f"),
        ("conditions", lambda text: "((((" in text),
    ],
)
def test_the_inputs_reach_what_is_guarded(name: str, hurts: Callable[[Any], bool]) -> None:
    """Else a parser that refuses everything, or inputs that never hurt, would look as sound."""
    seen: list[bool] = []

    def once(one: Any) -> None:
        seen.append(hurts(one))

    settings(FEW_OF_ALL, max_examples=100, phases=[Phase.generate])(given(PARSERS[name].inputs)(once))()
    assert any(seen) and not all(seen)
