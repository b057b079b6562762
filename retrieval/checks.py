"""Checks of files and texts that cost nothing, to be made before expensive work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from faceedit.errors import FaceEditError, UsageError
from index.stored import place_typed

_WRITTEN = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # pictures


def require_file(path: Path, what: str) -> None:
    """Raise a FaceEditError unless the path is a file."""
    if not path.exists():
        raise FaceEditError(f"{path} does not exist: give the path of {what}")
    if not path.is_file():
        raise FaceEditError(f"{path} is {'a folder' if path.is_dir() else 'no regular file'}: give the path of {what}")


def require_image(typed: Path) -> Path:
    """Where the picture lies that a command line names. Raises a FaceEditError unless it is a file there."""
    place = place_typed(typed)
    require_file(place, "an image")
    return place


def require_writable_parent(path: Path) -> None:
    """Raise a FaceEditError unless a file could be written at the path."""
    if not path.parent.is_dir():
        raise FaceEditError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise FaceEditError(f"cannot write {path}: it is a folder")


def require_output_folder(path: Path) -> None:
    """Raise a FaceEditError unless the folder can be made and written into."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise FaceEditError(f"{there} is a file: give a folder to write into")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise FaceEditError(f"cannot write into {path} ({error.strerror}): give a folder you may write to") from error


def require_working_folder() -> None:
    """Raise a FaceEditError where it has been deleted: relative paths lead nowhere, and torch ends the process."""
    try:
        Path.cwd()
    except OSError as error:
        raise FaceEditError(
            f"the working folder is not there any more ({error.strerror}): change to one that is, and run this again"
        ) from error


def require_picture_name(path: Path, source: Path | None = None) -> None:
    """Raise a FaceEditError unless a picture can be written at the path, which must not be the one it is made of."""
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise FaceEditError(f"{path} is the picture itself and would be lost: name another file to write")
    if path.suffix.lower() not in _WRITTEN:
        raise FaceEditError(
            f"cannot write {path}: name a picture of {', '.join(_WRITTEN)}, such as {path.stem or 'out'}.png"
        )
    require_writable_parent(path)


def require_no_image(path: Path, images: Path) -> None:
    """Raise UsageError for a picture to write among a gallery's images: one that is there would be lost, and a new one
    be taken for a photograph by the next `index`."""
    places = path.resolve(), path.parent.resolve() / path.name  # a link there is read as what it leads to
    if any(place.is_relative_to(images.resolve()) for place in places):
        if path.exists():
            raise UsageError(f"{path} lies among the gallery's images and would be lost: name another file to write")
        raise UsageError(
            f"{path} would lie among the gallery's images, and the next `facesearch index` would take it for one of "
            f"them: name a file that is not below {images}"
        )


def require_keepable(folder: Path) -> None:
    """Raise UsageError for a folder whose name a gallery cannot keep."""
    if not is_unicode(folder):
        raise UsageError(f"the folder {str(folder)!r} is not named in valid Unicode: give it a name in UTF-8")


def is_unicode(path: Path | str) -> bool:
    """Whether a file's name, or another text, is Unicode: no other can be kept."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
