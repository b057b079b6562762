"""What tells the descriptors of look-alikes apart: pictures to compare, and the contrast of their descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.training.batches import Sitting
from faceedit.training.losses import contrast
from faceedit.training.pairs import ContrastSampler
from faceedit.training.stages import Material

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Compared:
    """G groups at two values each. leads (G, from, to) whether the one value leads to the other; people (G,) whose they
    are."""

    leads: NDArray[np.bool_]
    people: Rows


@dataclass(frozen=True)
class Comparison(Compared):
    """With their pictures. shot: 2 G sources, asked for both values."""

    shot: Sitting

    @property
    def learnt(self) -> Tensor:
        """Rows (P,) of the 4 G pairs that can be learnt."""
        return torch.from_numpy(np.flatnonzero(self.leads)).to(self.shot.targets.device)


class Comparer:
    """Draws what the contrast compares. Everybody's two values are the same, which makes people look-alikes too; but in
    every second batch, where an identity network knows people, every person has two of its own."""

    def __init__(self, material: Material, people: int, conditions: int) -> None:
        self._material, self._people, self._conditions = material, people, conditions
        self._sampler = ContrastSampler(material.pairs, material.run.seed)

    def comparison(self, stage: int, step: int) -> Comparison:
        """What a step of a stage compares."""
        known = self._material.networks.describer.identity is not None
        own_values = known and step % 2 == 1
        rows, values, whose = self._sampler.batch(step, self._people, self._conditions, own_values)
        both = np.repeat(rows[:, None], 2, axis=1).reshape(-1, 2)
        # a person's pictures in one sitting: exposure and colours tell no lights apart; or each in its own: they do
        # not tell that two pictures belong together
        _, sittings = np.unique(whose, return_inverse=True)
        together = np.repeat(sittings, 2) if step % 4 < 2 else np.arange(2 * len(rows))
        shot = self._material.shot(stage, step, rows.ravel(), both, np.repeat(values, 2, axis=0), together)
        return Comparison(self._material.pairs.leads[values[:, :, None], values[:, None, :]], whose, shot)


def contrast_of(compared: Compared, d: Tensor, scale: float, own_alone: bool = False) -> Tensor:
    """Over both values `to`, of descriptors d (G, from, to, D): turned there; described there as a gallery picture;
    and described where it came from, which is wrong. A mean over four directions; own_alone: only one person's own are
    look-alikes."""
    people = torch.from_numpy(compared.people).to(d.device)
    loss = d.new_zeros(())
    for to in range(2):
        asked = torch.from_numpy(np.flatnonzero(compared.leads[:, 1 - to, to])).to(d.device)
        if len(asked):
            three = d[asked, 1 - to, to], d[asked, to, to], d[asked, 1 - to, 1 - to]
            loss = loss + contrast(*three, scale, people[asked] if own_alone else None)
    return loss / 4


def missed(compared: Compared, d: Tensor) -> float:
    """Share of turned descriptors of d (G, from, to, D) that are nearer to another's than to their own stored one."""
    wrong: list[Tensor] = []
    for to in range(2):
        asked = torch.from_numpy(np.flatnonzero(compared.leads[:, 1 - to, to])).to(d.device)
        if not len(asked):  # a complete face says nothing of an occlusion
            continue
        likeness = d[asked, 1 - to, to] @ torch.cat([d[asked, to, to], d[asked, 1 - to, 1 - to]]).T
        wrong.append(likeness.argmax(1) != torch.arange(len(asked), device=d.device))
    return float(torch.cat(wrong).float().mean())
