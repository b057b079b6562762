"""A training run's state on disk: tensors in safetensors, the rest in JSON, replaced as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceedit.errors import TrainingError


@dataclass(frozen=True)
class Place:
    """How far a run has come."""

    stage: int
    step: int
    average: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class State(Place):
    """With the tensors that belong to no network, by name."""

    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)


class Checkpoint:
    """A folder with one complete checkpoint. settings: what must be equal for a run to go on from it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder, json.loads(json.dumps(settings))
        self._old = folder.with_name("checkpoint.old")

    def require_empty(self) -> None:
        if self._folder.exists() or self._old.exists():
            raise TrainingError(
                f"{self._folder} holds an unfinished or finished run: give --resume to go on, or another --out"
            )

    def require_present(self) -> None:
        if not self._folder.exists() and not self._old.exists():
            raise TrainingError(f"no checkpoint in {self._folder}: train without --resume")

    def save(
        self, networks: Mapping[str, nn.Module], tensors: Mapping[str, Mapping[str, Tensor]], place: Place
    ) -> None:
        """Write beside the old checkpoint and swap, so that one whole checkpoint is always there. tensors: others, such
        as `flattened` optimisers, by names that no network has."""
        fresh = self._folder.with_name("checkpoint.partial")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name, network in networks.items():
            save_file(_contiguous(network.state_dict()), fresh / f"{name}.safetensors")
        for name, own in tensors.items():
            save_file(_contiguous(own), fresh / f"{name}.safetensors")
        text = json.dumps({"settings": self._settings, "place": asdict(place)}, indent=2)
        (fresh / "state.json").write_text(text, encoding="utf-8")
        if self._folder.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            self._folder.rename(self._old)
        fresh.rename(self._folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def load(self, networks: Mapping[str, nn.Module], names: Sequence[str]) -> State:
        """Restore the networks in place and return the rest: the tensors of these names."""
        # killed between the two renames of a save, the one before is still whole
        folder = self._folder if self._folder.exists() else self._old
        try:
            content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if content["settings"] != self._settings:
                raise TrainingError(
                    f"{folder} belongs to a run with another recipe, seed, task or data set: "
                    "resume with the same settings, or train to another --out"
                )
            for name, network in networks.items():
                network.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=True)
            tensors = {name: load_file(folder / f"{name}.safetensors") for name in names}
            return State(**content["place"], tensors=tensors)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise TrainingError(f"no usable checkpoint in {folder} ({error}): train without --resume") from error


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimiser of the same parameters the state that was saved."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    content = optimiser.state_dict()
    content["state"] = state
    optimiser.load_state_dict(content)


def flattened(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, for `restore_optimiser`."""
    state = optimiser.state_dict()["state"]
    return {f"{n}.{key}": value for n, own in state.items() for key, value in own.items() if value is not None}


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
