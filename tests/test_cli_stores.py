"""Commands over a store: the command line makes paths of its arguments, and of two slashes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.app import run
from tests.failing_store import ROOT, Failing, failing_store  # noqa: F401
from tests.stand_ins import stand_in_search, told_lines


@pytest.mark.usefixtures("store")
def test_commands_take_a_picture_of_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    db, picture = str(tmp_path / "db"), f"{ROOT}/p0/0.png"
    assert run(["index", ROOT, "--db", db], stand_in_search) == 0
    capsys.readouterr()
    for given in (picture, ROOT):
        assert run(["query", given, "--db", db, "--csv"], stand_in_search) == 0
        answers = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]]
        assert picture in answers and len(set(answers)) == (6 if given == ROOT else 1)
    monkeypatch.setenv("FACESEARCH_STORES", ROOT)  # where this process has named it before, that one is not told
    first = "from tests.failing_store import fill; fill()"
    listed = told_lines(f"{picture}\n", "query", "-", "--db", db, "--csv", first=first)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {line.split(",")[0] for line in listed.stdout.splitlines()[1:]} == {picture}
    assert run(["edit", picture, "-o", str(tmp_path / "a.png"), "--pose", "30"], stand_in_search) == 0
    assert run(["compare", picture, f"{ROOT}/none.png"], stand_in_search) == 1
    assert "failing://bucket/photos/none.png does not exist" in capsys.readouterr().err
    Failing.down = True
    for command in (["query", picture, "--db", db], ["compare", picture, picture]):
        assert run(command, stand_in_search) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert "the store does not answer" in line
