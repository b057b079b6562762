"""Hair: a shell over the skull that ends at the hairline, curls, a bun or a tail, and strands that are out of place."""

from __future__ import annotations

import numpy as np

from faceedit.synth.head import Floats, Part
from faceedit.synth.mesh import Mesh, ball, concatenate, ray_scene, sheet, smooth_noise, tube
from faceedit.synth.person import Hair

SKULL_CENTRE = np.array([0.0, 4.5, 0.0], np.float32)
_DOME_STEP = 9.0  # centimetres that one unit of arc hangs below the level of the skull's centre
_AZIMUTHS, _ARCS = 145, 48
_STRANDS, _STRAND_POINTS = 110, 14
_FRINGE = (0.83, 0.84, 0.87, 1.0)  # where a fringe ends on the forehead
_HANGING = ("long", "bob", "fringe")


def hair_arc(points: Floats) -> tuple[Floats, Floats]:
    """Azimuth in degrees (0 = front, signed) and arc (0 = crown, 1 = level of the skull's centre) of (N, 3)."""
    p = points - SKULL_CENTRE
    azimuth = np.degrees(np.arctan2(p[:, 0], p[:, 2]))
    elevation = np.degrees(np.arctan2(p[:, 1], np.hypot(p[:, 0], p[:, 2])))
    arc = np.where(elevation >= 0, 1 - elevation / 90, 1 - p[:, 1] / _DOME_STEP)
    return azimuth.astype(np.float32), arc.astype(np.float32)


def hairline(hair: Hair, azimuth: Floats) -> Floats:
    """Arc at which the hair ends in each direction: the forehead's hairline, temples, ears and nape."""
    around = np.abs(azimuth)
    angles = [0.0, 25, 42, 56, 68, 76, 84, 98, 112, 180]
    front = 0.71 - hair.hairline
    temple = front - hair.recession
    if hair.style in ("long", "bob"):
        hang = 1 + (hair.length - 0.9) / _DOME_STEP
        arcs = [front, front + 0.02, front + 0.09, 0.95, hang - 0.12, hang, hang, hang, hang, hang]
        if abs(hair.part) > 0.5:  # falls over the sides of the forehead
            arcs[1:4] = [front + 0.04, front + 0.16, hang - 0.35]
        if hair.fringe:
            arcs[:4] = [arc + hair.fringe * max(0.0, cut - arc) for arc, cut in zip(arcs, _FRINGE, strict=False)]
    elif hair.style == "fringe":
        hang = 1 + max(hair.length, 4.0 + 4 * hair.volume) / _DOME_STEP
        arcs = [*_FRINGE, *[hang] * 6]
    elif hair.style == "tied":
        arcs = [front, front + 0.01, front + 0.05, 0.84, 0.97, 1.06, 0.88, 0.86, 1.40, 1.60]
    else:
        arcs = [front, temple, temple + 0.03, 0.80, 1.00, 1.14, 0.88, 0.86, 1.45, 1.75]
    sweep = 0.05 * hair.part * np.sin(np.radians(azimuth)) * (around < 70)
    return np.asarray(np.interp(around, angles, arcs) - sweep, dtype=np.float32)


def hair_mesh(skin: Mesh, hair: Hair, seed: int) -> Mesh:
    """A shell over the skull, one row of vertices per azimuth, from the crown to the end of the hair; and what leaves
    the shell."""
    rng = np.random.default_rng([seed, 1])
    azimuth = np.linspace(-180, 180, _AZIMUTHS, dtype=np.float32)
    uneven = (0.03 if hair.style == "fringe" else 0.018) * (1 + hair.strands)
    wisps = np.interp(azimuth, np.linspace(-180, 180, 73), rng.normal(size=73) * uneven)
    end = hairline(hair, azimuth) + wisps.astype(np.float32)
    arc = np.linspace(0.02, 1, _ARCS, dtype=np.float32)[None, :] * end[:, None]  # (azimuths, arcs)
    around = np.broadcast_to(azimuth[:, None], arc.shape)
    hanging = hair.length > 0 or hair.style == "fringe"
    base, outward = _skull_surface(skin, around, arc, hanging)
    thickness = _hair_thickness(hair, rng, azimuth, arc, end)
    shell = sheet(base + outward * thickness[..., None], np.stack([around, arc, thickness], -1), Part.HAIR)
    meshes = [shell]
    if hair.style == "tied":
        meshes.append(_tail(hair, rng) if hair.tail else _bun(hair, rng))
    if hair.strands > 0:
        meshes += _strands(skin, hair, rng, azimuth, end, thickness)
    return concatenate(meshes)


def _bun(hair: Hair, rng: np.random.Generator) -> Mesh:
    elevation, radius = np.radians(rng.uniform(0, 75)), rng.uniform(1.8, 3.2)
    centre = SKULL_CENTRE + (9.0 + 0.6 * radius) * np.array([0, np.sin(elevation), -np.cos(elevation)])
    return ball(centre.astype(np.float32), radius, Part.HAIR, np.array([170.0, 0.8, 0.5], np.float32))


def _tail(hair: Hair, rng: np.random.Generator) -> Mesh:
    """A tail from the back of the head, down behind or over a shoulder."""
    t = np.linspace(0, 1, 20)[:, None]
    start, side = np.array([0.0, rng.uniform(3, 9), -9.5]), rng.choice([-1, 0, 0, 1]) * rng.uniform(6, 9)
    end = np.array([side, rng.uniform(-18, -8), 4.0 if side else -8.0])
    middle = np.array([side, 1.0, -11.5])
    line = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    radius = rng.uniform(1.2, 2.2) * np.sqrt(np.clip(np.sin(np.pi * (0.12 + 0.82 * t[:, 0])), 0.05, 1))
    where = np.concatenate([150 + 20 * t, t, np.full_like(t, 0.5)], 1)
    return tube(line.astype(np.float32), radius.astype(np.float32), Part.HAIR, where.astype(np.float32), sides=10)


def _strands(
    skin: Mesh, hair: Hair, rng: np.random.Generator, azimuth: Floats, end: Floats, thickness: Floats
) -> list[Mesh]:
    """Strands that lie on the shell, stand off it, or reach beyond its end."""
    count = int(hair.strands * _STRANDS)
    t = np.linspace(0, 1, _STRAND_POINTS)[None, :]
    start = rng.uniform(-175, 175, (count, 1))
    drift, waves = rng.normal(size=(count, 1)) * 9, rng.normal(size=(count, 1)) * 3
    drift = drift + waves * np.sin(t * rng.uniform(2, 8, (count, 1)))
    around = np.clip(start + drift * t, -180, 180)
    last = np.interp(start, azimuth, end)
    beyond = rng.exponential(0.05 if hair.length else 0.02, (count, 1)) * (1 + hair.wave)
    last = np.minimum(last + beyond, np.maximum(last, 0.9))  # never over the eyes
    first = last * rng.uniform(0.2, 0.8, (count, 1))
    arc = first + (last - first) * t
    hanging = hair.length > 0 or hair.style == "fringe"
    base, outward = _skull_surface(skin, around.astype(np.float32), arc.astype(np.float32), hanging)
    own = np.interp(around, azimuth, end)
    row = np.rint(np.interp(around, azimuth, np.arange(len(azimuth)))).astype(int)
    column = np.clip(np.rint((arc / own - 0.02) * (_ARCS - 1)), 0, _ARCS - 1).astype(int)
    off = rng.exponential(0.16, (count, 1)) * (0.4 + np.sin(np.pi * (0.15 + 0.85 * t)))
    lift = np.maximum(thickness[row, column], 0.1) + off + 0.1 * hair.curl * rng.normal(size=around.shape)
    lines = (base + outward * lift[..., None]).astype(np.float32)
    where = np.stack([around, arc, lift], -1).astype(np.float32)
    taper = np.sqrt(np.clip(np.sin(np.pi * (0.1 + 0.85 * t[0])), 0.05, 1))
    radii = rng.uniform(0.03, 0.11, count)
    return [
        tube(line, (radius * taper).astype(np.float32), Part.HAIR, own_place, sides=3)
        for line, radius, own_place in zip(lines, radii, where, strict=True)
    ]


def _hair_thickness(hair: Hair, rng: np.random.Generator, azimuth: Floats, arc: Floats, end: Floats) -> Floats:
    hangs = hair.style in _HANGING
    ramp = 0.10 if hair.style == "fringe" else 0.22
    rise = np.clip((end[:, None] - arc) / ramp, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    around = np.abs(azimuth)[:, None]
    if hangs:  # the ends of hanging hair keep their body; in front of the ears it lies close to the cheek
        rise = np.where(around > 52, np.maximum(rise, 0.75), rise)
        close = np.clip((around - 62) / 34, 0.12, 1)
        rise = np.where(arc > 0.75, rise * np.maximum(close, np.clip(1 - (arc - 0.75) / 0.2, 0, 1)), rise)
    volume = hair.volume * (1.25 if hangs else 1.0)
    waves = 1 + 0.12 * smooth_noise(rng, arc.shape, 14, 6)
    strands = 1 + hair.wave * 0.25 * smooth_noise(rng, arc.shape, 48, 8)
    lift = 0.18 if hair.style == "fringe" else 0.08
    over_ears = 0.5 * np.exp(-(((around - 95) / 16) ** 2)) * (arc > 0.8) * hangs
    thickness = lift + (volume * rise + over_ears) * waves * strands
    if hair.curl:
        thickness = thickness + hair.curl * np.abs(smooth_noise(rng, arc.shape, 56, 20)) * np.maximum(rise, 0.3)
    return np.asarray(thickness, dtype=np.float32)


def _skull_surface(skin: Mesh, azimuth: Floats, arc: Floats, hanging: bool) -> tuple[Floats, Floats]:
    """The head's outermost surface at azimuths and arcs (A, S), each row downwards: (A, S, 3), and the outward
    direction there."""
    elevation = np.radians(90 * (1 - np.minimum(arc, 1)))
    a = np.radians(azimuth)
    outward = np.stack([np.sin(a) * np.cos(elevation), np.sin(elevation), np.cos(a) * np.cos(elevation)], -1).astype(
        np.float32
    )
    below = np.maximum(arc - 1, 0) * _DOME_STEP
    centre = (SKULL_CENTRE - below[..., None] * np.array([0, 1, 0])).astype(np.float32)
    radius = _outer_radius(skin, centre.reshape(-1, 3), outward.reshape(-1, 3)).reshape(arc.shape)
    if hanging:  # hair falls from the widest point above it instead of following the neck
        level = np.argmin(np.abs(arc - 0.97), axis=1)
        widest = np.take_along_axis(radius, level[:, None], 1)
        slope = np.where(np.abs(azimuth) < 85, 0.13, 0.03)  # locks at the face follow the cheek
        fallen = widest - slope * below
        radius = np.where(arc > 0.97, np.maximum(fallen, np.minimum(radius, widest)), radius)
    return (centre + outward * radius[..., None]).astype(np.float32), outward


def _outer_radius(skin: Mesh, centres: Floats, directions: Floats, far: float = 40.0) -> Floats:
    """Distance from each centre to the outermost surface of the head along each direction."""
    origins = np.ascontiguousarray(centres + directions * far, dtype=np.float32)
    hits = ray_scene(skin).run(origins, np.ascontiguousarray(-directions), output=True)
    radius = np.where(hits["primID"] >= 0, far - hits["tfar"], 7.5)
    return np.asarray(np.clip(radius, 3.0, 13.0), dtype=np.float32)
