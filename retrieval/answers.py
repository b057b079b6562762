"""What a query answers: values that show and print themselves, and need no gallery for it; nor a model, but for an
imagined face when that is looked at first."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL import Image

from faceedit.attributes import TASKS, AttributeSpace
from faceedit.describes import Edit, Usual
from faceedit.enlarging import enlarged
from faceedit.images import Picture
from faceedit.sitter import Sitter
from index.labels import SUGGESTION
from retrieval.tables import aligned, called, shown

if TYPE_CHECKING:
    from index.values import Box, Face
    from retrieval.source import Source

FILES = (THERE, GONE, CHANGED, UNREADABLE) = ("there", "gone", "changed since", "not readable now")
SHOWN = ("pose", "illumination")  # what a gallery may know of a picture


@dataclass(frozen=True)
class Step:
    """One edit of a chain: which attribute was given which value, what came out, and of what it was made; sitter: who
    is shown; None where a step came from elsewhere, with its picture."""

    attribute: AttributeSpace
    value: int
    edit: Edit = field(repr=False, compare=False)
    before: Source | Step = field(repr=False, compare=False)
    sitter: Sitter | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """'pose 30'"""
        return self.attribute.text(self.value)

    @cached_property
    def picture(self) -> Picture:
        """(S, S, 3) uint8 RGB to look at, as large as what it was made of, 60 to 240; made when it is first asked for.
        A model that moves pixels makes it with more care than `edit.refined`, by which is searched, and as fine as it
        is large; a face that is imagined on neutral grey stands before a plain colour of what was behind the person."""
        if self.sitter is None:
            return enlarged(self.edit, self.before.picture)
        shown = self.sitter.portrait(self.value, self.edit)
        return enlarged(shown, self.before.picture, self.sitter.behind)

    def __getstate__(self) -> dict[str, Any]:
        """Sent elsewhere, stored or copied, it has its picture, and no model to make another."""
        return {**vars(self), "picture": self.picture, "sitter": None}


@dataclass(frozen=True)
class Result:
    """One picture of the gallery. rank: from 1, the nearest; distance: Euclidean, of the descriptors; path: its file,
    absolute; face: what the gallery knows of it; attribute: what the model looked for; file: one of FILES, how that
    file was found when the query was answered."""

    rank: int
    distance: float
    path: Path
    face: Face
    attribute: str
    file: str = THERE

    @property
    def decided(self) -> int:
        """The value of the attribute that the model decided for."""
        return self.face.decided

    @property
    def number(self) -> int:
        """Which face of its photo it is, from 1, the largest."""
        return self.face.number

    @property
    def box(self) -> Box | None:
        """Left, top, width and height in pixels of the upright photo; None: the whole picture is the crop."""
        return self.face.box

    @property
    def identity(self) -> str | None:
        """Who it is, where somebody said so, or where faces of the same person suggest it (`suggested`)."""
        return self.face.identity

    @property
    def suggested(self) -> bool:
        """Whether nobody said who it is, and only others of the person have the name."""
        return self.face.labels.origin("identity") == SUGGESTION

    @property
    def called(self) -> str:
        """The identity as tables have it: with a question mark where it is suggested, '-' where it is not known."""
        return called(self.identity or None, self.suggested)

    @property
    def person(self) -> int | None:
        """Number of the person whose face it is, where people were grouped."""
        return self.face.person

    @property
    def pose(self) -> int | None:
        """Degrees: the label where there is one, else what the model decided, if it looked for poses."""
        return self.value_of("pose")

    @property
    def illumination(self) -> int | None:
        """Number of the light: the label where there is one, else what the model decided, if it looked for lights."""
        return self.value_of("illumination")

    @property
    def expression(self) -> str | None:
        return self.face.expression

    def value_of(self, attribute: str) -> int | None:
        """The label where there is one, else what the model decided, if it looked for this attribute."""
        label = getattr(self.face, attribute, None)
        if label is not None:
            return int(label)
        return self.decided if attribute == self.attribute else None

    def as_json(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            "distance": round(self.distance, 6),
            "identity": self.identity,
            **{name: self.value_of(name) for name in SHOWN},
            "path": str(self.path),
            "face": self.number,
            "box": None if self.box is None else list(self.box),
            "file": self.file,
            "person": self.person,
            "suggested": self.suggested,
        }


@dataclass(frozen=True)
class First:
    """How far a first result lies, and how far right ones do: usual, None where nobody measured. by_who: what says who
    it is was compared, else whole descriptors; wished: of a result that shows what was asked."""

    distance: float
    usual: Usual | None
    by_who: bool = False
    wished: bool = False

    @property
    def limit(self) -> float | None:
        """What is farther is hardly right; None where nobody measured. Who it is was measured on the nearest picture at
        any other look: one look alone may be farther, but no farther than the fewest strangers that were measured."""
        if self.usual is None:
            return None
        strangers = min((one for one in self.usual.accepted), key=lambda one: one.rate, default=None)
        wide = self.by_who and self.wished and strangers is not None
        return max(self.usual.nearly_all, strangers.distance) if wide and strangers else self.usual.nearly_all


@dataclass(frozen=True)
class Answer(Sequence[Result]):
    """One query's results. query: the picture's path as it was given, empty where it had none; asked: what was asked
    for, attribute name to value; given: the picture that was queried with; steps: the edits, in the order in which they
    were made; results: nearest first; first: how far the first of them lies, and how far right ones do;
    at_any_look: nothing was asked, and the results are nearest by who they are alone.

    It is the sequence of its results. `print(answer)` shows a table, a notebook a sheet of pictures.
    """

    query: str
    asked: dict[str, int]
    given: Source = field(repr=False, compare=False)
    steps: tuple[Step, ...]
    results: tuple[Result, ...]
    first: First | None = field(default=None, repr=False, compare=False)
    at_any_look: bool = False

    @property
    def near(self) -> bool | None:
        """Whether the first result is no farther than nearly all right ones are; None where the model does not say how
        far these are, or there is no result."""
        if self.first is None or self.first.limit is None:
            return None
        return self.first.distance <= self.first.limit

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | Sequence[Result]:
        return self.results[index]

    @property
    def source(self) -> Picture:
        """(S, S, 3) uint8 RGB: the query's crop as large as the picture is, but 60 to 240."""
        return self.given.picture

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes: query, asked, whether the first result is near, and the results; and what is amiss
        with the query's file, where something is."""
        results = [result.as_json() for result in self.results]
        amiss = {"warnings": list(self.given.warnings)} if self.given.warnings else {}
        return {"query": self.query, "asked": self.asked, "near": self.near, "results": results, **amiss}

    def __str__(self) -> str:
        return "\n".join(table([self]))

    @cached_property
    def sheet(self) -> Picture:
        """(H, W, 3) uint8 RGB: the query, every step of the edit, then the results."""
        from retrieval.sheets import answer_sheet

        return answer_sheet([self])

    @property
    def alt(self) -> str:
        """The sheet in words."""
        wanted = ", ".join(step.text for step in self.steps)
        found = "; ".join(f"{one.rank}: {one.called} at distance {one.distance:.3f}" for one in self.results)
        return f"Query {shown(self.query or None)}, imagined as {wanted or 'it is'}. Found: {found or 'nothing'}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        content = io.BytesIO()
        Image.fromarray(self.sheet).save(content, "PNG")
        data = base64.b64encode(content.getvalue()).decode()
        return f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{data}">'


def columns(answers: Sequence[Answer]) -> list[str]:
    """What was asked for and can be shown of a result."""
    return [name for name in SHOWN if any(name in answer.asked for answer in answers)]


def table(answers: Sequence[Answer], swept: AttributeSpace | None = None) -> list[str]:
    """Lines: a title, then one for each result. swept: the attribute of which each answer has another value."""
    names = columns(answers)
    rows = [[*(["asked"] if swept else []), "rank", "distance", "identity", *names, "path"]]
    for answer in answers:
        asked = [", ".join(TASKS[name].text(value) for name, value in answer.asked.items())] if swept else []
        for one in answer.results:
            found = [one.called, *(shown(one.value_of(name)) for name in names), _place(one)]
            rows.append([*asked, str(one.rank), f"{one.distance:.4f}", *found])
    return aligned(rows)


def _place(result: Result) -> str:
    number = "" if result.box is None else f"#{result.number}"
    return shown(result.path) + number + ("" if result.file == THERE else f" ({result.file})")
