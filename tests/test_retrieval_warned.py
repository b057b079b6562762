"""A file with something amiss beside its pixels is indexed, and the report says what."""

from __future__ import annotations

import json
from pathlib import Path

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
