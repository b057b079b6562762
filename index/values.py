"""What goes into a gallery and what comes out: frozen values that compose, checked at the boundary."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.engines import FAISS
from index.errors import ImageRowError
from index.labels import Labels
from index.stamps import FileStamp

FloatArray: TypeAlias = NDArray[np.float32]
HalfArray: TypeAlias = NDArray[np.float16]
IdArray: TypeAlias = NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""progress(what, done, total)"""
Box: TypeAlias = tuple[float, float, float, float]

_HASH = re.compile("[0-9a-f]{64}")
IDENTITY_LEVEL = re.compile("first|last|[1-9][0-9]{0,2}")
"""Which of the folders below the image root names a person: the outermost, a picture's own, or by number from 1."""
_NO_NAMES = frozenset(("", ".", ".."))  # parts of a path that are no names of folders or files
_NEVER_LOOKED_AT = FileStamp()
MOST_FACES, _FARTHEST = 100_000, 1e6  # in one photo; pixels
_MOST_OF_PHOTO = 3  # a face's box is at most so many times as large
_POINTS = (8, 10)  # numbers of landmarks
FACES = ("auto", "all", "largest", "aligned")
"""What may be done with a picture: take it as a crop where it is one, cut out all faces, the largest, or take it as it
is."""
WHOSE = ("only", "largest")
"""To whom a folder's name belongs: a photo's only face, or the largest of several, too."""
LARGEST_ID = 2**62  # that an import brings along, so that others can come after it
LARGEST_PERSON = 2**31 - 1
MOST_VALUES, LARGEST_VALUE, LARGEST_DESCRIPTOR, LONGEST_PATH = 1_000, 2**31, 2**20, 4_096
_LONGEST_NAME, LONGEST_ENCODER = 100, 4_000  # characters of an attribute's, and of an encoder's
FILE = "{file}"
"""What stands for a file's path in the reason why it could not be read."""


def require_encoder(name: object) -> None:
    """Raise ValueError for what can be no encoder's name: text on one line; None is none."""
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_ENCODER and name.isprintable()):
        return
    raise ValueError(f"encoder is {name!r:.60}; expected a name of up to {LONGEST_ENCODER:,} characters on one line")


@dataclass(frozen=True)
class GalleryConfig:
    """What a gallery is made for; fixed when it is created (only the image root may move).

    Raises ValueError for values that cannot describe a gallery.
    """

    model_digest: str
    """sha256 of the model's weights, 64 hexadecimal digits, lower case"""
    attribute: str
    """what the model edits, e.g. "pose" """
    values: tuple[int, ...]
    """the attribute's values in the model's order, e.g. (-45, -30, ..., 45)"""
    descriptor_size: int
    """numbers per descriptor"""
    image_root: Path
    """absolute folder that the photos' paths are relative to"""
    vectors: str = FAISS
    """what searches the descriptors, as `index.vectors` reads it"""
    encoder: str | None = None
    """which encoder of people has a part of every descriptor, by name; None: the model's own network alone says who it
    is"""

    def __post_init__(self) -> None:
        digits = set(self.model_digest)
        if len(self.model_digest) != 64 or not digits <= set("0123456789abcdef"):
            raise ValueError(
                f"model_digest is {self.model_digest!r}; expected the sha256 of the weights "
                "as 64 lower-case hexadecimal digits"
            )
        if not re.fullmatch("[a-z][a-z0-9_]*", self.attribute) or len(self.attribute) > _LONGEST_NAME:
            raise ValueError(f"attribute is {self.attribute!r:.60}; expected a name, such as pose")
        whole = all(type(value) is int and abs(value) < LARGEST_VALUE for value in self.values)
        if not whole or not 0 < len(set(self.values)) == len(self.values) <= MOST_VALUES:
            raise ValueError(f"values are {self.values!r:.60}; expected one to {MOST_VALUES:,} distinct whole numbers")
        if not 1 <= self.descriptor_size <= LARGEST_DESCRIPTOR:
            raise ValueError(
                f"descriptor_size is {self.descriptor_size}; expected 1 to {LARGEST_DESCRIPTOR:,}, as of every model"
            )
        require_encoder(self.encoder)
        root = str(self.image_root)
        if "\0" in root or len(os.fsencode(root)) > LONGEST_PATH:
            raise ValueError(f"image_root is {root!r:.60}; expected a path that the system can open")


@dataclass(frozen=True)
class CropPolicy:
    """What is done with the pictures of a gallery. Raises ValueError for what can be none."""

    faces: str | None = None
    """one of FACES; None: nobody said"""
    detector: str | None = None
    """sha256 of the network that finds faces, where it is not the one that comes along"""
    identity_of: str | None = None
    """one of WHOSE; None: nobody said"""

    def __post_init__(self) -> None:
        if self.faces not in (None, *FACES) or self.identity_of not in (None, *WHOSE):
            raise ValueError(f"faces is {self.faces!r:.40}, identity_of {self.identity_of!r:.40}; expected {FACES}")
        if self.detector is not None and not _HASH.fullmatch(self.detector):
            raise ValueError(f"detector is {self.detector!r:.70}; expected a sha256")


@dataclass(frozen=True)
class State:
    """How far a gallery has come."""

    generation: int
    """one more with every change that a search can see"""
    stamp: str
    """random, new with each generation: tells it from the same one of a restored copy"""
    removals: int
    """how often faces were removed: only that disturbs a running read"""
    model: tuple[str, int]
    """digest of the model that described it, and how many numbers its descriptors have"""


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


def path_forms(path: str) -> tuple[str, ...]:
    """A path as it is written, and as disks of other systems write it: composed, or not."""
    return tuple(dict.fromkeys((path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))))


def check_decision(name: str, decision: Decision, values: Sequence[int]) -> None:
    """Raise ImageRowError for a value that is none of the gallery's, or errors that are not a finite number or None for
    each of them."""
    if decision.decided not in values:
        raise ImageRowError(f"{name}: decided is {decision.decided}; expected one of {', '.join(map(str, values))}")
    errors = decision.errors
    if len(errors) != len(values) or not all([error is None or math.isfinite(error) for error in errors]):
        raise ImageRowError(
            f"{name}: errors are {list(errors)}; expected {len(values)} finite numbers or None, one for each of "
            "the gallery's values"
        )


def check_place(face: Face) -> None:
    """Raise ImageRowError for a number that is none, or a place that is not in numbers."""
    if not 1 <= face.number <= MOST_FACES:
        raise ImageRowError(f"{face.path}: face is {face.number}; expected a number from 1")
    if face.place is not None:
        check_box(face.path, face.place.box)
        _check_inside(face.photo, face.place.box)
        points, score = face.place.landmarks, face.place.score
        if len(points) not in _POINTS or not all(abs(one) < _FARTHEST for one in points) or not 0 <= score <= 1:
            raise ImageRowError(
                f"{face.path}: landmarks are {points!r:.80}, score {score!r:.20}; expected 8 or 10 numbers of pixels, "
                "and one from 0 to 1"
            )


def _check_inside(photo: Photo, box: Box) -> None:
    """Raise ImageRowError for a box that lies nowhere in its photo, or is far larger than that."""
    left, top, width, height = box
    meets = left < photo.width and top < photo.height and left + width > 0 and top + height > 0
    if not meets or width > _MOST_OF_PHOTO * photo.width or height > _MOST_OF_PHOTO * photo.height:
        raise ImageRowError(
            f"{photo.path}: box is {box!r:.80} in a photo of {photo.width} x {photo.height} pixels; expected one in it"
        )


def check_box(name: str, box: Box) -> None:
    """Raise ImageRowError for what is no box."""
    if len(box) != 4 or not all(abs(one) < _FARTHEST for one in box) or min(box[2:]) < 1:
        raise ImageRowError(f"{name}: box is {box!r:.80}; expected left, top, width and height in pixels")


def check_hidden(hidden: Hidden) -> None:
    """Raise ImageRowError for what says of no content which face is meant."""
    check_photo(Photo(hidden.path, hidden.sha256))
    share = hidden.share or (0.0, 0.0, 1.0, 1.0)
    near = len(share) == 4 and all(abs(one) <= _MOST_OF_PHOTO for one in share)
    if not near or min(share[2:]) <= 0 or not hidden.sha256 or not 1 <= hidden.number <= MOST_FACES:
        raise ImageRowError(
            f"{hidden.path}: face {hidden.number} of {hidden.sha256!r:.20} at {share!r:.80} is none; expected a "
            "sha256, a number from 1, and left, top, width and height in shares of the photo's sides"
        )


def check_photo(photo: Photo) -> None:
    """Raise ImageRowError for a path that is not plain and relative, a hash that is none, or a size that is none."""
    check_path(photo.path)
    size = (photo.width, photo.height)
    if not all(0 <= one < _FARTHEST for one in size) or (0 in size and any(size)) or not 0 <= photo.turn < 4:
        raise ImageRowError(f"{photo.path}: {size} pixels turned {photo.turn} times; expected two sizes and 0 to 3")
    if photo.sha256 and not _HASH.fullmatch(photo.sha256):
        raise ImageRowError(f"{photo.path}: sha256 is {photo.sha256!r:.70}; expected 64 lower-case hexadecimal digits")


def check_path(path: str) -> None:
    """Raise ImageRowError for a path that is not a plain relative path with forward slashes."""
    if "\0" in path or not _NO_NAMES.isdisjoint(path.split("/")):
        raise ImageRowError(
            f"image path is {path!r:.200}; expected a path below the image root, relative to it and "
            "with forward slashes, such as 'holiday/anna.jpg'"
        )
    try:
        length = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ImageRowError(f"image path is {path!r:.200}, which is not valid Unicode; rename the file") from error
    if length > LONGEST_PATH:
        raise ImageRowError(
            f"image path is {path!r:.60}... and has {length:,} bytes; expected {LONGEST_PATH:,} at most"
        )
