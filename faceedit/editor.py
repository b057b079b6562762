"""The Editor: pictures in, pictures out; tensors only inside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.attributes import AttributeSpace
from faceedit.augmentation import NEUTRAL
from faceedit.devices import autocast, choose_device
from faceedit.errors import ImageError, UsageError
from faceedit.images import Picture
from faceedit.modelfile import Model, ModelCard, load_model, new_networks
from faceedit.networks import DESCRIPTOR_SIZE, SIZE, Describer, NetworkConfig, count_parameters

Floats = NDArray[np.float32]
LEARNED, PAPER = "learned", "paper"
DESCRIPTORS = (LEARNED, PAPER)
_FACE = (29.5, 35.0, 17.0, 20.0)  # an ellipse, centre and half axes in pixels: eyes at 21, chin at 54 (align.py)
_SOFT = 0.3  # width of its edge
_SURELY, _HARDLY = 16.0, 0.02  # grey levels from neutral that count as person; the weight of neutral grey itself


@dataclass(frozen=True)
class Edit:
    """generated: stage one, refined: stage two, both (60, 60, 3) uint8 RGB; descriptor: (D,) float32, length 1."""

    generated: Picture
    refined: Picture
    descriptor: Floats


@dataclass(frozen=True)
class Candidates:
    """One picture under every attribute value: descriptors (n_a, D), errors (n_a,) per-pixel MSE between the
    second-stage picture and the picture itself in 0..255 units (of the face, where the model leaves out backgrounds),
    the second-stage pictures (n_a, 60, 60, 3), and the position of the value that the picture itself has, by its
    reconstruction and, where the model estimates it, by that."""

    descriptors: Floats
    errors: Floats
    refined: NDArray[np.uint8]
    best: int


@dataclass(frozen=True)
class Described:
    """Gallery pictures, each under its best candidate: descriptors (N, D), best (N,), errors (N, n_a)."""

    descriptors: Floats
    best: NDArray[np.int64]
    errors: Floats


def descriptor_kind(size: int) -> str:
    """Which of DESCRIPTORS has so many numbers, for a gallery that holds them."""
    return PAPER if size == DESCRIPTOR_SIZE else LEARNED


def require_descriptor(name: str) -> str:
    """The name itself; raises UsageError for one that is not among DESCRIPTORS."""
    if name not in DESCRIPTORS:
        raise UsageError(f"no descriptor {name!r}: choose one of {', '.join(DESCRIPTORS)}")
    return name


def face_window() -> Floats:
    """(60, 60) in 0..1: where aligned crops show the face. At 45 degrees a quarter of it lies behind the profile."""
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    distance = np.hypot((across - _FACE[0]) / _FACE[2], (down - _FACE[1]) / _FACE[3])
    return np.asarray(np.clip((1 - distance) / _SOFT + 0.5, 0, 1), np.float32)


def reconstruction_errors(made: Tensor, pictures: Tensor, neutral: bool) -> Tensor:
    """(B, n) per-pixel squared error of candidates (B, n, 3, 60, 60) for pictures (B, 3, 60, 60), all in 0..255.

    Of the whole picture; where the candidates are on neutral grey, of what is not grey in each, since what is behind a
    picture's person says nothing.
    """
    squares = ((made - pictures[:, None]) ** 2).mean(2)  # (B, n, 60, 60)
    if not neutral:
        return squares.mean((2, 3))
    # a face that is hardly there must not look right for want of pixels
    weights = ((made - 255 * NEUTRAL).abs().amax(2) / _SURELY).clamp(_HARDLY, 1)
    return (squares * weights).sum((2, 3)) / weights.sum((2, 3))


class Editor:
    """Edits one attribute of faces with a trained model, in batches of at most `batch` source pictures.

    descriptor: 'learned' for the one that the model was trained to have, 'paper' for the activation of the refinement's
    1 x 1 layer; the same thing for a model that has learned none.
    """

    def __init__(self, model: Model, device: str = "auto", batch: int = 16, descriptor: str = LEARNED) -> None:
        self._device, self._batch = choose_device(device), batch
        self._card, self.digest = model.card, model.digest
        describer = self._estimating = model.describer
        if require_descriptor(descriptor) == PAPER and describer.size != DESCRIPTOR_SIZE:
            describer = Describer(NetworkConfig())
            self.digest = hashlib.sha256(f"{model.digest} {PAPER}".encode()).hexdigest()
        self._generation = model.generation.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._refinement = model.refinement.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._estimating.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._describer = describer.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean, self._std = model.card.normalisation.tensors(self._device)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", descriptor: str = LEARNED) -> Editor:
        """The editor of a model folder. Raises ModelFileError, FaceEditError for a device that is not there."""
        return cls(load_model(folder), device, descriptor=descriptor)

    @property
    def space(self) -> AttributeSpace:
        return self._card.task

    @property
    def card(self) -> ModelCard:
        """How the model was made and under which terms."""
        return self._card

    @property
    def parameters(self) -> dict[str, int]:
        """How many weights each stage has when it is trained (the attribute encoder in full), and the describer's where
        the descriptor is learned."""
        full = new_networks(replace(self._card.network, compact=False))._asdict()
        counts = {name: count_parameters(network) for name, network in full.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def descriptor_size(self) -> int:
        """Numbers in a descriptor: 28,800, or as many as the model's learned one has."""
        return int(self._describer.size)

    @property
    def device(self) -> str:
        return self._device

    def edit(self, image: Picture, attribute: int) -> Edit:
        """The face of (60, 60, 3) uint8 under an attribute value. Raises AttributeValueError for an unknown value."""
        return self.edit_many(image[None], np.array([self.space.index(attribute)]))[0]

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        """Each picture (N, 60, 60, 3) under its own value; values (N,) are positions in the attribute space."""
        edits: list[Edit] = []
        for start in range(0, len(images), 4 * self._batch):
            part = slice(start, start + 4 * self._batch)
            first, features, second = self._run(images[part], values[part, None])
            described = self._descriptors(features, images[part], values[part, None])
            stages = zip(self._pixels(first), self._pixels(second), described, strict=True)
            edits.extend(Edit(*stage) for stage in stages)
        return edits

    def candidates(self, image: Picture) -> Candidates:
        """The face of (60, 60, 3) uint8 under every attribute value."""
        values = np.arange(len(self.space))[None]
        _, features, second = self._run(image[None], values)
        errors = self._errors(image[None], second)
        best = int(self.space.decide(errors, self._estimate(image[None]))[0])
        return Candidates(self._descriptors(features, image[None], values), errors[0], self._pixels(second), best)

    def describe(self, images: NDArray[np.uint8]) -> Described:
        """Gallery pictures (N, 60, 60, 3): each keeps the descriptor of the value that reconstructs it best (the
        paper, section 4.1, retrieval), weighed against the model's estimate of the value where it has one."""
        parts = [self._describe(images[i : i + self._batch]) for i in range(0, len(images), self._batch)]
        if not parts:
            empty = np.zeros((0, self.descriptor_size), np.float32)
            return Described(empty, np.zeros(0, np.int64), np.zeros((0, len(self.space)), np.float32))
        return Described(
            np.concatenate([p.descriptors for p in parts]),
            np.concatenate([p.best for p in parts]),
            np.concatenate([p.errors for p in parts]),
        )

    def _describe(self, images: NDArray[np.uint8]) -> Described:
        n = len(self.space)
        _, features, second = self._run(images, np.tile(np.arange(n), (len(images), 1)))
        errors = self._errors(images, second)
        best = self.space.decide(errors, self._estimate(images))
        chosen = torch.from_numpy(np.arange(len(images)) * n + best).to(self._device)
        return Described(self._descriptors(features[chosen], images, best[:, None]), best, errors)

    @torch.inference_mode()
    def _estimate(self, images: NDArray[np.uint8]) -> Floats | None:
        """(B, n_a) what the model estimates of the images' values without turning them."""
        with autocast(self._device):
            estimate = self._estimating.estimate(self._tensor(images))
        return None if estimate is None else np.asarray(estimate.cpu().numpy())

    @torch.inference_mode()
    def _descriptors(self, features: Tensor, images: NDArray[np.uint8], values: NDArray[np.int64]) -> Floats:
        """(B K, D) of the descriptor layer's activation (B K, ...) of the images under values (B, K)."""
        with autocast(self._device):
            described = self._describer(features, self._tensor(images), torch.from_numpy(values).to(self._device))
        return np.asarray(described.float().cpu().numpy())

    @torch.inference_mode()
    def _run(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 60, 60, 3) under values (B, K): stage one, descriptor layer and stage two, each (B K, ...)."""
        source = self._tensor(images)
        with autocast(self._device):
            first = self._generation.many(source, torch.from_numpy(values).to(self._device))
            repeated = source.repeat_interleave(values.shape[1], 0)
            features = self._refinement.features(repeated, first.float())
            second = self._refinement.picture(features, first)
        return first.float(), features, second.float()

    def _tensor(self, images: NDArray[np.uint8]) -> Tensor:
        if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
            raise ImageError(
                f"pictures of shape {images.shape[1:]} {images.dtype}: give ({SIZE}, {SIZE}, 3) uint8 RGB crops"
            )
        return self._card.normalisation.applied(images, self._device)

    def _pixels(self, values: Tensor) -> NDArray[np.uint8]:
        pixels = (values * self._std + self._mean).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())

    def _errors(self, images: NDArray[np.uint8], second: Tensor) -> Floats:
        """(B, n_a) per-pixel squared error between the second-stage pictures (B n_a, ...) and the pictures."""
        made = second.view(len(images), -1, *second.shape[1:]) * self._std[None] + self._mean[None]
        pictures = self._tensor(images) * self._std + self._mean
        return np.asarray(reconstruction_errors(made, pictures, self._card.neutral).cpu().numpy(), dtype=np.float32)
