"""Every error that `faceedit` raises at its boundary, each with the value, what was expected and how to mend it.

FaceEditError
├── ImageError            a file that cannot be read as a picture
│   └── NoFaceError           a photograph in which nobody is found
├── ManifestError         a manifest.csv with a missing column, a bad value or a missing file
├── LandmarkError         points that are missing, no numbers or no face
├── ImportSourceError     a data set to import that is not there, or of another layout
│   └── NothingImportedError  all of its photographs were skipped
├── AttributeValueError   a pose (or other attribute value) the model does not know
├── ModelFileError        a model folder that is incomplete, altered or of another version
├── FaceModelError        the morphable head's files are missing or not in a known form
├── TrainingError         a training run that cannot start or go on
├── UsageError            a device, recipe or task by a name that does not exist
└── MissingPackageError   an optional package is not installed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceedit.lookalikes import Lookalike


class FaceEditError(Exception):
    """Base of every error a user of `faceedit` can cause. exit_code: what a command that it ends gives back."""

    exit_code = 1


class ImageError(FaceEditError):
    """A file that cannot be read as a picture."""


class NoFaceError(ImageError):
    """A photograph in which nobody is found. lookalikes: what was taken for somebody in it, and left out, where it lies
    in the photograph as it was given."""

    exit_code = 4

    def __init__(self, text: str, lookalikes: tuple[Lookalike, ...] = ()) -> None:
        super().__init__(text)
        self.lookalikes = lookalikes


class ManifestError(FaceEditError):
    """A manifest with a missing column, a bad value or a file that is not there."""


class LandmarkError(FaceEditError):
    """Landmarks that are missing, are no numbers or cannot be a face's."""


class ImportSourceError(FaceEditError):
    """A data set to import that is not there, has another layout or yields nothing."""


class NothingImportedError(ImportSourceError):
    """A data set of which every photograph was skipped, each for its reason."""

    exit_code = 3


class AttributeValueError(FaceEditError):
    """An attribute value outside the model's attribute space."""

    exit_code = 2


class ModelFileError(FaceEditError):
    """A model folder that is incomplete, altered or of another version."""


class FaceModelError(FaceEditError):
    """The morphable head's files are missing or not in a known form."""


class TrainingError(FaceEditError):
    """A training run that cannot start or go on."""


class UsageError(FaceEditError):
    """A device, recipe or task by a name that does not exist."""

    exit_code = 2


class MissingPackageError(FaceEditError):
    """An optional package is not installed."""
