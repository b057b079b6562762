"""Conditions on images: the grammar, its errors, and what they select."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.errors import WhereError
from index.gallery import Gallery, GalleryConfig
from index.where import DEEPEST, Both, Comparison, Not, parse
from tests.faces import new_face

CONFIG = GalleryConfig("0123456789abcdef" * 4, "pose", (-45, -30, -15, 0, 15, 30, 45), 8, Path("/photos").absolute())
ROWS = [  # identity, pose, illumination, expression, decided
    ("anna", -30, 7, "smile", -45),
    ("anna", 0, None, None, 0),
    ("ben", None, 7, "neutral", 30),
    ("o'neil", 45, 3, "smile", 45),
    (None, None, None, None, -30),
]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    faces = [
        new_face(
            f"a/{n}_{identity}.png",
            decided,
            (None,) * 7,
            identity=identity,
            pose=pose,
            illumination=light,
            expression=expression,
            sha256=f"{n}b" * 32,
            size=n * 10,
        )
        for n, (identity, pose, light, expression, decided) in enumerate(ROWS)
    ]
    with Gallery.create(tmp_path_factory.mktemp("where"), CONFIG) as made:
        made.add(faces, np.eye(8, dtype=np.float32)[: len(faces)])
        yield made


def selected(gallery: Gallery, text: str) -> list[int]:
    """Positions among ROWS, by listing; and the same by searching."""
    where = parse(text)
    listed = [face.id - 1 for face in gallery.faces(where)]
    searched = [match.face.id - 1 for match in gallery.search(np.ones(8), 10, where=where)]
    assert sorted(searched) == listed
    return listed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("identity = 'anna'", [0, 1]),
        ("identity == 'anna'", [0, 1]),
        ("identity != 'anna'", [2, 3, 4]),
        ("identity <> 'anna'", [2, 3, 4]),
        ("not identity = 'anna'", [2, 3, 4]),
        ("identity = 'o''neil'", [3]),
        ('identity = "o\'neil"', [3]),
        ("identity is null", [4]),
        ("identity IS NOT NULL", [0, 1, 2, 3]),
        ("pose = -30", [0, 4]),
        ("pose = +30", [2]),
        ("pose is null", [2, 4]),  # no label, whatever the network decided
        ("pose between -15 and 45", [1, 2, 3]),
        ("pose not between -15 and 45", [0, 4]),
        ("pose < 0", [0, 4]),
        ("pose <= 0 and pose >= 0", [1]),
        ("illumination < 7", [3]),
        ("not illumination < 7", [0, 1, 2, 4]),
        ("illumination in (3, 7)", [0, 2, 3]),
        ("illumination not in (7)", [1, 3, 4]),
        ("identity like 'A%'", [0, 1]),
        ("identity not like '%n%'", [4]),
        ("path like '%/2\\_%'", []),
        ("path like 'a/2_ben.p_g'", [2]),
        ("size > 20 or id = 1", [0, 3, 4]),
        ("decided = 30", [2]),  # what the network says, whatever the label
        ("decided < 0", [0, 4]),
        (f"sha256 = '{'2b' * 32}'", [2]),
        ("sha256 like '3B3b%'", [3]),
        ("sha256 is null", []),
        ("identity = 'anna' or identity = 'ben' and pose = 0", [0, 1]),  # and binds more tightly
        ("(identity = 'anna' or identity = 'ben') and pose = 0", [1]),
        ("identity != 'anna' and pose between -15 and 15", []),
        ("not (expression = 'smile' or illumination = 7)", [1, 4]),
    ],
)
def test_conditions_select(gallery: Gallery, text: str, expected: list[int]) -> None:
    assert selected(gallery, text) == expected


def test_a_condition_is_a_value_tree() -> None:
    assert parse("not pose = 3 and identity in ('a', 'b')") == Both(
        "and", (Not(Comparison("pose", "=", (3,))), Comparison("identity", "in", ("a", "b")))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it ends; expected one of id, pose"),
        (
            "colour = 'red'",
            "at character 1, there is colour; expected one of id, pose, illumination, decided, size, id",
        ),
        ("pose = 'x'", "at character 8, there is 'x'; expected a whole number to compare pose with"),
        ("pose = 1.5", "cannot be read from character 8 on"),
        ("identity = anna", "at character 12, there is anna; expected text in quotes"),
        ("identity = 'anna", "cannot be read from character 12 on"),
        ("pose = 3 identity = 'a'", "at character 10, there is identity; expected 'and', 'or' or the end"),
        ("(pose = 3", "it ends; expected ')'"),
        ("pose between 3", "it ends; expected 'and'"),
        ("pose like '3%'", "there is like; expected a comparison of numbers"),
        ("identity in ()", "expected text in quotes"),
        ("pose not 3", "expected = != < <= > >= between, in, like or is"),
        ("pose = 99999999999999999999", "expected a whole number"),
        ("identity = 'a'; drop table image", "cannot be read from character 15 on"),
        ("identity = 'a' or 1 = 1", "there is 1; expected one of"),
        ("(" * (DEEPEST + 1) + "pose = 1" + ")" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ("pose = 1 or " * 2000 + "pose = 1", "expected up to 10,000"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(WhereError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize("value", ["'; drop table image; --", '" or 1=1', "\\", "%", "\u2028", "x\0y"])
def test_values_are_never_part_of_a_statement(gallery: Gallery, value: str) -> None:
    quoted = value.replace("'", "''")
    assert selected(gallery, f"identity = '{quoted}'") == []
    assert len(gallery) == len(ROWS)


def test_any_text_is_read_or_refused() -> None:
    pieces = [
        "pose = 3",
        "identity = 'a'",
        "identity",
        "=",
        "'a'",
        "3",
        "(",
        ")",
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        ",",
        "<",
        "é",
        "'",
    ]
    chosen = random.Random(0)
    read = 0
    for _ in range(3000):
        text = " ".join(chosen.choice(pieces) for _ in range(chosen.randrange(1, 9)))
        try:
            parse(text)
            read += 1
        except WhereError:
            pass
    assert 0 < read < 3000
