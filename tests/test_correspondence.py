"""Where what a target shows lies in its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.networks import pixel_grid
from faceedit.synth.places import Viewpoint
from faceedit.synth.places import project as project_one
from faceedit.synth.scene import rotation
from faceedit.training.augmentation import Augmentation, misaligned, misalignment
from faceedit.training.correspondence import correspondence, magnification, mirrored_flow, misaligned_flow, project

SIZE = 60
RADIUS = 8.0


def viewpoint(yaw: float, pitch: float = 0.0) -> Viewpoint:
    return Viewpoint(rotation(yaw, pitch, 0.0), x=0.3, eyes=3.0, height=22.0, distance=110.0)


def ball(of: Viewpoint) -> Tensor:
    """(60, 60, 3) the place on a ball about the origin that each pixel of this viewpoint shows, NaN beside it."""
    grid = pixel_grid().numpy().astype(float)
    x = of.x + grid[..., 0] / 2 * of.height
    y = of.eyes - ((grid[..., 1] + 1) / 2 - 0.35) * of.height
    eye = np.array([0, 0, of.distance])
    way = np.stack([x, y, np.zeros_like(x)], -1) - eye
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    along = -(way @ eye)
    under = along**2 - (of.distance**2 - RADIUS**2)
    t = along - np.sqrt(np.where(under > 0, under, np.nan))
    points = (eye + t[..., None] * way) @ of.turn.astype(float)
    return torch.from_numpy(points.astype(np.float32))


def between(source: Viewpoint, target: Viewpoint):  # type: ignore[no-untyped-def]
    return correspondence(ball(target)[None], ball(source)[None], torch.from_numpy(source.row)[None])


def test_projecting_is_the_renderers() -> None:
    points = torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(0)) * 5
    views = [viewpoint(20, 5), viewpoint(-40)]
    made = project(points, torch.from_numpy(np.stack([v.row for v in views])))
    for n, view in enumerate(views):
        assert np.allclose(made[n].numpy(), project_one(points[n].numpy(), view.row), atol=1e-5)


def test_from_a_picture_to_itself_nothing_moves() -> None:
    same = between(viewpoint(15), viewpoint(15))
    assert torch.equal(same.exists, torch.isfinite(ball(viewpoint(15))[None, ..., 0]))
    assert torch.equal(same.seen, same.exists)
    assert (same.flow - pixel_grid())[same.exists].abs().max() < 1e-4


@pytest.mark.parametrize("turn", [(0.0, 30.0), (-45.0, 15.0), (10.0, -35.0)])
def test_the_flow_brings_every_seen_place_and_only_those(turn: tuple[float, float]) -> None:
    """On a ball a place is seen when its normal looks at the camera: known without any picture."""
    source, target = viewpoint(turn[0]), viewpoint(turn[1])
    made = between(source, target)
    places = ball(target)[None]
    brought = F.grid_sample(
        torch.nan_to_num(ball(source))[None].permute(0, 3, 1, 2), made.flow, align_corners=False
    ).permute(0, 2, 3, 1)
    sharp = made.seen & (places / RADIUS @ torch.from_numpy(source.turn.T)[:, 2] > 0.5)
    assert sharp.sum() > 300 and (brought - places).norm(dim=-1)[sharp].max() < 0.25
    eye = torch.tensor([0.0, 0, source.distance]) @ torch.from_numpy(source.turn)
    facing = (places * (eye - places)).sum(-1) / RADIUS / (eye - places).norm(dim=-1)
    assert not made.seen[facing < -0.15].any()  # on the far side
    assert made.seen[(facing > 0.5) & (made.flow.abs().amax(-1) < 0.95)].all()


def test_a_mirror_image_is_found_on_the_other_half() -> None:
    """Of a ball turned aside, the half that is turned away is shown by the other: its flow is that of the mirrored
    place, which the source shows though not the place itself."""
    source, target = viewpoint(45), viewpoint(-45)
    made = between(source, target)
    only_mirrored = made.mirrored_seen & ~made.seen
    assert only_mirrored.sum() > 200
    place = ball(target)[None][only_mirrored]
    assert np.allclose(
        made.mirrored[only_mirrored].numpy(), project_one(place.numpy() * [-1, 1, 1], source.row), atol=1e-4
    )
    assert (place[:, 0] > 0).float().mean() != pytest.approx(0.5, abs=0.1)


def test_the_half_that_is_seen_better_is_taken() -> None:
    made = between(viewpoint(40), viewpoint(0))
    places = ball(viewpoint(0))[None]
    both = made.seen & made.mirrored_seen
    assert made.better[made.seen & ~made.mirrored_seen].all() and not made.better[~made.seen].any()
    left = both & (places[..., 0] < -3.7)  # turned aside, the ball nearly hides one of them
    right = both & (places[..., 0] > 3.7)
    assert min(left.sum(), right.sum()) > 10
    one, other = made.better[left].float().mean(), made.better[right].float().mean()
    assert max(one, other) > 0.95 and min(one, other) < 0.5


def test_magnification_is_an_area() -> None:
    grid = pixel_grid()[None]
    assert torch.allclose(magnification(grid * torch.tensor([0.5, 0.8])), 0.4 * magnification(grid), rtol=1e-4)


def test_a_misaligned_source_is_met_by_a_misaligned_flow() -> None:
    """Moving the misaligned source by the corrected flow gives what moving the source by the flow did."""
    axis = torch.linspace(-1, 1, SIZE)
    source = torch.stack([torch.sin(3 * axis)[None].expand(SIZE, -1), torch.cos(2 * axis)[:, None].expand(-1, SIZE)])
    pictures = source[None].repeat(4, 1, 1, 1)
    knobs = Augmentation(shift=0.02, scale=0.05, roll=5.0)
    theta = misalignment(4, knobs, torch.Generator().manual_seed(1))
    flow = (0.6 * pixel_grid())[None].repeat(4, 1, 1, 1)
    expected = F.grid_sample(pictures, flow, align_corners=False)
    moved = F.grid_sample(misaligned(pictures, theta), misaligned_flow(flow, theta), align_corners=False)
    assert torch.allclose(moved, expected, atol=0.01)
    wrong = F.grid_sample(misaligned(pictures, theta), flow, align_corners=False)
    assert not torch.allclose(wrong, expected, atol=0.03)


def test_mirrored_pictures_have_a_mirrored_flow() -> None:
    pictures = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    flow = pixel_grid() + 0.2 * torch.randn(2, SIZE, SIZE, 2, generator=torch.Generator().manual_seed(1))
    made = F.grid_sample(pictures.flip(3), mirrored_flow(flow), align_corners=False)
    assert torch.allclose(made, F.grid_sample(pictures, flow, align_corners=False).flip(3), atol=1e-4)
