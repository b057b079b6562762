"""What ships in sample_db: the trained model, and the demo's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceedit.attributes import TASKS
from faceedit.modelfile import load_model

SAMPLE = Path(__file__).resolve().parent.parent / "sample_db"


@pytest.mark.parametrize(
    ("name", "recipe", "least", "megabytes"),
    [("pose", "best", 0.8, 21), ("illumination", "best", 0.9, 17), ("inpainting", "best", 0.9, 16)],
)
def test_the_shipped_models_load_and_say_where_they_come_from(
    name: str, recipe: str, least: float, megabytes: int
) -> None:
    model = load_model(SAMPLE / "models" / name)
    assert model.card.task == TASKS[name]
    assert "MIT" in model.card.licence and model.card.recipe["name"] == recipe
    assert not model.card.network.compact
    assert (SAMPLE / "models" / name / "model.safetensors").stat().st_size < megabytes * 1_000_000
    recall = next(v for k, v in model.card.metrics.items() if k.startswith("recall@1 ("))
    assert recall >= least


def test_the_sample_gallery_holds_no_picture_to_query_with() -> None:
    gallery = {path.name: path.read_bytes() for path in (SAMPLE / "gallery").rglob("*.png")}
    queries = {path.name: path.read_bytes() for path in (SAMPLE / "queries").glob("*.png")}
    assert len(gallery) == 1114 and len(queries) == 7
    assert not gallery.keys() & queries.keys()
    assert not set(gallery.values()) & set(queries.values())
