"""Who sits for an imagined face that somebody looks at. A search needs neither its background nor its best picture, so
both are made when they are first asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from faceedit.describes import Edit, Edits, Floats
from faceedit.images import Picture


class Sitter:
    """The person of a picture (60, 60, 3) uint8 RGB, whom an editor imagines."""

    def __init__(self, editor: Edits, picture: Picture) -> None:
        self._editor, self._picture = editor, picture

    @cached_property
    def behind(self) -> Floats | None:
        """(3,) of 0..255: the colour of what stands behind the person; None where it is not known, or not left out."""
        return self._editor.backdrop(self._picture)

    def portrait(self, value: int, edit: Edit) -> Edit:
        """The face under a value, to look at; edit: as it was made to search by, which may be as good."""
        if not self._editor.portrays:
            return edit
        places = np.array([self._editor.attribute.index(value)], np.int64)
        return self._editor.portraits(self._picture[None], places)[0]
