"""The ten black patterns of the inpainting task."""

from __future__ import annotations

import numpy as np
import pytest

from faceedit.occlusion import PATTERNS, crops_at, occlude, occlusion_mask, patterns


def test_there_are_ten_different_shapes_and_a_seed_names_them() -> None:
    shapes = patterns(3)
    assert len(shapes) == PATTERNS == 10
    assert len({(shape.shape, shape.tobytes()) for shape in shapes}) == 10
    assert all(np.array_equal(a, b) for a, b in zip(shapes, patterns(3), strict=True))
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(shapes, patterns(4), strict=True))
    filled = [shape.mean() for shape in shapes]
    assert min(filled) < 0.7 and max(filled) == 1  # not only rectangles


@pytest.mark.parametrize("seed", range(5))
def test_every_pattern_lies_on_the_face_and_covers_a_part_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [occlusion_mask(rng) for _ in range(200)]
    assert all(40 < mask.sum() < 1100 for mask in masks)
    centres = np.array([np.argwhere(mask).mean(0) for mask in masks])
    assert (centres > 8).all() and (centres < 52).all()
    assert centres.std(0).min() > 5  # a random place


def test_hidden_pixels_are_black_and_the_others_stay() -> None:
    picture = np.random.default_rng(0).integers(1, 256, (60, 60, 3), dtype=np.uint8)
    made, mask = occlude(picture, np.random.default_rng(5)), occlusion_mask(np.random.default_rng(5))
    assert (made[mask] == 0).all()
    np.testing.assert_array_equal(made[~mask], picture[~mask])
    assert (picture > 0).all()  # the original is untouched


def test_a_row_beyond_the_pictures_is_one_of_them_occluded() -> None:
    images = np.random.default_rng(0).integers(1, 256, (5, 60, 60, 3), dtype=np.uint8)
    rows = np.array([2, 7, 7, 4])
    shown = crops_at(images, rows, (1, 2))
    np.testing.assert_array_equal(shown[[0, 3]], images[[2, 4]])
    np.testing.assert_array_equal(shown[1], shown[2])  # one draw, one pattern: source and target agree
    assert (shown[1] != images[2]).any()
    assert (crops_at(images, rows, (1, 3))[1] != shown[1]).any()  # another draw, another
    assert (crops_at(images, np.array([8]), (1, 2))[0] == 0).sum() != (shown[1] == 0).sum()
