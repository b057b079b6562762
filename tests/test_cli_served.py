"""Every command over a gallery on a server says what it says over one in a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.app import run
from tests.conftest import blob_face
from tests.servers import new_address
from tests.stand_ins import stand_in_search

pytestmark = pytest.mark.cluster
_BAR = re.compile(r"^[a-z ]+: [\d,]+ of [\d,]+ *\n", re.MULTILINE)  # which is shown where the machine is slow
NEVER_THE_SAME = (
    "vectors",
    "engine",
    "search",
    "index",
    "gallery",
    "seconds",
    "bytes",
    "indexes",
    "mtime",
    "sheet",
    "added",
    "milliseconds",
    "found",
)


@pytest.fixture(params=["faiss", "lite"])
def both(
    request: pytest.FixtureRequest, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """A folder and an address, in a folder with pictures of four people; the address also where an engine searches."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for person in range(4):
        folder = tmp_path / "photos" / f"p{person}"
        folder.mkdir(parents=True)
        for pose in (-15, 0, 15):
            Image.fromarray(blob_face(person, pose, 0)).save(folder / f"{pose}.png")
    (tmp_path / "photos" / "p0" / "bad.png").write_bytes(b"\x89PNG no picture")
    address = new_address(postgres)
    if request.param != "faiss":
        word = str(request.getfixturevalue(request.param))
        create = ["gallery", "create", "--vectors", word, "--root", "photos", "--db", address]
        assert run(create, stand_in_search) == 0
    return str(tmp_path / "db"), address


def told(capsys: pytest.CaptureFixture[str], place: str, *arguments: str) -> tuple[int, Any, str]:
    code = run([*arguments, "--db", place], stand_in_search)
    out, err = capsys.readouterr()
    try:
        said: Any = [_alike(json.loads(line)) for line in out.splitlines()]
    except ValueError:
        said = out.replace(place, "PLACE")
    return code, said, _BAR.sub("", err.replace(place, "PLACE"))


def _alike(said: Any) -> Any:
    """Without what no two runs, or engines, have in common."""
    if isinstance(said, float):
        return round(said, 4)
    if isinstance(said, dict):
        return {name: _alike(one) for name, one in said.items() if name not in NEVER_THE_SAME}
    return [_alike(one) for one in said] if isinstance(said, list) else said


COMMANDS = (
    ("index", "photos", "--max-ms", "60000", "--json"),  # however busy the machine is
    ("index", "photos", "--json"),
    ("gallery", "info", "--json"),
    ("gallery", "list", "--jsonl"),
    ("gallery", "problems", "--json"),
    ("query", "photos/p1/0.png", "--pose", "15", "--json"),
    ("query", "photos/p1/0.png", "--where", "identity != 'P1' and decided >= 0", "--json"),
    ("query", "photos/p2/0.png", "--all-poses", "--json"),
    ("gallery", "label", "--where", "identity = 'p3'", "--identity", "Stra\u00dfe"),
    ("gallery", "list", "--where", "identity like 'STRASSE'", "--csv"),
    ("gallery", "show", "p1/15.png", "--json"),
    ("gallery", "remove", "p1/15.png"),
    ("gallery", "list", "--jsonl"),
    ("gallery", "verify", "--json"),
    ("gallery", "redescribe", "--model", "other", "--json"),
    ("query", "photos/p2/0.png", "--model", "other", "--pose", "0", "--json"),
    ("gallery", "repair"),
    ("gallery", "plan", "--json"),
    ("gallery", "label", "99", "--identity", "x"),
    ("gallery", "relocate", "photos"),
    ("gallery", "export", "out-{n}"),
    ("gallery", "info", "--json"),
)


def test_every_command_says_the_same(both: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in COMMANDS:
        said = [
            told(capsys, place, *(one.format(n=n) if one.startswith("out") else one for one in arguments))
            for n, place in enumerate(both)
        ]
        if arguments[1] in ("export", "plan"):
            assert [one[0] for one in said] == [0, 0], said
        else:
            assert said[0] == said[1], arguments
    assert Path("out-0/faces.jsonl").read_bytes() == Path("out-1/faces.jsonl").read_bytes()
    assert Path("out-0/descriptors.npy").read_bytes() == Path("out-1/descriptors.npy").read_bytes()


def test_what_has_gone_is_pruned_and_what_is_new_is_added(
    both: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for place in both:
        assert told(capsys, place, "index", "photos", "--json")[0] == 3
    Path("photos/p0/0.png").rename("photos/p0/moved.png")
    Path("photos/p2/0.png").unlink()
    Image.fromarray(blob_face(9, 0, 0)).save("photos/p3/new.png")
    said = [told(capsys, place, "index", "photos", "--prune", "--yes", "--json") for place in both]
    assert said[0] == said[1]
    said = [told(capsys, place, "gallery", "list", "--jsonl") for place in both]
    assert said[0] == said[1] and len(said[0][1]) == 12


def test_it_says_where_it_is_without_secrets(
    both: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "correct horse")
    told(capsys, both[1], "index", "photos")
    run(["gallery", "info", "--json", "--db", both[1]], stand_in_search)
    out, _ = capsys.readouterr()
    assert json.loads(out)["gallery"].split("?")[0] == both[1].split("?")[0] and "correct" not in out
    monkeypatch.setenv("FACESEARCH_DB", both[1])
    assert run(["gallery", "list", "--jsonl"], stand_in_search) == 0
    assert len(capsys.readouterr().out.splitlines()) == 12
    assert run(["gallery", "import", "photos", "--db", both[1]], stand_in_search) == 2
    assert "an export is read into a folder only" in capsys.readouterr().err
    hidden = "postgresql://anna:h1dden@localhost/faces"
    assert run(["gallery", "info", "--db", hidden], stand_in_search) == 2
    out, err = capsys.readouterr()
    assert "holds a password" in err and "h1dden" not in out + err and len(err.splitlines()) == 1
    assert run(["gallery", "info", "--db", f"{both[1]}x"], stand_in_search) == 1
    assert "is no gallery yet: index images into it first" in capsys.readouterr().err
