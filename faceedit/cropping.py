"""From a picture to the crops of the faces that it shows: whether it is such a crop already, what a detector's answer
means, how finely it has to be decoded for that, and by which points a face is cut out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from faceedit.align import Landmarks, align, crop_side, larger_side
from faceedit.colours import Told
from faceedit.crop_rule import SMALL, SURE, is_cut_by, is_square, lies_by_the_rule, may_be_crop
from faceedit.decoding import picture_size, read_photograph
from faceedit.errors import LandmarkError, MissingPackageError, NoFaceError, UsageError
from faceedit.face_detector import SIDES, Face, FaceDetector, Faces, FindsFaces, require_detector, scaled
from faceedit.glance import face_in, shows_somebody
from faceedit.images import LARGEST, SIZE, Picture, as_crop, read_crop
from faceedit.landmarks import by_network
from faceedit.lookalikes import Lookalike, moved, told_of
from faceedit.seeking import Photograph, looked_for

FACES = (AUTO, ALL, LARGEST_ONLY, ALIGNED) = ("auto", "all", "largest", "aligned")
_FINER = 2  # pixels of a photograph for one of a crop: with fewer, a crop would lack what the photograph has
_SMALLEST = 30  # pixels of a face's crop: of fewer, somebody is told
_FEWEST = 16  # the same, of a picture that is a crop as it is
_GIVE = "give a picture that shows one, or a crop of it"
NOBODY = "nobody is seen in it: it is taken for a crop of a face as it is"

Glances = Callable[[Picture], bool]
"""Whether a crop that nobody cut out shows somebody."""
Points = Callable[[Image.Image, Face], Landmarks]
"""By which points a face is cut out of an upright RGB photograph, in its pixels."""


def unseen(crop: Picture) -> bool:
    """Nobody looks: every crop is believed."""
    return True


def detected(photograph: Image.Image, face: Face) -> Landmarks:
    """Those that the detector gives, which lie by another rule at three-quarter views."""
    return face.landmarks


@dataclass(frozen=True)
class CropSettings:
    """size: side of the crops, pixels; upright: turn each face until its eyes are level; faces: one of FACES, what is
    done where nobody knows landmarks. auto: a face that lies as a crop has it is taken as it is, and cut anew where it
    is plain that others cut it; every other face is cut out; all: every face is, also of what may be a crop; largest:
    as auto, but of several that one alone; aligned: every picture counts as a crop and is cut to its central square."""

    size: int = SIZE
    upright: bool = False
    faces: str = AUTO

    def __post_init__(self) -> None:
        if self.faces not in FACES:
            raise UsageError(f"no --faces {self.faces!r}: choose one of {', '.join(FACES)}")


@dataclass(frozen=True)
class Cut:
    """One crop, (size, size, 3) uint8 RGB. face: where it lies in the upright photograph, and the points that it was
    cut by; None: the whole picture is a crop, which may have been cut anew; larger: the same as large as the photograph
    has it, 60 to 240, where that was asked for; seen: whether somebody is to be seen in it."""

    crop: Picture = field(repr=False)
    face: Face | None = None
    larger: Picture | None = field(default=None, repr=False)
    seen: bool = True


@dataclass(frozen=True)
class Cuts:
    """The faces of a picture, the largest first. size: width and height of the upright photograph, pixels; turns: by
    how many quarter turns to the left it was set upright, besides its EXIF; size None: the picture is a crop, as it
    lies or cut anew; lookalikes: what was taken for other faces in a photograph, and left out."""

    faces: tuple[Cut, ...]
    size: tuple[int, int] | None = None
    turns: int = 0
    lookalikes: tuple[Lookalike, ...] = ()


class Cropper:
    """Cuts the faces out of pictures. May be shared by threads: the detector, which may not, is loaded with the first
    photograph and used by one at a time."""

    def __init__(
        self,
        settings: CropSettings | None = None,
        load: Callable[[], FindsFaces] | None = None,
        points: Points | None = None,
        glance: Glances | None = None,
        believes: Callable[[], bool] | None = None,
    ) -> None:
        """load: makes the detector, instead of the one that comes along; raises MissingPackageError where it cannot be
        had. points: by which a face is cut out; None: by the landmark network, or by those of a detector that was
        given. glance: whether a picture that is taken for a crop as it is shows somebody, and every crop is believed to
        lie as it should; None: the detector that comes along looks, at both, unless another is given. believes:
        whether crops are believed all the same; asked where one would be cut anew."""
        self.settings = settings or CropSettings()
        self._load = load or FaceDetector
        self._points = points or (by_network if load is None else detected)
        self._glance = glance or (shows_somebody if load is None else unseen)
        self._believes = believes or (lambda: False)
        self._detector: FindsFaces | None = None
        self._one = Lock()

    def having(self, faces: str) -> Cropper:
        """The same, for another of FACES, with the same detector."""
        settings = replace(self.settings, faces=faces)
        return Cropper(settings, self._detect, self._points, self._glance, self._believes)

    def believing(self, crops: Callable[[], bool]) -> Cropper:
        """The same, which asks whether crops are believed to lie as they should before it cuts one anew."""
        return Cropper(self.settings, self._detect, self._points, self._glance, crops)

    def _detect(self) -> FindsFaces:
        with self._one:
            self._detector = self._detector or self._load()
        return _Shared(self._detector, self._one)

    def cut(
        self, name: Path, content: bytes | Image.Image | None, told: Told | None = None, *, larger: bool = False
    ) -> Cuts:
        """The faces of a picture. content: of its file, or the picture, opened; None: the file is read. told: what a
        user should know is added to it; larger: make the larger crops, too.

        Raises NoFaceError where no face is found, MissingPackageError for what can be no crop where there is no
        detector, ImageError.
        """
        told = [] if told is None else told
        size = picture_size(name if content is None else content)
        if self._is_crop_by_its_size(size):
            looks = self._glance is shows_somebody and self.settings.faces != ALIGNED
            again = self._cut_anew(name, content, told, larger) if looks else None
            return again or self._whole(name, content, told, size)
        try:
            detector = self._detect()
        except MissingPackageError as error:
            size = size or read_photograph(name, content=content).size
            if self.settings.faces == AUTO and may_be_crop(*size):
                return self._whole(name, content, told, size)
            raise MissingPackageError(
                f"{name} has {size[0]} x {size[1]} pixels and is no crop of a face; {error}"
            ) from error
        return self._found(Photograph(name, content, size), detector, told, larger)

    def only(self, path: Path, points: Landmarks | None, told: Told | None = None) -> Picture:
        """The crop of a file's only face, or of the one whose points are known. Raises LandmarkError where it is not
        clear which that is, or there is none, ImageError."""
        how = self.settings
        if points is not None:
            return align(read_photograph(path, told=told), points, how.size, how.upright)
        try:
            found = self.cut(path, None, told).faces
        except (NoFaceError, MissingPackageError) as error:
            raise LandmarkError(f"{error}; --faces aligned takes the central square as it is") from error
        if len(found) > 1:
            raise LandmarkError(
                f"shows {len(found)} faces, and nobody says which is meant; --faces largest takes that one"
            )
        return found[0].crop

    def _is_crop_by_its_size(self, size: tuple[int, int] | None) -> bool:
        how = self.settings
        small = size is not None and is_square(*size) and max(size) <= SMALL
        return how.faces == ALIGNED or (how.faces != ALL and small and not how.upright)

    def _whole(
        self,
        name: Path,
        content: bytes | Image.Image | None,
        told: Told,
        size: tuple[int, int] | None = None,
        found: bool = False,
    ) -> Cuts:
        """The picture as it is; found: somebody was, in it."""
        if self.settings.size == SIZE:
            crop = read_crop(name, content, told)
        else:
            crop = as_crop(read_photograph(name, content=content, told=told), self.settings.size)
        seen = found or self.settings.faces == ALIGNED or self._glance(crop)
        if size is not None and min(size) < _FEWEST:
            told.append(f"{size[0]} x {size[1]} pixels are too few to know a face by")
        elif not seen:
            told.append(NOBODY)
        return Cuts((Cut(crop, seen=seen),))

    def _cut_anew(self, name: Path, content: bytes | Image.Image | None, told: Told, larger: bool) -> Cuts | None:
        """A small crop, where it is plain that it was cut by other points; None: it is as it should be, or nobody
        knows."""
        amiss = Told()
        photograph = read_photograph(name, content=content, told=amiss)
        side = min(photograph.size)
        left, top = (photograph.width - side) // 2, (photograph.height - side) // 2
        square = photograph.crop((left, top, left + side, top + side))
        face = face_in(np.asarray(square)) if side >= _FEWEST else None
        if face is None or not lies_by_the_rule(face, square):  # several may be in it
            return None
        points = self._points_of_others(photograph, face.moved(left, top))
        if points is None:
            return None
        try:
            large = align(photograph, points, larger_side(points)) if larger else None
            cuts = Cuts((Cut(align(photograph, points, self.settings.size), larger=large),))
        except LandmarkError:
            return None
        told += amiss
        return cuts

    def _points_of_others(self, photograph: Image.Image, face: Face) -> Landmarks | None:
        """Where our points are of a face that lies about as in a crop, if it is plain that others cut it; else None."""
        if face.score < SURE:
            return None
        points = self._points(photograph, face)
        return None if is_cut_by(points, *photograph.size) or self._believes() else points

    def _found(self, given: Photograph, detector: FindsFaces, told: Told, larger: bool) -> Cuts:
        """What a detector's answer means."""
        amiss, how = Told(), self.settings
        faces = looked_for(given, detector, amiss)
        crop = how.faces != ALL and may_be_crop(*given.size)
        alone = how.faces != ALL and not how.upright and len(faces.found) == 1 and not faces.turns
        lies = alone and lies_by_the_rule(faces.found[0], faces.photograph)
        as_it_is = lies and self._points_of_others(faces.photograph, faces.found[0]) is None
        if as_it_is or (crop and not how.upright and not faces.found):
            # what hides a part of a face hides it from detectors
            return self._whole(given.name, given.content, told, found=as_it_is)
        if not faces.found:
            raise _nobody(given, faces)
        wanted = faces.found[:1] if how.faces == LARGEST_ONLY else faces.found
        cuts = self._cut_out(given, replace(faces, found=wanted), amiss, larger)
        if not cuts.faces and (crop or lies):
            return self._whole(given.name, given.content, told, found=lies)
        told += amiss  # of a crop, whoever reads it tells
        if not cuts.faces:
            raise NoFaceError(
                f"the face in {given.name} cannot be cut out: it lies too near the border, or is too small; {_GIVE}",
                _as_given(given, faces),
            )
        return cuts

    def _cut_out(self, given: Photograph, faces: Faces, told: Told, larger: bool) -> Cuts:
        photograph, found = self._fine_enough(given, faces, larger)
        across, down = (full / own for full, own in zip(_turned(given.size, faces.turns), photograph.size, strict=True))
        cuts, how = [], self.settings
        for face in found:
            points = self._points(photograph, face)
            try:
                crop = align(photograph, points, how.size, how.upright)
                large = align(photograph, points, larger_side(points), how.upright) if larger else None
            except LandmarkError:
                continue
            cuts.append(Cut(crop, scaled(replace(face, landmarks=points), across, down), large))
        if len(cuts) < len(found):
            left = len(found) - len(cuts)
            told.append(f"{left} of {len(found)} faces left out: too near the border, or too small")
        sides = [crop_side(cut.face.landmarks) for cut in cuts if cut.face is not None]
        if small := sum(side < _SMALLEST for side in sides):
            told.append(f"{small} of {len(found)} faces under {_SMALLEST} pixels: what is found by them may be others")
        size = _turned(given.size, faces.turns)
        left_out = moved(faces.lookalikes, faces.photograph.size, 0, size)
        return Cuts(tuple(cuts), size, faces.turns, left_out)

    def _fine_enough(self, given: Photograph, faces: Faces, larger: bool) -> tuple[Image.Image, tuple[Face, ...]]:
        """The upright photograph with as many pixels as the crop of its smallest face needs, if it has them."""
        need = LARGEST if larger else _FINER * self.settings.size
        smallest = min(crop_side(face.landmarks) for face in faces.found)
        own = max(faces.photograph.size)
        if own == max(given.size) or smallest >= need:
            return faces.photograph, faces.found
        finer = given.at(own * need / max(smallest, 1.0))
        photograph = finer.rotate(90 * faces.turns, expand=True) if faces.turns else finer
        across, down = (new / old for new, old in zip(photograph.size, faces.photograph.size, strict=True))
        return photograph, tuple(scaled(face, across, down) for face in faces.found)


class _Shared:
    """A detector that several threads use, one at a time."""

    def __init__(self, detector: FindsFaces, one: Lock) -> None:
        self._detector, self._lock = detector, one

    def faces(self, photograph: Image.Image, side: int = SIDES[0], /) -> Faces:
        with self._lock:
            return self._detector.faces(photograph, side)

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        with self._lock:
            return self._detector.standing(photograph, side)


def detector_of(settings: CropSettings, weights: Path | None) -> Callable[[], FindsFaces]:
    """What loads the detector, once it is needed. weights: another YuNet's, which is tried. Raises UsageError, and
    MissingPackageError where the settings need one and there is none."""
    if settings.faces == ALIGNED and weights is not None:
        raise UsageError("--detector and --faces aligned together: choose one")
    if weights is not None:
        require_detector(weights)
    elif settings.faces in (ALL, LARGEST_ONLY):
        FaceDetector()
    return partial(FaceDetector, weights)


def _nobody(given: Photograph, faces: Faces) -> NoFaceError:
    left_out = _as_given(given, faces)
    besides = f"; {told_of(left_out)}" if left_out else ""
    return NoFaceError(f"no face is found in {given.name}{besides}: {_GIVE}", left_out)


def _as_given(given: Photograph, faces: Faces) -> tuple[Lookalike, ...]:
    """What was left out, in the photograph as it was before it was set upright."""
    return moved(faces.lookalikes, faces.photograph.size, -faces.turns, given.size)


def _turned(size: tuple[int, int], turns: int) -> tuple[int, int]:
    return (size[1], size[0]) if turns % 2 else size
