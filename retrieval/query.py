"""Answer a query: imagine the face as asked, one attribute after the other, then search the gallery for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.editor import Edit, Editor
from faceedit.errors import UsageError
from faceedit.images import Picture, read_crop
from index.gallery import EVERYTHING, Filter, Gallery, Match

DISTINCT = ("identity", "content")
ORDER = ("inpainting", "illumination", "pose")  # an occlusion first: the other editors never saw one
Asked = Mapping[str, int]
"""What to see: attribute name to value."""


@dataclass(frozen=True)
class Step:
    """One edit of a chain: which attribute was given which value, and what came out."""

    space: AttributeSpace
    value: int
    edit: Edit

    @property
    def text(self) -> str:
        """'pose 30'"""
        return self.space.text(self.value)


@dataclass(frozen=True)
class Answer:
    """One query's results. source: the query's crop (60, 60, 3) uint8; asked: what was asked for; steps: the edits, in
    the order in which they were made; matches: nearest first."""

    source: Picture
    asked: dict[str, int]
    steps: tuple[Step, ...]
    matches: list[Match]


class QueryEngine:
    """A gallery, the model that described it, and editors of other attributes.

    editors: by attribute name; the one of the gallery's own attribute must be the model that described it, else
    ModelMismatchError.
    """

    def __init__(self, gallery: Gallery, editors: Mapping[str, Editor]) -> None:
        task = gallery.config.task
        if task not in editors:
            raise UsageError(f"the gallery {gallery.folder} was described by a model for {task}: give that model too")
        gallery.require_model(editors[task].digest, editors[task].descriptor_size)
        self._gallery, self._editors = gallery, editors

    def query(
        self, path: Path, asked: Asked, k: int = 5, where: Filter = EVERYTHING, distinct: str | None = None
    ) -> Answer:
        """The k gallery images nearest to the person of `path`, seen as asked.

        where: which images compete; distinct: one of DISTINCT, of which a result may show each value once ('content':
        files with the same bytes; images without an identity are all unlike).

        The editor of the gallery's own attribute works last, since its descriptors are what the gallery holds; where it
        does not, the edited face is described as a gallery picture is. The query's own file never counts. Raises
        ImageError, AttributeValueError, UsageError for an attribute without an editor, GalleryEmptyError.
        """
        source = read_crop(path)
        steps = chain(source, asked, self._editors, last=self._gallery.config.task)
        found = self._search(self._descriptor(source, steps), self._own(path), k, where, distinct)
        return Answer(source, dict(asked), steps, found)

    def sweep(
        self, path: Path, space: AttributeSpace, asked: Asked, k: int = 1, where: Filter = EVERYTHING,
        distinct: str | None = None,
    ) -> Iterator[Answer]:  # fmt: skip
        """The same at every value of one attribute, one answer each."""
        for value in space.values:
            yield self.query(path, {**asked, space.name: value}, k, where, distinct)

    def path_of(self, match: Match) -> Path:
        """Where a result's file lies now."""
        return self._gallery.config.image_root / match.image.path

    def found_value(self, match: Match, name: str) -> int | None:
        """A result's value of an attribute: its label where it has one, else what the network decided, if it did."""
        label = getattr(match.image, name, None)
        if label is not None:
            return int(label)
        config = self._gallery.config
        return config.values[match.image.candidate] if name == config.task else None

    def _search(
        self, descriptor: NDArray[np.float32], own: list[int], k: int, where: Filter, distinct: str | None
    ) -> list[Match]:
        look = k
        while True:
            matches = self._gallery.search(descriptor, look, where=where, exclude=own)
            groups: dict[object, Match] = {}
            for match in matches:
                groups.setdefault(_group(match, distinct), match)
            kept = list(groups.values())
            if len(kept) >= k or len(matches) < look:
                return kept[:k]
            look *= 4

    def _descriptor(self, source: Picture, steps: tuple[Step, ...]) -> NDArray[np.float32]:
        task = self._gallery.config.task
        if steps and steps[-1].space.name == task:
            return steps[-1].edit.descriptor
        picture = steps[-1].edit.refined if steps else source
        return np.asarray(self._editors[task].describe(picture[None]).descriptors[0])

    def _own(self, path: Path) -> list[int]:
        full, root = path.parent.resolve() / path.name, self._gallery.config.image_root
        if not full.is_relative_to(root):
            return []
        relative = full.relative_to(root).as_posix()
        try:
            relative.encode()
        except UnicodeEncodeError:  # no gallery holds such a name
            return []
        return list(self._gallery.ids_of([relative]).values())


def require_distinct(name: str) -> str:
    """The name itself; raises UsageError for one that is not among DISTINCT."""
    if name not in DISTINCT:
        raise UsageError(f"no --distinct {name!r}: choose one of {', '.join(DISTINCT)}")
    return name


def _group(match: Match, distinct: str | None) -> object:
    """What a match has in common with those that it stands for."""
    image = match.image
    value = {"identity": image.identity, "content": image.sha256}.get(distinct or "")
    return (value,) if value else image.id


def chain(source: Picture, asked: Asked, editors: Mapping[str, Editor], last: str = "pose") -> tuple[Step, ...]:
    """Edit (60, 60, 3) uint8 one attribute after the other: an occlusion goes first, `last` comes last, and after it
    only an editor that leaves out the background, which no other has seen gone.

    Raises UsageError for an attribute without an editor, AttributeValueError for an unknown value.
    """
    missing = [name for name in asked if name not in editors]
    if missing:
        raise UsageError(f"there is no model for {', '.join(missing)}: give a --models folder that has one")
    names = sorted(
        asked, key=lambda name: (editors[name].card.neutral, name != ORDER[0], name == last, ORDER.index(name))
    )
    for name in names:
        editors[name].space.index(asked[name])
    steps: list[Step] = []
    for name in names:
        picture = steps[-1].edit.refined if steps else source
        steps.append(Step(editors[name].space, asked[name], editors[name].edit(picture, asked[name])))
    return tuple(steps)
