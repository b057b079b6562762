"""What goes into a gallery and what comes out: plain frozen values, checked at the boundary."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from index.errors import ImageRowError
from index.where import Condition


@dataclass(frozen=True)
class GalleryConfig:
    """What a gallery is made for; fixed when it is created (only the image root may move).

    Raises ValueError for values that cannot describe a gallery.
    """

    model_digest: str
    """sha256 of the model's weights, 64 hexadecimal digits, lower case"""
    task: str
    """attribute that the model edits, e.g. "pose" """
    values: tuple[int, ...]
    """the attribute's values in the model's order, e.g. (-45, -30, ..., 45)"""
    descriptor_size: int
    """numbers per descriptor"""
    image_root: Path
    """absolute folder that the image paths are relative to"""

    def __post_init__(self) -> None:
        digits = set(self.model_digest)
        if len(self.model_digest) != 64 or not digits <= set("0123456789abcdef"):
            raise ValueError(
                f"model_digest is {self.model_digest!r}; expected the sha256 of the weights "
                "as 64 lower-case hexadecimal digits"
            )
        if not self.values or len(set(self.values)) != len(self.values):
            raise ValueError(f"values are {self.values}; expected one or more distinct integers")
        if self.descriptor_size < 1:
            raise ValueError(f"descriptor_size is {self.descriptor_size}; expected 1 or more")


@dataclass(frozen=True)
class Labels:
    """What somebody says about an image. None: not known."""

    identity: str | None = None
    pose: int | None = None
    illumination: int | None = None
    expression: str | None = None


@dataclass(frozen=True)
class ImageRow:
    """One image to add."""

    path: str
    """relative to the image root, with forward slashes"""
    candidate: int
    """position, in the gallery's values, of the value that the network decided for"""
    errors: tuple[float | None, ...]
    """reconstruction errors, one per value of the gallery; None: not known, since the value could not win"""
    identity: str | None = None
    pose: int | None = None
    illumination: int | None = None
    expression: str | None = None
    sha256: str = ""
    """of the image file"""
    size: int = 0
    """of the image file, bytes"""
    mtime_ns: int = 0
    """of the image file, nanoseconds"""


@dataclass(frozen=True)
class StoredImage(ImageRow):
    """One image of the gallery."""

    id: int = field(kw_only=True)
    """stable, and never given to another image"""


@dataclass(frozen=True)
class Move:
    """An image's file as it is now: elsewhere, newer, or with other labels, but with the same content."""

    id: int
    path: str
    size: int
    mtime_ns: int
    labels: Labels


@dataclass(frozen=True)
class Problem:
    """A file that could not be read, as it was then."""

    path: str
    """relative to the image root, with forward slashes"""
    size: int
    mtime_ns: int
    reason: str
    found: str = ""
    """when, ISO 8601 in UTC"""


@dataclass(frozen=True)
class Filter:
    """Which images to consider. A field that is None lets everything pass."""

    identity: str | None = None
    pose: int | None = None
    illumination: int | None = None
    expression: str | None = None
    candidate: int | None = None
    where: Condition | None = None
    """a condition as `index.where.parse` reads it"""

    @property
    def restricts(self) -> bool:
        """Whether it keeps anything out."""
        return self.where is not None or bool(self.conditions())

    def conditions(self) -> dict[str, str | int]:
        """The labels that must be equal, by the name of their column."""
        given = {name: value for name, value in vars(self).items() if value is not None and name != "where"}
        return {name: v if isinstance(v, str) else int(v) for name, v in given.items()}


@dataclass(frozen=True)
class Match:
    """One search result."""

    image: StoredImage
    distance: float
    """Euclidean distance between the descriptors (not squared)"""


def checked_columns(row: ImageRow, n_values: int) -> dict[str, Any]:
    """The columns of a row as the database takes them.

    Raises ImageRowError for a path that is not a plain relative path with forward slashes, a
    candidate that is none of the n_values, or errors that are not n_values finite numbers or None.
    """
    check_path(row.path)
    return {"path": row.path, **checked_description(row.path, row, n_values), **label_columns(row)}


class Described(Protocol):
    """What a model makes of a file: see ImageRow."""

    @property
    def candidate(self) -> int: ...
    @property
    def errors(self) -> tuple[float | None, ...]: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...


def checked_description(name: str, row: Described, n_values: int) -> dict[str, Any]:
    """The columns of a description as the data base takes them. Raises ImageRowError as `checked_columns`."""
    if not 0 <= row.candidate < n_values:
        raise ImageRowError(
            f"{name}: candidate is {row.candidate}; expected a position from 0 to "
            f"{n_values - 1} in the gallery's values"
        )
    errors = [None if error is None else float(error) for error in row.errors]
    if len(errors) != n_values or not all(error is None or math.isfinite(error) for error in errors):
        raise ImageRowError(
            f"{name}: errors are {errors}; expected {n_values} finite numbers or None, one for each of "
            "the gallery's values"
        )
    return {
        "candidate": int(row.candidate),
        "errors": errors,
        "sha256": row.sha256,
        "size": int(row.size),
        "mtime_ns": int(row.mtime_ns),
    }


def label_columns(labels: Labels | ImageRow) -> Mapping[str, str | int | None]:
    """The label columns; integers of NumPy become plain ones, which SQLite stores as numbers."""
    return {
        "identity": labels.identity,
        "pose": None if labels.pose is None else int(labels.pose),
        "illumination": None if labels.illumination is None else int(labels.illumination),
        "expression": labels.expression,
    }


def check_path(path: str) -> None:
    """Raise ImageRowError for a path that is not a plain relative path with forward slashes."""
    pure = PurePosixPath(path)
    plain = str(pure) == path and not pure.is_absolute() and ".." not in pure.parts
    if not plain or path == "." or "\0" in path:
        raise ImageRowError(
            f"image path is {path!r}; expected a path below the image root, relative to it and "
            "with forward slashes, such as 'holiday/anna.jpg'"
        )
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ImageRowError(f"image path is {path!r}, which is not valid Unicode; rename the file") from error
