"""The head's last layer learns last: to tell apart everything that some people's pictures at one value differ in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.devices import autocast
from faceedit.training.frozen import halved
from faceedit.training.head import OnFrozen
from faceedit.training.pairs import PersonSampler
from faceedit.training.stages import Lesson, Material, Pace

_SCALE = 80.0  # of the likeness of who it is and of the head's part
_ALONE, _SCALE_ALONE = 0.3, 30.0  # what the head's part counts beside it, and the scale of its likeness
_DROPPED = 0.3  # share of what the last layer sees that a lesson goes without (Srivastava et al., JMLR 2014)
_PICTURES = 256  # of one person at most


@dataclass(frozen=True)
class Shown:
    """Pictures (P,) of one person, described at their own values and turned to other ones. groups (P,): their
    conditions; values (P, 2): the positions of both; hidden (P, 2, H): what the last layer sees, in half precision;
    who (P, I): the identity network's part, or of no length."""

    groups: NDArray[np.int64]
    values: NDArray[np.int64]
    hidden: Tensor
    who: Tensor


class LastLayerStage(OnFrozen):
    """Stage 5: among all pictures that some people have at one value, each that another was turned into is told from
    the others by who it is and by the head's part, as it is searched; and by the head's part alone, since people in
    photographs are recognised less surely than those who are learned from. What stands still makes of a person is made
    once, and kept: of some people's pictures as they were rendered, as in one studio; of the others' in a sitting of
    their own. figure: share of turned pictures whose own stored one is not the nearest."""

    number, metric, digits, averaged = 5, "training_last_layer_error", 4, False
    pace = Pace(rate=0.2)

    def __init__(self, material: Material) -> None:
        super().__init__(material)
        self._people = PersonSampler(material.pairs, material.run.seed)
        self._studio = material.studio
        self._known: dict[int, Shown] = {}

    @property
    def steps(self) -> int:
        return self._recipe.steps_last if self._describer.head is not None else 0

    def begin(self) -> list[nn.Parameter]:
        self._known = {}
        return self._material.only(*([] if self._describer.head is None else self._describer.head.ends))

    def lesson(self, step: int) -> Lesson:
        head, device = self._describer.head, self._material.run.device
        assert head is not None
        value, people = self._people.batch(step, self._recipe.last_people)
        turned, stored, own = of_one_value([self._shown(person) for person in people.tolist()], value)
        if step + 1 == self.steps:
            self._known = {}
        if not len(own):  # of people with few pictures, none may have been turned there
            return Lesson(0 * head.last.bias.sum(), 0.0, 0)
        draw = np.random.default_rng([self._material.run.seed, self.number, step])
        kept = torch.from_numpy(draw.random(turned[0].shape[1]) >= _DROPPED).to(device) / (1 - _DROPPED)
        with autocast(device):
            query, gallery = (F.normalize(head.said(hidden * kept).float(), dim=1) for hidden, _ in (turned, stored))
        alone = query @ gallery.T
        share = self._describer.share if self._describer.identity is not None else 0.0
        likeness = (1 - share) * alone + share * turned[1] @ stored[1].T
        loss = F.cross_entropy(_SCALE * likeness, own) + _ALONE * F.cross_entropy(_SCALE_ALONE * alone, own)
        wrong = (likeness.detach().argmax(1) != own).float().mean()
        return Lesson(loss, float(wrong), len(own))

    def _shown(self, person: int) -> Shown:
        if person not in self._known:
            self._known[person] = self._made(person)
        return self._known[person]

    @torch.no_grad()
    def _made(self, person: int) -> Shown:
        describer = self._describer
        groups, values, rows = self._people.person(person, _PICTURES)
        together = np.zeros(len(groups), np.int64)
        share = self._recipe.last_studio
        taken_by = self._studio if person * share % 1 < share else self._material  # evenly spread
        shot = taken_by.shot(self.number, person, rows[:, 0], rows, values, together)
        assert describer.head is not None
        with autocast(self._material.run.device):
            identity = describer.identity
            seen = None if identity is None else identity.features(shot.sources)
            middle = None if seen is None else seen.middle
            hidden = halved(describer.head.hidden(describer.seen(self.features(shot), middle)))
            who = hidden.new_zeros(len(groups), 0) if identity is None else identity.both(shot.sources, seen)
        return Shown(groups, shot.values.cpu().numpy(), hidden.view(len(groups), 2, -1), who.float())


_Side = tuple[Tensor, Tensor]


def of_one_value(people: list[Shown], value: int) -> tuple[_Side, _Side, Tensor]:
    """What was turned to a value, and what is stored there: what the last layer sees (T, H) and (S, H), single
    precision, each with who it is; and which of the stored ones (T,) is each turned one's own."""
    turned: list[_Side] = []
    stored: list[_Side] = []
    own: list[int] = []
    first = 0
    for shown in people:
        has, asked = shown.values.T
        here = np.flatnonzero(has == value)
        place = {group: first + number for number, group in enumerate(shown.groups[here].tolist())}
        edits = np.flatnonzero((asked == value) & (has != value) & np.isin(shown.groups, shown.groups[here]))
        own += [place[group] for group in shown.groups[edits].tolist()]
        first += len(here)
        turned.append((shown.hidden[edits, 1].float(), shown.who[edits]))
        stored.append((shown.hidden[here, 0].float(), shown.who[here]))
    query, gallery = ((torch.cat([h for h, _ in side]), torch.cat([w for _, w in side])) for side in (turned, stored))
    return query, gallery, torch.tensor(own, dtype=torch.int64, device=query[0].device)
