"""benchmarks/groups.py: of what colour somebody's skin is."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.groups import cheeks

TO_XYZ = np.array(
    ((0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733))
)
WHITE = np.array((0.96422, 1, 0.82521))  # D50, as profiles have it


def lab(colour: tuple[int, int, int]) -> np.ndarray:
    """CIE 15:2004, of sRGB (IEC 61966-2-1)."""
    given = np.array(colour) / 255
    x, y, z = np.cbrt(TO_XYZ @ np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4) / WHITE)
    return np.array((116 * y - 16, 500 * (x - y), 200 * (y - z)))


@pytest.mark.parametrize("colour", [(200, 140, 120), (90, 60, 50), (128, 128, 128), (120, 140, 120), (150, 150, 190)])
def test_a_cheek_has_its_colour_on_either_side_of_grey(colour: tuple[int, int, int]) -> None:
    pictures = np.full((1, 60, 60, 3), colour, np.uint8)
    found = cheeks(pictures, np.array(["anna"]), np.array([True]))
    assert np.allclose(found["anna"], lab(colour), atol=1)


def test_cheeks_are_those_of_the_first_picture_from_the_front() -> None:
    grey, red = (np.full((60, 60, 3), colour, np.uint8) for colour in ((128, 128, 128), (200, 100, 100)))
    spotted = grey.copy()
    spotted[:, ::2], spotted[:, 1::2] = (126, 130, 126), (130, 126, 130)
    found = cheeks(
        np.stack([red, grey, red, spotted]),
        np.array(["anna", "anna", "anna", "ben"]),
        np.array([False, True, True, True]),
    )
    assert np.linalg.norm(found["anna"] - found["ben"]) < 1
