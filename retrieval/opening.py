"""A gallery that is opened when it is first needed, once, and made by the first pictures."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import RLock

from faceedit.describes import Describes
from faceedit.text import printable
from index.engines import FAISS
from index.errors import GalleryChangedError, GalleryExistsError, GalleryNotFoundError
from index.gallery import Gallery, GalleryConfig
from index.truth.address import Address
from index.truth.database import PATIENCE
from index.writing import PATIENT, Patience
from retrieval.checks import require_keepable
from retrieval.errors import RetrievalError


class Opening:
    """The gallery at a place, shared by threads: a lock guards that it is opened once."""

    def __init__(self, place: Address, patience: Patience = PATIENT) -> None:
        """patience: for how long a change waits for its turn where several write."""
        self._place, self._patience = place, patience
        self._gallery: Gallery | None = None
        self._lock = RLock()

    def close(self) -> None:
        """Close the gallery; who asks for it afterwards opens it again."""
        with self._lock:
            gallery, self._gallery = self._gallery, None
            if gallery is not None:
                gallery.close()

    def gallery(self) -> Gallery:
        """As it is now: opened again where another process has made it anew, or had it redescribed. Raises
        GalleryNotFoundError where there is none."""
        with self._lock:
            if self._gallery is not None and not self._gallery.as_opened:
                self.close()
            if self._gallery is None:
                self._gallery = Gallery.open(self._place, patience=self._patience)
            return self._gallery

    def existing(self) -> Gallery | None:
        """None where there is none yet."""
        with suppress(GalleryNotFoundError):
            return self.gallery()
        return None

    def fitting(self, describer: Describes, image_root: Path) -> Gallery:
        """The gallery for this model and image root, created where there is none. Raises what `open_gallery` does."""
        with self._lock:
            if self._gallery is not None and self._gallery.as_opened:
                with suppress(GalleryChangedError):  # by another process that begins at the same time
                    require_fitting(self._gallery, describer, image_root)
                    return self._gallery
            self.close()
            self._gallery = open_gallery(self._place, describer, image_root, self._patience)
            return self._gallery

    def create(self, describer: Describes, image_root: Path, vectors: str) -> Gallery:
        """Make an empty one. Raises GalleryExistsError, AddressError, UsageError for a root that none can keep."""
        with self._lock:
            self.close()
            self._gallery = create_gallery(self._place, describer, image_root, vectors, self._patience)
            return self._gallery


def create_gallery(
    place: Address, describer: Describes, image_root: Path, vectors: str = FAISS, patience: Patience = PATIENT
) -> Gallery:
    """An empty gallery for this model and image root; vectors: what searches it, as `index.vectors` reads it."""
    root = image_root.resolve()
    require_keepable(root)
    return Gallery.create(place, config_of(describer, root, vectors), patience=patience)


def config_of(describer: Describes, root: Path, vectors: str = FAISS) -> GalleryConfig:
    """Of a gallery that is described by this model, whose images lie below this absolute root."""
    attribute, who = describer.attribute, describer.who
    encoder = None if who is None or who.encoder is None else printable(who.encoder)
    made_for = (describer.digest, attribute.name, attribute.values, describer.descriptor_size)
    return GalleryConfig(*made_for, root, vectors, encoder)


def open_gallery(place: Address, describer: Describes, image_root: Path, patience: Patience = PATIENT) -> Gallery:
    """The gallery at a place, created for this model and image root where there is none.

    Raises ModelMismatchError for a gallery of another model, RetrievalError for one of another image root, UsageError
    for a root that no gallery can keep.
    """
    require_keepable(image_root.resolve())
    try:
        gallery = Gallery.open(place, patience=patience)
    except GalleryNotFoundError:
        try:
            return create_gallery(place, describer, image_root, patience=patience)
        except GalleryExistsError:  # another process made it meanwhile
            gallery = Gallery.open(place, patience=patience)
    try:
        require_fitting(gallery, describer, image_root)
    except BaseException:
        gallery.close()
        raise
    return gallery


def require_fitting(gallery: Gallery, describer: Describes, image_root: Path) -> None:
    """Raise ModelMismatchError for a gallery of another model, RetrievalError for one of another image root; one
    without images takes this root."""
    gallery.require_model(describer.digest, describer.descriptor_size)
    root = image_root.resolve()
    require_keepable(root)
    elsewhere = not root.is_relative_to(gallery.config.image_root)
    if elsewhere and gallery.is_empty:  # an empty one is not yet bound to a place
        with gallery.writing(PATIENCE):
            gallery.set_image_root(root)
    elif elsewhere and gallery.config.image_root.is_relative_to(root):
        raise RetrievalError(
            f"the gallery {gallery.name} holds images of {gallery.config.image_root}, a part of {root}: say "
            f"`facesearch gallery relocate {root}` first, which keeps them, or give another --db"
        )
    elif elsewhere:
        raise RetrievalError(
            f"the gallery {gallery.name} holds images of {gallery.config.image_root}, not of {root}: "
            "give that folder or one below it, or another --db; after the images have moved, say so with "
            "`facesearch gallery relocate`"
        )
