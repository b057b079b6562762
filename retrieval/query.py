"""Answer a query: imagine the face as asked, then search the gallery for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faceedit.editor import Edit, Editor
from faceedit.images import Picture, read_crop
from index.gallery import Gallery, Match


@dataclass(frozen=True)
class Answer:
    """One query's results. source: the query's crop (60, 60, 3) uint8; value: what was asked for; edit: the imagined
    face; matches: nearest first."""

    source: Picture
    value: int
    edit: Edit
    matches: list[Match]


class QueryEngine:
    """A gallery and the model that described it. Raises ModelMismatchError for any other model."""

    def __init__(self, gallery: Gallery, editor: Editor) -> None:
        gallery.require_model(editor.digest, editor.descriptor_size)
        self._gallery, self._editor = gallery, editor

    def query(self, path: Path, value: int, k: int = 5) -> Answer:
        """The k gallery images nearest to the person of `path` at this attribute value.

        The query's own file never counts. Raises ImageError, AttributeValueError, GalleryEmptyError.
        """
        source = read_crop(path)
        edit = self._editor.edit(source, value)
        matches = self._gallery.search(edit.descriptor, k, exclude=self._own(path))
        return Answer(source, value, edit, matches)

    def path_of(self, match: Match) -> Path:
        """Where a result's file lies now."""
        return self._gallery.config.image_root / match.image.path

    def found_value(self, match: Match) -> int:
        """The attribute value of a result: its label where it has one, else what the network decided."""
        image = match.image
        label = getattr(image, self._editor.space.name, None)
        return int(label) if label is not None else self._gallery.config.values[image.candidate]

    def _own(self, path: Path) -> list[int]:
        full, root = path.parent.resolve() / path.name, self._gallery.config.image_root
        if not full.is_relative_to(root):
            return []
        relative = full.relative_to(root).as_posix()
        try:
            relative.encode()
        except UnicodeEncodeError:  # no gallery holds such a name
            return []
        return list(self._gallery.ids_of([relative]).values())
