"""Who sits for an imagined face that somebody looks at. A search needs neither its background nor its best picture,
so both are made when they are first asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from faceedit.describes import Edit, Edits, Floats
from faceedit.images import Picture


class Sitter:
    """The person of a picture (60, 60, 3) uint8 RGB, whom an editor imagines on neutral grey."""

    def __init__(self, editor: Edits, picture: Picture) -> None:
        self._editor, self._picture = editor, picture

    @cached_property
    def behind(self) -> Floats | None:
        """(3,) of 0..255: the colour of what stands behind the person, where that is known."""
        return self._editor.backdrop(self._picture)

    def portrait(self, value: int) -> Edit:
        """The face under a value, to look at."""
        places = np.array([self._editor.attribute.index(value)], np.int64)
        return self._editor.edit_many(self._picture[None], places, to_show=True)[0]
