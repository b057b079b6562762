"""What a model makes of pictures, as a gallery keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import ModelFileError
from index.descriptors import first_unsound
from index.values import Decision, FloatArray
from retrieval.one_file import Read
from retrieval.reading import ReadsFiles

Content = tuple[str, int]
"""sha256 of a file, and the number of a face in it."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a model made of one face; descriptor: (D,)."""

    decision: Decision
    descriptor: FloatArray


class DescribesFiles(Protocol):
    """Reads files, and may describe the faces in them, too, wherever that is done."""

    def ahead(self, paths: Sequence[Path], /) -> Iterator[tuple[list[Read], dict[Content, Made]]]:
        """All of the files, some at a time and each once, with what was made of the faces in them already."""


class Here:
    """Files that are read on this machine, and described when it is known which need be."""

    def __init__(self, reader: ReadsFiles, batch: int) -> None:
        self._reader, self._batch = reader, batch

    def ahead(self, paths: Sequence[Path], /) -> Iterator[tuple[list[Read], dict[Content, Made]]]:
        for files in self._reader.ahead(paths, self._batch):
            yield files, {}


def describe_contents(
    describer: Describes, files: Iterable[Read], ready: Mapping[Content, Made] | None = None
) -> dict[Content, Made]:
    """What is made of each face of each content that was read; ready: of those that were described before. Raises
    ModelFileError for a model that makes no descriptors."""
    crops = {(file.sha256, face.number): face.crop for file in files for face in file.faces}
    known = {content: ready[content] for content in crops if content in ready} if ready else {}
    crops = {content: crop for content, crop in crops.items() if content not in known}
    if not crops:
        return known
    described = describer.describe(np.stack(list(crops.values())))
    require_sound(describer, described.descriptors)
    values = describer.attribute.values
    rows = zip(crops, described.best, described.errors, described.descriptors, strict=True)
    return known | {
        content: Made(Decision(values[best], known_errors(errors)), descriptor)
        for content, best, errors, descriptor in rows
    }


def require_sound(describer: Describes, descriptors: FloatArray) -> None:
    """Raise ModelFileError unless descriptors (n, D) are numbers and of length 1: a stranger's model may make others of
    a picture, however sound its file is."""
    found = first_unsound(descriptors)
    if found is not None:
        raise ModelFileError(
            f"the model {describer.digest[:12]} makes a descriptor of length {found[1]:.3g} of a picture, expected 1: "
            "its weights are of no use; give another --model"
        )


def known_errors(errors: FloatArray) -> tuple[float | None, ...]:
    """Errors (n_a,) of a picture: None for values that were not refined, since they could not win."""
    return tuple(None if np.isnan(error) else float(error) for error in errors)
