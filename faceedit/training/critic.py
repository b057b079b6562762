"""A critic of stage two's pictures: it learns to tell made patches from real ones, and stage two to please it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from faceedit.devices import autocast
from faceedit.training.losses import hinge_of_critic

_MOST = 20.0  # times that pleasing the critic may be made louder
_ASKED_EVERY, _REMEMBERED = 8, 0.9


class Critic(nn.Module):
    """3x60x60 -> 1x15x15, a score of each patch of 26 x 26 pixels, above 0 for a real one (Isola et al., CVPR 2017),
    with the spectral norm of each layer held at 1 (Miyato et al., ICLR 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(3, 64, 4, 2, 1)),  # 64x30x30
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(64, 128, 4, 2, 1)),  # 128x15x15
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(128, 192, 3, 1, 1)),  # 192x15x15
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(192, 1, 3, 1, 1)),  # 1x15x15
        )
        self.register_buffer("balance", torch.ones(()))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures).float()  # type: ignore[no-any-return]

    balance: Tensor


class Adversary:
    """The critic of one run and what changes its weights."""

    def __init__(self, seed: int, device: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.critic = Critic()
        self.critic.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.critic.parameters(), 3e-4, betas=(0.5, 0.99), weight_decay=0.0)
        self._device = device

    def learn(self, real: Tensor, made: Tensor) -> None:
        """One update of the critic, on pictures (B, 3, 60, 60)."""
        self.critic.requires_grad_(True)
        both = torch.cat([real, made.detach().to(real.dtype)]).contiguous(memory_format=torch.channels_last)
        with autocast(self._device):
            scores = self.critic(both)
        self.optimiser.zero_grad(set_to_none=True)
        hinge_of_critic(scores[: len(real)], scores[len(real) :]).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def displeasure(self, made: Tensor, other: Tensor, weight: Tensor, step: int) -> Tensor:
        """How little the critic thinks of made pictures, as loud as their `other` loss is: times the ratio of both
        gradients at `weight`, the last layer's (Esser, Rombach, Ommer, CVPR 2021), asked in every few steps."""
        self.critic.requires_grad_(False)
        with autocast(self._device):
            loss = -self.critic(made.contiguous(memory_format=torch.channels_last)).mean()
        if step % _ASKED_EVERY == 0:
            theirs, ours = (torch.autograd.grad(of, weight, retain_graph=True)[0].norm() for of in (other, loss))
            ratio = (theirs / (ours + 1e-6)).clamp(0, _MOST)
            self.critic.balance.mul_(_REMEMBERED).add_((1 - _REMEMBERED) * ratio)
        loud: Tensor = self.critic.balance * loss
        return loud
