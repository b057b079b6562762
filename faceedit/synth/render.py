"""Photographs of one person: primary, shadow and occlusion rays through Embree, then shading in NumPy.

Shading is physically plain: Lambert with a soft terminator for skin (light that enters and leaves a little further
on, redder than it came), a Blinn-Phong highlight, Kajiya-Kay for hair (Kajiya and Kay, SIGGRAPH 1989), one shadow ray
per sample towards a jittered point of the flash, and ambient light dimmed by cosine-weighted occlusion rays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from faceedit.synth.body import build_person
from faceedit.synth.head import Floats, MorphableHead, Part
from faceedit.synth.lenses import lenses
from faceedit.synth.materials import Painter, Surface
from faceedit.synth.mesh import Mesh, ray_scene, unit
from faceedit.synth.person import Person, sample_person
from faceedit.synth.places import Places, Viewpoint
from faceedit.synth.scene import ILLUMINATIONS, POSES, Camera, Illumination, Light, background, rotation
from faceedit.synth.variety import Variety, numbered_lights, sample_attitude, sample_expression, sample_illumination

Images = NDArray[np.uint8]
_SKIN_WRAP = np.array([0.28, 0.13, 0.09], np.float32)  # how far light leaks past the terminator, per channel
_OCCLUSION_RAYS, _OCCLUSION_REACH = 8, 14.0


@dataclass(frozen=True)
class Photographs:
    """One identity's pictures: images (P, L, S, S, 3) uint8 sRGB before their camera's background, masks
    (P, S, S) uint8 alpha (255 = person, 0 = background), which place of the head each pixel shows, and where its 68
    landmarks are (68, 3), in the same coordinates."""

    images: Images
    masks: Images
    places: Places
    landmarks: Floats


def photograph(head: MorphableHead, seed: int, camera: Camera | None = None) -> Photographs:
    """Render the person of this seed at all poses under all illuminations, before each camera's background."""
    rng = np.random.default_rng([seed, 0xCA11])
    person = sample_person(seed, len(head.modes))
    camera = camera or Camera()
    backgrounds = [background(pose, camera.size) for pose in POSES]
    return _session(head, person, None, ILLUMINATIONS, camera, _jittered(camera, rng), backgrounds, rng)


def _jittered(camera: Camera, rng: np.random.Generator) -> Iterator[Floats]:
    """Yaw, pitch and roll at every pose, as exactly as a sitter holds the head."""
    for pose in POSES:
        spread = [camera.yaw_jitter, camera.pitch_jitter, camera.roll_jitter]
        yield np.array([pose, 0, 0] + rng.normal(size=3) * spread, np.float64)


def photograph_variety(head: MorphableHead, seed: int, camera: Camera, variety: Variety) -> list[Photographs]:
    """Render the person of this seed making each of the variety's faces, at all poses and then at
    `variety.loose` others, under lights of their own, on black. Raises FaceModelError where the head has no expression
    shapes."""
    head.require_expressions()
    rng = np.random.default_rng([seed, 0xD1FF])
    person = sample_person(seed, len(head.modes), variety)
    of_the_twenty = numbered_lights(seed, variety)[: variety.twenty]
    lights = [ILLUMINATIONS[number] for number in of_the_twenty]
    lights += [sample_illumination(variety, rng) for _ in range(variety.lights)]
    takes = [*POSES, *[None] * variety.loose]
    black = [np.zeros((camera.size, camera.size, 3), np.uint8)] * len(takes)
    made = []
    for number in range(variety.expressions):
        expression = sample_expression(number, variety, head.expression_names, rng)
        pitch = rng.normal() * variety.sitting
        attitudes = [sample_attitude(pose, pitch, variety, rng) for pose in takes]
        made.append(_session(head, person, expression, lights, camera, attitudes, black, rng))
    return made


def _session(
    head: MorphableHead,
    person: Person,
    expression: Floats | None,
    lights: Sequence[Illumination],
    camera: Camera,
    attitudes: Iterable[Floats],
    backgrounds: Sequence[Images],
    rng: np.random.Generator,
) -> Photographs:
    """One person making one face, in these attitudes (yaw, pitch, roll) under these lights."""
    mesh, landmarks = build_person(head, person, expression)
    scene, painter = ray_scene(mesh), Painter(head, person)
    images, masks, places, viewpoints = [], [], [], []
    for attitude, behind in zip(attitudes, backgrounds, strict=True):
        yaw, pitch, roll = (float(angle) for angle in attitude)
        view = _View(mesh, scene, landmarks, rotation(yaw, pitch, roll), camera)
        surface = painter.paint(view.canonical, view.parts)
        glass = lenses(person.glasses, landmarks, view.points, view.to_eye)
        open_sky = _occlusion(scene, view, rng)
        masks.append(view.mask())
        radiances = (_shade(scene, view, surface, open_sky, light, rng) for light in lights)
        images.append(np.stack([view.develop(glass.over(radiance), behind) for radiance in radiances]))
        places.append(view.places())
        viewpoints.append(view.viewpoint)
    return Photographs(np.stack(images), np.stack(masks), Places(np.stack(places), tuple(viewpoints)), landmarks)


class _View:
    """What each sample of one camera's crop sees of the head, in head coordinates."""

    def __init__(self, mesh: Mesh, scene: EmbreeScene, landmarks: Floats, turn: Floats, camera: Camera) -> None:
        self.turn, self._camera, self._side = turn, camera, camera.size * camera.supersampling
        self.viewpoint = Viewpoint.of(landmarks, turn, camera)
        origin, directions = self._rays(turn)
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

    def _rays(self, turn: Floats) -> tuple[Floats, Floats]:
        """The camera's place in head coordinates, and a unit vector through the middle of every sample."""
        from_here, distance = self.viewpoint, self._camera.distance
        grid = (np.arange(self._side) + 0.5) / self._side
        x = from_here.x + (grid - 0.5) * from_here.height
        y = from_here.eyes - (grid - self._camera.eye_line) * from_here.height
        xx, yy = np.meshgrid(x, y)
        plane = np.stack([xx, yy, np.zeros_like(xx)], -1).reshape(-1, 3)
        origin = np.array([0, 0, distance])
        return (origin @ turn).astype(np.float32), unit((plane - origin) @ turn)

    def places(self) -> NDArray[np.float16]:
        """(S, S, 3) head coordinates of what the middle of each pixel shows, NaN where that is nothing."""
        n, s = self._camera.size, self._camera.supersampling
        samples = np.full((self._side**2, 3), np.nan, np.float32)
        samples[self.hit] = self.points
        return samples.reshape(n, s, n, s, 3)[:, s // 2, :, s // 2].astype(np.float16)

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
        s = self._camera.supersampling
        parts = [samples[i::s, j::s] for i in range(s) for j in range(s)]  # a mean over axes takes ten times as long
        return np.asarray(sum(parts[1:], parts[0]) / np.float32(s * s), dtype=np.float32)


def _shade(
    scene: EmbreeScene, view: _View, surface: Surface, open_sky: Floats, light: Illumination, rng: np.random.Generator
) -> Floats:
    """Linear radiance (hits, 3) of every sample under one illumination."""
    hemisphere = 0.72 + 0.28 * view.normals[:, 1:2]
    # light that bounces between dark walls of a crease keeps some of the skin's colour
    ambient = light.room * 0.5 * hemisphere * open_sky[:, None] ** (1.15 - 0.35 * surface.colour)
    radiance = surface.colour * ambient
    for flash in light.flashes:
        direction = flash.direction @ view.turn if light.by_camera else flash.direction
        radiance = radiance + _flash(scene, view, surface, flash, direction, rng) * np.array(light.tint, np.float32)
    return radiance


def _flash(
    scene: EmbreeScene, view: _View, surface: Surface, flash: Light, direction: Floats, rng: np.random.Generator
) -> Floats:
    """What one lamp, in this direction (3,) from the head, adds to the radiance (hits, 3)."""
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
