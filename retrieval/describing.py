"""What a model makes of pictures, as a gallery keeps it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import ModelFileError
from index.descriptors import first_unsound
from index.values import Decision, FloatArray
from retrieval.one_file import Read

Content = tuple[str, int]
"""sha256 of a file, and the number of a face in it."""


def describe_contents(
    describer: Describes, files: Iterable[Read]
) -> tuple[dict[Content, Decision], dict[Content, FloatArray]]:
    """The decision and the descriptor (D,) of each face of each content that was read. Raises ModelFileError for a
    model that makes none."""
    crops = {(file.sha256, n): face.crop for file in files for n, face in enumerate(file.faces, 1)}
    if not crops:
        return {}, {}
    described = describer.describe(np.stack(list(crops.values())))
    require_sound(describer, described.descriptors)
    values = describer.attribute.values
    decided = zip(described.best, described.errors, strict=True)
    decisions = [Decision(values[best], known_errors(errors)) for best, errors in decided]
    return dict(zip(crops, decisions, strict=True)), dict(zip(crops, described.descriptors, strict=True))


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
