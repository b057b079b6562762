"""Model files: strict, digest-checked, never pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from faceedit.describes import Usual
from faceedit.editor import Editor
from faceedit.errors import ModelFileError
from faceedit.modelcard import read_card
from faceedit.modelfile import load_model, model_digest, new_networks, record_metrics, save_model, shrink_model
from faceedit.networks import REST, GenerationNetwork, NetworkConfig, compact, count_parameters, initialise
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
    known = Usual("people", "2026-11-26", 7, 0.5, 0.7, 0.8)
    record_metrics(model, {"recall@1": 0.5}, {"paper": known})
    after = load_model(model)
    assert after.card.metrics == {**before.card.metrics, "recall@1": 0.5}
    assert (before.card.distances, after.card.distances) == ({}, {"paper": known})
    assert Editor(after, "cpu").usual == known and str(known) == (
        "99 % of 7 right first results lay within 0.800 (people, 2026-11-26)"
    )
    assert after.digest == before.digest
    with pytest.raises(ModelFileError, match="no readable"):
        record_metrics(model / "nothing", {}, {})


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


def far(folder: Path, **changed: object) -> None:
    """Say how far right first results were, with something in it changed."""
    said = {"data": "people", "date": "2026-11-26", "right": 100, "half": 0.5, "most": 0.6, "nearly_all": 0.8}
    change(folder, lambda card: card.update(distances={"paper": said}))
    assert load_model(folder).card.distances["paper"].nearly_all == 0.8
    change(folder, lambda card: card.update(distances={"paper": {**said, **changed}}))


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
        (lambda folder: change(folder, lambda card: card["task"].update(name="age")), "unknown task"),
        (
            lambda folder: (folder / "model.json").write_text('{"format": ' + "[" * 100_000),
            "nested too deep|not a model",
        ),
        (lambda folder: (folder / "model.json").write_text("[" * 100_000), "nested too deep"),
        (lambda folder: (folder / "model.json").write_text("5"), "it is no object"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff"), "not a model card"),
        (lambda folder: change(folder, lambda card: card.update(licence="x" * 2**20)), "over 1,048,576 bytes"),
        (lambda folder: change(folder, lambda card: card.update(format=True)), "format is True"),
        (lambda folder: change(folder, lambda card: card.update(neutral=1)), "neutral is 1; expected true or false"),
        (lambda folder: change(folder, lambda card: card.update(recipe=[])), r"recipe is \[\]; expected an object"),
        (lambda folder: change(folder, lambda card: card.update(metrics={"recall": math.nan})), "it holds NaN"),
        (lambda folder: change(folder, lambda card: card.update(metrics={"recall": "5"})), "expected a finite number"),
        (lambda folder: change(folder, lambda card: card.update(sha256="../x")), "sha256 is '../x'"),
        (lambda folder: change(folder, lambda card: card["task"].update(values=[0.5] * 7)), r"values are \[0.5"),
        (lambda folder: change(folder, lambda card: card["task"].update(values=[True, *range(6)])), r"values are \[Tr"),
        (lambda folder: change(folder, lambda card: card["task"].update(values=[3] * 7)), r"values are \[3"),
        (lambda folder: change(folder, lambda card: card["task"].update(values="abcdefg")), "expected a list"),
        (lambda folder: change(folder, lambda card: card["task"].update(values=[1, 2])), "but the task has 2 values"),
        (lambda folder: change(folder, lambda card: card["task"].update(words=["x"])), "expected one for each value"),
        (lambda folder: change(folder, lambda card: card["task"].update(shared=["x" * 101])), "plain texts of up"),
        (lambda folder: change(folder, lambda card: card["task"].update(occlusion=True)), "an occlusion has two"),
        (lambda folder: change(folder, lambda card: card["task"].update(file="../../x")), "does not know"),
        (lambda folder: change(folder, lambda card: card["network"].update(skip="no")), "expected true or false"),
        (lambda folder: change(folder, lambda card: card["network"].update(share="0.5")), "expected a finite number"),
        (
            lambda folder: change(folder, lambda card: card["network"].update(share=2)),
            r"\(share must be in 0..1, got 2\)",
        ),
        (
            lambda folder: change(folder, lambda card: card["network"].update(colour="x")),
            "'colour' is 'x'; expected a f",
        ),
        (lambda folder: change(folder, lambda card: card["network"].update(colour=2)), r"\(colour must .* 1, got 2\)"),
        (lambda folder: change(folder, lambda card: card["normalisation"].update(mean="abc")), "expected a list"),
        (lambda folder: change(folder, lambda card: card["normalisation"].update(std=[1e30, 1, 1])), "grey levels"),
        (lambda folder: far(folder, half=0.7), "expected ascending numbers of 0 to 2"),
        (lambda folder: far(folder, nearly_all=2.1), "expected ascending numbers of 0 to 2"),
        (lambda folder: far(folder, half=-0.1), "expected ascending numbers of 0 to 2"),
        (lambda folder: far(folder, most="0.6"), "expected a finite number"),
        (lambda folder: far(folder, right=-1), "of a number of results that nobody measures"),
        (lambda folder: far(folder, nearest=0.1), "does not know"),
    ],
)
def test_a_damaged_model_is_refused(model: Path, damage: Callable[[Path], object], message: str) -> None:
    load_model(model)
    damage(model)
    with pytest.raises(ModelFileError, match=message):
        load_model(model)


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden": 10**13},
        {"attributes": 10**7},
        {"middle": 10**9},
        {"mixing": 10**6},
        {"mixing": 1, "width": 32 * 10**9},
        {"head": 10**9},
        {"head_hidden": 10**9},
        {"identity": 10**400},
    ],
)
def test_sizes_that_no_network_has_are_refused_at_once(model: Path, sizes: dict[str, int]) -> None:
    change(model, lambda card: card["network"].update(sizes))
    with pytest.raises(ModelFileError, match=rf"{[*sizes][-1]} is over [0-9,]+, the most"):
        load_model(model)


@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden": 16_384},
        {"mixing": 64, "width": 2_048},
        {"head": 32_768},
        {"head": 1, "head_hidden": 32_768},
        {"identity": 8_192},
    ],
)
def test_sizes_beyond_what_the_file_holds_are_refused_before_anything_is_made(
    model: Path, sizes: dict[str, int]
) -> None:
    change(model, lambda card: card["network"].update(sizes))
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match="fewer than the sizes need"):
        load_model(model)
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; these networks take 200 MB and more


def test_a_file_larger_than_its_network_is_not_read(model: Path) -> None:
    with (model / "model.safetensors").open("r+b") as file:
        file.truncate(1 << 40)  # which takes no place on the disk
    with pytest.raises(ModelFileError, match=r"more than the weights of such a network may have"):
        load_model(model)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(model: Path, name: str) -> None:
    (model / name).unlink()
    os.mkfifo(model / name)
    with pytest.raises(ModelFileError, match="is no regular file"):
        load_model(model)


def test_every_size_that_is_chosen_is_counted() -> None:
    """What a card asks for is bounded by the size of its weights: no network has fewer numbers than it is said to."""
    kinds: list[dict[str, Any]] = [{}, {"compact": True}, {"mixing": 2}, {"mixing": 2, "flow": True, "skip": True}]
    more: list[dict[str, Any]] = [{"attributes": 20}, {"hidden": 900}, {"middle": 500}, {"head": 64, "identity": 64}]
    more.append({"head": 3_000, "head_hidden": 3_000})
    for kind in kinds:
        for sizes in ({}, *more, {"identity": 64, "estimate": 0.2}):
            config = NetworkConfig(**kind, **sizes)
            count = sum(len(t.flatten()) for network in new_networks(config) for t in network.state_dict().values())
            assert config.least_weights <= count <= config.least_weights + REST


def test_weights_are_loaded_strictly(model: Path) -> None:
    tensors = load((model / "model.safetensors").read_bytes())

    def replaced(changed: dict[str, torch.Tensor]) -> str:
        """What is said of a model with these weights."""
        write_weights(model, save(changed))
        with pytest.raises(ModelFileError, match=r"\.safetensors does not fit its network .*: copy the") as refused:
            load_model(model)
        return str(refused.value)

    name = "generation.decoder.2.weight"
    assert f"it lacks {name!r}" in replaced({k: v for k, v in tensors.items() if k != name})
    assert "unknown 'generation.extra'" in replaced({**tensors, "generation.extra": torch.zeros(1)})
    assert "unknown 'other'" in replaced({**tensors, "other": torch.zeros(1)})
    assert f"{name} is [1, 64, 3, 3], expected [64, 64, 3, 3]" in replaced({**tensors, name: torch.zeros(1, 64, 3, 3)})
    for kind in (torch.float64, torch.bfloat16, torch.int32):
        assert f"{name} is of {kind}, expected torch.float32" in replaced({**tensors, name: tensors[name].to(kind)})
    for value in (torch.nan, torch.inf, -torch.inf):
        spoilt = tensors[name].clone()
        spoilt[3, 2, 1, 0] = value
        assert f"{name} holds NaN or infinity" in replaced({**tensors, name: spoilt})
        assert f"{name} holds NaN or infinity" in replaced({**tensors, name: spoilt.half()})
    write_weights(model, save(tensors))
    load_model(model)


def write_weights(model: Path, data: bytes) -> None:
    """Weights that the card agrees with."""
    (model / "model.safetensors").write_bytes(data)
    change(model, lambda card: card.update(sha256=hashlib.sha256(data).hexdigest()))


def test_weights_that_half_precision_cannot_hold_are_not_written(model: Path, tmp_path: Path) -> None:
    tensors = load((model / "model.safetensors").read_bytes())
    name = "generation.decoder.2.weight"
    write_weights(model, save({**tensors, name: tensors[name] + 1e6}))
    with pytest.raises(
        ModelFileError, match=f"{name} holds NaN or infinity in half precision, so .*half is not written"
    ):
        shrink_model(load_model(model), tmp_path / "half")
    assert not (tmp_path / "half").exists()
    shrink_model(load_model(model), tmp_path / "whole", half=False)


def test_a_variance_below_0_is_refused(learned_model_folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(learned_model_folder, tmp_path / "model"))
    tensors = load((model / "model.safetensors").read_bytes())
    name = next(name for name in tensors if name.endswith("running_var"))
    write_weights(model, save({**tensors, name: -tensors[name]}))
    with pytest.raises(ModelFileError, match="holds a variance below 0"):
        load_model(model)


@pytest.mark.parametrize("length", [0, 7, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_an_absurd_size_is_refused(model: Path, length: int) -> None:
    data = (model / "model.safetensors").read_bytes()
    write_weights(model, length.to_bytes(8, "little") + data[8:])
    with pytest.raises(ModelFileError, match="does not fit its network"):
        load_model(model)


def test_a_header_nested_deep_is_refused(model: Path) -> None:
    data = (model / "model.safetensors").read_bytes()
    header = b'{"__metadata__":' + b"[" * 500_000
    write_weights(model, len(header).to_bytes(8, "little") + header + data[8:])
    with pytest.raises(ModelFileError, match="does not fit its network"):
        load_model(model)


def test_a_pickle_in_place_of_the_weights_is_never_run(model: Path, tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_a_compact_network_is_the_full_one_for_every_value() -> None:
    full = GenerationNetwork(NetworkConfig(attributes=20))
    initialise(full, torch.Generator().manual_seed(1))
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
    change(model, lambda card: card["task"].update(words=list("abcdefg")))
    assert load_model(model).digest != digest  # the control


def test_shipped_models_keep_their_digests() -> None:
    """A field that came later and is missing among the newer ones would make every user's gallery another model's."""
    digests = {"pose": "f4998b11b727", "illumination": "cc8448d8b87f", "inpainting": "5ecfc4bb64cd"}
    assert {name: model_digest(MODELS / name)[:12] for name in digests} == digests


def test_a_format_1_digest_is_the_one_that_format_1_computed(model: Path) -> None:
    card, checksum = read_card(model)
    task, network = asdict(card.task), asdict(card.network)
    del task["occlusion"], task["words"]
    task["unit"] = "degrees"  # which nothing ever used
    network = {name: network[name] for name in ("attributes", "hidden", "middle", "attribute_relu")}
    parts = {"weights": checksum, "task": task, "network": network, "normalisation": asdict(card.normalisation)}
    assert load_model(model).digest == hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
