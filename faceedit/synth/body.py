"""A person's whole mesh: the head, and hair, glasses and earrings that fit it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.synth.hair import hair_mesh
from faceedit.synth.head import LANDMARKS, Floats, MorphableHead, Part
from faceedit.synth.mesh import Mesh, ball, concatenate, curve, tube, vertex_normals
from faceedit.synth.person import Earrings, Glasses, Person


def build_person(head: MorphableHead, person: Person, expression: Floats | None = None) -> tuple[Mesh, Floats]:
    """The whole person as one mesh, making a face (weights of the head's expression shapes; None: the model's neutral
    one with a closed mouth), and the 68 landmarks (68, 3) of the face."""
    if expression is None:
        head = head.without(Part.GUMS, Part.TEETH)
    vertices = head.shape(person.shape, expression)
    skin = Mesh(
        positions=vertices,
        normals=vertex_normals(vertices, head.triangles),
        canonical=head.mean,
        tangents=np.zeros_like(vertices),
        triangles=head.triangles,
        parts=head.parts,
    )
    meshes = [skin]
    if person.hair.style not in ("bald", "buzz"):
        meshes.append(hair_mesh(skin, person.hair, person.texture_seed))
    landmarks = vertices[LANDMARKS]
    if person.glasses is not None:
        meshes.append(_glasses_mesh(person.glasses, landmarks))
    if person.earrings is not None:
        meshes.append(_earrings_mesh(person.earrings, vertices[_lobes(head)]))
    return concatenate(meshes), landmarks


def lens_depth(landmarks: Floats) -> float:
    """How far before the head's centre the lenses stand, in centimetres."""
    return max(float(landmarks[27, 2]), float(landmarks[36:48, 2].max()) + 0.8) + 0.35


def _glasses_mesh(glasses: Glasses, landmarks: Floats) -> Mesh:
    """Two rims, a bridge and two temples, as tubes along curves."""
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    depth = lens_depth(landmarks)
    turn = np.linspace(0, 2 * np.pi, 49)
    curves = []
    for eye in eyes:
        power = 2 / glasses.squareness
        x = eye[0] + glasses.width * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
        y = eye[1] - 0.2 + glasses.width * glasses.aspect * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
        curves.append(np.stack([x, y, depth - 0.018 * x**2], -1))
    height = float(eyes[0][1] + eyes[1][1]) / 2 + 0.35
    inner = [eyes[0][0] + glasses.width, eyes[1][0] - glasses.width]
    curves.append(curve([inner[0], height, depth], [0, height + 0.25, depth + 0.2], [inner[1], height, depth]))
    for side, eye in ((-1, eyes[0]), (1, eyes[1])):
        hinge = float(eye[0]) + side * glasses.width
        start = [hinge, height, depth - 0.018 * hinge**2]
        curves.append(curve(start, [side * 7.9, height + 0.1, depth - 4.5], [side * 8.1, height, 0.5]))
    return concatenate([tube(line, glasses.wire, Part.GLASSES) for line in curves])


def _lobes(head: MorphableHead) -> NDArray[np.int64]:
    """The vertices at the lower ends of both ears."""
    x, y, z = head.mean.T
    ear = (np.abs(x) > 7.3) & (np.abs(z) < 3.5) & (y > -3) & (y < 7)
    return np.array([np.flatnonzero(ear & (side * x > 0))[np.argmin(y[ear & (side * x > 0)])] for side in (-1, 1)])


def _earrings_mesh(earrings: Earrings, lobes: Floats) -> Mesh:
    if not earrings.hoop:
        low = np.array([0.0, -0.6 * earrings.radius, 0.3], np.float32)
        return concatenate([ball(lobe + low, earrings.radius, Part.JEWEL) for lobe in lobes])
    turn = np.linspace(0, 2 * np.pi, 25)[:, None]
    ring = earrings.radius * np.concatenate([0 * turn, np.cos(turn) - 1, np.sin(turn)], 1)
    return concatenate([tube((lobe + ring).astype(np.float32), 0.12, Part.JEWEL) for lobe in lobes])
