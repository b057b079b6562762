"""model.json: what a model is for, how its networks are made, and its terms. It is read strictly: it may be a
stranger's, and whatever it says is checked before anything is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.attributes import TASKS, AttributeSpace
from faceedit.describes import Accepted, Usual
from faceedit.errors import ModelFileError
from faceedit.files import read_small
from faceedit.networks import NetworkConfig

CARD = "model.json"
FORMAT = 9
# 2: occlusion, words, compact, half precision; 3: mixing, learned descriptors, neutral;
# 4: width, skip, look_back, estimate; 5: flow; 6: still, kept; 7: colour; 8: soft; 9: head_hidden
_READABLE = range(1, FORMAT + 1)
LONGEST_CARD = 1 << 20  # bytes
_LARGEST_VALUE = 2**31  # of an attribute, either way
_LONGEST_WORD = 100  # characters
_MOST_RIGHT = 10**9  # first results that somebody measures
_FARTHEST = 2  # that two descriptors of length 1 can be apart
_KINDS = {bool: "true or false", int: "a whole number", str: "text", dict: "an object", list: "a list"}
T = TypeVar("T")


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
    distances: dict[str, Usual] = field(default_factory=dict)  # by kind of descriptor
    licence: str = "unspecified"
    neutral: bool = False
    paper: str = "Ghodrati, Jia, Pedersoli, Tuytelaars: Towards Automatic Image Editing, BMVC 2016"


def read_card(folder: Path) -> tuple[ModelCard, str]:
    """model.json, and the sha256 that the weights must have. Raises ModelFileError for one that is not there, is of a
    later format, or says what no model can be."""
    file = folder / CARD
    try:
        content = read_content(folder)
        card = ModelCard(
            task=_task(_of(content, "task", dict)),
            network=_network(_of(content, "network", dict)),
            normalisation=_normalisation(_of(content, "normalisation", dict)),
            neutral="neutral" in content and _of(content, "neutral", bool),
            metrics=_metrics(_of(content, "metrics", dict)),
            distances=_distances(_of(content, "distances", dict)) if "distances" in content else {},
            recipe=_of(content, "recipe", dict),
            provenance=_of(content, "provenance", dict),
            licence=_of(content, "licence", str),
            paper=_of(content, "paper", str),
        )
        if card.network.attributes != len(card.task):
            raise ValueError(f"attributes is {card.network.attributes}, but the task has {len(card.task)} values")
        return card, _checksum(_of(content, "sha256", str))
    except ValueError as error:
        raise ModelFileError(f"{file} is not a model card ({error}): copy the model again, or give another") from error


def read_content(folder: Path) -> dict[str, Any]:
    """model.json as it stands there, of a format that this version reads. Raises ModelFileError, ValueError."""
    file = folder / CARD
    try:
        text = read_small(file, LONGEST_CARD, ModelFileError, "a model card")
    except OSError as error:
        raise ModelFileError(
            f"{folder} is not a model: it has no readable {CARD}; give a folder that `facesearch train` wrote"
        ) from error
    try:
        content = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if type(content) is not dict:
        raise ValueError("it is no object")
    found = _of(content, "format", int)
    if found not in _READABLE:
        raise ModelFileError(
            f"{file} has format {short(found)}, this version reads up to {FORMAT}: "
            "train again or use the matching version of facesearch"
        )
    return content


def short(value: object) -> str:
    """A value as a message shows it."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of many digits"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _task(content: Mapping[str, Any]) -> AttributeSpace:
    """`unit`, which earlier formats had, says nothing."""
    names = {one.name for one in fields(AttributeSpace)}
    _no_others(content, names | {"unit"}, "task")
    name, values = _of(content, "name", str), _whole_numbers(_of(content, "values", list))
    if name not in TASKS:
        raise ValueError(f"it describes an unknown task {short(name)}, expected one of {', '.join(TASKS)}")
    words = _texts(content, "words") if "words" in content else ()
    occlusion = "occlusion" in content and _of(content, "occlusion", bool)
    if words and len(words) != len(values):
        raise ValueError(f"words are {short(words)}; expected one for each value, or none")
    if occlusion and len(values) != 2:
        raise ValueError(f"values are {short(values)}; a task with an occlusion has two")
    given = {"shared_where_known": _texts(content, "shared_where_known")} if "shared_where_known" in content else {}
    return AttributeSpace(name, values, _texts(content, "shared"), occlusion=occlusion, words=words, **given)


def _network(content: Mapping[str, Any]) -> NetworkConfig:
    """Those that an earlier format did not have are as they were then. Raises ValueError."""
    usual = {one.name: one.default for one in fields(NetworkConfig)}
    _no_others(content, set(usual), "network")
    for name in content:
        if type(usual[name]) is float:
            _number(content, name)
        else:
            _of(content, name, type(usual[name]))
    return NetworkConfig(**content)


def _normalisation(content: Mapping[str, Any]) -> Normalisation:
    mean, std = (_of(content, name, list) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("normalisation: expected three means and three deviations")
    for three in (mean, std):
        for at, value in enumerate(three):
            _number({"normalisation": value}, "normalisation")
            if abs(value) > 1e6:
                raise ValueError(f"normalisation has {short(three[at])}; expected grey levels")
    return Normalisation(tuple(mean), tuple(std))


def _metrics(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(content, name) for name in content}


def _distances(content: Mapping[str, Any]) -> dict[str, Usual]:
    found = {}
    for kind in content:
        said = _of(content, kind, dict)
        _no_others(said, {one.name for one in fields(Usual)}, f"distances, {short(kind)},")
        data, date = (_plain(_of(said, name, str), name) for name in ("data", "date"))
        half, most, nearly_all = (_number(said, name) for name in ("half", "most", "nearly_all"))
        if not 0 <= half <= most <= nearly_all <= _FARTHEST:
            raise ValueError(f"distances are {half}, {most}, {nearly_all}; expected ascending numbers of 0 to 2")
        accepted = tuple(_accepted(one) for one in _of(said, "accepted", list)) if "accepted" in said else ()
        right = _of(said, "right", int)
        if not 0 <= right < _MOST_RIGHT:
            raise ValueError("distances are of a number of results that nobody measures")
        found[kind] = Usual(data, date, right, half, most, nearly_all, accepted)
    return found


def _accepted(said: Any) -> Accepted:
    if type(said) is not dict:
        raise ValueError(f"accepted is {short(said)}; expected an object")
    names = [one.name for one in fields(Accepted)]
    _no_others(said, set(names), "accepted")
    rate, distance, *shares = (_number(said, name) for name in names)
    if not 1e-9 <= rate < 1 or not 0 <= distance <= _FARTHEST or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"accepted is {short(said)}; expected a rate and shares of 0 to 1, and a distance of 0 to 2")
    return Accepted(rate, distance, *shares)


def _plain(text: str, name: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_WORD:
        raise ValueError(f"{name} is {short(text)}; expected plain text of up to {_LONGEST_WORD} characters")
    return text


def _whole_numbers(values: list[Any]) -> tuple[int, ...]:
    good = all(type(value) is int and abs(value) <= _LARGEST_VALUE for value in values)
    if not good or not values or len(set(values)) != len(values):
        raise ValueError(f"values are {short(values)}; expected one or more different whole numbers")
    return tuple(values)


def _texts(content: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = _of(content, name, list)
    if not all(type(text) is str and text.isprintable() and len(text) <= _LONGEST_WORD for text in texts):
        raise ValueError(f"{name} is {short(texts)}; expected plain texts of up to {_LONGEST_WORD} characters")
    return tuple(texts)


def _checksum(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"sha256 is {short(text)}; expected 64 lower-case hexadecimal digits")
    return text


def _of(content: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """What stands there under a name, which is of that kind and no other: a truth value is no number."""
    if name not in content:
        raise ValueError(f"it has no {name}")
    if type(content[name]) is not kind:
        raise ValueError(f"{name} is {short(content[name])}; expected {_KINDS[kind]}")
    return content[name]  # type: ignore[no-any-return]


def _number(content: Mapping[str, Any], name: str) -> float:
    value = content[name]
    if type(value) not in (int, float) or not -1e300 < value < 1e300:
        raise ValueError(f"{short(name)} is {short(value)}; expected a finite number")
    return value  # type: ignore[no-any-return]


def _no_others(content: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        raise ValueError(f"{what} has {short(unknown[0])}, which this version does not know")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is no number")
