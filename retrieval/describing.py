"""What a model makes of pictures, as a gallery keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import ModelFileError
from index.descriptors import first_unsound
from index.values import Decision, FloatArray
from retrieval.one_file import Read

Content = tuple[str, int]
"""sha256 of a file, and the number of a face in it."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a model made of one face; descriptor: (D,)."""

    decision: Decision
    descriptor: FloatArray


def describe_contents(describer: Describes, files: Iterable[Read]) -> dict[Content, Made]:
    """What is made of each face of each content that was read. Raises ModelFileError for a model that makes no
    descriptors."""
    crops = {(file.sha256, n): face.crop for file in files for n, face in enumerate(file.faces, 1)}
    if not crops:
        return {}
    described = describer.describe(np.stack(list(crops.values())))
    require_sound(describer, described.descriptors)
    values = describer.attribute.values
    rows = zip(crops, described.best, described.errors, described.descriptors, strict=True)
    return {
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
