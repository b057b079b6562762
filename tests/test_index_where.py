"""Conditions on images: the grammar, its errors, and what they select."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

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
        ("added = '2000-01-01'", []),
        ("added > '2000-01-01' and added < '2100-01-01'", [0, 1, 2, 3, 4]),
        ("added not between '2000-01-01' and '2100-01-01'", []),
        ("added is null", []),
        ("identity = 'anna' or identity = 'ben' and pose = 0", [0, 1]),  # and binds more tightly
        ("(identity = 'anna' or identity = 'ben') and pose = 0", [1]),
        ("identity != 'anna' and pose between -15 and 15", []),
        ("not (expression = 'smile' or illumination = 7)", [1, 4]),
    ],
)
def test_conditions_select(gallery: Gallery, text: str, expected: list[int]) -> None:
    assert selected(gallery, text) == expected


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        ("added = '{today}'", True),
        ("added != '{today}'", False),
        ("added in ('{before}', '{today}')", True),
        ("added not in ('{before}', '{after}')", True),
        ("added < '{today}' or added > '{today}'", False),
        ("added <= '{today}' and added >= '{today}'", True),
        ("added <= '{before}'", False),
        ("added > '{before}' and added < '{after}'", True),
        ("added between '{today}' and '{today}'", True),
        ("added between '{after}' and '{before}'", False),
    ],
)
def test_what_came_today_was_added_today(tmp_path: Path, text: str, whether: bool) -> None:
    with Gallery.create(tmp_path / "db", CONFIG) as made:
        begun, today = None, date.today()
        while begun != today:  # midnight may pass between
            begun = date.today()
            made.add([new_face("a.png", 0, (None,) * 7)], np.eye(8, dtype=np.float32)[:1], replace=True)
            today = date.today()
        days = {name: str(today + timedelta(n)) for name, n in (("before", -1), ("today", 0), ("after", 1))}
        assert (len(made.ids(parse(text.format(**days)))) == 1) == whether


def test_a_day_is_all_of_its_moments() -> None:
    begin, end = (int(datetime(2026, 11, day).timestamp()) for day in (26, 27))
    within = Both("and", (Comparison("added", ">=", (begin,)), Comparison("added", "<", (end,))))
    assert parse("added = '2026-11-26'") == within and parse("added != '2026-11-26'") == Not(within)
    assert parse("added <= '2026-11-26'") == Comparison("added", "<", (end,))
    assert parse("added > '2026-11-26'") == Comparison("added", ">=", (end,))


@pytest.mark.parametrize("text", ["2026-13-01", "yesterday", "1900-01-01", "20261126", "9999-12-31", ""])
def test_what_is_no_day_is_told(text: str) -> None:
    with pytest.raises(WhereError, match="expected a day to compare added with, such as '2026-11-26'"):
        parse(f"added = '{text}'")


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
            "there is colour; expected one of id, pose, illumination, decided, size, face, faces, person, added",
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


# --- every script: compared with what Python says of each row ---

WORDS = (
    *("Anna", "ANNA", "Jürgen", "Ju\u0308rgen", "JÜRGEN", "Straße", "STRASSE", "Σίσυφος", "ΣΊΣΥΦΟΣ", "Дмитрий"),
    *("ДМИТРИЙ", "\u1e9e", "İpek", "\ufb01n", "FIN", "a%b", "a_b", "A\\B", "ÅSA", "A\u030asa", "\u212bsa", "中村"),
    *("x\x1ay", ""),
)


def answer(condition: Any, row: dict[str, Any]) -> bool:
    """What a condition says of a row, by its definition."""
    if isinstance(condition, Not):
        return not answer(condition.condition, row)
    if isinstance(condition, Both):
        parts = [answer(part, row) for part in condition.conditions]
        return all(parts) if condition.word == "and" else any(parts)
    value: Any = row[condition.field]
    wanted: list[Any] = list(condition.values)
    if condition.operator == "null":
        return bool(value is None)
    if condition.operator == "like":
        return bool(value is not None and alike(folded(value), folded(wanted[0])))
    fold = composed if condition.field == "path" else folded
    if value is None:
        return bool(condition.operator == "!=")
    value, wanted = fold(value), [fold(str(one)) for one in wanted]
    one = wanted[0]
    found = {"=": value == one, "!=": value != one, "in": value in wanted}
    return bool(found[condition.operator])


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    return composed(composed(text).casefold())


def alike(text: str, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    return re.fullmatch("".join(parts.get(c, re.escape(c)) for c in pattern), text, re.DOTALL) is not None


@pytest.mark.slow
def test_texts_of_every_script_are_compared_as_their_definition_says(tmp_path: Path) -> None:
    chosen = random.Random(1)
    faces = []
    for number in range(60):
        identity, expression, folder = (chosen.choice((*WORDS, None)) for _ in range(3))
        letter = chosen.choice(("a", "Ä", "A\u0308"))
        path = f"{folder or 'none'}/{letter}{number}.PNG"
        sha256 = f"{number:02x}" * 32
        faces.append(new_face(path, 0, (None,) * 7, identity=identity, expression=expression, sha256=sha256))
    asked = 0
    with Gallery.create(tmp_path / "g", CONFIG) as gallery:
        gallery.add(faces, np.eye(8, dtype=np.float32)[np.arange(60) % 8])
        gallery.move([replace(gallery.get([1])[0], photo=replace(faces[0].photo, path="MOVED/ÖÄ.png"))])
        rows = [{name: getattr(face, name) for name in ("identity", "expression", "path")} for face in gallery.faces()]
        for word in (*WORDS, *(row["path"] for row in rows[:6])):
            quoted = word.replace("'", "''")
            parts = [f"= '{quoted}'", f"!= '{quoted}'", f"in ('{quoted}', 'anna')", f"like '{quoted}'"]
            parts += [f"like '%{quoted[1:]}'", f"like '{quoted[:-1]}_%'", f"not like '{quoted.swapcase()[:2]}%'"]
            for field in ("identity", "expression", "path"):
                for part in parts:
                    condition = parse(f"{field} {part}")
                    expected = [n for n, row in enumerate(rows, 1) if answer(condition, row)]
                    found = [face.id for face in gallery.faces(condition)]
                    assert found == expected, (field, part)
                    asked += 0 < len(expected) < len(rows)
    assert asked > 250


def test_the_longest_pattern_is_answered(gallery: Gallery) -> None:
    for character in ("ᾲ", "\U0001d49c", "%"):
        assert selected(gallery, f"identity like '{character * 9_900}x'") == []


def test_a_hash_is_one_in_either_case(gallery: Gallery) -> None:
    assert selected(gallery, f"sha256 = '{'2B' * 32}'") == selected(gallery, "sha256 like '2B%'") == [2]


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
