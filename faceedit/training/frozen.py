"""What networks that stand still make of comparisons, made once and learned from again and again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceedit.errors import TrainingError
from faceedit.training.comparing import Compared


@dataclass(frozen=True)
class Frozen(Compared):
    """features (4 G, 128, 15, 15): the descriptor layer's activation of each source under each value, side by side;
    middle (2 G, 128, 15, 15): what the identity network sees half-way in the sources, None: nothing that learns looks
    at it; values (2 G, 2): positions in the attribute space."""

    features: Tensor
    middle: Tensor | None
    values: Tensor


class FrozenComparisons:
    """So many comparisons, one file of half-precision numbers each, in an order that is drawn anew whenever all have
    been seen; 0: another for each step, and no file. They are made again by a run that goes on, the same to the bit."""

    def __init__(self, folder: Path, count: int, seed: int, device: str, make: Callable[[int], Frozen]) -> None:
        """make: what the comparison of a number comes to."""
        self._folder, self._count, self._seed, self._device, self._make = folder, count, seed, device, make

    def frozen(self, step: int) -> Frozen:
        """What a step learns from. Raises TrainingError when it cannot be written."""
        if not self._count:
            return self._make(step)
        order = np.random.default_rng([self._seed, step // self._count, 4]).permutation(self._count)
        number = int(order[step % self._count])
        file = self._folder / f"{number}.safetensors"
        if not file.exists():
            _write(self._make(number), file)
        return _read(file, self._device)

    def forget(self) -> None:
        """Delete what is kept, also another run's."""
        shutil.rmtree(self._folder, ignore_errors=True)


_LARGEST = torch.finfo(torch.float16).max


def halved(activations: Tensor) -> Tensor:
    """In half precision, at most the largest number that it has."""
    return activations.float().clamp(max=_LARGEST).half()


def _write(made: Frozen, file: Path) -> None:
    activations = {"features": made.features} | ({} if made.middle is None else {"middle": made.middle})
    tensors = {name: halved(tensor) for name, tensor in activations.items()}
    tensors["values"] = made.values
    tensors |= {"leads": torch.from_numpy(made.leads), "people": torch.from_numpy(made.people)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{file} cannot be written ({error}): make room there, or lower head_kept") from error


def _read(file: Path, device: str) -> Frozen:
    held = load_file(file, device)
    features, middle = (
        held[name].float().contiguous(memory_format=torch.channels_last) if name in held else None
        for name in ("features", "middle")
    )
    assert features is not None
    return Frozen(held["leads"].cpu().numpy(), held["people"].cpu().numpy(), features, middle, held["values"])
