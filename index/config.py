"""What a gallery is made for, what is done with its pictures, and how far it has come."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from index.engines import FAISS
from index.limits import LARGEST_DESCRIPTOR, LARGEST_VALUE, LONGEST_ENCODER, LONGEST_NAME, LONGEST_PATH, MOST_VALUES

_HASH = re.compile("[0-9a-f]{64}")
IDENTITY_LEVEL = re.compile("first|last|[1-9][0-9]{0,2}")
"""Which of the folders below the image root names a person: the outermost, a picture's own, or by number from 1."""
FACES = ("auto", "all", "largest", "aligned")
"""What may be done with a picture: take it as a crop where it is one, cut out all faces, the largest, or take it as it
is."""
WHOSE = ("only", "largest")
"""To whom a folder's name belongs: a photo's only face, or the largest of several, too."""


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
        if not re.fullmatch("[a-z][a-z0-9_]*", self.attribute) or len(self.attribute) > LONGEST_NAME:
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


def require_encoder(name: object) -> None:
    """Raise ValueError for what can be no encoder's name: text on one line; None is none."""
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_ENCODER and name.isprintable()):
        return
    raise ValueError(f"encoder is {name!r:.60}; expected a name of up to {LONGEST_ENCODER:,} characters on one line")
