"""A condition selects the same faces whichever engine keeps the rows, and the same rows come in the same order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.config import GalleryConfig
from index.labels import Labels
from index.stamps import FileStamp
from index.truth import kept, passed, problems, state, store
from index.truth.database import Database, SQLite
from index.values import Face, Problem
from index.where import DAYS, FIELDS, NUMBERS, TEXTS, parse
from tests.faces import in_photograph, new_face
from tests.servers import new_server, opened_on

pytestmark = pytest.mark.cluster
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 4, Path("/photos").absolute())
LETTERS = (
    "aAbzZ\u00e4\u00c4\u0308\u00df\u1e9e\u0130\u0131\u017f\u212a%_'\"\\\x1a\x01\x7f\ufb01\u03c3\u03c2\u03a3"
    "\u4e2d\U0001f600 -~0"
)
FAR = 2**63 - 1
NUMBERS_SEEN = (-FAR, -(2**40), -(2**31) - 1, -15, 0, 1, 2, 15, 2**31, 2**40, FAR)


@dataclass(frozen=True)
class Both:
    sqlite: Database
    postgres: Database
    texts: tuple[str, ...]
    """that some row has"""


def text_of(chosen: random.Random) -> str | None:
    return None if chosen.random() < 0.2 else "".join(chosen.choices(LETTERS, k=chosen.randrange(4)))


def faces_of(seed: int) -> list[Face]:
    chosen, made = random.Random(seed), list[Face]()
    for number in range(150):
        path = f"{(text_of(chosen) or 'x').strip() or 'y'}/{number}{chosen.choice(LETTERS)}.png"
        labels: dict[str, Any] = {name: text_of(chosen) for name in ("identity", "expression")}
        labels |= {name: chosen.choice((None, *NUMBERS_SEEN)) for name in ("pose", "illumination")}
        sha256 = chosen.choice(("", f"{chosen.getrandbits(256):064x}"))
        size = abs(chosen.choice(NUMBERS_SEEN))
        one = new_face(path, chosen.choice((-15, 0, 15)), sha256=sha256, size=size, **labels)
        several = chosen.choice((1, 1, 3)) if number % 2 else 1
        made += [in_photograph(one, n) for n in range(1, several + 1)] if number % 2 else [one]
    return made


@pytest.fixture(scope="module", params=[1, 2])
def engines(request: pytest.FixtureRequest, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The same rows in both."""
    faces = faces_of(request.param)
    folder = tmp_path_factory.mktemp("engines")
    both = SQLite(folder / "gallery.db"), opened_on(new_server(postgres), 5.0)
    for database in both:
        with database.writing() as session:
            state.create(session, CONFIG)
            ids = store.insert_faces(session, faces)
            store.update_labels(session, {id_: Labels.given("hand", identity="Stra\u00dfe") for id_ in ids[:9]})
            given = [Problem(f"{text}.gif", FileStamp(), f"a NUL: \0{text}") for text in LETTERS]
            problems.note(session, given)
            store.remove(session, ids[20:30])
    texts = {text for face in faces for text in (face.path, face.labels.identity, face.photo.sha256) if text}
    yield Both(*both, tuple(sorted(texts)))
    for database in both:
        database.close()


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@st.composite
def comparisons(draw: st.DrawFn, seen: tuple[str, ...]) -> str:
    field = draw(st.sampled_from(FIELDS))
    if field in NUMBERS:
        value = st.one_of(st.sampled_from(NUMBERS_SEEN), st.integers(-3, 160)).map(str)
    elif field in DAYS:
        today = date.today()
        value = st.integers(-2, 2).map(lambda days: quoted(str(today + timedelta(days=days))))
    else:
        known = st.sampled_from(seen)
        changed = st.tuples(known, st.sampled_from((str.upper, str.lower, str.swapcase, lambda text: text[1:])))
        free = st.text(LETTERS + "\0", max_size=4)
        value = st.one_of(known, changed.map(lambda one: one[1](one[0])), free).map(quoted)
    one, two = draw(value), draw(value)
    ways = [f"{field} {sign} {one}" for sign in ("=", "!=", "<", "<=", ">", ">=")]
    ways += [f"{field} in ({one}, {two})", f"{field} not between {one} and {two}", f"{field} is null"]
    if field in TEXTS:
        ways += [f"{field} like {one}", f"{field} not like {quoted('%' + two[1:-1] + '_%')}"]
    return draw(st.sampled_from(ways))


def conditions(seen: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(seen),
        lambda inner: st.one_of(
            inner.map(lambda one: f"not ({one})"),
            st.tuples(inner, st.sampled_from(("and", "or")), inner).map(lambda one: f"({one[0]}) {one[1]} ({one[2]})"),
        ),
        max_leaves=4,
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_condition_selects_the_same_faces(engines: Both, data: st.DataObject) -> None:
    where = parse(data.draw(conditions(engines.texts)))
    found = []
    for database in (engines.sqlite, engines.postgres):
        with database.reading() as session:
            ids = store.select_ids(session, where).tolist()
            found.append((ids, store.first_ids(session, where).tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("letter", [*LETTERS, "\\\\", "\\%", "\x1a%", "\x1a\x1a"])
def test_every_letter_means_the_same_in_a_pattern(engines: Both, letter: str) -> None:
    for text in (f"%{letter}%", f"{letter}%", f"%{letter}_%", f"%{letter}"):
        for field in ("path", "identity", "expression"):
            where, found = parse(f"{field} like {quoted(text)}"), []
            for database in (engines.sqlite, engines.postgres):
                with database.reading() as session:
                    found.append(store.select_ids(session, where).tolist())
            assert found[0] == found[1], text


def test_what_is_listed_comes_in_the_same_order(engines: Both) -> None:
    found = []
    for database in (engines.sqlite, engines.postgres):
        with database.reading() as session:
            paths = [(one.path, one.reason) for one in problems.every(session)]
            counts = store.count(session), store.count_photos(session), store.count_identities(session)
            found.append((paths, counts, store.paths(session), kept.count(session), passed.passed(session)))
    assert found[0] == found[1] and len(found[0][0]) > 20
    assert found[0][0] == sorted(found[0][0], key=lambda one: one[0].encode())


def test_conditions_of_the_test_are_neither_all_nor_none(engines: Both) -> None:
    """Else the property would say nothing."""
    told = 0
    with engines.postgres.reading() as session:
        count = store.count(session)
        for text in (
            "identity = 'STRASSE'", "identity < 'b'", "identity >= 'z\0'", "expression like '%\u00e4%'", "faces > 1",
            "pose > 2147483648", "size >= 1099511627776", "sha256 < '8'", "sha256 is null", "path like '%A%'",
            "not (pose < 0)", "face = 2", "expression != 'a'",
        ):  # fmt: skip
            told += 0 < len(store.select_ids(session, parse(text))) < count
    assert told == 13
