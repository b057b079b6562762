"""What goes into a gallery and what comes out: frozen values that compose; `index.checks` says what none may say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.labels import Labels
from index.stamps import FileStamp

FloatArray: TypeAlias = NDArray[np.float32]
HalfArray: TypeAlias = NDArray[np.float16]
IdArray: TypeAlias = NDArray[np.int64]
Box: TypeAlias = tuple[float, float, float, float]

_NEVER_LOOKED_AT = FileStamp()
FILE = "{file}"
"""What stands for a file's path in the reason why it could not be read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the network made of a face: which value of the attribute it has."""

    decided: int
    """one of the gallery's values"""
    errors: tuple[float | None, ...]
    """reconstruction errors, one per value of the gallery; None: not known, since the value could not win"""


@dataclass(frozen=True, slots=True)
class Photo:
    """A file."""

    path: str
    """relative to the image root, with forward slashes"""
    sha256: str = ""
    """of its content, hexadecimal; empty: not known"""
    stamp: FileStamp = _NEVER_LOOKED_AT
    """the file when it was last looked at"""
    width: int = 0
    """pixels, as it stands upright; 0: it was taken for a crop, as it is"""
    height: int = 0
    turn: int = 0
    """quarter turns to the left that set it upright, besides its EXIF"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face lies in its photo, in pixels of that as it stands upright."""

    box: Box
    """left, top, width and height"""
    landmarks: tuple[float, ...]
    """x and y of the points that it was cut out by: left eye, right eye, left and right corner of the mouth, as the
    picture shows them, and perhaps the chin"""
    score: float
    """how sure the detector was, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Face:
    """One individual in a photo: where it is, what is said of it, and what the network made of it."""

    photo: Photo
    labels: Labels
    decision: Decision
    id: int = 0
    """stable, and never given to another face; 0: not in a gallery yet"""
    number: int = 1
    """among the faces of its photo, the largest first"""
    place: Place | None = None
    """None: the whole photo is its crop"""
    person: int | None = None
    """number of the group of faces that it is in, where people were grouped; None: in none"""

    @property
    def path(self) -> str:
        return self.photo.path

    @property
    def identity(self) -> str | None:
        return self.labels.identity

    @property
    def pose(self) -> int | None:
        return self.labels.pose

    @property
    def illumination(self) -> int | None:
        return self.labels.illumination

    @property
    def expression(self) -> str | None:
        return self.labels.expression

    @property
    def decided(self) -> int:
        return self.decision.decided

    @property
    def box(self) -> Box | None:
        return self.place.box if self.place else None

    @property
    def name(self) -> str:
        """By what people call it: its photo's path, and which of the faces there it is."""
        return f"{self.path}#{self.number}" if self.place else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be read, or in which no face is found, as it was then."""

    path: str
    """relative to the image root, with forward slashes"""
    stamp: FileStamp
    reason: str
    """with `FILE` in place of its path: images may be moved, and are read elsewhere"""
    reader: str = ""
    """what read it: another reader may do better"""
    found: str = ""
    """when, ISO 8601 in UTC"""
    faceless: bool = False
    """it can be read, and shows no face"""

    def told(self, root: Path) -> str:
        """Why, of a file that lies below this folder."""
        return self.reason.replace(FILE, str(root / self.path))


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What tells whether a file that the gallery knows is as it was."""

    photo: int
    """id of its row"""
    described: bool
    """whether a face of it is in the gallery"""
    stamp: FileStamp
    """the file when it was described"""
    problem: Problem | None
    """why it could not be read since, if so"""


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that is no picture by its content, as it was then."""

    path: str
    """relative to the image root, with forward slashes"""
    kind: str
    """what it is, as people call it: '.txt', 'HEIC'"""
    stamp: FileStamp
    reader: str
    """what looked at it: another may read more"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a hand said of a face whose photo was pruned."""

    path: str
    """where it was, relative to the image root"""
    sha256: str
    """of its content"""
    labels: Labels
    """only those that came from a hand"""
    id: int = 0
    number: int = 1
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """A face that was removed and does not come back with its photo: by that one's content, and by where it is."""

    path: str
    """of the photo, relative to the image root"""
    sha256: str
    """of its content"""
    number: int = 1
    """of the face there"""
    share: Box | None = None
    """its box in shares of the photo's sides; None: it was all of it"""
    since: int = 0
    """when it was hidden: seconds since 1970"""
    id: int = 0

    @property
    def name(self) -> str:
        """By what people call it, as `Face.name`."""
        return self.path if self.share is None else f"{self.path}#{self.number}"

    def as_json(self) -> dict[str, str | int]:
        """What people and programs are told of it."""
        return {"name": self.name, "path": self.path, "number": self.number, "since": self.since}


@dataclass(frozen=True, slots=True)
class Person:
    """A group of faces that are one individual's."""

    number: int
    """stable, and never given to another person"""
    name: str | None
    """what a hand called most of them; else a table, or a folder that names no other person"""
    faces: int
    suggested: int
    """how many of these have the name as a suggestion: nobody said it of them"""
    cover: int
    """id of a face to show it by: one that looks ahead, where there is one"""

    @property
    def title(self) -> str:
        """The name, or 'person 17'."""
        return self.name or f"person {self.number}"


@dataclass(frozen=True, slots=True)
class Placement:
    """What a hand said of which person a face is; it holds for that face of all photos with that content."""

    sha256: str
    """of the photo's content"""
    number: int
    """of the face there"""
    box: Box | None
    person: int


@dataclass(frozen=True, slots=True)
class Match:
    """One search result."""

    face: Face
    distance: float
    """Euclidean distance between the descriptors (not squared)"""


def share_of(box: Box | None, size: tuple[int, int] | None) -> Box | None:
    """A box in shares of the sides of its photograph, where that is one."""
    if box is None or size is None or 0 in size:
        return None
    (left, top, width, height), (across, down) = box, size
    return left / across, top / down, width / across, height / down
