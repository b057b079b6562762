"""What differs between photographs of one face and is drawn anew for every batch: background, exposure, white balance,
gamma, misalignment, mirroring. Pictures come as a person on black with an alpha mask.

Everything is torch on the training's device, and drawn where the generator lies; values are 0..1 until
`faceedit.training.batches` normalises them.
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
    or sharpened as cameras do; noise: of a sensor, at most, 0..1; compression: share of sources that were stored as
    JPEG; textures: share of backgrounds with a fine pattern; together: a target is misaligned, blurred and stored as
    its source is, as where nothing moves.
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
    noise: float = 0.03
    compression: float = 0.35
    textures: float = 0.3
    together: bool = False

    def __post_init__(self) -> None:
        if max(self.blur + self.sharpen, self.grey, self.compression, self.textures) > 1:
            raise ValueError("blur and sharpen together, grey, compression and textures are shares of at most 1")


@dataclass(frozen=True)
class Take:
    """How S people are photographed. behind (S, 3, H, W); gamma (S, 1, 1, 1) and gain (S, 3, 1, 1), their light; theta
    (S, 2, 3), their misalignment. What `random` draws from its state `begun` on is the lens, the sensor and the file:
    whatever else is photographed in this take has the same."""

    knobs: Augmentation
    behind: Tensor
    gamma: Tensor
    gain: Tensor
    theta: Tensor
    random: torch.Generator
    begun: Tensor

    def picture(self, person: Tensor, mask: Tensor) -> Tensor:
        """person (S, 3, H, W) on black, mask (S, 1, H, W) -> (S, 3, H, W)."""
        self.random.set_state(self.begun)
        shown = composite(toned(person, mask, self.gamma, self.gain), mask, self.behind)
        shown = misaligned(focused(shown, self.knobs, self.random), self.theta)
        return compressed(grainy(shown, self.knobs, self.random), self.knobs, self.random)


def even(random: torch.Generator, *shape: int) -> Tensor:
    """Between 0 and 1, drawn where the generator lies."""
    return torch.rand(shape, generator=random, device=random.device)


def _normal(random: torch.Generator, *shape: int) -> Tensor:
    """Of mean 0 and spread 1, drawn where the generator lies."""
    return torch.randn(shape, generator=random, device=random.device)


def composite(person: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """person (B, 3, H, W) on black, mask (B, 1, H, W), background (B, 3, H, W) or a number -> (B, 3, H, W)."""
    return person + (1 - mask) * background


def tone(people: int, knobs: Augmentation, random: torch.Generator, device: str) -> tuple[Tensor, Tensor]:
    """Gamma (G, 1, 1, 1) and gain (G, 3, 1, 1) of each person's sitting: all its pictures share them."""
    gamma = torch.exp(knobs.gamma * _normal(random, people, 1, 1, 1))
    gain = torch.exp(
        knobs.exposure * _normal(random, people, 1, 1, 1) + knobs.white_balance * _normal(random, people, 3, 1, 1)
    )
    return gamma.to(device), gain.to(device)


def toned(person: Tensor, mask: Tensor, gamma: Tensor, gain: Tensor) -> Tensor:
    """The person under another exposure; what lies outside the mask stays black."""
    straight = (person / mask.clamp_min(1e-3)).clamp(0, 1)
    return (straight**gamma * gain).clamp(0, 1) * mask


def random_backgrounds(count: int, size: int, random: torch.Generator, device: str, textures: float = 0.0) -> Tensor:
    """(count, 3, size, size): plain walls (a quarter of them white or near it), gradients, and blurred rooms; a share
    `textures` of them with a pattern: leaves and stones, or stripes as of bricks, blinds and shelves."""
    grey = even(random, count, 1, 1, 1)
    white = even(random, count, 1, 1, 1) < 0.25
    grey = torch.where(white, 0.85 + 0.15 * even(random, count, 1, 1, 1), grey)
    colour = grey + 0.35 * even(random, count, 1, 1, 1) ** 2 * _normal(random, count, 3, 1, 1)
    axis = torch.linspace(-1, 1, size, device=random.device)
    angle = 2 * math.pi * even(random, count, 1, 1, 1)
    slope = 0.25 * even(random, count, 1, 1, 1) ** 2
    walls = colour + slope * (
        torch.cos(angle) * axis[None, None, None, :] + torch.sin(angle) * axis[None, None, :, None]
    )
    coarse = _normal(random, count, 3, 6, 6) * 0.5 + _normal(random, count, 1, 6, 6)
    rooms = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    blocks = F.interpolate(_normal(random, count, 3, 5, 4), size=(size, size), mode="nearest")
    depth = 0.25 * even(random, count, 1, 1, 1)
    furnished = even(random, count, 1, 1, 1) < 0.4
    hard = even(random, count, 1, 1, 1) < 0.35
    made = walls + furnished * depth * torch.where(hard, blocks, rooms)
    if textures > 0:
        patterned = even(random, count, 1, 1, 1) < textures
        made = made + patterned * 0.3 * even(random, count, 1, 1, 1) * _patterns(count, size, random)
    return made.clamp(0, 1).to(device)


def _patterns(count: int, size: int, random: torch.Generator) -> Tensor:
    """(count, 3, size, size) of about unit spread: noise of three scales, or waves that cross each other."""
    noise = torch.zeros(count, 3, size, size, device=random.device)
    for places in (8, 20, size):
        coarse = _normal(random, count, 1, places, places) + 0.4 * _normal(random, count, 3, places, places)
        noise += 0.6 * F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    axis = torch.linspace(0, 2 * math.pi, size, device=random.device)
    waves = torch.zeros(count, 1, size, size, device=random.device)
    for _ in range(2):
        across, down = (12 * even(random, 2, count, 1, 1, 1) ** 2).unbind(0)
        phase = 2 * math.pi * even(random, count, 1, 1, 1)
        waves += torch.sin(across * axis + down * axis[:, None] + phase)
    return torch.where(even(random, count, 1, 1, 1) < 0.5, noise, waves)


def misalignment(count: int, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """(count, 2, 3) affine maps from a place in the misaligned picture to one in the aligned: a shift, a scale, a
    roll."""
    angle = math.radians(knobs.roll) * _normal(random, count)
    scale = torch.exp(knobs.scale * _normal(random, count))
    theta = torch.zeros(count, 2, 3, device=random.device)
    theta[:, 0, 0], theta[:, 0, 1] = scale * torch.cos(angle), -scale * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = scale * torch.sin(angle), scale * torch.cos(angle)
    theta[:, :, 2] = 2 * knobs.shift * _normal(random, count, 2).clamp(-2, 2)
    return theta


def misaligned(pictures: Tensor, theta: Tensor) -> Tensor:
    """Each picture (B, C, H, W) by its map (B, 2, 3); beyond the border the edge is repeated."""
    grid = F.affine_grid(theta.to(pictures.device), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _softened(pictures: Tensor) -> Tensor:
    """Pictures (B, C, H, W) after a binomial filter of 3 x 3."""
    kernel = torch.tensor([1.0, 2, 1]) / 4
    weight = (kernel[:, None] * kernel).expand(pictures.shape[1], 1, 3, 3).to(pictures.device)
    return F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), weight, groups=pictures.shape[1])


def focused(pictures: Tensor, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """Some of the pictures (B, C, H, W) blurred by a binomial filter of 3 x 3, others sharpened by an unsharp mask."""
    soft = _softened(pictures)
    drawn = even(random, len(pictures), 1, 1, 1).to(pictures.device)
    sharp = (pictures + 0.7 * (pictures - soft)).clamp(0, 1)
    return torch.where(drawn < knobs.blur, soft, torch.where(drawn > 1 - knobs.sharpen, sharp, pictures))


def grainy(pictures: Tensor, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """The pictures (B, C, H, W) with a sensor's noise, from none to `knobs.noise`."""
    strength = knobs.noise * even(random, len(pictures), 1, 1, 1) ** 2
    grain = _normal(random, *pictures.shape).to(pictures.device)
    return (pictures + strength.to(pictures.device) * grain).clamp(0, 1)


def compressed(pictures: Tensor, knobs: Augmentation, random: torch.Generator) -> Tensor:
    """A share of the pictures (B, C, H, W) as JPEG leaves them: blocks of 8 x 8, whose cosine transform is rounded, the
    more coarsely the finer the wave (ITU-T T.81, without its tables)."""
    b, c, h, w = pictures.shape
    down, across = -h % 8, -w % 8
    padded = F.pad(pictures, (0, across, 0, down), mode="replicate")
    blocks = padded.view(b, c, (h + down) // 8, 8, (w + across) // 8, 8).transpose(3, 4)
    cosine = _cosine_transform().to(pictures.device)
    order = torch.arange(8.0, device=pictures.device)
    step = 0.01 + 0.06 * even(random, b, 1, 1, 1, 1, 1) ** 2
    steps = step.to(pictures.device) * (1 + 0.35 * (order[:, None] + order))
    coarse = cosine.T @ ((cosine @ blocks @ cosine.T / steps).round() * steps) @ cosine
    stored = coarse.transpose(3, 4).reshape(b, c, h + down, w + across)[..., :h, :w].clamp(0, 1)
    chosen = even(random, b, 1, 1, 1).to(pictures.device) < knobs.compression
    return torch.where(chosen, stored, pictures)


def _cosine_transform() -> Tensor:
    """(8, 8) the orthonormal discrete cosine transform: a row for each wave."""
    order = torch.arange(8.0)
    waves = torch.cos(math.pi / 8 * (order + 0.5) * order[:, None]) / 2
    waves[0] /= math.sqrt(2)
    return waves


def colourless(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    """A share of the pictures (B, 3, H, W) in grey."""
    chosen = even(random, len(pictures), 1, 1, 1).to(pictures.device) < share
    return torch.where(chosen, pictures.mean(1, keepdim=True), pictures)
