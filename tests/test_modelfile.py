"""Model files: strict, digest-checked, never pickle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from faceedit.editor import Editor
from faceedit.errors import ModelFileError
from faceedit.modelfile import load_model, model_digest, read_card, record_metrics, save_model, shrink_model
from faceedit.networks import GenerationNetwork, compact, count_parameters
from tests.conftest import blob_face

MODELS = Path(__file__).parents[1] / "sample_db" / "models"


@pytest.fixture
def model(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def test_save_and_load_is_the_identity(model: Path, tmp_path: Path) -> None:
    first = load_model(model)
    digest = save_model(tmp_path / "again", first.card, first.networks)
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


# --- models made for use ---


@pytest.mark.parametrize("name", ["pose", "illumination", "inpainting"])
def test_a_compact_model_gives_the_same_pictures(models_folder: Path, name: str, tmp_path: Path) -> None:
    full = load_model(models_folder / name)
    shrink_model(full, tmp_path / "compact", half=False)
    images = np.stack([blob_face(person, 15 * person - 30, person) for person in range(6)])
    one, two = (Editor(model, "cpu") for model in (full, load_model(tmp_path / "compact")))
    values = np.arange(6) % len(full.card.task)
    for a, b in zip(one.edit_many(images, values), two.edit_many(images, values), strict=True):
        np.testing.assert_array_equal(a.generated, b.generated)
        np.testing.assert_array_equal(a.refined, b.refined)
        np.testing.assert_array_equal(a.descriptor, b.descriptor)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (models_folder / name, tmp_path / "compact")]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("name", ["pose", "illumination", "inpainting"])
def test_half_precision_moves_pictures_by_a_rounding(models_folder: Path, name: str, tmp_path: Path) -> None:
    full = load_model(models_folder / name)
    digest = shrink_model(full, tmp_path / "half")
    small = load_model(tmp_path / "half")
    assert small.digest == digest != full.digest
    assert small.card.provenance["shrunk_from"] == full.digest
    images = np.stack([blob_face(person, 15 * person - 30, person) for person in range(6)])
    values = np.arange(6) % len(full.card.task)
    edits = [Editor(model, "cpu").edit_many(images, values) for model in (full, small)]
    for a, b in zip(*edits, strict=True):
        assert np.abs(a.refined.astype(int) - b.refined).max() <= 2
        assert float(a.descriptor @ b.descriptor) > 0.999


def test_a_compact_network_is_the_full_one_for_every_value(models_folder: Path) -> None:
    full = load_model(models_folder / "illumination").generation
    assert isinstance(full, GenerationNetwork)
    smaller = compact(full)
    source = torch.randn(2, 3, 60, 60, generator=torch.Generator().manual_seed(0))
    for value in range(20):
        attribute = torch.eye(20)[[value, value]]
        torch.testing.assert_close(smaller(source, attribute), full(source, attribute))
    assert count_parameters(smaller) < 0.15 * count_parameters(full)


def test_a_model_of_the_first_format_keeps_its_digest(model: Path) -> None:
    """Galleries are pinned to it: a card without the fields that came later means the same model."""
    digest = load_model(model).digest

    def age(card: dict[str, Any]) -> None:
        card["format"] = 1
        del card["task"]["occlusion"], card["task"]["words"], card["network"]["compact"]

    change(model, age)
    assert load_model(model).digest == digest
    change(model, lambda card: card["task"].update(occlusion=True))
    assert load_model(model).digest != digest  # the control


def test_shipped_models_keep_their_digests() -> None:
    """A field that came later and is missing among the newer ones would make every user's gallery another model's."""
    digests = {"pose-fast": "4de81ba2d206", "illumination": "5b5f05463799", "inpainting": "c49a6fec011b"}
    assert {name: model_digest(MODELS / name)[:12] for name in digests} == digests


def test_a_format_1_digest_is_the_one_that_format_1_computed(model: Path) -> None:
    card, checksum = read_card(model)
    task, network = asdict(card.task), asdict(card.network)
    del task["occlusion"], task["words"]
    task["unit"] = "degrees"  # which nothing ever used
    network = {name: network[name] for name in ("attributes", "hidden", "middle", "attribute_relu")}
    parts = {"weights": checksum, "task": task, "network": network, "normalisation": asdict(card.normalisation)}
    assert load_model(model).digest == hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
