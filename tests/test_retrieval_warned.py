"""A file with something amiss beside its pixels is indexed, and the report says what."""

from __future__ import annotations

import json
from pathlib import Path

from faceedit.sources.folders import list_folders
from faceedit.sources.importing import import_photographs
from tests.stand_ins import ReadsHere, stand_in_search
from tests.test_images_metadata import chunk, encoded, with_chunk


def test_what_is_amiss_is_told_once_with_the_files_and_in_json(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "sound.png").write_bytes(encoded("PNG"))
    for number in range(5):
        (folder / f"{number}.png").write_bytes(with_chunk(chunk(b"tEXt", b"a\0%d" % number, 7)))
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as faces:
        report = faces.index(folder)
        assert (report.images, report.skipped) == (6, [])
        assert faces.index(folder).warned == []  # nothing was read
    told = json.loads(json.dumps(report.as_json()))["warnings"]
    expected = [str(folder / f"{number}.png") for number in range(5)]
    assert [one["path"] for one in told] == expected
    assert {one["warning"] for one in told} == {"tEXt has a wrong check"}
    [line] = report.warnings()
    assert line.startswith("5 files read with something amiss: ") and "2.png" in line and "3.png" not in line


def test_what_is_amiss_with_a_query_is_told(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "1.png").write_bytes(encoded("PNG"))
    faulty = tmp_path / "query.png"
    faulty.write_bytes(with_chunk(chunk(b"tEXt", b"a\0b", 7)))
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as faces:
        faces.index(tmp_path / "g")
        for query in (faulty, faulty.read_bytes()):
            assert json.loads(json.dumps(faces.query(query).as_json()))["warnings"] == ["tEXt has a wrong check"]
        assert "warnings" not in faces.query(tmp_path / "g" / "1.png").as_json()


def test_an_import_tells_what_is_amiss_with_photographs_that_it_takes(tmp_path: Path) -> None:
    (tmp_path / "g" / "anna").mkdir(parents=True)
    (tmp_path / "g" / "anna" / "1.png").write_bytes(encoded("PNG"))
    (tmp_path / "g" / "anna" / "2.png").write_bytes(with_chunk(chunk(b"tEXt", b"a\0b", 7)))
    made = import_photographs(list_folders(tmp_path / "g"), tmp_path / "out")
    assert (made.crops, made.problems) == (2, []) and made.warned == [("anna/2.png", "tEXt has a wrong check")]
