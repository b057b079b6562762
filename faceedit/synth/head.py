"""The morphable head: a mean mesh, identity modes, and the parts a renderer needs.

Reads both forms of the ICT Face Model Light (MIT licence, USC Institute for Creative Technologies, 2020):
the upstream folder `FaceXModel/` with its .obj files, and one compact .npz of the same numbers.
Units are about 1 cm; +x is the image's right in a frontal view, +y up, +z out of the face.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import FaceModelError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Vertices of the 68 landmarks in the Multi-PIE mark-up: 0..16 jaw, 17..26 brows, 27..35 nose, 36..47 eyes,
# 48..67 lips; 8 is the chin.
LANDMARKS = np.array(
    """1225 1888 1052 367 1719 1722 2199 1447 966 3661 4390 3927 3924 2608 3272 4088 3443 268 493 1914 2044
    1401 3615 4240 4114 2734 2509 978 4527 4942 4857 1140 2075 1147 4269 3360 1507 1542 1537 1528 1518 1511
    3742 3751 3756 3721 3725 3732 5708 5695 2081 0 4275 6200 6213 6346 6461 5518 5957 5841 5702 5711 5533
    6216 6207 6470 5517 5966""".split(),
    dtype=np.int32,
)
VERTICES = 26_719


class Part(IntEnum):
    """What a triangle of the scene is made of."""

    FACE = 0
    HEAD = 1
    SCLERA = 2
    IRIS = 3
    HAIR = 4
    GLASSES = 5
    GUMS = 6
    TEETH = 7
    JEWEL = 8


_MATERIAL_PARTS = {
    "M_Face": Part.FACE,
    "M_BackHead": Part.HEAD,
    "M_ScleraLeft": Part.SCLERA,
    "M_ScleraRight": Part.SCLERA,
    "M_IrisLeft": Part.IRIS,
    "M_IrisRight": Part.IRIS,
    "M_GumsTongue": Part.GUMS,
    "M_Teeth": Part.TEETH,
}
_EXPRESSIONS = "ict_expressions.npz"


@dataclass(frozen=True)
class MorphableHead:
    """Mean shape and modes of the head, reduced to the parts that a picture shows.

    mean: (26719, 3) float32 centimetres; modes: (K, 26719, 3) offsets for coefficients drawn from N(0, 1);
    triangles: (T, 3) int32 into the vertices; parts: (T,) the `Part` of each triangle; expression_names: the shapes
    that a face can make; expressions: (E, 26719, 3) their offsets, for weights in 0..1 (E = 0 where there are none).
    """

    mean: Floats
    modes: Floats
    triangles: Ints
    parts: NDArray[np.uint8]
    expression_names: tuple[str, ...] = ()
    expressions: Floats = field(default_factory=lambda: np.zeros((0, VERTICES, 3), np.float32), repr=False)

    def shape(self, coefficients: NDArray[np.floating], expression: NDArray[np.floating] | None = None) -> Floats:
        """Vertices (26719, 3) of the person with these mode coefficients, at most K of them, making this face:
        weights (E,) of the expression shapes."""
        k = len(coefficients)
        offsets = np.tensordot(coefficients.astype(np.float32), self.modes[:k], axes=1)
        if expression is not None:
            offsets = offsets + np.tensordot(expression.astype(np.float32), self.expressions, axes=1)
        return self.mean + np.asarray(offsets, dtype=np.float32)

    def require_expressions(self) -> None:
        """Raise FaceModelError where the head has no expression shapes."""
        if not len(self.expressions):
            raise FaceModelError(
                f"the face model has no expression shapes: put {_EXPRESSIONS} or upstream's .obj files beside it"
            )

    def without(self, *parts: Part) -> MorphableHead:
        """The same head without the triangles of these parts."""
        keep = ~np.isin(self.parts, parts)
        return replace(self, triangles=self.triangles[keep], parts=self.parts[keep])


def load_head(path: Path) -> MorphableHead:
    """Read the head from a `FaceXModel` folder, a folder that holds one, or the compact .npz.

    Raises FaceModelError when the path holds neither form.
    """
    if not path.exists():
        raise FaceModelError(f"no face model at {path}: give the ICT-FaceKit folder FaceXModel/ or ict_face_light.npz")
    if path.is_file():
        return _with_expressions(_load_npz(path), path.parent)
    for folder in (path, path / "FaceXModel"):
        if (folder / "generic_neutral_mesh.obj").is_file():
            compact = path / "ict_face_light.npz"
            head = _load_npz(compact) if compact.is_file() else _load_obj_folder(folder)
            return _with_expressions(head, path if (path / _EXPRESSIONS).is_file() else folder)
    if (path / "ict_face_light.npz").is_file():
        return _with_expressions(_load_npz(path / "ict_face_light.npz"), path)
    raise FaceModelError(
        f"{path} holds neither FaceXModel/generic_neutral_mesh.obj nor ict_face_light.npz: "
        "give the folder of the ICT Face Model Light"
    )


def _with_expressions(head: MorphableHead, folder: Path) -> MorphableHead:
    """The head with the expression shapes that lie in the folder: one .npz, or upstream's .obj files by name."""
    file = folder / _EXPRESSIONS
    if file.is_file():
        try:
            with np.load(file, allow_pickle=False) as data:
                names, offsets = tuple(map(str, data["names"])), data["offsets"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise FaceModelError(f"{file} holds no expression shapes: {error}") from error
        if offsets.shape != (len(names), VERTICES, 3):
            raise FaceModelError(f"{file} holds shapes {offsets.shape}, not of the ICT Face Model Light")
        return replace(head, expression_names=names, expressions=offsets)
    shapes = sorted(p for p in folder.glob("*.obj") if not re.match(r"identity|generic", p.name))
    if not shapes:
        return head
    offsets = np.stack([_read_obj(shape)[0] - head.mean for shape in shapes])
    return replace(head, expression_names=tuple(shape.stem for shape in shapes), expressions=offsets)


def _load_npz(path: Path) -> MorphableHead:
    try:
        with np.load(path, allow_pickle=False) as data:
            mean, modes = data["mean"], data["modes"]
            quads, materials = data["quads"], data["names"][data["mat"]]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise FaceModelError(f"{path} is not the compact face model: {error}") from error
    return _head(mean, modes, quads, [str(name) for name in materials])


def _load_obj_folder(folder: Path) -> MorphableHead:
    mean, quads, materials = _read_obj(folder / "generic_neutral_mesh.obj")
    files = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    if not files:
        raise FaceModelError(f"{folder} holds no identity000.obj: the identity modes are missing")
    modes = np.stack([_read_obj(file)[0] - mean for file in files])
    return _head(mean, modes, quads, materials)


def _head(mean: NDArray[np.floating], modes: NDArray[np.floating], quads: Ints, materials: list[str]) -> MorphableHead:
    if mean.shape != (VERTICES, 3) or modes.shape[1:] != (VERTICES, 3):
        raise FaceModelError(f"a mesh of {len(mean)} vertices is not the ICT Face Model Light ({VERTICES} vertices)")
    chosen = np.array([name in _MATERIAL_PARTS for name in materials])
    parts = np.array([_MATERIAL_PARTS.get(name, 0) for name in materials], dtype=np.uint8)[chosen]
    quads = quads[chosen]
    first, second = quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]
    real = second[:, 1] != second[:, 2]  # a triangle repeats its last index
    return MorphableHead(
        mean=mean.astype(np.float32),
        modes=modes.astype(np.float32),
        triangles=np.concatenate([first, second[real]]).astype(np.int32),
        parts=np.concatenate([parts, parts[real]]),
    )


def _read_obj(path: Path) -> tuple[Floats, Ints, list[str]]:
    """Vertices (V, 3), quads (Q, 4) and each quad's material name of a Wavefront file."""
    vertices: list[list[float]] = []
    quads: list[list[int]] = []
    materials: list[str] = []
    material = ""
    corner = re.compile(r"(\d+)(?:/\d*)*")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("v "):
            vertices.append([float(word) for word in line.split()[1:4]])
        elif line.startswith("usemtl "):
            material = line.split(maxsplit=1)[1].strip()
        elif line.startswith("f "):
            index = [int(match) - 1 for match in corner.findall(line[2:])]
            quads.append(index if len(index) == 4 else [*index, index[-1]])
            materials.append(material)
    if not vertices:
        raise FaceModelError(f"{path} holds no vertices: it is not a Wavefront .obj file")
    return np.array(vertices, np.float32), np.array(quads, np.int32).reshape(-1, 4), materials
