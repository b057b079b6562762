"""facesearch train: recipes and knobs, and what its models are good for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from faceedit.complexion import CODE
from faceedit.editor import LEARNED, PAPER
from index.gallery import Gallery

TINY = (
    "sources=2",
    "targets=3",
    "steps_identity=3",
    "steps_one=3",
    "steps_two=2",
    "steps_head=2",
    "identity_people=2",
    "identity_alone=1",
    "warmup=0",
    "contrast_people=2",
    "contrast_conditions=2",
    "head_people=2",
    "head_conditions=2",
    "mixing=1",
    "head=16",
    "identity=8",
    "candidate=0.2",
    "whitening=0",
    "steps_last=2",
    "last_people=2",
    "steps_estimator=2",
    "estimator_pictures=4",
)


@pytest.mark.slow
def test_train_best_index_and_query_with_either_descriptor(
    placed_cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_out = placed_cut_out
    out = tmp_path / "model"
    data = ["--data", str(cut_out), "--data", str(cut_out)]
    knobs = [text for knob in TINY for text in ("--knob", knob)]
    assert run(["train", "pose", "--recipe", "best", *data, *knobs, "--middle", "8", "--out", str(out)]) == 0
    card = json.loads((out / "model.json").read_text())
    assert len(card["provenance"]["data"]) == 2 and card["neutral"]
    assert {"training_identity_error", "training_head_error"} < set(card["metrics"]) and card["network"]["flow"]
    assert card["network"] == {**card["recipe"]["network"], "attributes": 7} and card["network"]["middle"] == 8
    query = str(cut_out / "images" / "p0_0_+00.png")
    sizes = {}
    for kind in (LEARNED, PAPER):
        db = tmp_path / kind
        index = ["index", str(cut_out / "images"), "--db", str(db), "--model", str(out), "--descriptor", kind]
        assert run(index) == 0
        with Gallery.open(db) as gallery:
            sizes[kind] = gallery.config.descriptor_size
        capsys.readouterr()
        assert run(["query", query, "--pose", "30", "--db", str(db), "--model", str(out), "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["results"]) == 5
    assert sizes == {LEARNED: 31 + CODE, PAPER: 28_800}
    assert run(["index", str(cut_out / "images"), "--db", str(tmp_path / PAPER), "--model", str(out)]) == 0  # as before
    mixed = ["index", str(cut_out / "images"), "--db", str(tmp_path / LEARNED), "--model", str(out)]
    assert run([*mixed, "--descriptor", PAPER]) == 1
    assert "was described by model" in capsys.readouterr().err
    assert run([*mixed, "--descriptor", "pca"]) == 2
    assert "no descriptor 'pca': choose one of learned, paper" in capsys.readouterr().err


def test_best_without_masks_says_what_to_do(data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "pose", "--recipe", "best", "--data", str(data_set), "--out", str(tmp_path / "m")]) == 1
    told = capsys.readouterr().err
    assert "no column 'mask'" in told and "--recipe paper" in told and "Traceback" not in told


def test_best_without_places_says_what_to_do(
    cut_out: Path, placed_cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["train", "pose", "--recipe", "best", "--out", str(tmp_path / "m"), "--data", str(cut_out)]
    assert run(start) == 1
    told = capsys.readouterr().err
    assert "no column 'places'" in told and "--variety" in told and "--knob flow=off" in told and told.count("\n") == 1
    assert run([*start, "--data", str(placed_cut_out)]) == 1
    told = capsys.readouterr().err
    assert "nothing says what each pixel of" in told and "--knob flow=off" in told and told.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "knob",
    [
        "targets=0",
        "contrast_people=0",
        "identity_people=0",
        "share=2",
        "blur=0.9",
        "width=100",
        "estimate=-1",
        "average=1",
        "last_people=0",
        "last_studio=2",
        "estimator_pictures=0",
    ],
)
def test_an_impossible_knob_is_one_line(
    cut_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], knob: str
) -> None:
    train_best = ["train", "pose", "--recipe", "best", "--data", str(cut_out), "--out", str(tmp_path / "m")]
    assert run([*train_best, "--knob", knob]) == 2
    told = capsys.readouterr().err
    assert told.startswith("facesearch: ") and f"--knob {knob}: " in told and told.count("\n") == 1


def test_data_sets_that_do_not_go_together_are_refused(
    cut_out: Path, data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = []
    for number, made in enumerate(({"seed": 4}, {"seed": 4}, {"seed": 5, "variety": {}})):
        root = tmp_path / f"set{number}"
        root.mkdir()
        for item in cut_out.iterdir():
            (root / item.name).symlink_to(item)
        (root / "synth.json").write_text(json.dumps(made))
        sets += ["--data", str(root)]
    start = ["train", "pose", "--recipe", "best", "--out", str(tmp_path / "m")]
    assert run([*start, *sets[:4]]) == 2
    assert "show the same people, rendered with seed 4" in capsys.readouterr().err
    assert run(["train", "illumination", "--recipe", "best", "--out", str(tmp_path / "m"), *sets[4:]]) == 2
    assert "for illumination, render --variety with --knob twenty=9" in capsys.readouterr().err
    assert run([*start, "--data", str(cut_out), "--data", str(data_set)]) == 1
    assert "has no mask, so that its background cannot be chosen" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
