"""What Milvus is asked for a condition, and what it is not asked."""

from __future__ import annotations

import pytest

from index.search.milvus_conditions import expression
from index.where import parse

PLAIN = 'identity == "anna"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("identity = 'ANNA'", f"has_identity == true and {PLAIN}"),
        ("identity != 'anna'", 'has_identity == false or identity != "anna"'),
        ("identity < 'b'", 'has_identity == true and identity < "b"'),
        ("identity in ('b', '\u00c4')", 'has_identity == true and identity in ["b", "\u00e4"]'),
        ("identity is null", "has_identity == false"),
        ("illumination is not null", "not (has_illumination == false)"),
        ("illumination >= 3", "has_illumination == true and illumination >= 3"),
        ("pose = -15", "(has_pose == true and pose == -15) or (has_pose == false and decided == -15)"),
        ("pose is null", "has_pose == false"),
        ("decided = 15 and face != 2", "(decided == 15) and (face != 2)"),
        ("id in (3, 4) or not id > 9", "(id in [3, 4]) or (not (id > 9))"),
        ("face is null", "id < 0"),
    ],
)
def test_what_it_can_say_it_is_asked_and_a_missing_label_is_no_value(text: str, expected: str) -> None:
    assert expression(parse(text), "pose") == expected


def test_only_the_gallerys_own_attribute_means_what_was_decided() -> None:
    assert expression(parse("pose = 15"), "illumination") == "has_pose == true and pose == 15"
    assert expression(parse("illumination = 3"), "illumination") == (
        "(has_illumination == true and illumination == 3) or (has_illumination == false and decided == 3)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "identity like 'a%'", "path = 'a.png'", "path like '%a%'", "person = 3", "faces > 1", "size > 0",
        "sha256 is null", "added >= '2026-01-01'", "identity = 'it''s'", "identity = '\"'", "identity = '\\'",
        "identity = '\0'", "identity in ('anna', '\x1a')", "pose = 15 and size > 0", "not (path is null)",
        f"id in ({', '.join(map(str, range(1_001)))})",
    ],
)  # fmt: skip
def test_what_it_cannot_say_it_is_not_asked(text: str) -> None:
    assert expression(parse(text), "pose") is None
