"""Which known picture each file is: renames, swaps, rings and copies, without a single file."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from index.values import Face
from retrieval.renames import follow
from tests.faces import new_face


def picture(id_: int, path: str, content: str) -> Face:
    return replace(new_face(path, sha256=content), id=id_)


A, B, C = (picture(n, f"{name}.png", name) for n, name in enumerate("abc", start=1))


def ids(moved: dict[str, Face]) -> dict[str, int]:
    return {name: face.id for name, face in moved.items()}


def test_nothing_moves_where_nothing_is_known() -> None:
    assert follow([], {"new.png": "a"}).moved == {}


def test_a_file_that_went_is_found_at_its_new_name() -> None:
    renames = follow([A], {"new.png": "a"})
    assert (ids(renames.moved), renames.written_over) == ({"new.png": 1}, [])


def test_other_content_is_not_taken_for_it() -> None:
    assert follow([A], {"new.png": "x"}).moved == {}


def test_a_known_file_that_is_only_newer_stays() -> None:
    assert follow([A], {"a.png": "a"}).moved == {}


def test_a_copy_beside_a_file_that_stays_is_new() -> None:
    assert follow([A], {"a.png": "a", "copy.png": "a"}).moved == {}


def test_what_lay_at_a_name_that_is_another_s_now_is_written_over() -> None:
    renames = follow([A, B], {"b.png": "a"})  # a.png has gone: it was renamed to b.png
    assert (ids(renames.moved), renames.written_over) == ({"b.png": 1}, [2])


@pytest.mark.parametrize("places", list(permutations("abc")))
def test_names_that_change_in_a_ring_are_all_followed(places: tuple[str, ...]) -> None:
    contents: dict[str, str | None] = {f"{name}.png": content for name, content in zip("abc", places, strict=True)}
    renames = follow([A, B, C], contents)
    expected = {f"{n}.png": " abc".index(c) for n, c in zip("abc", places, strict=True) if n != c}
    assert (ids(renames.moved), renames.written_over) == (expected, [])


def test_of_two_copies_one_takes_what_was_known_and_no_picture_is_given_twice() -> None:
    renames = follow([A], {"one.png": "a", "two.png": "a"})
    assert len(renames.moved) == 1 and set(ids(renames.moved).values()) == {1}


def test_a_file_that_cannot_be_read_is_not_taken_for_written_over() -> None:
    assert follow([A], {"a.png": None, "new.png": "a"}).moved == {}


def test_a_picture_whose_content_was_never_noted_is_not_followed() -> None:
    assert follow([picture(1, "a.png", "")], {"new.png": ""}).moved == {}
