"""A model on disk: a folder with model.safetensors (the weights) and model.json (everything else). Never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from faceedit.describes import Usual
from faceedit.errors import ModelFileError
from faceedit.files import read_small, write_whole
from faceedit.modelcard import CARD, FORMAT, ModelCard, read_card, read_content, short
from faceedit.networks import (
    REST,
    Describer,
    FlowGenerationNetwork,
    Generation,
    GenerationNetwork,
    MixingGenerationNetwork,
    NetworkConfig,
    RefinementNetwork,
    compact,
)

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
        "still": False,
        "kept": False,
        "colour": 0.0,
        "soft": False,
        "head_hidden": 0,
    },
}
WEIGHTS = "model.safetensors"
_LONGEST_HEADER = 1 << 20  # bytes of the weights' table of contents, with what stands before it


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


class _NothingDrawn(TorchFunctionMode):
    """Layers are made without the random weights that PyTorch gives them, since a file's come in their place."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (nn.init.kaiming_uniform_, nn.init.uniform_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def new_networks(config: NetworkConfig) -> Networks:
    """The networks of these sizes, not initialised."""
    kind = GenerationNetwork if not config.mixing else FlowGenerationNetwork if config.flow else MixingGenerationNetwork
    return Networks(kind(config), RefinementNetwork(config.skip, config.maps, config.kept), Describer(config))


def save_model(folder: Path, card: ModelCard, networks: Networks, half: bool = False) -> str:
    """Write both files, each complete or not at all; return the model's digest. half: the weights in half precision.
    Raises ModelFileError for weights that are, or become, no numbers."""
    tensors = _named(networks, torch.float16 if half else torch.float32)
    unsound = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if unsound:
        raise ModelFileError(
            f"{unsound[0]} holds NaN or infinity{' in half precision' if half else ''}, so {folder} is not written: "
            "train again, or give another model"
        )
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_tensors(tensors)
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


def record_metrics(folder: Path, metrics: dict[str, float], distances: Mapping[str, Usual]) -> None:
    """Add measured figures, and distances by kind of descriptor, to a model's card; the weights and the digest stay as
    they are.

    Raises ModelFileError when the folder is no model, or cannot be written.
    """
    read_card(folder)
    content = read_content(folder)
    content["metrics"].update(metrics)
    content.setdefault("distances", {}).update({kind: asdict(usual) for kind, usual in distances.items()})
    try:
        write_whole(folder / CARD, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise ModelFileError(f"cannot write {folder / CARD} ({error}): check its permissions") from error


def load_model(folder: Path, about: tuple[ModelCard, str] | None = None) -> Model:
    """Read a model folder. about: what `read_card` gave for it, where it was read already. Raises ModelFileError for a
    missing, altered, incomplete or unknown one."""
    card, checksum = about or read_card(folder)
    file = folder / WEIGHTS
    data = _read_weights(file, card)
    found = hashlib.sha256(data).hexdigest()
    if found != checksum:
        raise ModelFileError(
            f"{file} is not the file that {CARD} describes "
            f"(sha256 {found[:12]} instead of {checksum[:12]}): copy the model again"
        )
    with _NothingDrawn():
        networks = new_networks(card.network)
    try:
        tensors = load_tensors(data)
        _require_fitting(tensors, networks)
    except Exception as error:  # safetensors raises several unrelated types for a malformed file
        raise ModelFileError(f"{file} does not fit its network ({error}): copy the model again") from error
    for name, network in networks._asdict().items():
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        network.load_state_dict(own, strict=True)
    return Model(card, networks.for_use(), _digest(card, checksum))


def model_digest(folder: Path) -> str:
    """The digest of a model's card and weights, as `load_model` gives it, without reading the weights."""
    return _digest(*read_card(folder))


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


def _read_weights(file: Path, card: ModelCard) -> bytes:
    """The content of the file, which has neither less nor much more than the card's networks need: so nothing is read
    or made that is larger than the file is."""
    least = card.network.least_weights
    most = 4 * (least + REST) + _LONGEST_HEADER  # of full precision
    try:
        if file.is_file() and file.stat().st_size < 2 * least:  # of half precision
            raise ModelFileError(
                f"{file} has {file.stat().st_size:,} bytes, fewer than the sizes need that {CARD} gives its network: "
                "copy the model again"
            )
        return read_small(file, most, ModelFileError, "the weights of such a network")
    except OSError as error:
        raise ModelFileError(
            f"{file.parent} is not a model: it has no readable {WEIGHTS}; give a folder that `facesearch train` wrote"
        ) from error


def _require_fitting(tensors: Mapping[str, Tensor], networks: Networks) -> None:
    """Raise ValueError unless the tensors are the networks', each of its shape and kind, and hold only numbers."""
    expected = {
        f"{part}.{k}": v for part, network in networks._asdict().items() for k, v in network.state_dict().items()
    }
    for what, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has an unknown", tensors.keys() - expected.keys()),
    ):
        if names:
            raise ValueError(f"it {what} {', '.join(short(name) for name in sorted(names)[:3])}")
    for name, tensor in tensors.items():
        own = expected[name]
        if tensor.shape != own.shape:
            raise ValueError(f"{name} is {list(tensor.shape)}, expected {list(own.shape)}")
        kinds = (torch.float32, torch.float16) if own.is_floating_point() else (own.dtype,)
        if tensor.dtype not in kinds:
            raise ValueError(f"{name} is of {tensor.dtype}, expected {' or '.join(map(str, kinds))}")
        if not _is_finite(tensor):
            raise ValueError(f"{name} holds NaN or infinity")
        if name.endswith(".running_var") and (tensor < 0).any():
            raise ValueError(f"{name} holds a variance below 0")


def _is_finite(tensor: Tensor) -> bool:
    """The sum tells at once, but where it is too large itself."""
    return bool(tensor.sum(dtype=torch.float32).isfinite() or tensor.isfinite().all())
