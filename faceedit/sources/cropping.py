"""How a photograph becomes a crop: by landmarks that are known, by a detector, or as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from faceedit.align import Landmarks, align
from faceedit.colours import Told
from faceedit.errors import LandmarkError, MissingPackageError, UsageError
from faceedit.faces import FaceDetector, Faces, FindsFaces, lies_by_the_rule, may_be_crop
from faceedit.images import SIZE, Picture, as_crop, read_photograph

FACES = (AUTO, LARGEST, ALIGNED) = ("auto", "largest", "aligned")


@dataclass(frozen=True)
class CropSettings:
    """size: side of the crops, pixels; upright: turn each face until its eyes are level; faces: one of FACES, what is
    done where nobody knows landmarks. auto: a face that lies as a crop has it is taken as it is, the only face of a
    photograph is cut out, and where there are several none is; largest: then the largest is; aligned: every picture
    counts as a crop and is cut to its central square."""

    size: int = SIZE
    upright: bool = False
    faces: str = AUTO

    def __post_init__(self) -> None:
        if self.faces not in FACES:
            raise UsageError(f"no --faces {self.faces!r}: choose one of {', '.join(FACES)}")


class Cropper:
    """Cuts crops out of photographs. detector: loaded once; None: without the extra `photos`, pictures that can be no
    crop are refused."""

    def __init__(self, settings: CropSettings, detector: FindsFaces | None = None) -> None:
        self.settings = settings
        self._detector = detector

    def crop(self, path: Path, points: Landmarks | None, told: Told | None = None) -> Picture:
        """The face as (size, size, 3) uint8 RGB. told: what is amiss with the file beside its pixels is added to it.
        Raises ImageError, LandmarkError for points or a picture that show no face."""
        image, how = read_photograph(path, told=told), self.settings
        if points is not None:
            return align(image, points, how.size, how.upright)
        if how.faces == ALIGNED:
            return as_crop(image, how.size)
        if self._detector is None:
            _require_crop(image)
            return as_crop(image, how.size)
        return self._found(self._detector.faces(image))

    def _found(self, faces: Faces) -> Picture:
        how, found = self.settings, faces.found
        if not found:
            raise LandmarkError("shows no face that was found; --faces aligned takes its central square as it is")
        if len(found) > 1 and how.faces == AUTO:
            raise LandmarkError(
                f"shows {len(found)} faces, and nobody says which is meant; --faces largest takes that one"
            )
        if len(found) == 1 and lies_by_the_rule(found[0], faces.photograph) and not how.upright:
            return as_crop(faces.photograph, how.size)
        return align(faces.photograph, found[0].landmarks, how.size, how.upright)


def detector_for(settings: CropSettings, weights: Path | None) -> FaceDetector | None:
    """The detector where one is needed and the extra is installed. weights: another YuNet's, which must be usable.
    Raises UsageError, MissingPackageError."""
    if settings.faces == ALIGNED:
        if weights is not None:
            raise UsageError("--detector and --faces aligned together: choose one")
        return None
    try:
        return FaceDetector(weights)
    except MissingPackageError:
        if weights is not None or settings.faces == LARGEST:
            raise
        return None


def _require_crop(image: Image.Image) -> None:
    if not may_be_crop(*image.size):
        raise LandmarkError(
            f"is a photograph of {image.width} x {image.height} pixels, no square crop of a face: "
            "pip install '.[photos]' finds faces in photographs, --landmarks says where they are, "
            "--faces aligned takes the central square"
        )
