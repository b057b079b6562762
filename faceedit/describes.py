"""What describes and edits faces, as the rest of the project sees it. This module must stay free of torch and PIL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace

if TYPE_CHECKING:
    from faceedit.images import Picture

Floats = NDArray[np.float32]
OWN = "own"
"""what says who it is where no encoder does: the model's own network"""


@dataclass(frozen=True)
class Accepted:
    """rate: of strangers whose pictures lie within `distance` of each other; share: of one person's pictures that do,
    with its interval of 95 %, low to high."""

    rate: float
    distance: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Usual:
    """How far first results lie from their queries where they are right, as it was measured.

    data: on which pictures; date: when, ISO 8601; right: of how many right first results; half, most, nearly_all: the
    Euclidean distances within which 50 %, 90 % and 99 % of them lay; accepted: of what says who it is, how near
    strangers come, by falling rates.
    """

    data: str
    date: str
    right: int
    half: float
    most: float
    nearly_all: float
    accepted: tuple[Accepted, ...] = ()

    def __str__(self) -> str:
        return f"99 % of {self.right:,} right first results lay within {self.nearly_all:.3f} ({self.data}, {self.date})"


@dataclass(frozen=True)
class Who:
    """Which numbers of a descriptor say who it is, whatever the look: those from start to before stop. tells_strangers:
    so surely that it says whether somebody is there at all; encoder: whose they are, None: the model's own network's.
    """

    start: int
    stop: int
    tells_strangers: bool = False
    encoder: str | None = None

    def apart(self, one: Floats, other: Floats) -> float:
        """How far two descriptors (D,) are in this part, brought to length 1: 0 to 2. One that says nothing there, as a
        stranger's may, is 2 away from any."""
        parts = [each[self.start : self.stop].astype(np.float32) for each in (one, other)]
        lengths = [float(np.linalg.norm(part)) for part in parts]
        if not all(lengths):
            return 2.0
        return float(np.linalg.norm(parts[0] / lengths[0] - parts[1] / lengths[1]))


@dataclass(frozen=True)
class Described:
    """Gallery pictures, each under its best candidate: descriptors (N, D), best (N,), errors (N, n_a), NaN for values
    that were never refined because they could not win."""

    descriptors: Floats
    best: NDArray[np.int64]
    errors: Floats


@dataclass(frozen=True)
class Moves:
    """Where stage one moves pixels: said (13, 60, 60) float16, what its decoder said of each
    (`faceedit.networks.blended`), colours in 0..255; black (3,) float32: what light multiplies is brighter than this,
    in 0..255; kept: pixels that are not invented are the source's own."""

    said: NDArray[np.float16]
    black: Floats
    kept: bool = False


@dataclass(frozen=True)
class Edit:
    """generated: stage one, refined: stage two, both (60, 60, 3) uint8 RGB; descriptor: (D,) float32, length 1;
    moves: of them `faceedit.enlarging` makes the same face at the size of a larger crop."""

    generated: Picture
    refined: Picture
    descriptor: Floats
    moves: Moves | None = None


class Describes(Protocol):
    """Turns pictures into descriptors for a gallery: `faceedit.editor.Editor`, or a stand-in of the tests.

    tests/test_describes.py says what every implementation must keep to.
    """

    digest: str
    """names the model, 64 hexadecimal digits: descriptors of two digests are not compared"""

    @property
    def attribute(self) -> AttributeSpace:
        """What is decided of every picture, such as its pose."""

    @property
    def descriptor_size(self) -> int:
        """Numbers in a descriptor, D."""

    @property
    def who(self) -> Who | None:
        """Where a descriptor says who it is; None where no part of it says that alone."""

    @property
    def batch(self) -> int:
        """How many pictures are well described together."""

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        """Pictures (N, 60, 60, 3) uint8 RGB, also none of them; each descriptor has length 1. Raises ImageError for
        another shape or type."""


class Edits(Describes, Protocol):
    """Also imagines a face with another value of the attribute."""

    @property
    def neutral(self) -> bool:
        """Whether what it makes stands before neutral grey instead of the picture's background."""

    @property
    def usual(self) -> Usual | None:
        """How far first results lie where they are right, of the descriptors that it makes; None where nobody
        measured."""

    @property
    def usual_who(self) -> Usual | None:
        """The same of what says who it is, alone."""

    def edit(self, image: Picture, value: int, /) -> Edit:
        """The face of (60, 60, 3) uint8 under a value. Raises AttributeValueError for an unknown one."""

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        """Each face of (N, 60, 60, 3) uint8 under its own value, as `edit` makes it; values (N,) are positions in the
        attribute space."""

    @property
    def portrays(self) -> bool:
        """Whether `portraits` are other pictures than `edit_many` makes."""

    def portraits(self, images: NDArray[np.uint8], values: NDArray[np.int64], /) -> list[Edit]:
        """The same faces for somebody to look at: better pictures, which take more time. Their descriptors are of these
        pictures, without an encoder's part: nothing is searched by them."""

    def backdrop(self, image: Picture, /) -> Floats | None:
        """(3,) of 0..255: the plain colour of what stands behind the person of (60, 60, 3) uint8; None where what it
        makes does not stand before neutral grey, or cannot be cut out of it."""

    def of_person(self, descriptor: Floats, picture: Picture, /) -> Floats:
        """The descriptor (D,) of an imagined face, with what a picture (60, 60, 3) uint8 itself says of who it is where
        an encoder says that."""
