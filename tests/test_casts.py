"""What the measurement of casts does to pictures and descriptors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.casts import AS_THEY_ARE, GREY, HALF, LIGHTS, ROWS, changes, colourless, differences
from faceedit.complexion import CODE, complexion
from faceedit.networks import Describer, NetworkConfig
from tests.conftest import blob_face

PICTURES = np.stack([blob_face(person, 0, 0) for person in range(3)])


def chroma(pictures: np.ndarray) -> np.ndarray:
    return complexion(torch.from_numpy(pictures).permute(0, 3, 1, 2).float()).numpy()


def test_pictures_change_their_colours_as_they_are_called() -> None:
    made = {name: change(PICTURES) for name, change in changes().items()}
    assert (made[AS_THEY_ARE] == PICTURES).all()
    assert (np.ptp(made[GREY], axis=-1) == 0).all() and np.abs(chroma(made[GREY])).max() < 0.1
    own = chroma(PICTURES)[:, 1]
    assert (chroma(made["cold"])[:, 1] < own - 3).all() and (chroma(made["warm"])[:, 1] > own + 3).all()
    assert (chroma(made["tungsten"])[:, 1] > chroma(made["warm"])[:, 1] + 3).all()
    white = np.full((1, 60, 60, 3), 180, np.uint8)
    assert all(np.abs(change(white) @ [0.2126, 0.7152, 0.0722] - 180).max() < 6 for change in changes().values())


def test_every_row_is_of_pictures_that_are_made() -> None:
    known = {AS_THEY_ARE, GREY, *LIGHTS, f"{HALF} {GREY}", f"{HALF} tungsten"}
    assert {name for row in ROWS for name in row} <= known and len(set(ROWS)) == len(ROWS)


def test_without_colour_descriptors_are_what_they_were_before_it() -> None:
    config = NetworkConfig(head=16, identity=8, colour=0.3)
    before = torch.nn.functional.normalize(torch.randn(3, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    tinted = Describer(config).tinted(before, torch.from_numpy(PICTURES).permute(0, 3, 1, 2).float())
    assert tinted.shape == (3, 24 + CODE)
    assert colourless(tinted.numpy(), 0.3) == pytest.approx(before.numpy(), abs=1e-6)


def test_chromas_are_compared_within_people_and_between_them() -> None:
    chromas = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], np.float32)
    own, others = differences(chromas, np.array(["a", "a", "b"]))
    assert own.tolist() == [5.0] and sorted(others.tolist()) == pytest.approx([1.0, 18**0.5])
