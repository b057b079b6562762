"""The Editor: pictures in, pictures out; tensors only inside."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.attributes import AttributeSpace
from faceedit.backdrop import behind
from faceedit.describes import Described, Edit, Floats, Moves, Usual, Who
from faceedit.devices import choose_device
from faceedit.engine import Engine, Prepared
from faceedit.errors import UsageError
from faceedit.images import NEUTRAL, Picture, require_crops
from faceedit.modelcard import ModelCard
from faceedit.modelfile import Model, load_model, new_networks
from faceedit.networks import COLOUR, DESCRIPTOR_SIZE, LIGHT, Describer, NetworkConfig, count_parameters

__all__ = ["Candidates", "Described", "Edit", "Editor"]

LEARNED, PAPER = "learned", "paper"
DESCRIPTORS = (LEARNED, PAPER)
WHO = "who"  # the part of a descriptor that says who it is, where distances are told by kind
LIKELY, ALL = "likely", "all"
CANDIDATES = (LIKELY, ALL)
_UNLIKELY, _BEHIND = 2.0, 0.5  # margins of log error within which a value can still win:
# by the estimate of the value, before anything is made of it; by stage one's error, before it is refined
_SURELY, _HARDLY = 16.0, 0.02  # grey levels from neutral that count as person; the weight of neutral grey itself


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


def descriptor_kind(size: int) -> str:
    """Which of DESCRIPTORS has so many numbers, for a gallery that holds them."""
    return PAPER if size == DESCRIPTOR_SIZE else LEARNED


def require_descriptor(name: str) -> str:
    """The name itself; raises UsageError for one that is not among DESCRIPTORS."""
    if name not in DESCRIPTORS:
        raise UsageError(f"no descriptor {name!r}: choose one of {', '.join(DESCRIPTORS)}")
    return name


def require_candidates(name: str) -> str:
    """The name itself; raises UsageError for one that is not among CANDIDATES."""
    if name not in CANDIDATES:
        raise UsageError(f"no candidates {name!r}: choose one of {', '.join(CANDIDATES)}")
    return name


def reconstruction_errors(made: Tensor, pictures: Tensor, neutral: bool) -> Tensor:
    """(P,) per-pixel squared error of candidates (P, 3, 60, 60) for pictures (P, 3, 60, 60), all in 0..255.

    Of the whole picture; where the candidates are on neutral grey, of what is not grey in each, since what is behind a
    picture's person says nothing.
    """
    squares = ((made - pictures) ** 2).mean(1)  # (P, 60, 60)
    if not neutral:
        return squares.mean((1, 2))
    # a face that is hardly there must not look right for want of pixels
    weights = ((made - 255 * NEUTRAL).abs().amax(1) / _SURELY).clamp(_HARDLY, 1)
    return (squares * weights).sum((1, 2)) / weights.sum((1, 2))


class Editor:
    """Edits one attribute of faces with a trained model. pairs: of pictures and values at a time; by default as many as
    stay in a processor's cache, or fill a GPU.

    descriptor: 'learned' for the one that the model was trained to have, 'paper' for the activation of the refinement's
    1 x 1 layer; the same thing for a model that has learned none.
    candidates: which values are tried when a picture is described: 'likely' for those that can still win by the
    model's estimate of the value, and of these refine those that can still win by their first stage; or 'all'.
    """

    def __init__(
        self, model: Model, device: str = "auto", pairs: int = 0, descriptor: str = LEARNED, candidates: str = LIKELY
    ) -> None:
        self._device = choose_device(device)
        self._pairs = pairs or (512 if self._device == "cuda" else 112)
        self._all = require_candidates(candidates) == ALL
        self._card, self.digest = model.card, model.digest
        describer = model.describer
        if require_descriptor(descriptor) == PAPER and describer.size != DESCRIPTOR_SIZE:
            describer = Describer(NetworkConfig())
            self.digest = hashlib.sha256(f"{model.digest} {PAPER}".encode()).hexdigest()
        self._descriptor_size, self._tinted = int(describer.size), describer.tinted
        self._engine = Engine(model.networks, self._device, describer, mirror=model.card.task.mirrored)
        self._mean, self._std = model.card.normalisation.tensors(self._device)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", descriptor: str = LEARNED, candidates: str = LIKELY) -> Editor:
        """The editor of a model folder. Raises ModelFileError, FaceEditError for a device that is not there."""
        return cls(load_model(folder), device, descriptor=descriptor, candidates=candidates)

    @property
    def attribute(self) -> AttributeSpace:
        """What is edited, and decided of every picture."""
        return self._card.task

    @property
    def neutral(self) -> bool:
        """Whether pictures that it makes stand on neutral grey."""
        return self._card.neutral

    @property
    def kind(self) -> str:
        """Of its descriptors: one of DESCRIPTORS."""
        return descriptor_kind(self.descriptor_size)

    @property
    def usual(self) -> Usual | None:
        """How far first results by this kind of descriptor lie where they are right, as model.json says."""
        return self._card.distances.get(self.kind)

    @property
    def who(self) -> Who | None:
        """The identity network's part of a learned descriptor."""
        network = self._card.network
        if not network.identity or self.kind == PAPER:
            return None
        return Who(0, network.identity)

    @property
    def kind_who(self) -> str:
        """Of what says who it is, where distances are told by kind."""
        return WHO

    @property
    def usual_who(self) -> Usual | None:
        return self._card.distances.get(self.kind_who)

    def of_person(self, descriptor: Floats, picture: Picture) -> Floats:
        """As it is: the identity network has seen what was edited."""
        return descriptor

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
        return self._descriptor_size

    @property
    def precision(self) -> torch.dtype:
        """What the networks are computed in."""
        return self._engine.precision

    @property
    def batch(self) -> int:
        """How many pictures are well described together."""
        return 2 * self._pairs

    @property
    def device(self) -> str:
        return self._device

    def edit(self, image: Picture, attribute: int) -> Edit:
        """The face of (60, 60, 3) uint8 under an attribute value. Raises AttributeValueError for an unknown value."""
        return self.edit_many(image[None], np.array([self.attribute.index(attribute)]))[0]

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        """Each picture (N, 60, 60, 3) under its own value; values (N,) are positions in the attribute space."""
        return self._edits(images, values, agreed=False)

    @property
    def portrays(self) -> bool:
        """Whether `portraits` are other pictures than `edit_many` makes."""
        return self._engine.mirrors

    def portraits(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        """See `faceedit.describes.Edits`. A network that moves pixels says where they lie for mirror images as well;
        they are moved by the mean."""
        return self._edits(images, values, agreed=True)

    @torch.inference_mode()
    def _edits(self, images: NDArray[np.uint8], values: NDArray[np.int64], agreed: bool) -> list[Edit]:
        edits: list[Edit] = []
        for start in range(0, len(images), self._pairs):
            part = slice(start, start + self._pairs)
            source = self._tensor(images[part])
            prepared = self._engine.prepare(source)
            rows, asked = self._pairs_of(np.stack([np.arange(len(prepared)), values[part]], 1))
            said = self._engine.said(prepared, rows, asked)
            if agreed:
                said = self._engine.agreed(said, prepared, source, rows, asked)
            first = self._engine.shown(prepared, rows, said)
            features = self._engine.features(prepared, rows, first)
            second = self._engine.second(prepared, rows, features, first)
            described = self._described(prepared, rows, asked, features, second, asked=True)
            pixels = self._pixels(first[:, :3]), self._pixels(second)
            stages = zip(*pixels, described, self._moves(said), strict=True)
            edits.extend(Edit(*stage) for stage in stages)
        return edits

    @torch.inference_mode()
    def backdrop(self, image: Picture) -> Floats | None:
        """See `faceedit.describes.Edits`: the person is imagined at the pose that the picture (60, 60, 3) has, by stage
        one alone."""
        if not self.neutral or self._engine.black is None or self._card.network.kept:
            return None
        prepared = self._engine.prepare(self._tensor(image[None]))
        estimate = _estimate(prepared)
        own = self.describe(image[None]).best[0] if estimate is None else estimate[0].argmax()
        itself = self._moves(self._engine.said(prepared, *self._pairs_of(np.array([[0, own]]))))[0]
        assert itself is not None
        return behind(image, itself)

    @torch.inference_mode()
    def candidates(self, image: Picture) -> Candidates:
        """The face of (60, 60, 3) uint8 under every attribute value."""
        source = self._tensor(image[None])
        prepared = self._engine.prepare(source)
        rows, values = self._pairs_of(np.argwhere(np.ones((1, len(self.attribute)))))
        first = self._engine.first(prepared, rows, values)
        features = self._engine.features(prepared, rows, first)
        second = self._engine.second(prepared, rows, features, first)
        errors = self._errors(source, rows, second).cpu().numpy()
        best = int(self.attribute.decide(errors[None], _estimate(prepared))[0])
        described = self._described(prepared, rows, values, features, second, asked=True)
        return Candidates(described, errors, self._pixels(second), best)

    def describe(self, images: NDArray[np.uint8]) -> Described:
        """Gallery pictures (N, 60, 60, 3): each keeps the descriptor of the value that reconstructs it best (the
        paper, section 4.1, retrieval), weighed against the model's estimate of the value where it has one."""
        step = max(1, self._pairs // 2)
        parts = [self._describe(images[i : i + step]) for i in range(0, len(images), step)]
        if not parts:
            empty = np.zeros((0, self.descriptor_size), np.float32)
            return Described(empty, np.zeros(0, np.int64), np.zeros((0, len(self.attribute)), np.float32))
        return Described(
            np.concatenate([p.descriptors for p in parts]),
            np.concatenate([p.best for p in parts]),
            np.concatenate([p.errors for p in parts]),
        )

    @torch.inference_mode()
    def _describe(self, images: NDArray[np.uint8]) -> Described:
        source = self._tensor(images)
        prepared = self._engine.prepare(source)
        estimate = _estimate(prepared)
        pairs = np.argwhere(self._likely(len(images), estimate))
        first = self._each(pairs, lambda rows, values, _: self._engine.first(prepared, rows, values))
        made = self._each(pairs, lambda rows, _, part: self._errors(source, rows, first[part, :3]))
        can_win = self._can_win(self._table(pairs, made, len(images), np.inf), estimate)

        kept = np.flatnonzero(can_win[tuple(pairs.T)])
        pairs, first = pairs[kept], first[kept]
        features = self._each(pairs, lambda rows, _, part: self._engine.features(prepared, rows, first[part]))

        single = can_win.sum(1) == 1
        contested = np.flatnonzero(~single[pairs[:, 0]])
        refined = self._each(
            pairs[contested],
            lambda rows, _, part: self._errors(
                source, rows, self._engine.second(prepared, rows, features[contested[part]], first[contested[part]])
            ),
        )
        errors = self._table(pairs[contested], refined, len(images), np.nan)
        among = self.attribute.decide(np.nan_to_num(errors, nan=np.inf), estimate)
        best = np.where(single, can_win.argmax(1), among)

        own = np.flatnonzero(pairs[:, 1] == best[pairs[:, 0]])  # one of each picture, in their order
        rows, values = self._pairs_of(pairs[own])
        descriptors = self._described(prepared, rows, values, features[own], source, asked=False)
        return Described(descriptors, best, errors)

    def _described(
        self, prepared: Prepared, rows: Tensor, values: Tensor, features: Tensor, seen: Tensor, asked: bool
    ) -> Floats:
        """Descriptors (P, D) of the descriptor layer's activation, with the colour of the faces seen (P, 3, 60, 60);
        asked: see `Engine.describe`."""
        described = self._engine.describe(prepared, rows, values, features, asked)
        found: Floats = self._tinted(described, self._unnormalised(seen)).cpu().numpy()
        return found

    def _likely(self, count: int, estimate: Floats | None) -> NDArray[np.bool_]:
        """(count, n_a) the values that can win by their estimate (count, n_a)."""
        if estimate is None or self._all:
            return np.ones((count, len(self.attribute)), np.bool_)
        return np.asarray(estimate >= estimate.max(1, keepdims=True) - _UNLIKELY)

    def _can_win(self, errors: Floats, estimate: Floats | None) -> NDArray[np.bool_]:
        """(N, n_a) the values that can win by stage one's errors (N, n_a)."""
        if self._all:
            return np.ones(errors.shape, np.bool_)
        scores = self.attribute.scores(errors, estimate)
        return np.asarray(scores <= scores.min(1, keepdims=True) + _BEHIND)

    def _each(self, pairs: NDArray[np.int64], run: Callable[[Tensor, Tensor, slice], Tensor]) -> Tensor:
        """run(rows, values, slice of the pairs) for so many pairs (P, 2) at a time, joined."""
        bounds = np.linspace(0, len(pairs), -(-len(pairs) // self._pairs) + 1).astype(int)  # parts of even size
        parts = [slice(*ends) for ends in itertools.pairwise(bounds)]
        made = [run(*self._pairs_of(pairs[part]), part) for part in parts]
        return torch.cat(made) if made else torch.zeros(0, device=self._device)

    def _table(self, pairs: NDArray[np.int64], values: Tensor, count: int, otherwise: float) -> Floats:
        """(count, n_a) the values (P,) at their pairs (P, 2)."""
        table = np.full((count, len(self.attribute)), otherwise, np.float32)
        table[tuple(pairs.T)] = values.cpu().numpy()
        return table

    def _pairs_of(self, pairs: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Rows and values of pairs (P, 2)."""
        rows, values = torch.from_numpy(np.ascontiguousarray(pairs.T)).to(self._device)
        return rows, values

    def _tensor(self, images: NDArray[np.uint8]) -> Tensor:
        require_crops(images)
        return self._card.normalisation.applied(images, self._device)

    def _pixels(self, values: Tensor) -> NDArray[np.uint8]:
        pixels = self._unnormalised(values).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())

    def _unnormalised(self, values: Tensor) -> Tensor:
        """Pictures as the networks see them, in 0..255."""
        return values * self._std + self._mean

    def _moves(self, said: Tensor) -> list[Moves] | list[None]:
        """Of N pictures, what the decoder said of them (N, 13, 60, 60), with colours as pixels have them."""
        black = self._engine.black
        if black is None:
            return [None] * len(said)
        kept = self._card.network.kept  # a colour is then a difference from what is around
        colours = said[:, COLOUR:LIGHT] * self._std + (0 if kept else self._mean)
        said_of_each = torch.cat([said[:, :COLOUR], colours, said[:, LIGHT:]], 1).half().cpu().numpy()
        dark = (black[:, None, None] * self._std + self._mean).flatten().cpu().numpy()
        return [Moves(each, dark, kept) for each in said_of_each]

    def _errors(self, source: Tensor, rows: Tensor, made: Tensor) -> Tensor:
        """(P,) per-pixel squared error between pictures made (P, ...) and the sources in these rows of (B, ...)."""
        return reconstruction_errors(self._unnormalised(made), self._unnormalised(source)[rows], self._card.neutral)


def _estimate(prepared: Prepared) -> Floats | None:
    return None if prepared.estimate is None else prepared.estimate.cpu().numpy()
