"""Read one file: the crops of the faces in it, or why there are none.

This module must stay free of torch: every process that reads imports it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from stat import S_ISREG

from faceedit.cropping import ALIGNED, AUTO, Cropper, CropSettings, Cuts, detector_of
from faceedit.errors import ImageError, MissingPackageError, NoFaceError
from faceedit.face_detector import Face, FaceDetector
from faceedit.formats import decoders
from faceedit.glance import shows_somebody
from faceedit.images import Picture
from faceedit.landmarks import by_network, landmarks_digest, require_landmarks
from faceedit.lookalikes import Lookalike
from faceedit.yunet import can_be_found, detector_digest
from index.stamps import FileStamp, file_hash
from index.values import Place

MOST_BYTES = 500_000_000  # of one file
UNKNOWN = FileStamp()


@dataclass(frozen=True)
class ReadFace:
    """A face's crop (60, 60, 3) uint8 RGB; place: where it lies in the upright photograph, None: it is all of that;
    number: among the faces there, the largest first."""

    crop: Picture
    place: Place | None = None
    number: int = 1


@dataclass(frozen=True)
class Read:
    """One file: the faces in it, the largest first, and what identifies it, or the reason why there is none.

    lasting: whether that reason lasts as long as the file stays as it is: what the system refuses, it may grant the
    next time; faceless: whether it is that no face is found; warnings: what is wrong with the file, and costs no pixel;
    width, height, turn: of a photograph, as `index.values.Photo` has them; lookalikes: why each place in it that looks
    like a face was left out."""

    path: Path
    faces: tuple[ReadFace, ...] = ()
    sha256: str = ""
    stamp: FileStamp = UNKNOWN
    reason: str = ""
    lasting: bool = True
    faceless: bool = False
    warnings: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    turn: int = 0
    lookalikes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a photograph as it stands upright; (0, 0) of a crop."""
        return self.width, self.height

    @property
    def crop(self) -> Picture | None:
        """Of its first face."""
        return self.faces[0].crop if self.faces else None


@dataclass(frozen=True)
class Crops:
    """How pictures become crops: what each reading process is told. faces: one of `faceedit.cropping.FACES`; detector:
    another YuNet's file. Called with a path it reads that file, once."""

    faces: str = AUTO
    detector: Path | None = None

    @property
    def name(self) -> str:
        """What their answer depends on besides the file."""
        if self.faces == ALIGNED:
            return f"faces {self.faces}"
        found = detector_digest(self.detector)
        by = f"{found[:12]}, {landmarks_digest()[:12]}" if found else "nothing"
        return f"faces {self.faces} by {by}"

    def require(self) -> None:
        """Raise UsageError for what cannot be done, MissingPackageError where an extra is needed for it, ModelFileError
        for a damaged landmark network: no picture is to blame for that."""
        detector_of(CropSettings(faces=self.faces), self.detector)
        if self.faces != ALIGNED and can_be_found():
            require_landmarks()

    def __call__(self, path: Path, /) -> Read:
        return read_by(_cropper(self), path)


def reader_name() -> str:
    """What reads files here, whatever is cut out of them: files that an earlier one refused are tried again."""
    return f"{decoders()}, for its pixels alone"


def read(path: Path) -> Read:
    """Read one file once: a crop, or a photograph with all its faces."""
    return Crops()(path)


@lru_cache(1)
def _cropper(crops: Crops) -> Cropper:
    """One for each process that reads: whoever asks for it has required that it can be."""
    return Cropper(CropSettings(faces=crops.faces), partial(FaceDetector, crops.detector), by_network, shows_somebody)


def read_by(cropper: Cropper, path: Path) -> Read:
    """Read one file once."""
    stamp, lasting, faceless = UNKNOWN, False, False
    told: list[str] = []
    lookalikes: tuple[str, ...] = ()
    try:
        str(path).encode()
        stat = path.stat()  # before the content: a change from here on is seen by the next run
        stamp = FileStamp.of(stat)
        if not S_ISREG(stat.st_mode):
            raise ImageError(f"{path} is no regular file: give a picture")
        if stamp.size > MOST_BYTES:
            raise ImageError(f"{path} has {stamp.size:,} bytes, over {MOST_BYTES:,}: make it smaller")
        content = path.read_bytes()
        cuts = cropper.cut(path, content, told)
        if not cuts.faces[0].seen:
            raise NoFaceError(
                f"nobody is seen in {path}, which is square and small as a crop is: give a picture that shows "
                "one; --faces aligned takes it as it is"
            )
    except UnicodeEncodeError:
        reason = f"{str(path)!r} has a name that is not Unicode: rename the file"
    except FileNotFoundError:
        reason = f"{path} does not exist any more"
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror or error}): the next run tries it again"
    except (ImageError, MissingPackageError) as error:
        reason, lasting = str(error), True
        if isinstance(error, NoFaceError):
            faceless, lookalikes = True, _reasons(error.lookalikes)
    else:
        return _with_faces(Read(path, (), hashlib.sha256(content).hexdigest(), stamp, warnings=tuple(told)), cuts)
    return Read(path, stamp=stamp, reason=reason, lasting=lasting, faceless=faceless, lookalikes=lookalikes)


def _with_faces(file: Read, cuts: Cuts) -> Read:
    """What was read with what was cut out of it."""
    width, height = cuts.size or (0, 0)
    faces = tuple(
        ReadFace(cut.crop, None if cut.face is None else _place(cut.face), number)
        for number, cut in enumerate(cuts.faces, 1)
    )
    left_out = _reasons(cuts.lookalikes)
    return replace(file, faces=faces, width=width, height=height, turn=cuts.turns, lookalikes=left_out)


def _reasons(lookalikes: tuple[Lookalike, ...]) -> tuple[str, ...]:
    return tuple(one.reason for one in lookalikes)


def _place(face: Face) -> Place:
    points = tuple(axis for point in face.landmarks.known().values() for axis in point)
    return Place(face.box, points, face.score)


def content_of(path: Path) -> str | None:
    """sha256 of a file's content; None for one that cannot be read or is too large."""
    try:
        return None if path.stat().st_size > MOST_BYTES else file_hash(path)
    except OSError:
        return None
