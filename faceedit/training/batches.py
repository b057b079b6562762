"""Batches of pictures for training: rows of a data set become normalised tensors, plain or augmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.images import NEUTRAL
from faceedit.modelcard import Normalisation
from faceedit.networks import SIZE
from faceedit.occlusion import crops_at
from faceedit.training.augmentation import (
    Augmentation,
    Take,
    colourless,
    composite,
    even,
    misalignment,
    random_backgrounds,
    tone,
    toned,
)
from faceedit.training.correspondence import Correspondence, correspondence
from faceedit.training.occluders import occluder
from faceedit.training.pairs import PairSet

Rows = NDArray[np.int64]
EVEN = Normalisation((124.0, 114.0, 110.0), (60.0, 58.0, 58.0))  # where backgrounds and tones are drawn at random


def normalisation_of(images: NDArray[np.uint8]) -> Normalisation:
    """Per-channel mean and standard deviation of (N, H, W, 3) pictures, in 0..255, in bounded memory."""
    total, squares = np.zeros(3), np.zeros(3)
    for chunk in np.array_split(images, max(1, len(images) // 2048)):
        values = chunk.reshape(-1, 3).astype(np.float64)
        total += values.sum(0)
        squares += (values**2).sum(0)
    count = images.size / 3
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    return Normalisation(_three(mean), _three(std))


def _three(values: NDArray[np.floating]) -> tuple[float, float, float]:
    r, g, b = (round(float(v), 4) for v in values)
    return r, g, b


@dataclass(frozen=True)
class Sitting:
    """One batch. sources (S, 3, 60, 60) and targets (S K, 3, 60, 60), normalised, the K targets of a source side by
    side; values (S, K) the targets' positions in the attribute space; truth: where what each target shows lies in its
    source, where that is known."""

    sources: Tensor
    targets: Tensor
    values: Tensor
    truth: Correspondence | None = None


class Photographer:
    """Makes the batches of a run. A batch depends on nothing but the run's seed, its stage and its number."""

    def __init__(
        self, pairs: PairSet, normalisation: Normalisation, augmentation: Augmentation | None, device: str
    ) -> None:
        self._pairs, self._knobs, self._device = pairs, augmentation, device
        self._images, self._masks, self._places, self._viewpoints = (
            None if held is None or augmentation is None else _at(device, held)  # plain ones are taken as they lie
            for held in (pairs.images, pairs.masks, pairs.places, pairs.viewpoints)
        )
        self._mean, self._std = normalisation.tensors(device)
        self._occludes = bool((pairs.groups >= len(pairs.images)).any())

    def sitting(self, sources: Rows, targets: Rows, values: Rows, people: Rows, draw: tuple[int, ...]) -> Sitting:
        """sources (S,) and targets (S, K) are rows, values (S, K) positions; people (S,): sources with the same number
        were photographed together, so that they share exposure and colours. Without targets (S, 0) values are the
        sources' own (S, 1)."""
        if self._knobs is None:
            plain = [self._normalised(self._plain(rows, draw)) for rows in (sources, targets.ravel())]
            return Sitting(plain[0], plain[1], torch.from_numpy(values).to(self._device))
        return self._augmented(self._knobs, sources, targets, values, people, draw)

    def _augmented(
        self, knobs: Augmentation, sources: Rows, targets: Rows, values: Rows, people: Rows, draw: tuple[int, ...]
    ) -> Sitting:
        random = _generator(draw, self._device)
        side = random if random.device.type == "cpu" else _generator(draw, "cpu")  # nobody waits for the GPU to say it
        k = targets.shape[1]
        gamma, gain = tone(int(people.max()) + 1, knobs, random, self._device)
        mirror = self._pairs.mirror
        mirrored = knobs.mirror and mirror is not None and float(torch.rand(1, generator=side)) < 0.5
        of_source = torch.from_numpy(people).to(self._device)
        take = self._take(gamma[of_source], gain[of_source], knobs, random)
        shown = take.picture(*self._people(sources))
        wanted = self._as_sources(shown, sources, targets, take) if knobs.together else self._straight(targets, take)
        shown, hidden = self._hidden(shown, sources, draw)
        wanted, wanted_hidden = self._hidden(wanted, targets.ravel(), draw)
        truth = self._truth(sources, targets, take)
        if truth is not None and self._occludes:
            truth = truth.occluded(hidden.repeat_interleave(k, 0) & ~wanted_hidden)
        if mirrored and mirror is not None:
            shown, wanted, values = shown.flip(3), wanted.flip(3), mirror[values]
            truth = None if truth is None else truth.flipped()
        positions = torch.from_numpy(values).to(self._device)
        return Sitting(self._normalised(255 * shown), self._normalised(255 * wanted), positions, truth)

    def _straight(self, targets: Rows, take: Take) -> Tensor:
        """The targets (S, K), as they are but for their light, before neutral grey or what is behind their sources."""
        k = targets.shape[1]
        person, mask = self._people(targets.ravel())
        person = toned(person, mask, take.gamma.repeat_interleave(k, 0), take.gain.repeat_interleave(k, 0))
        grey = torch.tensor(NEUTRAL, device=self._device)
        return composite(person, mask, grey if take.knobs.neutral else take.behind.repeat_interleave(k, 0))

    def _as_sources(self, shown: Tensor, sources: Rows, targets: Rows, take: Take) -> Tensor:
        """The targets (S, K), taken as the sources (S,) were, which are shown."""
        n = len(self._pairs.images)
        if (targets % n == sources[:, None] % n).all():
            return shown.repeat_interleave(targets.shape[1], 0)
        return torch.stack([take.picture(*self._people(column)) for column in targets.T], 1).flatten(0, 1)

    def _truth(self, sources: Rows, targets: Rows, take: Take) -> Correspondence | None:
        """Of every target (S, K), side by side, in its source (S,) that was misaligned, as they were themselves where
        they are taken together."""
        mask_rows, places, viewpoints = self._pairs.mask_rows, self._places, self._viewpoints
        if mask_rows is None or places is None or viewpoints is None or not targets.size:
            return None
        n, k = len(self._pairs.images), targets.shape[1]
        source, target = (mask_rows[rows % n] for rows in (np.repeat(sources, k), targets.ravel()))
        shown, wanted, seen_from = (
            self._rows(held, rows) for held, rows in ((places, source), (places, target), (viewpoints, source))
        )
        theta = take.theta.repeat_interleave(k, 0)
        truth = correspondence(wanted, shown, seen_from).misaligned(theta)
        return truth.shifted(theta) if take.knobs.together else truth

    def portraits(self, rows: Rows, draw: tuple[int, ...]) -> Tensor:
        """Sources (R, 3, 60, 60) that have nothing in common but who is on them: each has its own background, light,
        colours and side."""
        knobs = self._knobs
        if knobs is None:
            return self._normalised(self._plain(rows, draw))
        random = _generator(draw, self._device)
        gamma, gain = tone(len(rows), knobs, random, self._device)
        shown = self._take(gamma, gain, knobs, random).picture(*self._people(rows))
        shown = colourless(shown, knobs.grey, random)
        if knobs.mirror:
            mirrored = even(random, len(rows), 1, 1, 1) < 0.5
            shown = torch.where(mirrored, shown.flip(3), shown)
        return self._normalised(255 * shown)

    def _take(self, gamma: Tensor, gain: Tensor, knobs: Augmentation, random: torch.Generator) -> Take:
        """Of as many pictures as gamma and gain have rows."""
        behind = self._behind(len(gamma), knobs, random)
        theta = misalignment(len(gamma), knobs, random)
        return Take(knobs, behind, gamma, gain, theta, random, random.get_state())

    def _behind(self, count: int, knobs: Augmentation, random: torch.Generator) -> Tensor:
        if knobs.backgrounds:
            return random_backgrounds(count, SIZE, random, self._device, knobs.textures)
        return torch.full((count, 3, SIZE, SIZE), NEUTRAL, device=self._device)

    def _hidden(self, shown: Tensor, rows: Rows, draw: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The pictures (R, 3, 60, 60), those of rows beyond the last under their occlusion; and what it hides
        (R, 60, 60) bool."""
        n = len(self._pairs.images)
        hidden = torch.zeros(len(rows), SIZE, SIZE, dtype=torch.bool, device=self._device)
        covered = np.flatnonzero(rows >= n)
        if not len(covered):
            return shown, hidden
        before = [occluder(np.random.default_rng([*draw, int(row) - n])) for row in rows[covered]]
        colours, cover, hides = (
            torch.from_numpy(np.stack(each)).to(self._device)
            for each in zip(*((o.colours, o.cover, o.hidden) for o in before), strict=True)
        )
        at, cover = torch.from_numpy(covered).to(self._device), cover[:, None]
        hidden[at] = hides
        laid = (1 - cover) * shown[at] + cover * (colours.permute(0, 3, 1, 2).float() / 255)
        return shown.index_copy(0, at, laid), hidden

    def _people(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """People on black (R, 3, 60, 60) and their masks (R, 1, 60, 60), 0..1."""
        assert self._images is not None and self._masks is not None and self._pairs.mask_rows is not None
        rows = rows % len(self._pairs.images)
        person = self._rows(self._images, rows).permute(0, 3, 1, 2).float() / 255
        mask = self._rows(self._masks, self._pairs.mask_rows[rows])[:, None].float() / 255
        return person, mask

    def _rows(self, held: Tensor, rows: Rows) -> Tensor:
        """Rows of what is held, on the training's device."""
        return held[torch.from_numpy(rows).to(held.device)].to(self._device)

    def _plain(self, rows: Rows, draw: tuple[int, ...]) -> Tensor:
        pixels = torch.from_numpy(crops_at(self._pairs.images, rows, draw)).to(self._device)
        return pixels.permute(0, 3, 1, 2).float()

    def _normalised(self, pixels: Tensor) -> Tensor:
        return ((pixels - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def _generator(draw: tuple[int, ...], device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(np.random.SeedSequence(draw).generate_state(1)[0]))


_HELD = 0.25  # share of a GPU's memory that one kind of data may take there


def _at(device: str, held: NDArray[np.generic]) -> Tensor:
    """What batches are taken from: on the training's device where it fits, so that no batch waits for the way there."""
    tensor = torch.from_numpy(held)
    fits = device == "cuda" and held.nbytes < _HELD * torch.cuda.get_device_properties(0).total_memory
    return tensor.to(device) if fits else tensor
