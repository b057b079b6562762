"""What differs between photographs of one face and is drawn anew for every batch: background, exposure, white balance,
gamma, misalignment, mirroring. Pictures come as a person on black with an alpha mask.

Everything is torch on the training's device; values are 0..1 until `faceedit.training.batches` normalises them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Spread of each knob; 0 (or False) turns it off.

    backgrounds: a source stands before a random background instead of the neutral grey; neutral: its targets stand on
    the neutral grey whatever is behind it, instead of before the same; gamma: of its logarithm;
    exposure, white_balance: of the logarithm of all channels together and of each; shift, scale: misalignment, as
    shares of the picture; roll: degrees; mirror: half of the batches are mirrored, with their poses; grey: share of
    the identity network's pictures without colour; blur, sharpen: shares of sources that are slightly out of focus,
    or sharpened as cameras do.
    """

    backgrounds: bool = True
    neutral: bool = True
    gamma: float = 0.25
    exposure: float = 0.18
    white_balance: float = 0.06
    shift: float = 0.03
    scale: float = 0.04
    roll: float = 2.0
    mirror: bool = True
    grey: float = 0.0
    blur: float = 0.2
    sharpen: float = 0.15

    def __post_init__(self) -> None:
        if self.blur + self.sharpen > 1 or self.grey > 1:
            raise ValueError("blur and sharpen together, and grey, are shares of at most 1")


def composite(person: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """person (B, 3, H, W) on black, mask (B, 1, H, W), background (B, 3, H, W) or a number -> (B, 3, H, W)."""
    return person + (1 - mask) * background


def tone(people: int, knobs: Augmentation, random: torch.Generator, device: str) -> tuple[Tensor, Tensor]:
    """Gamma (G, 1, 1, 1) and gain (G, 3, 1, 1) of each person's sitting: all its pictures share them."""
    gamma = torch.exp(knobs.gamma * torch.randn(people, 1, 1, 1, generator=random))
    gain = torch.exp(
        knobs.exposure * torch.randn(people, 1, 1, 1, generator=random)
        + knobs.white_balance * torch.randn(people, 3, 1, 1, generator=random)
    )
    return gamma.to(device), gain.to(device)


def toned(person: Tensor, mask: Tensor, gamma: Tensor, gain: Tensor) -> Tensor:
    """The person under another exposure; what lies outside the mask stays black."""
    straight = (person / mask.clamp_min(1e-3)).clamp(0, 1)
    return (straight**gamma * gain).clamp(0, 1) * mask


def random_backgrounds(count: int, size: int, random: torch.Generator, device: str) -> Tensor:
    """(count, 3, size, size): plain walls (a quarter of them white or near it), gradients, and blurred rooms."""
    grey = torch.rand(count, 1, 1, 1, generator=random)
    white = torch.rand(count, 1, 1, 1, generator=random) < 0.25
    grey = torch.where(white, 0.85 + 0.15 * torch.rand(count, 1, 1, 1, generator=random), grey)
    colour = grey + 0.35 * torch.rand(count, 1, 1, 1, generator=random) ** 2 * torch.randn(
        count, 3, 1, 1, generator=random
    )
    axis = torch.linspace(-1, 1, size)
    angle = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=random)
    slope = 0.25 * torch.rand(count, 1, 1, 1, generator=random) ** 2
    walls = colour + slope * (
        torch.cos(angle) * axis[None, None, None, :] + torch.sin(angle) * axis[None, None, :, None]
    )
    coarse = torch.randn(count, 3, 6, 6, generator=random) * 0.5 + torch.randn(count, 1, 6, 6, generator=random)
    rooms = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    blocks = F.interpolate(torch.randn(count, 3, 5, 4, generator=random), size=(size, size), mode="nearest")
    depth = 0.25 * torch.rand(count, 1, 1, 1, generator=random)
    furnished = torch.rand(count, 1, 1, 1, generator=random) < 0.4
    hard = torch.rand(count, 1, 1, 1, generator=random) < 0.35
    return (walls + furnished * depth * torch.where(hard, blocks, rooms)).clamp(0, 1).to(device)


def misaligned(pictures: Tensor, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """Each picture (B, C, H, W) shifted, scaled and rolled a little; beyond the border the edge is repeated."""
    n = len(pictures)
    angle = math.radians(knobs.roll) * torch.randn(n, generator=random)
    scale = torch.exp(knobs.scale * torch.randn(n, generator=random))
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = scale * torch.cos(angle), -scale * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = scale * torch.sin(angle), scale * torch.cos(angle)
    theta[:, :, 2] = 2 * knobs.shift * torch.randn(n, 2, generator=random).clamp(-2, 2)
    grid = F.affine_grid(theta.to(pictures.device), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def focused(pictures: Tensor, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """Some of the pictures (B, C, H, W) blurred by a binomial filter of 3 x 3, others sharpened by an unsharp mask."""
    kernel = torch.tensor([1.0, 2, 1]) / 4
    weight = (kernel[:, None] * kernel).expand(pictures.shape[1], 1, 3, 3).to(pictures.device)
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    soft = F.conv2d(padded, weight, groups=pictures.shape[1])
    drawn = torch.rand(len(pictures), 1, 1, 1, generator=random).to(pictures.device)
    sharp = (pictures + 0.7 * (pictures - soft)).clamp(0, 1)
    return torch.where(drawn < knobs.blur, soft, torch.where(drawn > 1 - knobs.sharpen, sharp, pictures))


def colourless(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    """A share of the pictures (B, 3, H, W) in grey."""
    chosen = torch.rand(len(pictures), 1, 1, 1, generator=random).to(pictures.device) < share
    return torch.where(chosen, pictures.mean(1, keepdim=True), pictures)
