"""Triangle meshes, and the shapes that hair, glasses and jewellery are made of.

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

from faceedit.synth.head import Floats, Ints, Part


@dataclass(frozen=True)
class Mesh:
    """positions, normals, canonical, tangents: (V, 3) float32; triangles: (T, 3); parts: (T,) of `Part`."""

    positions: Floats
    normals: Floats
    canonical: Floats
    tangents: Floats
    triangles: Ints
    parts: NDArray[np.uint8]


def ray_scene(mesh: Mesh) -> EmbreeScene:
    """The mesh as an Embree scene, whose primID is the triangle's row."""
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.positions, mesh.triangles)
    return scene


def curve(start: list[float], middle: list[float], end: list[float]) -> Floats:
    """A quadratic Bezier curve through 24 points."""
    t = np.linspace(0, 1, 24)[:, None]
    a, b, c = np.array(start), np.array(middle), np.array(end)
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c, dtype=np.float32)


def tube(line: Floats, radius: float | Floats, part: Part, canonical: Floats | None = None, sides: int = 6) -> Mesh:
    """A tube about a line (N, 3), of one radius or of one at every point; canonical (N, 3), or zeros."""
    along = unit(np.gradient(line, axis=0))
    side = unit(np.cross(along, np.array([0.31, 0.22, 0.93])))
    up = np.cross(side, along)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    normal = np.cos(angle) * side[:, None] + np.sin(angle) * up[:, None]  # (points, sides + 1, 3)
    positions = line[:, None] + np.broadcast_to(radius, len(line))[:, None, None] * normal
    around = (1, sides + 1, 1)
    where = np.zeros((len(line), 3)) if canonical is None else canonical
    return _sheet(positions, normal, np.tile(where[:, None], around), np.tile(along[:, None], around), part)


def ball(centre: Floats, radius: float, part: Part, canonical: Floats | None = None) -> Mesh:
    """A sphere of 8 x 12 quads; canonical (3,) of all its points, or zeros."""
    down = np.linspace(0.02, np.pi - 0.02, 9)[:, None]
    around = np.linspace(0, 2 * np.pi, 13)[None, :]
    normal = np.stack([np.sin(down) * np.cos(around), np.cos(down) + 0 * around, np.sin(down) * np.sin(around)], -1)
    where = np.zeros(3) if canonical is None else canonical
    tangent = np.gradient(normal, axis=0)
    return _sheet(centre + radius * normal, normal, np.broadcast_to(where, normal.shape), tangent, part)


def _sheet(
    positions: NDArray[np.floating],
    normals: NDArray[np.floating],
    canonical: NDArray[np.floating],
    tangents: NDArray[np.floating],
    part: Part,
) -> Mesh:
    """A grid of points (R, C, 3) as a mesh of one part."""
    triangles = grid_triangles(*positions.shape[:2])
    return Mesh(
        positions=positions.reshape(-1, 3).astype(np.float32),
        normals=unit(normals.reshape(-1, 3)),
        canonical=canonical.reshape(-1, 3).astype(np.float32),
        tangents=unit(tangents.reshape(-1, 3)),
        triangles=triangles,
        parts=np.full(len(triangles), part, np.uint8),
    )


def sheet(positions: Floats, canonical: Floats, part: Part) -> Mesh:
    """A grid of points (R, C, 3) as a mesh of one part, whose tangent points along the rows."""
    tangent = np.gradient(positions, axis=1)
    return _sheet(positions, np.cross(np.gradient(positions, axis=0), tangent), canonical, tangent, part)


def grid_triangles(rows: int, columns: int) -> Ints:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    first = np.stack([corner, corner + columns, corner + columns + 1], -1)
    second = np.stack([corner, corner + columns + 1, corner + 1], -1)
    return np.concatenate([first, second]).astype(np.int32)


def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)  # length = twice the area, so large triangles weigh more
    normals = np.zeros(vertices.shape, np.float64)
    for i in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, i], face[:, axis], len(vertices))
    return unit(normals)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], rows: int, columns: int) -> Floats:
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
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return np.asarray(vectors / np.maximum(length, 1e-9), dtype=np.float32)


def concatenate(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.positions) for mesh in meshes[:-1])])
    return Mesh(
        positions=np.concatenate([m.positions for m in meshes]),
        normals=np.concatenate([m.normals for m in meshes]),
        canonical=np.concatenate([m.canonical for m in meshes]),
        tangents=np.concatenate([m.tangents for m in meshes]),
        triangles=np.concatenate([m.triangles + s for m, s in zip(meshes, starts, strict=True)]).astype(np.int32),
        parts=np.concatenate([m.parts for m in meshes]),
    )
