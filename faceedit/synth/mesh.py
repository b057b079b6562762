"""Triangle meshes of a scene: the person's head, and hair and glasses built to fit it.

Every vertex carries its position, its normal, and where it lies in the canonical (mean) head, so that materials can
be painted once in canonical coordinates and fit every person. Hair carries (azimuth, arc, 0) there instead, and its
tangent points along the strands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from faceedit.synth.head import LANDMARKS, Floats, Ints, MorphableHead, Part
from faceedit.synth.person import Glasses, Hair, Person

SKULL_CENTRE = np.array([0.0, 4.5, 0.0], np.float32)
_DOME_STEP = 9.0  # centimetres that one unit of arc hangs below the level of the skull's centre
_AZIMUTHS, _ARCS = 145, 48


@dataclass(frozen=True)
class Mesh:
    """positions, normals, canonical, tangents: (V, 3) float32; triangles: (T, 3); parts: (T,) of `Part`."""

    positions: Floats
    normals: Floats
    canonical: Floats
    tangents: Floats
    triangles: Ints
    parts: NDArray[np.uint8]


def build_person(head: MorphableHead, person: Person, expression: Floats | None = None) -> tuple[Mesh, Floats]:
    """The whole person as one mesh, making a face (weights of the head's expression shapes; None: the model's neutral
    one with a closed mouth), and the 68 landmarks (68, 3) of the face."""
    if expression is None:
        head = head.without(Part.GUMS, Part.TEETH)
    vertices = head.shape(person.shape, expression)
    skin = Mesh(
        positions=vertices,
        normals=_vertex_normals(vertices, head.triangles),
        canonical=head.mean,
        tangents=np.zeros_like(vertices),
        triangles=head.triangles,
        parts=head.parts,
    )
    meshes = [skin]
    if person.hair.style not in ("bald", "buzz"):
        meshes.append(_hair_mesh(skin, person.hair, person.texture_seed))
    landmarks = vertices[LANDMARKS]
    if person.glasses is not None:
        meshes.append(_glasses_mesh(person.glasses, landmarks))
    return _concatenate(meshes), landmarks


def ray_scene(mesh: Mesh) -> EmbreeScene:
    """The mesh as an Embree scene, whose primID is the triangle's row."""
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.positions, mesh.triangles)
    return scene


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
    elif hair.style == "fringe":
        hang = 1 + max(hair.length, 4.0 + 4 * hair.volume) / _DOME_STEP
        arcs = [0.83, 0.84, 0.87, 1.0, hang, hang, hang, hang, hang, hang]
    else:
        arcs = [front, temple, temple + 0.03, 0.80, 1.00, 1.14, 0.88, 0.86, 1.45, 1.75]
    sweep = 0.05 * hair.part * np.sin(np.radians(azimuth)) * (around < 70)
    return np.asarray(np.interp(around, angles, arcs) - sweep, dtype=np.float32)


def _hair_mesh(skin: Mesh, hair: Hair, seed: int) -> Mesh:
    """A shell over the skull: one strand of vertices per azimuth, from the crown to the end of the hair."""
    rng = np.random.default_rng([seed, 1])
    azimuth = np.linspace(-180, 180, _AZIMUTHS, dtype=np.float32)
    uneven = 0.03 if hair.style == "fringe" else 0.018
    wisps = np.interp(azimuth, np.linspace(-180, 180, 73), rng.normal(size=73) * uneven)
    end = hairline(hair, azimuth) + wisps.astype(np.float32)
    arc = np.linspace(0.02, 1, _ARCS, dtype=np.float32)[None, :] * end[:, None]  # (azimuths, arcs)
    base, outward = _skull_surface(skin, azimuth, arc, hanging=hair.length > 0 or hair.style == "fringe")
    thickness = _hair_thickness(hair, rng, azimuth, arc, end)
    grid = base + outward * thickness[..., None]
    tangent = np.gradient(grid, axis=1)
    normal = np.cross(np.gradient(grid, axis=0), tangent)
    canonical = np.stack([np.broadcast_to(azimuth[:, None], arc.shape), arc, thickness], -1)
    triangles = _grid_triangles(_AZIMUTHS, _ARCS)
    return Mesh(
        positions=grid.reshape(-1, 3).astype(np.float32),
        normals=unit(normal.reshape(-1, 3)),
        canonical=canonical.reshape(-1, 3).astype(np.float32),
        tangents=unit(tangent.reshape(-1, 3)),
        triangles=triangles,
        parts=np.full(len(triangles), Part.HAIR, np.uint8),
    )


def _hair_thickness(hair: Hair, rng: np.random.Generator, azimuth: Floats, arc: Floats, end: Floats) -> Floats:
    hangs = hair.style in ("long", "bob", "fringe")
    ramp = 0.10 if hair.style == "fringe" else 0.22
    rise = np.clip((end[:, None] - arc) / ramp, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    around = np.abs(azimuth)[:, None]
    if hangs:  # the ends of hanging hair keep their body; in front of the ears it lies close to the cheek
        rise = np.where(around > 52, np.maximum(rise, 0.75), rise)
        close = np.clip((around - 62) / 34, 0.12, 1)
        rise = np.where(arc > 0.75, rise * np.maximum(close, np.clip(1 - (arc - 0.75) / 0.2, 0, 1)), rise)
    volume = hair.volume * (1.25 if hangs else 1.0)
    waves = 1 + 0.12 * _smooth_noise(rng, arc.shape, 14, 6)
    strands = 1 + hair.wave * 0.25 * _smooth_noise(rng, arc.shape, 48, 8)
    lift = 0.18 if hair.style == "fringe" else 0.08
    over_ears = 0.5 * np.exp(-(((around - 95) / 16) ** 2)) * (arc > 0.8) * hangs
    thickness = lift + (volume * rise + over_ears) * waves * strands
    return np.asarray(thickness, dtype=np.float32)


def _skull_surface(skin: Mesh, azimuth: Floats, arc: Floats, hanging: bool) -> tuple[Floats, Floats]:
    """The head's outermost surface along each azimuth and arc, (A, S, 3), and the outward direction there."""
    elevation = np.radians(90 * (1 - np.minimum(arc, 1)))
    a = np.radians(azimuth)[:, None]
    outward = np.stack([np.sin(a) * np.cos(elevation), np.sin(elevation), np.cos(a) * np.cos(elevation)], -1).astype(
        np.float32
    )
    below = np.maximum(arc - 1, 0) * _DOME_STEP
    centre = (SKULL_CENTRE - below[..., None] * np.array([0, 1, 0])).astype(np.float32)
    radius = _outer_radius(skin, centre.reshape(-1, 3), outward.reshape(-1, 3)).reshape(arc.shape)
    if hanging:  # hair falls from the widest point above it instead of following the neck
        level = np.argmin(np.abs(arc - 0.97), axis=1)
        widest = np.take_along_axis(radius, level[:, None], 1)
        slope = np.where(np.abs(azimuth) < 85, 0.13, 0.03)[:, None]  # locks at the face follow the cheek
        fallen = widest - slope * below
        radius = np.where(arc > 0.97, np.maximum(fallen, np.minimum(radius, widest)), radius)
    return (centre + outward * radius[..., None]).astype(np.float32), outward


def _outer_radius(skin: Mesh, centres: Floats, directions: Floats, far: float = 40.0) -> Floats:
    """Distance from each centre to the outermost surface of the head along each direction."""
    origins = np.ascontiguousarray(centres + directions * far, dtype=np.float32)
    hits = ray_scene(skin).run(origins, np.ascontiguousarray(-directions), output=True)
    radius = np.where(hits["primID"] >= 0, far - hits["tfar"], 7.5)
    return np.asarray(np.clip(radius, 3.0, 13.0), dtype=np.float32)


def _glasses_mesh(glasses: Glasses, landmarks: Floats) -> Mesh:
    """Two rims, a bridge and two temples, as tubes along curves."""
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    depth = max(float(landmarks[27, 2]), float(landmarks[36:48, 2].max()) + 0.8) + 0.35
    turn = np.linspace(0, 2 * np.pi, 49)
    curves = []
    for eye in eyes:
        power = 2 / glasses.squareness
        x = eye[0] + glasses.width * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
        y = eye[1] - 0.2 + glasses.width * glasses.aspect * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
        curves.append(np.stack([x, y, depth - 0.018 * x**2], -1))
    height = float(eyes[0][1] + eyes[1][1]) / 2 + 0.35
    inner = [eyes[0][0] + glasses.width, eyes[1][0] - glasses.width]
    curves.append(_curve([inner[0], height, depth], [0, height + 0.25, depth + 0.2], [inner[1], height, depth]))
    for side, eye in ((-1, eyes[0]), (1, eyes[1])):
        hinge = float(eye[0]) + side * glasses.width
        start = [hinge, height, depth - 0.018 * hinge**2]
        curves.append(_curve(start, [side * 7.9, height + 0.1, depth - 4.5], [side * 8.1, height, 0.5]))
    return _concatenate([_tube(curve, glasses.wire) for curve in curves])


def _curve(start: list[float], middle: list[float], end: list[float]) -> Floats:
    """A quadratic Bezier curve through 24 points."""
    t = np.linspace(0, 1, 24)[:, None]
    a, b, c = np.array(start), np.array(middle), np.array(end)
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c, dtype=np.float32)


def _tube(curve: Floats, radius: float, sides: int = 6) -> Mesh:
    along = unit(np.gradient(curve, axis=0))
    side = unit(np.cross(along, np.array([0.31, 0.22, 0.93])))
    up = np.cross(side, along)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    normal = np.cos(angle) * side[:, None] + np.sin(angle) * up[:, None]  # (points, sides + 1, 3)
    positions = curve[:, None] + radius * normal
    triangles = _grid_triangles(len(curve), sides + 1)
    flat = normal.reshape(-1, 3).astype(np.float32)
    return Mesh(
        positions=positions.reshape(-1, 3).astype(np.float32),
        normals=flat,
        canonical=np.zeros_like(flat),
        tangents=np.zeros_like(flat),
        triangles=triangles,
        parts=np.full(len(triangles), Part.GLASSES, np.uint8),
    )


def _grid_triangles(rows: int, columns: int) -> Ints:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    first = np.stack([corner, corner + columns, corner + columns + 1], -1)
    second = np.stack([corner, corner + columns + 1, corner + 1], -1)
    return np.concatenate([first, second]).astype(np.int32)


def _vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)  # length = twice the area, so large triangles weigh more
    normals = np.zeros(vertices.shape, np.float64)
    for i in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, i], face[:, axis], len(vertices))
    return unit(normals)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], rows: int, columns: int) -> Floats:
    """Noise of unit spread over a (rows x columns) lattice, stretched linearly to `shape`; periodic in rows."""
    lattice = rng.normal(size=(rows, columns))
    lattice = np.concatenate([lattice, lattice[:1]])
    y = np.linspace(0, rows, shape[0])
    x = np.linspace(0, columns - 1, shape[1])
    wide = np.stack([np.interp(x, np.arange(columns), row) for row in lattice])
    tall = np.stack([np.interp(y, np.arange(rows + 1), column) for column in wide.T], -1)
    return tall.astype(np.float32)


def unit(vectors: NDArray[np.floating]) -> Floats:
    """The vectors (..., 3) scaled to length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), dtype=np.float32)


def _concatenate(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.positions) for mesh in meshes[:-1])])
    return Mesh(
        positions=np.concatenate([m.positions for m in meshes]),
        normals=np.concatenate([m.normals for m in meshes]),
        canonical=np.concatenate([m.canonical for m in meshes]),
        tangents=np.concatenate([m.tangents for m in meshes]),
        triangles=np.concatenate([m.triangles + s for m, s in zip(meshes, starts, strict=True)]).astype(np.int32),
        parts=np.concatenate([m.parts for m in meshes]),
    )
