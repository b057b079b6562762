"""The network that says where eyes, mouth and chin of a detected face are, and how it learns (`faceedit.landmarks`).

An encoder to 4 x 4 places and a decoder back to 16 x 16 give one map for each point, whose mean place under the softmax
is the point: differentiable, and finer than the map (Sun et al., Integral Human Pose Regression, ECCV 2018).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.align import CHIN, EYES
from faceedit.files import write_whole
from faceedit.landmarks import CARD, CELLS, FOUND, NETWORK, SIDE
from faceedit.training.averages import Averages
from faceedit.training.landmark_batches import Batch, Batches
from faceedit.training.landmark_pictures import LandmarkPictures

_CHECKPOINT = "landmarks.pt"
_BETA = 0.01  # shares of the square, below which an error counts by its square
_LEAST = 1e-3  # of the side of a crop: of points that are not learned yet, the chin may lie above the eyes
_SIDEWAYS = 22.0  # degrees of yaw that divide what is measured


class _Block(nn.Module):
    """Two convolutions beside a short way."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(y + self.short(x))


class LandmarkNetwork(nn.Module):
    """(B, 3, 64, 64) RGB 0..1 -> (B, 5, 16, 16), a map of logits for each of the points `faceedit.landmarks.FOUND`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU())  # 32 x 32
        self.fine = nn.Sequential(_Block(16, 32, 2), _Block(32, 32))  # 16 x 16
        self.middle = nn.Sequential(_Block(32, 64, 2), _Block(64, 64))  # 8 x 8
        self.coarse = nn.Sequential(_Block(64, 72, 2), _Block(72, 72))  # 4 x 4
        self.from_coarse, self.from_middle, self.from_fine = (
            nn.Conv2d(72, 64, 1),
            nn.Conv2d(64, 48, 1),
            nn.Conv2d(32, 48, 1),
        )
        self.middle_again = _Block(64, 64)
        self.fine_again = nn.Sequential(nn.Conv2d(48, 48, 3, 1, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.maps = nn.Conv2d(48, len(FOUND), 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(self.stem(x - 0.5))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        again = self.middle_again(F.relu(middle + _twice(self.from_coarse(coarse))))
        maps: Tensor = self.maps(self.fine_again(F.relu(self.from_fine(fine) + _twice(self.from_middle(again)))))
        return maps


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)


def places(heat: Tensor) -> Tensor:
    """As `faceedit.landmarks.middles`, to learn by: (B, 5, 16, 16) -> (B, 5, 2)."""
    likely = heat.flatten(2).softmax(2).view(heat.shape)
    centres = (torch.arange(CELLS) + 0.5) / CELLS
    return torch.stack([(likely.sum(2) * centres).sum(2), (likely.sum(3) * centres).sum(2)], -1)


def crop_of(points: Tensor) -> Tensor:
    """What the rule of alignment makes of points (B, 5, 2): (B, 3) the crop's middle across, eye line and side."""
    eyes, mouth = points[:, :2].mean(1), points[:, 2:4].mean(1)
    return torch.stack([(eyes[:, 0] + mouth[:, 0]) / 2, eyes[:, 1], (points[:, 4, 1] - eyes[:, 1]) / (CHIN - EYES)], 1)


def landmark_loss(found: Tensor, true: Tensor) -> Tensor:
    """Of the points (B, 5, 2), and of the crops that they cut."""
    points = F.smooth_l1_loss(found, true, beta=_BETA, reduction="none").sum((1, 2)).mean()
    crops = F.smooth_l1_loss(crop_of(found), crop_of(true), beta=_BETA, reduction="none").sum(1).mean()
    return points + 2 * crops


def crop_errors(found: Tensor, batch: Batch) -> dict[str, float]:
    """Root mean squares of how far crops lie from where they should, across, down, and of the logarithm of their sides;
    shares of a side; of faces from the front and of those turned by more than 22 degrees."""
    mine, true = crop_of(found), crop_of(batch.true)
    off = torch.cat([(mine - true)[:, :2] / true[:, 2:], (mine[:, 2:].clamp_min(_LEAST) / true[:, 2:]).log()], 1)
    sideways = batch.yaw.abs() > _SIDEWAYS
    errors: dict[str, float] = {}
    for name, chosen in (("front", ~sideways), ("sideways", sideways)):
        means = off[chosen].square().mean(0).sqrt().tolist()
        errors |= {
            f"{name} {what}": round(value, 4) for what, value in zip(("across", "down", "side"), means, strict=True)
        }
    return errors


@dataclass(frozen=True)
class LandmarkRun:
    """steps: updates; batch: pictures of each; rate: of learning, from which it falls to 0 by a cosine; average: share
    that averaged weights keep; every: steps between checkpoints in `out`."""

    out: Path
    steps: int = 3000
    batch: int = 64
    rate: float = 2e-3
    average: float = 0.995
    every: int = 200
    seed: int = 0


def train_landmarks(
    learn: LandmarkPictures,
    held: LandmarkPictures,
    run: LandmarkRun,
    report: Callable[[int, Mapping[str, float]], None],
) -> LandmarkNetwork:
    """Train from nothing, or from the checkpoint in `run.out`; return the network with averaged weights.

    report(step, errors) says `crop_errors` on held-out people at every checkpoint.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    network, batches = LandmarkNetwork(), Batches(learn, run.seed)
    optimiser = torch.optim.AdamW(network.parameters(), run.rate, weight_decay=1e-3)
    averages = Averages(_averaging(network), run.average)
    judged = Batches(held, run.seed).all()
    step = _resume(run.out, network, optimiser, averages)
    for now in range(step, run.steps):
        for group in optimiser.param_groups:
            group["lr"] = run.rate * min(1.0, (now + 1) / 100) * (1 + math.cos(math.pi * now / run.steps)) / 2
        batch = batches.draw(now, run.batch)
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            heat = network(batch.seen.contiguous(memory_format=torch.channels_last))
        landmark_loss(places(heat.float()), batch.true).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        averages.update(now)
        if (now + 1) % run.every == 0 or now + 1 == run.steps:
            _keep(run.out, now + 1, network, optimiser, averages)
            report(now + 1, crop_errors(_found(_averaged(network, averages), judged), judged))
    return _averaged(network, averages)


def export_landmarks(network: LandmarkNetwork, folder: Path, provenance: Mapping[str, object], licence: str) -> None:
    """Write the network as ONNX and its card into a folder, as `faceedit.landmarks.LandmarkFinder` reads them. Needs
    the package onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), TemporaryDirectory() as made:
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter wants onnxscript for the same
        file, seen = Path(made) / NETWORK, torch.zeros(1, 3, SIDE, SIDE)
        torch.onnx.export(network.eval(), (seen,), file, dynamo=False, opset_version=13)
        content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    card = {"sha256": digest, "points": FOUND, "provenance": dict(provenance), "licence": licence}
    write_whole(folder / NETWORK, content)
    write_whole(folder / CARD, (json.dumps(card, indent=2) + "\n").encode())


def _found(network: LandmarkNetwork, batch: Batch) -> Tensor:
    with torch.no_grad():
        return torch.cat([places(network(seen)) for seen in torch.split(batch.seen, 128)])


def _averaging(network: LandmarkNetwork) -> list[Tensor]:
    """Everything that is averaged over the updates: weights, and what batch normalisation counted."""
    counted = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return [*network.parameters(), *counted]


@torch.no_grad()
def _averaged(network: LandmarkNetwork, averages: Averages) -> LandmarkNetwork:
    """A copy with the averages as its weights, ready for use."""
    copy = deepcopy(network).eval()
    for tensor, kept in zip(_averaging(copy), averages.state().values(), strict=True):
        tensor.copy_(kept)
    return copy


def _keep(out: Path, step: int, network: LandmarkNetwork, optimiser: torch.optim.Optimizer, averages: Averages) -> None:
    state = {"step": step, "network": network.state_dict(), "optimiser": optimiser.state_dict()}
    content = io.BytesIO()
    torch.save({**state, "averages": averages.state()}, content)
    write_whole(out / _CHECKPOINT, content.getvalue())


def _resume(out: Path, network: LandmarkNetwork, optimiser: torch.optim.Optimizer, averages: Averages) -> int:
    """Go on from the checkpoint, if there is one; return how many updates are done."""
    if not (out / _CHECKPOINT).exists():
        return 0
    state = torch.load(out / _CHECKPOINT, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    averages.restore(state["averages"])
    return int(state["step"])
