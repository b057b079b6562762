"""A model on disk: a folder with model.safetensors (the weights) and model.json (everything else). Never pickle."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from faceedit.attributes import TASKS, AttributeSpace
from faceedit.errors import ModelFileError
from faceedit.files import write_whole
from faceedit.networks import (
    Describer,
    FlowGenerationNetwork,
    Generation,
    GenerationNetwork,
    MixingGenerationNetwork,
    NetworkConfig,
    RefinementNetwork,
    compact,
)

FORMAT = 5
# 2: occlusion, words, compact, half precision; 3: mixing, learned descriptors, neutral;
# 4: width, skip, look_back, estimate; 5: flow
_READABLE = (1, 2, 3, 4, 5)
_NEWER: dict[str, dict[str, object]] = {  # fields that format 1 did not have, with what they were then
    "task": {"occlusion": False, "words": ()},
    "network": {
        "compact": False,
        "mixing": 0,
        "head": 0,
        "identity": 0,
        "share": 0.5,
        "candidate": 0.0,
        "width": 128,
        "skip": False,
        "look_back": False,
        "estimate": 0.0,
        "flow": False,
    },
}
WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Normalisation:
    """Per-channel mean and standard deviation of the training pictures, in 0..255 (RGB)."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        numbers = [float(value) for value in (*self.mean, *self.std)]
        if len(self.mean) != 3 or len(self.std) != 3 or not all(map(math.isfinite, numbers)) or min(self.std) <= 0:
            raise ValueError(
                f"normalisation {self.mean}, {self.std}: expected three finite means and deviations above 0"
            )

    def tensors(self, device: str) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, (1, 3, 1, 1) each, to normalise batches with."""
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return mean, std

    def applied(self, images: NDArray[np.uint8], device: str = "cpu") -> Tensor:
        """Pictures (B, H, W, 3) in 0..255, RGB, as the networks see them: (B, 3, H, W), channels last."""
        mean, std = self.tensors(device)
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        return ((pixels.permute(0, 3, 1, 2).float() - mean) / std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class ModelCard:
    """What model.json says: the task, the network, how it was trained, what was measured, and its terms. neutral: its
    pictures stand on neutral grey, whatever is behind the source, so that only the face tells how well one is
    reconstructed."""

    task: AttributeSpace
    network: NetworkConfig
    normalisation: Normalisation
    recipe: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    licence: str = "unspecified"
    neutral: bool = False
    paper: str = "Ghodrati, Jia, Pedersoli, Tuytelaars: Towards Automatic Image Editing, BMVC 2016"


class Networks(NamedTuple):
    """Stage one, the paper's or with global mixing; stage two; and what makes descriptors of it."""

    generation: Generation
    refinement: RefinementNetwork
    describer: Describer

    def for_use(self) -> Networks:
        """The same on the processor, not to be trained."""
        for network in self:
            network.cpu().eval()
        return self


@dataclass
class Model:
    """A loaded model. digest: names these weights with this task and normalisation; a gallery is pinned to it."""

    card: ModelCard
    networks: Networks
    digest: str

    @property
    def generation(self) -> Generation:
        return self.networks.generation

    @property
    def refinement(self) -> RefinementNetwork:
        return self.networks.refinement

    @property
    def describer(self) -> Describer:
        return self.networks.describer


def new_networks(config: NetworkConfig) -> Networks:
    """The networks of these sizes, not initialised."""
    kind = GenerationNetwork if not config.mixing else FlowGenerationNetwork if config.flow else MixingGenerationNetwork
    return Networks(kind(config), RefinementNetwork(config.skip, config.maps), Describer(config))


def save_model(folder: Path, card: ModelCard, networks: Networks, half: bool = False) -> str:
    """Write both files, each complete or not at all; return the model's digest. half: the weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_tensors(_named(networks, torch.float16 if half else torch.float32))
    checksum = hashlib.sha256(weights).hexdigest()
    content = {"format": FORMAT, **asdict(card), "sha256": checksum}
    text = json.dumps(content, indent=2) + "\n"
    for name, data in ((WEIGHTS, weights), (CARD, text.encode())):
        write_whole(folder / name, data)
    return _digest(card, checksum)


def shrink_model(model: Model, folder: Path, half: bool = True) -> str:
    """Write a model for use: the attribute encoder's outputs in place of its weights, perhaps in half precision.

    Returns the new model's digest. The pictures stay the same up to rounding (half precision: 11 bits).
    """
    generation = compact(model.generation) if isinstance(model.generation, GenerationNetwork) else model.generation
    provenance = {**model.card.provenance, "shrunk_from": model.digest}
    card = replace(model.card, network=generation.config, provenance=provenance)
    return save_model(folder, card, model.networks._replace(generation=generation), half)


def record_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Add measured figures to a model's card; the weights and the digest stay as they are.

    Raises ModelFileError when the folder is no model, or cannot be written.
    """
    read_card(folder)
    content = json.loads(_read(folder, CARD))
    content["metrics"].update(metrics)
    try:
        write_whole(folder / CARD, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise ModelFileError(f"cannot write {folder / CARD} ({error}): check its permissions") from error


def load_model(folder: Path, about: tuple[ModelCard, str] | None = None) -> Model:
    """Read a model folder. about: what `read_card` gave for it, where it was read already. Raises ModelFileError for a
    missing, altered, incomplete or unknown one."""
    card, checksum = about or read_card(folder)
    data = _read(folder, WEIGHTS)
    found = hashlib.sha256(data).hexdigest()
    if found != checksum:
        raise ModelFileError(
            f"{folder / WEIGHTS} is not the file that {CARD} describes "
            f"(sha256 {found[:12]} instead of {checksum[:12]}): copy the model again"
        )
    try:
        networks = new_networks(card.network)
        tensors = load_tensors(data)
        for name, network in networks._asdict().items():
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            network.load_state_dict(own, strict=True)
        unknown = [k for k in tensors if k.split(".")[0] not in Networks._fields]
    except Exception as error:  # safetensors and torch raise several unrelated types for a malformed file
        raise ModelFileError(f"{folder / WEIGHTS} does not fit its network: {error}") from error
    if unknown:
        raise ModelFileError(f"{folder / WEIGHTS} holds unknown tensors: {', '.join(unknown[:3])}")
    return Model(card, networks.for_use(), _digest(card, checksum))


def model_digest(folder: Path) -> str:
    """The digest of a model's card and weights, as `load_model` gives it, without reading the weights."""
    return _digest(*read_card(folder))


def read_card(folder: Path) -> tuple[ModelCard, str]:
    """model.json, and the sha256 that the weights must have."""
    try:
        content = json.loads(_read(folder, CARD))
        if content["format"] not in _READABLE:
            raise ModelFileError(
                f"{folder / CARD} has format {content['format']}, this version reads up to {FORMAT}: "
                "train again or use the matching version of facesearch"
            )
        task: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content["task"].items() if k != "unit"
        }
        card = ModelCard(
            task=AttributeSpace(**task),
            network=NetworkConfig(**content["network"]),
            normalisation=Normalisation(
                tuple(content["normalisation"]["mean"]), tuple(content["normalisation"]["std"])
            ),
            neutral=bool(content.get("neutral", False)),
            **{k: content[k] for k in ("recipe", "provenance", "metrics", "licence", "paper")},
        )
        checksum = str(content["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{folder / CARD} is not a model card: {error!r}") from error
    if card.task.name not in TASKS or card.network.attributes != len(card.task):
        raise ModelFileError(f"{folder / CARD} describes an unknown task {card.task.name!r}")
    return card, checksum


def _named(networks: Networks, precision: torch.dtype) -> dict[str, Tensor]:
    return {
        f"{prefix}.{name}": tensor.detach()
        .to("cpu", precision if tensor.is_floating_point() else tensor.dtype)
        .contiguous()
        for prefix, network in networks._asdict().items()
        for name, tensor in network.state_dict().items()
    }


def _digest(card: ModelCard, checksum: str) -> str:
    parts: dict[str, Any] = {
        "weights": checksum,
        "task": asdict(card.task),
        "network": asdict(card.network),
        "normalisation": asdict(card.normalisation),
    }
    for part, fields in _NEWER.items():  # a model of format 1 keeps the digest that galleries are pinned to
        parts[part] = {name: v for name, v in parts[part].items() if name not in fields or v != fields[name]}
    parts["task"]["unit"] = "degrees" if card.task.name == "pose" else ""  # cards had it when galleries were pinned
    if card.neutral:
        parts["neutral"] = True
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"{folder} is not a model: it has no readable {name}; give a folder that `facesearch train` wrote"
        ) from error
