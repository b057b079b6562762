"""Pairs for training: every ordered pair of attribute values of the same person under the same conditions.

A row of a data set numbers a picture. Where an attribute's second value is made by occlusion, row N + r is picture r of
N with a pattern laid over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.cutouts import people_of, require_masks
from faceedit.errors import ManifestError, TrainingError
from faceedit.images import read_crops
from faceedit.manifest import Manifest
from faceedit.synth.places import load_places


@dataclass(frozen=True)
class PairSet:
    """images (N, 60, 60, 3) uint8; groups (G, n_a) int64: the row of each attribute value's picture of one person
    under one condition, or -1 where there is none; people (G,) int64: a number for each group's person; faces (G,)
    int64: a number for each person making one face (people, where expressions are not known); leads (n_a, n_a) bool:
    from which value which can be learnt; mirror (n_a,): each value's position in a mirrored picture, or None where
    pictures cannot be mirrored. Where pictures are people on black: masks (M, 60, 60) uint8 alpha and mask_rows (N,)
    each picture's. Where it is known what each pixel shows: places (M, 60, 60, 3) float16 on the head and viewpoints
    (M, 13) float32 (`faceedit.synth.places`), with the masks' numbers; and loose (G, n): rows of pictures of no value
    in particular, to turn from, or -1."""

    images: NDArray[np.uint8]
    groups: NDArray[np.int64]
    people: NDArray[np.int64]
    faces: NDArray[np.int64]
    leads: NDArray[np.bool_]
    mirror: NDArray[np.int64] | None
    masks: NDArray[np.uint8] | None = None
    mask_rows: NDArray[np.int64] | None = None
    places: NDArray[np.float16] | None = None
    viewpoints: NDArray[np.float32] | None = None
    loose: NDArray[np.int64] | None = None

    def digest(self) -> str:
        """sha256 of the pictures and how they are grouped: another data set has another."""
        content = hashlib.sha256(np.ascontiguousarray(self.images).data)
        tables = (self.groups, self.people, self.faces, self.masks, self.mask_rows)
        for table in (*tables, self.places, self.viewpoints, self.loose):
            if table is not None:
                content.update(np.ascontiguousarray(table).data)
        return content.hexdigest()

    @property
    def pairs(self) -> int:
        """How many ordered pairs of different values there are."""
        held = self.groups >= 0
        different = self.leads & ~np.eye(held.shape[1], dtype=bool)
        return int(np.einsum("gi,gj,ij->", held, held, different, dtype=np.int64))


def load_pairs(
    manifest: Manifest, space: AttributeSpace, cut_out: bool = False, placed: bool = False, loosely: bool = False
) -> PairSet:
    """Read every picture of a manifest and group them for one attribute. cut_out: people on black, with their masks, so
    that training can choose the background; placed: these with each pixel's place on the head, and with the pictures of
    no value in particular; loosely: the latter are left out if they are not `placed`, instead of being refused.

    Raises ManifestError for a missing column or an attribute value outside the space, TrainingError when there is not
    a single pair.
    """
    manifest.require(("path", "identity", *space.columns))
    if cut_out or placed:  # before much is read
        require_masks(manifest)
    if placed:
        _require_places(manifest)
    groups, first, loose = group_rows(manifest, space, loosely=placed or loosely)
    if not ((groups >= 0).sum(1) >= 2).any():
        raise TrainingError(
            f"the manifest in {manifest.root} holds no two pictures that share {' and '.join(space.shared)} "
            f"and differ in {space.name}: there is nothing to learn from"
        )
    names = manifest.columns["identity"]
    expressions = manifest.columns.get("expression", ("",) * len(manifest))
    people = _numbers([names[row] for row in first])
    faces = _numbers([(names[row], expressions[row]) for row in first])
    n = range(len(space))
    leads = np.array([[space.leads(source, target) for target in n] for source in n])
    mirror = None if space.mirrored is None else np.array(space.mirrored, np.int64)
    images = read_crops(manifest.paths())
    if not (cut_out or placed):
        return PairSet(images, groups, people, faces, leads, mirror)
    cut = people_of(manifest, images)
    pairs = PairSet(cut.images, groups, people, faces, leads, mirror, cut.masks, cut.mask_rows)
    if not placed:
        return pairs
    places, viewpoints = _read_places(manifest, cut.mask_rows)
    return replace(pairs, places=places, viewpoints=viewpoints, loose=loose)


def _require_places(manifest: Manifest) -> None:
    """Raise ManifestError unless it is said of every picture what each pixel shows."""
    advice = "render it with `facesearch synth --variety`, or train with --knob flow=off"
    missing = [name for name in ("places", "view") if name not in manifest.columns]
    if missing:
        raise ManifestError(
            f"the manifest in {manifest.root} has no column {missing[0]!r}, so that nothing says where a pixel's place "
            f"on the head lies in another picture: {advice}"
        )
    for path, places in zip(manifest.columns["path"], manifest.columns["places"], strict=True):
        if not places:
            raise ManifestError(f"nothing says what each pixel of {path} shows: {advice}")


def _read_places(manifest: Manifest, mask_rows: NDArray[np.int64]) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Places and viewpoints with the masks' numbers. Raises ManifestError for a picture without places, or for a file
    that does not hold them."""
    _, first = np.unique(mask_rows, return_index=True)
    views = manifest.integers("view")
    files: dict[str, tuple[NDArray[np.float16], NDArray[np.float32]]] = {}
    places, viewpoints = [], []
    for row in first:
        name, view = manifest.columns["places"][row], int(views[row])
        if name not in files:
            files = {name: load_places(manifest.root / name)}  # rows of one file follow each other
        if not 0 <= view < len(files[name][0]):
            raise ManifestError(f"{name} has no view {view}: render the database again")
        places.append(files[name][0][view])
        viewpoints.append(files[name][1][view])
    return np.stack(places), np.stack(viewpoints)


def _numbers(keys: Sequence[object]) -> NDArray[np.int64]:
    """Equal keys get equal numbers, in order of appearance."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def group_rows(
    manifest: Manifest, space: AttributeSpace, loosely: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows by what a pair shares: (G, n_a) row numbers or -1, a manifest row (G,) of each group, and its loose rows
    (G, n), -1 where it has fewer: those without a value, or under a light of their own, which only `loosely` may be.

    Raises ManifestError for two pictures of one person, under the same conditions, with the same value.
    """
    if space.occlusion:
        rows = np.arange(len(manifest))
        return np.stack([rows, rows + len(rows)], axis=1), rows, np.zeros((len(rows), 0), np.int64)
    table: dict[tuple[str, ...], NDArray[np.int64]] = {}
    optional = [name for name in space.shared_where_known if name in manifest.columns]
    shared = [manifest.labels(name) for name in (*space.shared, *optional)]
    texts = manifest.columns[space.name]
    loose: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(manifest)):
        if loosely and _is_loose(texts[row], space):
            loose.setdefault(tuple(column[row] for column in shared), []).append(row)
    valued = [row for row, text in enumerate(texts) if not (loosely and _is_loose(text, space))]
    for row, value in zip(valued, manifest.part(valued).integers(space.name), strict=True):
        if value not in space.values:
            raise ManifestError(
                f"{manifest.columns['path'][row]}: {space.name} {value} is not one of "
                f"{', '.join(map(str, space.values))}; leave such rows out"
            )
        key = tuple(column[row] for column in shared)
        group = table.setdefault(key, np.full(len(space), -1, np.int64))
        position = space.values.index(int(value))
        if group[position] >= 0:
            paths = manifest.columns["path"]
            raise ManifestError(
                f"{paths[row]} and {paths[group[position]]} agree in "
                f"{', '.join((*space.shared, *optional, space.name))}: "
                "leave one out, or tell them apart in a column 'expression' or 'session'"
            )
        group[position] = row
    groups = np.array(list(table.values()), np.int64).reshape(-1, len(space))
    longest = max((len(loose.get(key, ())) for key in table), default=0)
    free = [[*loose.get(key, ()), *[-1] * (longest - len(loose.get(key, ())))] for key in table]
    return groups, groups.max(1), np.array(free, np.int64).reshape(len(table), longest)


def _is_loose(text: str, space: AttributeSpace) -> bool:
    """Whether a picture has no value in particular: it is at no pose, or under a light of the person's own."""
    own_light = space.name == "illumination" and text.isdigit() and int(text) >= len(space)
    return not text or own_light


@dataclass(frozen=True)
class Batch:
    """sources (B,), targets (B, K) rows of the images, and values (B, K) the targets' positions in the space."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    values: NDArray[np.int64]


class PairSampler:
    """Random batches of pairs, half of them from loose pictures where there are any. A batch depends on nothing but the
    seed and its number, so that a run can resume."""

    def __init__(self, pairs: PairSet, seed: int, include_same: bool) -> None:
        self._groups, self._seed, self._loose = pairs.groups, seed, pairs.loose
        # (n_a, n_a): which targets a source of a value may have
        self._leads = pairs.leads if include_same else pairs.leads & ~np.eye(len(pairs.leads), dtype=bool)
        held = self._groups >= 0
        self._source_slots = np.argwhere(held & (held @ self._leads.T))  # (pictures, 2): group and value

    def batch(self, number: int, sources: int, targets: int) -> Batch:
        """`sources` random pictures with `targets` random other values of the same group each."""
        rng = np.random.default_rng([self._seed, number])
        slots = self._source_slots[rng.integers(len(self._source_slots), size=sources)]
        values = np.stack([self._targets(rng, group, value, targets) for group, value in slots])
        rows = self._groups[slots[:, :1], values]
        begun = self._groups[slots[:, 0], slots[:, 1]]
        if self._loose is not None and self._loose.shape[1]:
            chosen = rng.integers(self._loose.shape[1], size=len(slots))
            loose = self._loose[slots[:, 0], chosen]
            begun = np.where((rng.random(len(slots)) < 0.5) & (loose >= 0), loose, begun)
        return Batch(begun, rows, values)

    def _targets(self, rng: np.random.Generator, group: int, value: int, count: int) -> NDArray[np.int64]:
        allowed = np.flatnonzero((self._groups[group] >= 0) & self._leads[value])
        if len(allowed) >= count:
            return rng.permutation(allowed)[:count]
        return rng.choice(allowed, size=count)


class ContrastSampler:
    """Batches in which the same edit is reached from two sources, among look-alikes: two attribute values of people
    under several lights each. Who has more of them comes more often."""

    def __init__(self, pairs: PairSet, seed: int) -> None:
        self._groups, self._people, self._seed = pairs.groups, pairs.people, seed
        self._held = pairs.groups >= 0
        self._somewhere = _together(self._held)

    def batch(
        self, number: int, people: int, conditions: int, own_values: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows of sources (G, 2), the positions (G, 2) of their attribute values, rising, and whose they are (G,).

        All have the same two values, which makes people look-alikes too; with own_values, every person has two.
        """
        rng = np.random.default_rng([self._seed, number, 1])
        shared = None if own_values else rng.choice(self._somewhere)
        shuffled = rng.permutation(len(self._groups))
        chosen: list[NDArray[np.int64]] = []
        values: list[NDArray[np.int64]] = []
        whose = self._people[shuffled]
        for person in dict.fromkeys(whose.tolist()):
            own = shuffled[whose == person]
            choice = _together(self._held[own]) if shared is None else shared[None]
            if not len(choice):
                continue
            pair = rng.choice(choice)
            own = own[self._held[own][:, pair].all(1)][:conditions]
            if not len(own):
                continue
            chosen.append(own)
            values.append(np.tile(pair, (len(own), 1)))
            if len(chosen) == people:
                break
        rows, both = np.concatenate(chosen), np.concatenate(values)
        return self._groups[rows[:, None], both], both, self._people[rows]


def _together(held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(P, 2) the pairs of different values, in rising order, that some group (G, n_a) has both of."""
    return np.argwhere(np.triu((held[:, :, None] & held[:, None, :]).any(0), 1))


class FaceSampler:
    """Batches of pairs of pictures that show one person making one face: rows (faces, 2). Where a person makes
    several faces, `expressions` of them are in the batch side by side, as each other's look-alikes."""

    def __init__(self, pairs: PairSet, seed: int) -> None:
        self._seed = seed
        self._people: list[list[NDArray[np.int64]]] = []
        for person in np.unique(pairs.people):
            own = np.flatnonzero(pairs.people == person)
            faces = [_pictures(pairs, own[pairs.faces[own] == face]) for face in np.unique(pairs.faces[own])]
            self._people.append([rows[rows >= 0] for rows in faces])

    def batch(self, number: int, people: int, alone: int = 0, expressions: int = 2) -> NDArray[np.int64]:
        """Rows (F, 2) of `people` people with up to `expressions` faces each, and of `alone` others with one."""
        rng = np.random.default_rng([self._seed, number, 2])
        pairs = []
        for place, person in enumerate(rng.permutation(len(self._people))[: people + alone]):
            faces = self._people[person]
            shown = rng.permutation(len(faces))[: expressions if place < people else 1]
            pairs += [rng.choice(faces[i], 2, replace=len(faces[i]) < 2) for i in shown]
        return np.stack(pairs)


def _pictures(pairs: PairSet, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every row of these groups, of whatever value or none."""
    return np.concatenate([table[groups].ravel() for table in (pairs.groups, pairs.loose) if table is not None])


class PersonSampler:
    """Everything that there is of some people, by their numbers: to tell apart what each one's pictures differ in."""

    def __init__(self, pairs: PairSet, seed: int) -> None:
        self._pairs, self._seed = pairs, seed
        self._held = pairs.groups >= 0
        turns = pairs.leads & ~np.eye(len(pairs.leads), dtype=bool)
        reached = self._held & (self._held.astype(np.int64) @ turns > 0)  # (G, n_a) another picture leads there
        everybody = np.unique(pairs.people)
        self._of_value = [np.intersect1d(everybody, pairs.people[reached[:, value]]) for value in range(len(turns))]
        self._values = np.flatnonzero([len(people) > 0 for people in self._of_value])
        self._turns = turns

    def batch(self, number: int, people: int) -> tuple[int, NDArray[np.int64]]:
        """The position of a value, and so many people (P,), or fewer, who have pictures that lead there (if a sitting
        is not mirrored)."""
        rng = np.random.default_rng([self._seed, number, 5])
        value = int(rng.choice(self._values))
        return value, rng.permutation(self._of_value[value])[:people]

    def person(self, person: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Groups (P,) of one person's pictures, at most so many, the positions (P, 2) of each one's own value and of
        another one that it leads to and that the group has, or its own where there is none, and the rows (P, 2) of
        both."""
        rng = np.random.default_rng([self._seed, person, 6])
        slots = np.argwhere(self._held & (self._pairs.people == person)[:, None])
        slots = slots[np.sort(rng.permutation(len(slots))[:most])]
        values = np.stack([[own, self._another(rng, group, own)] for group, own in slots])
        return slots[:, 0], values, self._pairs.groups[slots[:, :1], values]

    def _another(self, rng: np.random.Generator, group: int, own: int) -> int:
        others = np.flatnonzero(self._held[group] & self._turns[own])
        return int(rng.choice(others)) if len(others) else own
