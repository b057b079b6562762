"""facesearch gallery copy, as a person uses it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from cli.app import run
from index.gallery import Gallery, Labels
from retrieval.face_search import FaceSearch
from tests.copies import fill, fill_anew, tables
from tests.servers import new_address
from tests.stand_ins import stand_in_search

HALF = "is half of a copy, which was not finished: run the same `facesearch gallery copy` again"


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.cluster)])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where there is nothing yet; beside it lies the gallery `db`."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fill("db")
    return "copy" if request.param == "folder" else new_address(request.getfixturevalue("postgres"))


def test_it_is_there_afterwards_and_a_second_time_it_is_compared(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gallery", "copy", "db", target], stand_in_search) == 0
    out, err = capsys.readouterr()
    assert out.startswith(target.split("?")[0]) and out.endswith(": 27 images, as in db\n") and err == ""
    assert tables(target) == tables("db")
    assert run(["gallery", "copy", "db", target], stand_in_search) == 0
    assert "it was there already: every row and descriptor was compared" in capsys.readouterr().out
    assert run(["gallery", "copy", target, "back"], stand_in_search) == 0
    assert tables("back") == tables("db")
    with FaceSearch("db") as faces:
        assert faces.copy(target).rows == 0


def test_one_that_was_cut_off_is_told_by_every_command_and_goes_on(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for stop, label in ((70, ""), (75, ""), (80, "another")):
        with Gallery.open("db") as gallery, pytest.raises(KeyboardInterrupt):
            if label:
                gallery.update_labels({1: Labels.given("hand", identity=label)})
            gallery.copy(target, partial(_stop, stop))
    Path("photos").mkdir()
    for command in (["gallery", "info"], ["index", "photos"], ["query", "a.png"], ["gallery", "verify"]):
        assert run([*command, "--db", target], stand_in_search) in (1, 2)
        assert len(capsys.readouterr().err.splitlines()) == 1, command
    assert run(["gallery", "info", "--db", target], stand_in_search) == 1
    out, err = capsys.readouterr()
    assert HALF in err and len(err.splitlines()) == 1 and not out
    assert run(["gallery", "copy", target, "other"], stand_in_search) == 1
    assert HALF in capsys.readouterr().err and not Path("other").exists()
    assert run(["gallery", "copy", "db", target], stand_in_search) == 0
    assert "had been copied before" in capsys.readouterr().out
    assert tables(target) == tables("db")


def _stop(at: int, what: str, done: int, of: int) -> None:
    if done > at:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["db"], 2, "TO"),
        (["db", "db"], 2, "db is the gallery itself"),
        (["db", ""], 2, "FROM or TO is empty"),
        (["", "copy"], 2, "FROM or TO is empty"),
        (["db", "db/inside"], 2, "lies in the gallery's own folder"),
        (["none", "copy"], 1, "none holds no gallery"),
        (["db", "full"], 1, "full is there already: give a folder that does not exist yet, or is empty"),
        (["db", "file"], 1, "file is a file: give a folder to write into"),
        (["db", "file/deep"], 1, "file is a file: give a folder to write into"),
        (["db", "other"], 1, "other is another gallery already: give another place to copy to"),
        (["db", "postgresql://anna:h1dden@localhost/faces"], 2, "holds a password"),
        (["postgresql://anna:h1dden@localhost/faces", "copy"], 2, "holds a password"),
        (["db", "mysql://localhost/faces"], 2, "cannot be kept by 'mysql'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    fill("db")
    fill_anew("other")
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine", encoding="utf-8")
    Path("file").write_text("mine", encoding="utf-8")
    assert run(["gallery", "copy", *arguments], stand_in_search) == code
    out, err = capsys.readouterr()
    assert said in err and "h1dden" not in out + err and not out
    assert len(err.splitlines()) == 1 or code == 2
    assert not Path("copy").exists()
