"""The errors of a gallery. Each message says what was wrong, what was expected and how to mend it.

GalleryError
+-- GalleryNotFoundError     there is no gallery in the folder
+-- GalleryExistsError       there is one already
+-- GalleryEmptyError        a search in a gallery without images
+-- GalleryUnfinishedError   a copy of a gallery that was not finished
+-- GalleryCorruptError      its files contradict each other or cannot be read
+-- GalleryVersionError      another release wrote it
+-- GalleryLockedError       another process is writing to it
+-- GalleryBusyError         images were removed again and again during a read
+-- GalleryChangedError      another model describes it since it was opened
+-- GalleryStorageError      the database could not read or write (full disk, no permission, no server, ...)
+-- AddressError             the address of a gallery on a server that cannot be read, or a place that cannot be meant
+-- ModelMismatchError       another model described its images
+-- DescriptorShapeError     descriptors of the wrong shape
+-- DescriptorValueError     descriptors that are not finite in half precision
+-- ImageRowError            a row that cannot be stored as it is
+-- DuplicatePathError       a path that the gallery holds already
+-- UnknownImageError        an id or a path that the gallery does not hold
+-- UnknownPersonError       a number that no person of the gallery has
+-- FaissMissingError        faiss is not installed
+-- EngineError              an engine that searches descriptors does not answer, refuses, or is not this gallery's
+-- RequirementsError        nothing searches so many images within so much memory and time
+-- WhereError               a condition on images that cannot be read
+-- RecallError              an index that finds less, or takes longer, than was asked for
"""


class GalleryError(Exception):
    """Base of every error that `index` raises on purpose (misused arguments are ValueErrors). exit_code: what a command
    that it ends gives back."""

    exit_code = 1


class GalleryNotFoundError(GalleryError):
    """The folder holds no gallery."""


class GalleryExistsError(GalleryError):
    """A gallery is to be created where there is one."""


class GalleryEmptyError(GalleryError):
    """A search needs at least one image."""


class GalleryUnfinishedError(GalleryError):
    """There is half of a gallery: copying one to there was not finished."""


class GalleryCorruptError(GalleryError):
    """A file of the gallery is unreadable or contradicts another."""


class GalleryVersionError(GalleryError):
    """The gallery follows a schema that this release does not know."""


class GalleryLockedError(GalleryError):
    """Another process (or another Gallery object) holds the right to write. in_turn: it has that for a moment, in turns
    with others; else it has the gallery, or a folder, for as long as it takes."""

    def __init__(self, text: str, in_turn: bool = False) -> None:
        super().__init__(text)
        self.in_turn = in_turn


class GalleryBusyError(GalleryError):
    """A read was overtaken by removals too often to be trusted."""


class GalleryChangedError(GalleryError):
    """The gallery is described by another model than when it was opened."""


class GalleryStorageError(GalleryError):
    """The database refused for a reason outside the gallery: disk, permission, file system, server."""


class AddressError(GalleryError):
    """An address of a gallery on a server that cannot be read, or shows a password; a place that cannot be meant."""

    exit_code = 2


class ModelMismatchError(GalleryError):
    """The gallery was described by another model than the one at hand."""


class DescriptorShapeError(GalleryError):
    """Descriptors do not have the shape that the gallery needs."""


class DescriptorValueError(GalleryError):
    """Descriptors hold NaN, infinity or values beyond half precision."""


class ImageRowError(GalleryError):
    """An image row breaks a rule of the gallery."""


class DuplicatePathError(GalleryError):
    """An image path is added a second time."""


class UnknownImageError(GalleryError):
    """No image has this id or path."""


class UnknownPersonError(GalleryError):
    """No person has this number."""


class FaissMissingError(GalleryError):
    """`import faiss` failed."""


class EngineError(GalleryError):
    """What searches a gallery's descriptors does not answer, refuses, or holds those of another gallery."""


class RequirementsError(GalleryError):
    """No way to search keeps to what was asked for."""

    exit_code = 2


class RecallError(GalleryError):
    """An index was measured and does not keep to what was asked for."""

    exit_code = 5


class WhereError(GalleryError):
    """A condition that does not follow the grammar of `index.where`."""

    exit_code = 2


def unfinished(name: str) -> GalleryUnfinishedError:
    """The error of a gallery that is not whole yet; name: where it is."""
    return GalleryUnfinishedError(
        f"{name} is half of a copy, which was not finished: run the same `facesearch gallery copy` again, which goes "
        "on where that one ended; or give another place"
    )
