"""facesearch demo, with the models and the gallery that ship."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.app import run
from retrieval.models import SAMPLE_DB
from retrieval.scene import PEOPLE


@pytest.mark.slow
def test_the_demo_puts_the_right_picture_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path), "--device", "cpu"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    with (SAMPLE_DB / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        queries = list(csv.DictReader(stream))
    assert {query["ask_inpaint"] or query["ask_illumination"] for query in queries} == {"", "9", "13", "yes"}
    for query in queries:
        block = next(b for b in blocks if b.strip().startswith(query["path"]))
        title, _, first, *_ = block.strip().splitlines()
        pose, light = (query[f"ask_{name}"] or query[name] for name in ("pose", "illumination"))
        assert first.split()[0] == "1"
        assert first.endswith(f"{query['identity']}_{int(pose):+03d}_{int(light):02d}.png"), block
        with Image.open(io.BytesIO(Path(title.rpartition(" -> ")[2]).read_bytes())) as image:
            assert image.width > 7 * 120
    pytest.importorskip("cv2")
    asked, found = (next(b for b in blocks if text in b) for text in ("party.jpg, face 2", "where is this person"))
    assert f"/{PEOPLE[0]}/" in asked.strip().splitlines()[2]  # the second largest
    assert found.strip().splitlines()[3].endswith("party.jpg#3")  # after what was indexed, and two titles
    with Image.open(tmp_path / f"{PEOPLE[2]}_in_party.png") as image:
        assert image.width > 4 * 120


def test_a_missing_faiss_is_told_before_anything_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert run(["demo", "--out", str(tmp_path / "demo"), "--device", "cpu"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and "faiss cannot be imported" in told.err
    assert not (tmp_path / "demo").exists()
