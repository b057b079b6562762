"""Model files: strict, digest-checked, never pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceedit.errors import ModelFileError
from faceedit.modelfile import load_model, record_metrics, save_model


@pytest.fixture
def model(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def test_save_and_load_is_the_identity(model: Path, tmp_path: Path) -> None:
    first = load_model(model)
    digest = save_model(tmp_path / "again", first.card, first.generation, first.refinement)
    second = load_model(tmp_path / "again")
    assert (first.digest, first.card) == (second.digest, second.card)
    assert digest == first.digest
    for name, tensor in first.generation.state_dict().items():
        assert torch.equal(tensor, second.generation.state_dict()[name])


def test_recorded_figures_leave_the_model_as_it_is(model: Path) -> None:
    before = load_model(model)
    record_metrics(model, {"recall@1": 0.5})
    after = load_model(model)
    assert after.card.metrics == {**before.card.metrics, "recall@1": 0.5}
    assert after.digest == before.digest
    with pytest.raises(ModelFileError, match="no readable"):
        record_metrics(model / "nothing", {})


def test_another_seed_or_normalisation_is_another_digest(model: Path, other_model_folder: Path) -> None:
    first = load_model(model)
    assert load_model(other_model_folder).digest != first.digest
    change(model, lambda card: card["normalisation"].update(mean=[1.0, 2.0, 3.0]))
    assert load_model(model).digest != first.digest


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "model.json").read_text())
    edit(card)
    (folder / "model.json").write_text(json.dumps(card))


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "copy the model again"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no readable model.safetensors"),
        (lambda folder: (folder / "model.json").unlink(), "no readable model.json"),
        (lambda folder: (folder / "model.json").write_text("{"), "not a model card"),
        (lambda folder: change(folder, lambda card: card.update(format=99)), "format 99"),
        (lambda folder: change(folder, lambda card: card.pop("normalisation")), "not a model card"),
        (lambda folder: change(folder, lambda card: card["network"].update(depth=3)), "not a model card"),
        (lambda folder: change(folder, lambda card: card["normalisation"].update(std=[0, 0, 0])), "not a model card"),
        (lambda folder: change(folder, lambda card: card["normalisation"].update(mean=[1, 2])), "not a model card"),
        (lambda folder: change(folder, lambda card: card["network"].update(hidden=10**13)), "does not fit"),
        (lambda folder: change(folder, lambda card: card["task"].update(name="age")), "unknown task"),
    ],
)
def test_a_damaged_model_is_refused(model: Path, damage: Callable[[Path], object], message: str) -> None:
    load_model(model)
    damage(model)
    with pytest.raises(ModelFileError, match=message):
        load_model(model)


def test_weights_are_loaded_strictly(model: Path) -> None:
    import hashlib

    tensors = load_file(model / "model.safetensors")

    def replace(changed: dict[str, torch.Tensor]) -> None:
        save_file(changed, model / "model.safetensors")
        digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
        change(model, lambda card: card.update(sha256=digest))

    name = "generation.decoder.2.weight"
    replace({k: v for k, v in tensors.items() if k != name})
    with pytest.raises(ModelFileError, match="does not fit"):
        load_model(model)
    replace({**tensors, "generation.extra": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="does not fit"):
        load_model(model)
    replace({**tensors, "other": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="unknown tensors: other"):
        load_model(model)
    replace({**tensors, name: torch.zeros(1, 64, 3, 3)})
    with pytest.raises(ModelFileError, match="does not fit"):
        load_model(model)
    replace(tensors)
    load_model(model)


def test_a_pickle_in_place_of_the_weights_is_never_run(model: Path, tmp_path: Path) -> None:
    import hashlib
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (tmp_path / "boom",)

    data = pickle.dumps(Bomb())
    (model / "model.safetensors").write_bytes(data)
    change(model, lambda card: card.update(sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(ModelFileError):
        load_model(model)
    assert not (tmp_path / "boom").exists()
    pickle.loads(data)  # negative control: it would have
    assert (tmp_path / "boom").exists()
