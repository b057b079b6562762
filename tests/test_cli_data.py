"""facesearch data: what is said of an import, and what a mistake gives."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from cli.app import run
from faceedit.images import read_crop
from faceedit.manifest import read_manifest
from tests.test_sources import HEADER, face, multipie, multipie_landmarks, row, write_csv

__all__ = ["multipie"]  # a fixture


def test_multipie_is_aligned_and_what_cannot_be_is_listed(
    multipie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["data", "import", "multipie", str(multipie), "--landmarks", str(multipie_landmarks(tmp_path))]
    assert run([*command, "--out", str(out)]) == 3
    printed = capsys.readouterr()
    manifest = read_manifest(out, required=("path", "identity", "pose", "illumination", "session", "split"))
    assert len(manifest) == 7 * 20 + 6 * 20 + 5 * 20 - 2  # without camera 08_0 of 002, one light and one file of 007
    assert f"{len(manifest)} crops; 27 skipped, 61 not asked for" in printed.out
    assert printed.err.count("skipped: ") == 21  # twenty, and how many more
    assert "7 more, see" in printed.err
    with (out / "skipped.csv").open(newline="") as stream:
        listed = {Path(r["path"]).name: r["reason"] for r in csv.DictReader(stream)}
    assert "is not an image" in listed["007_01_01_051_04.png"]
    assert "has no landmarks for it" in listed["002_01_01_080_05.png"]
    assert len(listed) == 27 + 61
    crop = read_crop(out / "images/001/001_01_01_051_07.png")
    assert crop.shape == (60, 60, 3)
    # eyes at y 50 and chin at y 100: a crop of 91 pixels, from (34.5, 18.2), with the face's square (50..110, 30..110)
    inside = crop[10:58, 12:48]
    assert (inside == 110).mean() > 0.98 and (crop[:6] == 10).all()


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("data import multipie here --faces aligned --out out", 1, "give --landmarks CSV"),
        ("data import lfw here --out out", 2, "no layout 'lfw'"),
        ("data import folders missing --out out", 1, "missing is no folder"),
        ("data import csv missing.csv --out out", 1, "missing.csv is no file"),
        ("data import folders here --landmarks missing.csv --out out", 1, "missing.csv is no file"),
        ("data import folders here --landmarks bad.csv --out out", 1, "bad.csv has no column eye_left_x"),
        ("data import multipie here --landmarks ok.csv --sessions one --out out", 2, "--sessions 'one'"),
        ("data import multipie here --landmarks ok.csv --out out", 1, "holds no Multi-PIE photograph"),
        ("data import folders here --size 3 --out out", 2, "--size"),
        ("data import folders here", 2, "--out"),
    ],
)
def test_a_wrong_import_gives_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/anna").mkdir(parents=True)
    face(100).save(tmp_path / "here/anna/a.png")
    write_csv(tmp_path / "ok.csv", [HEADER, row("a")])
    (tmp_path / "bad.csv").write_text("path,x\na,1\n")
    assert run(line.split()) == code
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1 and words in printed.err
    assert not (tmp_path / "out").exists()


def test_rendering_without_its_package_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "embreex", None)
    assert run(["synth", "--face-model", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines() == [
        "facesearch: rendering needs embreex: in the folder of facesearch, pip install '.[synth]'"
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_rendering_tells_how_many_pictures_there_are(
    face_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("embreex")
    out = tmp_path / "out"
    knobs = [part for knob in ("twenty=2", "lights=1", "expressions=1", "loose=1") for part in ("--knob", knob)]
    given = ["--face-model", str(face_model), "--out", str(out), "--identities", "2", "--processes", "1"]
    assert run(["synth", *given, "--variety", *knobs]) == 0
    assert len(list(out.glob("images/*/*.png"))) == 2 * (7 + 1) * (2 + 1)
    assert capsys.readouterr().out == f"2 people, 48 pictures: {out / 'manifest.csv'}\n"
