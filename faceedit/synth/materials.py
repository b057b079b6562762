"""Paint: the colour and gloss of a surface point, as a function of where it lies in the canonical head.

Painting in canonical coordinates means that brows, lips and beard fit every person without a texture map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.synth.hair import hair_arc, hairline
from faceedit.synth.head import LANDMARKS, Floats, MorphableHead, Part
from faceedit.synth.person import Beard, Person

Bools = NDArray[np.bool_]
_TEETH = np.array([0.62, 0.56, 0.47], np.float32)
_GUMS = np.array([0.30, 0.09, 0.09], np.float32)


@dataclass(frozen=True)
class Surface:
    """Per point: colour (N, 3) linear reflectance, gloss (N,) strength and sharp (N,) exponent of the highlight."""

    colour: Floats
    gloss: Floats
    sharp: Floats


class Painter:
    """Paints one person; `paint` may be called for the points of any view."""

    def __init__(self, head: MorphableHead, person: Person) -> None:
        self._person = person
        self._landmarks = head.mean[LANDMARKS]
        iris = np.unique(head.triangles[head.parts == Part.IRIS])
        centres = head.mean[iris]
        self._pupils = np.stack([centres[centres[:, 0] < 0].mean(0), centres[centres[:, 0] > 0].mean(0)])
        rng = np.random.default_rng([person.texture_seed, 2])
        self._large, self._fine, self._hairs = _Noise(rng, 0.35), _Noise(rng, 1.6), _Noise(rng, 6.0)
        self._streaks = rng.normal(size=(3, 361)).astype(np.float32)
        self._marks = _mark_places(rng, head, person.skin.marks)
        self._freckles = _Noise(rng, 8.0)
        self._pores = _Noise(rng, 14.0)

    def paint(self, canonical: Floats, parts: NDArray[np.uint8]) -> Surface:
        """The surface at points (N, 3) of the canonical head, each of a `Part`."""
        colour = np.empty((len(canonical), 3), np.float32)
        gloss = np.empty(len(canonical), np.float32)
        sharp = np.full(len(canonical), 14.0, np.float32)
        skin = (parts == Part.FACE) | (parts == Part.HEAD)
        colour[skin], gloss[skin] = self._skin(canonical[skin])
        gloss[skin] *= 1 + 1.5 * self._person.shine
        sharp[skin] += 34 * self._person.shine
        eye = (parts == Part.SCLERA) | (parts == Part.IRIS)
        colour[eye] = self._eye(canonical[eye])
        gloss[eye], sharp[eye] = 0.9, 260.0
        hair = parts == Part.HAIR
        colour[hair] = self._hair(canonical[hair])
        gloss[hair], sharp[hair] = 0.03 + 0.25 * colour[hair].mean(1), 40.0
        for part, shade in ((Part.TEETH, _TEETH), (Part.GUMS, _GUMS)):
            inside = parts == part
            depth = np.clip((canonical[inside, 2:] - 4.0) / 6.0, 0.05, 1)  # little light comes to the back
            colour[inside], gloss[inside], sharp[inside] = shade * depth**2, 0.4, 90.0
        glasses = parts == Part.GLASSES
        if self._person.glasses is not None:
            colour[glasses] = self._person.glasses.colour
        gloss[glasses], sharp[glasses] = 0.5, 60.0
        jewel = parts == Part.JEWEL
        if self._person.earrings is not None:
            colour[jewel] = self._person.earrings.colour
        gloss[jewel], sharp[jewel] = 1.2, 40.0
        return Surface(np.clip(colour, 0.002, 0.95), gloss, sharp)

    def _skin(self, p: Floats) -> tuple[Floats, Floats]:
        skin, marks = self._person.skin, self._landmarks
        base = np.array(skin.colour, np.float32)
        colour = base * (1 + skin.blotch * self._large(p) + skin.mottle * self._fine(p))[:, None]
        cheeks = np.exp(-((np.abs(p[:, 0]) - 4.6) ** 2 + (p[:, 1] + 0.3) ** 2) / 6) * (p[:, 2] > 4)
        nose = np.exp(-((p - marks[30]) ** 2).sum(1) / 2.5)
        flush = skin.flush * (cheeks + 0.7 * nose)
        colour = colour * (1 - flush[:, None] * np.array([0.0, 0.34, 0.38], np.float32))
        for place, radius, depth in self._marks:
            colour[np.linalg.norm(p - place, axis=1) < radius] *= depth
        if skin.freckles > 0:
            spots = (self._freckles(p) > 1.35) & (np.abs(p[:, 0]) < 6) & (p[:, 1] > -2) & (p[:, 1] < 3)
            colour[spots] *= 1 - skin.freckles
        colour *= (1 - 0.30 * skin.age * self._lines(p))[:, None]
        self._eye_surround(p, colour)
        self._lips(p, colour)
        self._brows(p, colour)
        if self._person.beard is not None:
            self._beard(p, colour, self._person.beard)
        self._scalp(p, colour)
        if self._person.detail > 0:
            colour *= (1 + 0.06 * self._person.detail * (self._pores(p) + self._hairs(p)))[:, None]
        self._clothes(p, colour)
        gloss = skin.gloss * (0.16 + 0.16 * nose + 0.10 * np.exp(-(p[:, 0] ** 2) / 12) * (p[:, 1] > 5))
        return colour, gloss.astype(np.float32)

    def _clothes(self, p: Floats, colour: Floats) -> None:
        cut = self._person.neckline
        if cut is None:
            colour[p[:, 1] < -14.0] = self._person.clothes
            return
        middle = np.exp(-((p[:, 0] / 3.0) ** 2)) * (p[:, 2] > 0)
        clothed = p[:, 1] < cut.height - cut.point * middle
        colour[clothed] = self._person.clothes
        if cut.stripes > 0:
            colour[clothed & (np.mod(p[:, 1], 2 * cut.stripes) < cut.stripes)] = cut.second

    def _lines(self, p: Floats) -> Floats:
        """How much each point lies in a line of age: nasolabial folds, forehead lines, bags under the eyes."""
        lm = self._landmarks
        out = np.zeros(len(p), np.float32)
        for wing, corner, lid in ((31, 48, (36, 41, 40, 39)), (35, 54, (45, 46, 47, 42))):
            side = np.sign(lm[corner, 0])
            cheek = (lm[wing] + lm[corner]) / 2 + [side * 0.9, 0, 0]
            fold = np.stack([lm[wing], cheek, lm[corner] + [side * 0.5, -0.3, 0]])
            out += np.exp(-((_distance(p, fold)[0] / 0.22) ** 2))
            out += 0.8 * np.exp(-((_distance(p, lm[list(lid)] - [0, 0.75, 0])[0] / 0.2) ** 2))
        forehead = (p[:, 2] > 6) & (p[:, 1] > 6.9) & (p[:, 1] < 9.6) & (np.abs(p[:, 0]) < 5)
        out += 0.5 * forehead * np.exp(-(((np.mod(p[:, 1] + 0.03 * p[:, 0] ** 2, 0.85) - 0.42) / 0.13) ** 2))
        return np.minimum(out, 1).astype(np.float32)

    def _eye_surround(self, p: Floats, colour: Floats) -> None:
        eyes, lm = self._person.eyes, self._landmarks
        for ring in (range(36, 42), range(42, 48)):
            lid = lm[[*ring, ring[0]]]
            distance, _ = _distance(p, lid)
            upper, _ = _distance(p, lid[:4])
            colour *= (1 - eyes.shade * 0.55 * np.exp(-((distance / 0.8) ** 2)))[:, None]
            colour *= (1 - 0.80 * _soft(eyes.lash + 0.05 - upper, 0.06))[:, None]
            colour *= (1 - 0.55 * _soft(eyes.lash * 0.6 - distance, 0.05))[:, None]

    def _lips(self, p: Floats, colour: Floats) -> None:
        lm, lips = self._landmarks, self._person.lips
        inside = _in_polygon(p, lm[48:60]) & (p[:, 2] > lm[48, 2] - 1.5)
        tint = 1 + lips.strength * (np.array(lips.tint, np.float32) - 1)
        colour[inside] *= tint
        seam, _ = _distance(p, lm[60:65])
        colour *= (1 - 0.62 * _soft(0.13 - seam, 0.05))[:, None]

    def _brows(self, p: Floats, colour: Floats) -> None:
        brows, hair = self._person.brows, np.array(self._person.hair.colour, np.float32)
        target = 0.75 * hair + 0.05 * np.array(self._person.skin.colour, np.float32)
        for start, outward in ((17, -1), (22, 1)):
            line = self._landmarks[start : start + 5].copy()
            line[:, 1] += brows.lift - 0.1 + brows.tilt * outward * np.linspace(-0.5, 0.5, 5)
            distance, along = _distance(p, line)
            inner = along if outward < 0 else 1 - along
            half = brows.thickness * (0.35 + 0.75 * np.minimum(inner * 1.6, 1)) * (1 + 0.15 * self._hairs(p))
            _mix(colour, target, brows.density * _soft(half - distance, 0.09) * (p[:, 2] > 3))

    def _beard(self, p: Floats, colour: Floats, beard: Beard) -> None:
        lm, hair = self._landmarks, np.array(self._person.hair.colour, np.float32)
        jaw, _ = _distance(p, lm[1:16])
        chin = np.linalg.norm(p - (lm[8] + [0, 0.8, 0]), axis=1)
        cover = _soft(2.6 - chin, 0.45) if beard.goatee else _soft(beard.jaw - jaw, 0.5)
        cover = np.maximum(cover, (p[:, 1] < -7.0) * _soft(p[:, 1] + 9.5, 0.6) * (p[:, 2] > 2) * (not beard.goatee))
        if beard.moustache > 0:
            lip = np.stack(
                [
                    lm[48] + [-0.3, 0, 0],
                    (lm[50] + lm[32]) / 2,
                    (lm[51] + lm[33]) / 2,
                    (lm[52] + lm[34]) / 2,
                    lm[54] + [0.3, 0, 0],
                ]
            )
            cover = np.maximum(cover, _soft(beard.moustache - _distance(p, lip)[0], 0.15))
        mouth = _in_polygon(p, lm[48:60]) & (p[:, 2] > lm[48, 2] - 1.5)
        allowed = ~mouth * _soft(lm[1, 1] + 0.5 - p[:, 1], 0.5) * (p[:, 2] > 0)
        texture = 0.9 + 0.08 * self._hairs(p)
        _mix(colour, 0.8 * hair, beard.density * cover * allowed * texture)

    def _scalp(self, p: Floats, colour: Floats) -> None:
        """Roots of the hair on the skin: softens the hairline, and is all there is of a buzz cut."""
        hair = self._person.hair
        azimuth, arc = hair_arc(p)
        edge = hairline(hair, azimuth) - arc + 0.015 * self._fine(p)
        strength = {"bald": 0.0, "buzz": 0.78}.get(hair.style, 0.9)
        if hair.style == "bald":  # a shaved head keeps a shadow at the sides
            edge, strength = edge - 0.12, 0.25 * hair.volume / 1.9
        ears = (np.abs(p[:, 0]) > 7.75) & (p[:, 1] < 6.5) & (p[:, 2] < 3.0)
        ends = min(1.0, 1.5 * strength)
        amount = ends * _soft(edge, 0.03) * ~ears * (p[:, 1] > -6)
        _mix(colour, np.array(hair.colour, np.float32) * 1.1 + 0.05 * (1 - strength), amount)

    def _eye(self, p: Floats) -> Floats:
        eyes = self._person.eyes
        offsets = p[:, None, :2] - self._pupils[None, :, :2]
        radius = np.linalg.norm(offsets, axis=-1).min(1) / eyes.iris_radius
        colour = np.tile(np.array([0.58, 0.54, 0.51], np.float32), (len(p), 1))
        _mix(colour, np.array([0.45, 0.20, 0.17], np.float32), 0.35 * _soft(radius - 2.2, 0.3))
        _mix(colour, np.array(eyes.iris, np.float32) * 0.45, _soft(1.0 - radius, 0.05))
        _mix(colour, np.array(eyes.iris, np.float32), _soft(0.84 - radius, 0.06))
        _mix(colour, np.array([0.004, 0.004, 0.004], np.float32), _soft(0.42 - radius, 0.04))
        return colour

    def _hair(self, strand: Floats) -> Floats:
        """strand: (N, 3) of azimuth, arc, thickness, as `mesh` lays them on hair."""
        base = np.array(self._person.hair.colour, np.float32)
        grid = np.linspace(-180, 180, 361)
        slide = strand[:, 0] + 6 * self._person.hair.wave * np.sin(strand[:, 1] * 9)
        streak = sum(
            weight * np.interp(slide * scale % 360 - 180, grid, row)
            for weight, scale, row in zip((0.5, 0.4, 0.3), (0.25, 1.0, 2.7), self._streaks, strict=True)
        )
        return np.asarray(base * np.exp(0.42 * streak)[:, None], dtype=np.float32)


class _Noise:
    """A sum of plane waves: smooth noise of unit spread at about `frequency` radians per centimetre."""

    def __init__(self, rng: np.random.Generator, frequency: float, waves: int = 24) -> None:
        self._waves = (rng.normal(size=(3, waves)) * frequency).astype(np.float32)
        self._phase = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)

    def __call__(self, p: Floats) -> Floats:
        return np.asarray(np.cos(p @ self._waves + self._phase).mean(1) * np.sqrt(2 * len(self._phase)), np.float32)


def _mark_places(rng: np.random.Generator, head: MorphableHead, count: int) -> list[tuple[Floats, float, float]]:
    face = np.unique(head.triangles[head.parts == Part.FACE])
    front = face[head.mean[face, 2] > 4]
    return [
        (head.mean[rng.choice(front)], float(rng.uniform(0.10, 0.26)), float(rng.uniform(0.35, 0.7)))
        for _ in range(count)
    ]


def _mix(colour: Floats, target: NDArray[np.floating], amount: NDArray[np.floating]) -> None:
    """Blend `target` into colour (N, 3) in place by amount (N,) in 0..1."""
    colour += (target.astype(np.float32) - colour) * np.clip(amount, 0, 1).astype(np.float32)[:, None]


def _soft(value: NDArray[np.floating], width: float) -> Floats:
    """A step at 0 with soft edges of about `width`."""
    return np.asarray(1 / (1 + np.exp(np.clip(-value / width, -40, 40))), dtype=np.float32)


def _distance(p: Floats, line: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Distance of (N, 3) points to a poly-line (M, 3), and how far along it (0..1) the nearest point is."""
    best = np.full(len(p), np.inf, np.float32)
    along = np.zeros(len(p), np.float32)
    segments = len(line) - 1
    for i in range(segments):
        a = line[i].astype(np.float32)
        d = line[i + 1].astype(np.float32) - a
        t = np.clip((p - a) @ d / (d @ d), 0, 1)
        away = p - a - t[:, None] * d
        distance = np.sqrt(np.einsum("ij,ij->i", away, away))
        nearer = distance < best
        best[nearer] = distance[nearer]
        along[nearer] = (i + t[nearer]) / segments
    return best, along


def _in_polygon(p: Floats, polygon: Floats) -> Bools:
    """Which points lie inside the polygon (M, >=2) seen from the front."""
    inside = np.zeros(len(p), bool)
    x, y = p[:, 0], p[:, 1]
    for a, b in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        crosses = (a[1] > y) != (b[1] > y)
        inside ^= crosses & (x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1] + 1e-9) + a[0])
    return inside
