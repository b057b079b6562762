"""What a model makes of pictures, as a gallery keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from faceedit.describes import Describes
from faceedit.images import Picture
from index.values import Decision, FloatArray


@dataclass(frozen=True)
class Description:
    """A picture's decision and descriptor (D,)."""

    decision: Decision
    descriptor: FloatArray


def describe_contents(describer: Describes, crops: Mapping[str, Picture]) -> dict[str, Description]:
    """Descriptions of crops (60, 60, 3) uint8, by the same key, such as their files' sha256."""
    if not crops:
        return {}
    described = describer.describe(np.stack(list(crops.values())))
    values = describer.attribute.values
    return {
        key: Description(Decision(values[best], known_errors(errors)), descriptor)
        for key, best, errors, descriptor in zip(
            crops, described.best, described.errors, described.descriptors, strict=True
        )
    }


def known_errors(errors: FloatArray) -> tuple[float | None, ...]:
    """Errors (n_a,) of a picture: None for values that were not refined, since they could not win."""
    return tuple(None if np.isnan(error) else float(error) for error in errors)
