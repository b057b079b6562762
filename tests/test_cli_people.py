"""`facesearch gallery people`: who is who, at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.app import run
from index.truth.address import Address
from retrieval.face_search import FaceSearch
from tests.people import ANNA, BEN, CARL, save, search
from tests.servers import new_server


@pytest.fixture(params=["folder", pytest.param("postgres", marks=pytest.mark.cluster)])
def faces(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaceSearch]:
    """Four pictures of each of three people, and one of somebody else."""
    for name, person, many in (("a", ANNA, 4), ("b", BEN, 4), ("c", CARL, 4), ("d", 7, 1)):
        for number in range(many):
            save(tmp_path / "photos" / f"{name}{number}.png", person, number)
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    server = request.param == "postgres"
    with search(new_server(request.getfixturevalue("postgres")) if server else tmp_path / "db") as made:
        made.index(tmp_path / "photos")
        yield made


def command(faces: FaceSearch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    def made(folder: Address, **options: object) -> FaceSearch:
        return search(folder)

    code = run(["gallery", *arguments, "--db", str(faces.place)], made)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_groups_lists_and_names_people(faces: FaceSearch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(faces, capsys, "people")
    assert code == 0 and err == "13 new faces: 12 of 3 persons, 1 like nobody else\n"
    assert [line.split() for line in out.splitlines()] == [
        ["person", "name", "faces", "suggested"],
        *([str(number), "-", "4"] for number in (1, 2, 3)),
    ]
    assert command(faces, capsys, "label", "--person", "2", "--identity", "Ben")[0] == 0
    code, out, _ = command(faces, capsys, "people", "--as-is", "--json")
    assert [one["name"] for one in json.loads(out)["people"]] == [None, "Ben", None]
    code, out, _ = command(faces, capsys, "people", "merge", "1", "3", "--json")
    assert code == 0 and json.loads(out)[0]["faces"] == 8
    assert command(faces, capsys, "people", "not-same", "1", "2")[0] == 0
    code, out, err = command(faces, capsys, "people", "split", "2", "b0.png")
    assert (code, err) == (0, "") and out.splitlines()[1].split() == ["4", "Ben", "1"]
    code, _, err = command(faces, capsys, "people", "merge", "1", "77")
    assert (code, err.count("\n")) == (1, 1) and "knows no person 77" in err


def test_the_command_asks_for_somebody_of_the_gallery(faces: FaceSearch, capsys: pytest.CaptureFixture[str]) -> None:
    def made(folder: Address, **options: object) -> FaceSearch:
        return search(folder)

    faces.group()
    faces.label(person=1, identity="Anna")
    assert run(["query", "--person", "anna", "--pose", "30", "--db", str(faces.place), "--json"], made) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["query"] == "anna" and len(told["results"]) == 5
    for wrong, words in (
        (["--person", "zoe"], "nobody is called 'zoe'"),
        ([], "say whom to ask for: images, or --person"),
        (["--person", "1", "--face", "2"], "say whom to ask for"),
    ):
        assert run(["query", *wrong, "--db", str(faces.place)], made) in (2, 4)
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1
