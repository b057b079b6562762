"""Where what a target shows lies in its source: the truth of both flows, from the places that the renderer stored
(`faceedit.synth.places`). Places on the head are (N, H, W, 3) centimetres, places in a picture (N, H, W, 2) across and
down, -1..1 from border to border."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_NOWHERE = 99.0  # stands for "no place", since comparisons with NaN are slow and silent
_NEAR, _NEAR_MIRRORED = 0.8, 1.2  # centimetres within which two pixels show one place; halves of a face differ more
_COARSE = 0.4  # share of the mirrored half's pixels below which the half itself is too much foreshortened
_EYE_LINE = 0.35


class Correspondence(NamedTuple):
    """Of N targets, for each pixel: exists (N, H, W): it shows the person; flow, mirrored (N, H, W, 2): where that
    place, and its mirror image on the head, lie in the source; seen, mirrored_seen (N, H, W): whether the source shows
    them there; better (N, H, W): it is better to take the place itself than its mirror image."""

    exists: Tensor
    flow: Tensor
    seen: Tensor
    mirrored: Tensor
    mirrored_seen: Tensor
    better: Tensor

    def misaligned(self, theta: Tensor) -> Correspondence:
        """The same in sources that were misaligned by theta (N, 2, 3)."""
        return self._replace(flow=misaligned_flow(self.flow, theta), mirrored=misaligned_flow(self.mirrored, theta))

    def shifted(self, theta: Tensor) -> Correspondence:
        """The same of targets that were misaligned by theta (N, 2, 3), each field of the nearest pixel."""
        fields = [field.float().view(*field.shape[:3], -1).permute(0, 3, 1, 2) for field in self]
        grid = F.affine_grid(theta, [len(theta), 1, *self.exists.shape[1:]], align_corners=False)
        moved = F.grid_sample(torch.cat(fields, 1), grid, mode="nearest", padding_mode="border", align_corners=False)
        parts = torch.split(moved.permute(0, 2, 3, 1), [field.shape[1] for field in fields], -1)
        return Correspondence._make(
            part.reshape(own.shape).to(own.dtype) for own, part in zip(self, parts, strict=True)
        )

    def occluded(self, hidden: Tensor) -> Correspondence:
        """The same where an occlusion hides pixels of the source, hidden (N, H, W) bool: what the source showed there
        is to be found elsewhere, and all else where it is, whether or not it shows the person."""
        over = F.grid_sample(hidden[:, None].float(), self.mirrored, mode="nearest", align_corners=False)[:, 0] > 0
        clear, mirrored = ~hidden, self.mirrored_seen & ~over
        return self._replace(seen=self.seen & clear, mirrored_seen=mirrored, better=clear)

    def flipped(self) -> Correspondence:
        """The same of mirrored sources and targets."""
        exists, seen, mirrored_seen, better = (
            shown.flip(2) for shown in (self.exists, self.seen, self.mirrored_seen, self.better)
        )
        flow, mirrored = mirrored_flow(self.flow), mirrored_flow(self.mirrored)
        return Correspondence(exists, flow, seen, mirrored, mirrored_seen, better)


def correspondence(target: Tensor, source: Tensor, viewpoints: Tensor) -> Correspondence:
    """target, source: places on the head (N, H, W, 3), NaN beside the person; viewpoints (N, 13) of the sources."""
    target, source = (torch.nan_to_num(places.float(), nan=_NOWHERE) for places in (target, source))
    exists = target[..., 0] < _NOWHERE / 2
    flow, seen = _found(target, source, viewpoints, exists, _NEAR)
    mirror = torch.tensor([-1.0, 1, 1], device=target.device)
    mirrored, mirrored_seen = _found(target * mirror, source, viewpoints, exists, _NEAR_MIRRORED)
    coarse = magnification(flow) < _COARSE * magnification(mirrored)
    return Correspondence(exists, flow, seen, mirrored, mirrored_seen, seen & ~(mirrored_seen & coarse))


def _found(places: Tensor, source: Tensor, viewpoints: Tensor, exists: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Where the places lie in the source's picture, and whether it shows the same place there."""
    flow = project(places, viewpoints)
    shown = F.grid_sample(
        source.permute(0, 3, 1, 2), flow, mode="nearest", padding_mode="border", align_corners=False
    ).permute(0, 2, 3, 1)
    same = (shown - places).norm(dim=-1) < near
    return flow, same & exists & (flow.abs().amax(-1) < 1)


def project(places: Tensor, viewpoints: Tensor) -> Tensor:
    """`faceedit.synth.places.project` for places (N, ..., 3) of N viewpoints (N, 13)."""
    turn, (x, eyes, height, distance) = viewpoints[:, :9].view(-1, 3, 3), viewpoints[:, 9:, None].unbind(1)
    seen = places.flatten(1, -2) @ turn.transpose(1, 2)  # (N, points, 3)
    flat = seen[..., :2] * (distance / (distance - seen[..., 2]).clamp_min(1))[..., None]
    across, down = (flat[..., 0] - x) / height + 0.5, (eyes - flat[..., 1]) / height + _EYE_LINE
    return torch.stack([2 * across - 1, 2 * down - 1], -1).view(*places.shape[:-1], 2)


def magnification(flow: Tensor) -> Tensor:
    """(N, H, W) how large a part of the source one pixel of the target shows, as a number that only compares: the
    flow's area, averaged over neighbours, bounded where it jumps."""
    across, down = (flow[:, 1:-1, 2:] - flow[:, 1:-1, :-2]), (flow[:, 2:, 1:-1] - flow[:, :-2, 1:-1])
    area = (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]).abs()
    padded = F.pad(area[:, None], (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, 1, 1, count_include_pad=False)[:, 0].clamp_max(0.02)


def misaligned_flow(flow: Tensor, theta: Tensor) -> Tensor:
    """The flow (N, H, W, 2) into sources that were misaligned by theta (N, 2, 3), which maps a place in the misaligned
    picture to one in the aligned (`faceedit.training.augmentation.misalignment`)."""
    back = torch.linalg.inv(theta[:, :, :2])
    return torch.einsum("nij,nhwj->nhwi", back, flow - theta[:, None, None, :, 2])


def mirrored_flow(flow: Tensor) -> Tensor:
    """The flow (N, H, W, 2) between mirrored pictures."""
    return (flow * torch.tensor([-1.0, 1], device=flow.device)).flip(2)
