"""Photographs of one person: primary, shadow and occlusion rays through Embree, then shading in NumPy.

Shading is physically plain: Lambert with a soft terminator for skin (light that enters and leaves a little further
on, redder than it came), a Blinn-Phong highlight, Kajiya-Kay for hair (Kajiya and Kay, SIGGRAPH 1989), one shadow ray
per sample towards a jittered point of the flash, and ambient light dimmed by cosine-weighted occlusion rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from faceedit.synth.head import Floats, MorphableHead, Part
from faceedit.synth.materials import Painter, Surface
from faceedit.synth.mesh import Mesh, build_person, ray_scene, unit
from faceedit.synth.person import Person, sample_person
from faceedit.synth.scene import ILLUMINATIONS, POSES, Camera, Illumination, Light, background, rotation
from faceedit.synth.variety import Variety, sample_expression, sample_illumination

Images = NDArray[np.uint8]
_SKIN_WRAP = np.array([0.28, 0.13, 0.09], np.float32)  # how far light leaks past the terminator, per channel
_OCCLUSION_RAYS, _OCCLUSION_REACH = 8, 14.0


@dataclass(frozen=True)
class Photographs:
    """One identity's pictures: images (P, L, S, S, 3) uint8 sRGB before their camera's background, masks
    (P, S, S) uint8 alpha (255 = person, 0 = background), yaws (P,) the true yaw in degrees."""

    images: Images
    masks: Images
    yaws: tuple[float, ...]


def photograph(head: MorphableHead, seed: int, camera: Camera | None = None) -> Photographs:
    """Render the person of this seed at all poses under all illuminations, before each camera's background."""
    rng = np.random.default_rng([seed, 0xCA11])
    person = sample_person(seed, len(head.modes))
    camera = camera or Camera()
    backgrounds = [background(pose, camera.size) for pose in POSES]
    return _session(head, person, None, ILLUMINATIONS, camera, backgrounds, rng)


def photograph_variety(head: MorphableHead, seed: int, camera: Camera, variety: Variety) -> list[Photographs]:
    """Render the person of this seed making each of the variety's faces, at all poses under lights of their own, on
    black. Raises FaceModelError where the head has no expression shapes."""
    head.require_expressions()
    rng = np.random.default_rng([seed, 0xD1FF])
    person = sample_person(seed, len(head.modes), variety)
    camera = replace(camera, yaw_jitter=variety.yaw, pitch_jitter=variety.pitch, roll_jitter=variety.roll)
    lights = [sample_illumination(variety, rng) for _ in range(variety.lights)]
    black = [np.zeros((camera.size, camera.size, 3), np.uint8)] * len(POSES)
    return [
        _session(
            head, person, sample_expression(number, variety, head.expression_names, rng), lights, camera, black, rng
        )
        for number in range(variety.expressions)
    ]


def _session(
    head: MorphableHead, person: Person, expression: Floats | None, lights: Sequence[Illumination], camera: Camera,
    backgrounds: Sequence[Images], rng: np.random.Generator,
) -> Photographs:  # fmt: skip
    """One person making one face, at all poses under these lights."""
    mesh, landmarks = build_person(head, person, expression)
    scene, painter = ray_scene(mesh), Painter(head, person)
    images, masks, yaws = [], [], []
    for pose, behind in zip(POSES, backgrounds, strict=True):
        jitter = rng.normal(size=3) * [camera.yaw_jitter, camera.pitch_jitter, camera.roll_jitter]
        view = _View(mesh, scene, landmarks, rotation(pose + jitter[0], jitter[1], jitter[2]), camera)
        surface = painter.paint(view.canonical, view.parts)
        open_sky = _occlusion(scene, view, rng)
        masks.append(view.mask())
        shots = [view.develop(_shade(scene, view, surface, open_sky, light, rng), behind) for light in lights]
        images.append(np.stack(shots))
        yaws.append(float(pose + jitter[0]))
    return Photographs(np.stack(images), np.stack(masks), tuple(yaws))


class _View:
    """What each sample of one camera's crop sees of the head, in head coordinates."""

    def __init__(self, mesh: Mesh, scene: EmbreeScene, landmarks: Floats, turn: Floats, camera: Camera) -> None:
        self._camera, self._side = camera, camera.size * camera.supersampling
        origin, directions = self._rays(landmarks, turn)
        hits = scene.run(np.tile(origin, (len(directions), 1)), directions, output=True)
        self.hit = np.asarray(hits["primID"]) >= 0
        triangle = hits["primID"][self.hit]
        u, v = hits["u"][self.hit, None], hits["v"][self.hit, None]
        corners = mesh.triangles[triangle]

        def blend(values: Floats) -> Floats:
            a, b, c = (values[corners[:, i]] for i in range(3))
            return np.asarray((1 - u - v) * a + u * b + v * c, dtype=np.float32)

        self.points, self.canonical = blend(mesh.positions), blend(mesh.canonical)
        self.parts = mesh.parts[triangle]
        self.to_eye = -directions[self.hit]
        normals = unit(blend(mesh.normals))
        facing = np.where((normals * self.to_eye).sum(1, keepdims=True) < 0, -1, 1)
        two_sided = (self.parts == Part.HAIR)[:, None]
        self.normals = np.where(two_sided, normals * facing, normals).astype(np.float32)
        self.tangents = unit(blend(mesh.tangents))

    def _rays(self, landmarks: Floats, turn: Floats) -> tuple[Floats, Floats]:
        """One ray per sample of the crop that the alignment rule cuts out, turned into head coordinates."""
        camera = self._camera
        seen = landmarks @ turn.T
        flat = seen[:, :2] * (camera.distance / (camera.distance - seen[:, 2:]))
        eyes, mouth, chin = flat[36:48].mean(0), flat[[48, 54]].mean(0), flat[8]
        height = (eyes[1] - chin[1]) / (camera.chin_line - camera.eye_line)  # centimetres in the crop
        grid = (np.arange(self._side) + 0.5) / self._side
        x = (eyes[0] + mouth[0]) / 2 + (grid - 0.5) * height
        y = eyes[1] - (grid - camera.eye_line) * height
        xx, yy = np.meshgrid(x, y)
        plane = np.stack([xx, yy, np.zeros_like(xx)], -1).reshape(-1, 3)
        origin = np.array([0, 0, camera.distance])
        return (origin @ turn).astype(np.float32), unit((plane - origin) @ turn)

    @property
    def subsamples(self) -> int:
        return self._camera.supersampling**2

    def per_subsample(self, values: NDArray[np.floating]) -> Floats:
        """values (subsamples, ...) for every hit: the same set in each pixel, so that averaging leaves no grain."""
        s = self._camera.supersampling
        row, column = np.divmod(np.flatnonzero(self.hit), self._side)
        return np.asarray(values[(row % s) * s + column % s], dtype=np.float32)

    def mask(self) -> Images:
        cover = self._average(self.hit.astype(np.float32).reshape(self._side, self._side, 1))
        return (cover[..., 0] * 255 + 0.5).astype(np.uint8)

    def develop(self, radiance: Floats, behind: Images) -> Images:
        """The picture of radiance (hits, 3) before the background, sRGB encoded."""
        side = self._side
        film = np.zeros((side * side, 3), np.float32)
        film[self.hit] = _srgb(radiance)
        cover = self._average(self.hit.astype(np.float32).reshape(side, side, 1))
        person = self._average(film.reshape(side, side, 3))
        return (np.clip(person * 255 + (1 - cover) * behind, 0, 255) + 0.5).astype(np.uint8)

    def _average(self, samples: Floats) -> Floats:
        n, s = self._camera.size, self._camera.supersampling
        return np.asarray(samples.reshape(n, s, n, s, -1).mean((1, 3)), dtype=np.float32)


def _shade(
    scene: EmbreeScene, view: _View, surface: Surface, open_sky: Floats, light: Illumination,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Linear radiance (hits, 3) of every sample under one illumination."""
    hemisphere = 0.72 + 0.28 * view.normals[:, 1:2]
    # light that bounces between dark walls of a crease keeps some of the skin's colour
    ambient = light.room * 0.5 * hemisphere * open_sky[:, None] ** (1.15 - 0.35 * surface.colour)
    radiance = surface.colour * ambient
    for flash in light.flashes:
        radiance = radiance + _flash(scene, view, surface, flash, rng) * np.array(light.tint, np.float32)
    return radiance


def _flash(scene: EmbreeScene, view: _View, surface: Surface, flash: Light, rng: np.random.Generator) -> Floats:
    """What one lamp adds to the radiance (hits, 3)."""
    direction = flash.direction
    lit = _lit(scene, view, direction, flash.spread, rng)
    cosine = view.normals @ direction
    skin = (view.parts == Part.FACE) | (view.parts == Part.HEAD)
    wrap = skin[:, None] * _SKIN_WRAP
    diffuse = np.clip((cosine[:, None] + wrap) / (1 + wrap), 0, None)
    half = unit(direction + view.to_eye)
    highlight = np.clip((view.normals * half).sum(1), 0, 1) ** surface.sharp * (cosine > 0)
    hair = view.parts == Part.HAIR
    along = (view.tangents[hair] * half[hair]).sum(1)
    highlight[hair] = np.sqrt(np.clip(1 - along**2, 0, 1)) ** surface.sharp[hair]
    shine = (surface.gloss * highlight * lit)[:, None]
    power = flash.power / np.pi
    return np.asarray(power * (surface.colour * diffuse * lit[:, None] + 0.5 * shine), np.float32)


def _lit(scene: EmbreeScene, view: _View, direction: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """1 where a sample sees its random point of the flash, else 0."""
    towards = unit(direction + spread * view.per_subsample(rng.normal(size=(view.subsamples, 3))))
    start = view.points + 0.12 * view.normals + 0.10 * towards
    blocked = scene.run(np.ascontiguousarray(start), towards, query="OCCLUDED")
    return (np.asarray(blocked) < 0).astype(np.float32)


def _occlusion(scene: EmbreeScene, view: _View, rng: np.random.Generator) -> Floats:
    """Share of the sky that each sample sees, cosine-weighted, 0..1."""
    count = len(view.points)
    if count == 0:
        return np.zeros(0, np.float32)
    normals = np.repeat(view.normals, _OCCLUSION_RAYS, axis=0)
    start = np.repeat(view.points, _OCCLUSION_RAYS, axis=0) + 0.06 * normals
    ball = unit(rng.normal(size=(view.subsamples, _OCCLUSION_RAYS, 3)))
    sphere = view.per_subsample(ball).reshape(-1, 3)
    towards = unit(normals + 0.999 * sphere)  # normal plus a point of the unit sphere is cosine-weighted
    reach = np.full(len(start), _OCCLUSION_REACH, np.float32)
    blocked = scene.run(start.astype(np.float32), towards, dists=reach, query="OCCLUDED")
    open_rays = (np.asarray(blocked) < 0).reshape(count, _OCCLUSION_RAYS)
    return np.asarray(open_rays.mean(1), dtype=np.float32)


def _srgb(linear: Floats) -> Floats:
    """The sRGB transfer function (IEC 61966-2-1) with a soft shoulder instead of a hard clip."""
    soft = np.where(linear > 0.8, 0.8 + 0.2 * np.tanh((linear - 0.8) / 0.2), linear)
    low = 12.92 * soft
    high = 1.055 * np.maximum(soft, 0.0031308) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(soft <= 0.0031308, low, high), dtype=np.float32)
