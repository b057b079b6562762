"""What ships in sample_db: the trained model, and the demo's answers."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from cli.app import run
from faceedit.modelfile import load_model

SAMPLE = Path(__file__).resolve().parent.parent / "sample_db"


def test_the_shipped_model_loads_and_says_where_it_comes_from() -> None:
    model = load_model(SAMPLE / "models" / "pose")
    assert model.card.task.values == (-45, -30, -15, 0, 15, 30, 45)
    assert "MIT" in model.card.licence and model.card.recipe["name"] == "fast"
    recall = next(v for k, v in model.card.metrics.items() if k.startswith("recall@1 ("))
    assert recall >= 0.9


def test_the_sample_gallery_holds_no_picture_to_query_with() -> None:
    gallery = {path.name: path.read_bytes() for path in (SAMPLE / "gallery").rglob("*.png")}
    queries = {path.name: path.read_bytes() for path in (SAMPLE / "queries").glob("*.png")}
    assert len(gallery) == 1114 and len(queries) == 6
    assert not gallery.keys() & queries.keys()
    assert not set(gallery.values()) & set(queries.values())


def test_the_demo_puts_the_right_picture_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path), "--device", "cpu"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    with (SAMPLE / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        queries = list(csv.DictReader(stream))
    for query in queries:
        block = next(b for b in blocks if b.strip().startswith(query["path"]))
        first = block.strip().splitlines()[2].split()
        light = Path(query["path"]).stem.rsplit("_", 1)[1]
        assert first[0] == "1" and first[2:4] == [query["identity"], query["pose"]]
        assert first[4].endswith(f"_{light}.png")
        sheet = tmp_path / f"{Path(query['path']).stem}_to_{int(query['pose']):+03d}.png"
        with Image.open(io.BytesIO(sheet.read_bytes())) as image:
            assert image.width > 7 * 120
