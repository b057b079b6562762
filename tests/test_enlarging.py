"""An imagined face at the size of a larger crop: sharp where pixels were moved, and what stage two corrected of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from faceedit.attributes import POSE
from faceedit.describes import Edit, Moves
from faceedit.editor import Editor
from faceedit.enlarging import enlarged
from faceedit.errors import ImageError
from faceedit.images import Picture
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, Networks, new_networks
from faceedit.networks import FlowDecoder, FlowGenerationNetwork, NetworkConfig, initialise

FLOW = NetworkConfig(mixing=1, width=64, skip=True, flow=True)
UNIT = np.ones(1, np.float32)


def networks_of(config: NetworkConfig) -> Networks:
    networks = new_networks(config)
    for each in networks:
        initialise(each, torch.Generator().manual_seed(4))
    return networks


def editor_of(networks: Networks, config: NetworkConfig) -> Editor:
    card = ModelCard(POSE, config, Normalisation((124.0, 114.0, 110.0), (60.0, 58.0, 58.0)))
    return Editor(Model(card, networks, "x"), "cpu")


def staying(networks: Networks) -> None:
    """Make the networks give back the source: no pixel moves, none is painted, none corrected."""
    networks.refinement.begin_without_correction()
    assert isinstance(networks.generation, FlowGenerationNetwork)
    with torch.no_grad():
        assert isinstance(networks.generation.decoder, FlowDecoder)
        networks.generation.decoder.light.weight.zero_()
        last = networks.generation.decoder.layers[4]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0] * 16 + [20.0] * 4 + [0.0] * 20))  # all weight on the first flow


def noise(side: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def waves(side: int) -> Picture:
    """Smooth: the same picture at every size."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    return np.asarray(np.stack([128 + 90 * np.sin(9 * x + 4 * y + i) for i in range(3)], 2).round(), np.uint8)


def moves(across: float = 0.0, down: float = 0.0, scores: tuple[float, float, float] = (20.0, 0.0, 0.0)) -> Moves:
    """What a decoder says that takes every pixel from so many of 60 pixels further on; all colours 200."""
    said = np.zeros((13, 60, 60), np.float16)
    said[0], said[1] = across / 15, down / 15  # a half of a picture's half is one
    said[4:7], said[7:10] = np.array(scores)[:, None, None], 200
    return Moves(said, np.zeros(3, np.float32))


def small(picture: Picture) -> Picture:
    return np.array(Image.fromarray(picture).resize((60, 60), Image.Resampling.BOX))


def test_a_flow_that_stays_gives_back_what_is_fine_in_the_crop() -> None:
    networks = networks_of(FLOW)
    staying(networks)
    crop = noise(120)
    edit = editor_of(networks, FLOW).edit(small(crop), 0)
    assert edit.moves is not None and edit.moves.said.shape == (13, 60, 60)
    made = enlarged(edit, crop)
    assert made.shape == crop.shape and np.abs(made.astype(int) - crop).max() <= 2
    rough = np.asarray(Image.fromarray(edit.refined).resize((120, 120), Image.Resampling.BICUBIC))
    assert np.abs(rough.astype(int) - crop).mean() > 40


def test_it_is_what_the_networks_made_only_finer() -> None:
    """With any weights, of a source that has nothing fine."""
    editor = editor_of(networks_of(FLOW), FLOW)
    for value in (-45, 15):
        edit = editor.edit(waves(60), value)
        made, shown = enlarged(edit, waves(240)), enlarged(edit, waves(60))
        inside = np.s_[3:-3, 3:-3]
        assert np.abs(small(made).astype(int) - shown)[inside].mean() < 6
        assert np.abs(edit.refined.astype(int) - waves(60)).mean() > 20


@pytest.mark.parametrize("side", [61, 120, 240])
def test_pixels_move_as_far_at_every_size(side: int) -> None:
    source = waves(side)
    still = np.full((60, 60, 3), 50, np.uint8)
    made = enlarged(Edit(still, still, UNIT, moves(across=6, down=-3)), source)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    there = np.stack([128 + 90 * np.sin(9 * (x + 6 / 60) + 4 * (y - 3 / 60) + i) for i in range(3)], 2)
    inside = np.s_[side // 8 : -side // 8, side // 8 : -side // 8]
    assert np.abs(made - there)[inside].max() < 4


def test_a_colour_is_painted_as_it_was_said() -> None:
    still = np.full((60, 60, 3), 50, np.uint8)
    assert np.abs(enlarged(Edit(still, still, UNIT, moves(scores=(0, 0, 20))), noise(90)).astype(int) - 200).max() <= 1


def test_what_stage_two_corrected_is_corrected_at_every_size() -> None:
    first, second = np.full((60, 60, 3), 100, np.uint8), np.full((60, 60, 3), 100, np.uint8)
    second[:30] -= 40
    crop = noise(240) // 2 + 60
    made = enlarged(Edit(first, second, UNIT, moves()), crop).astype(int)
    assert np.abs(made[:112] - (crop[:112].astype(int) - 40)).max() <= 1
    assert np.abs(made[128:] - crop[128:].astype(int)).max() <= 1


def test_without_a_flow_a_larger_picture_is_only_larger() -> None:
    config = NetworkConfig(mixing=1, width=64, skip=True)
    edit = editor_of(networks_of(config), config).edit(waves(60), 15)
    assert edit.moves is None
    made = enlarged(edit, noise(240))
    assert made.shape == (240, 240, 3)
    assert np.abs(small(made).astype(int) - edit.refined)[5:-5, 5:-5].mean() < 6


def test_at_60_pixels_what_is_finest_is_stage_one_s_and_all_else_stage_two_s() -> None:
    first = noise(60) // 2 + 60
    coarse, fine = first.copy(), first.copy()
    coarse[20:40, 20:40] += 40
    fine[::2] += 20
    brighter = enlarged(Edit(first, coarse, UNIT, moves()), noise(60))
    np.testing.assert_array_equal(brighter[24:36, 24:36], coarse[24:36, 24:36])
    lines = enlarged(Edit(first, fine, UNIT, moves()), noise(60)).astype(int)
    assert np.ptp((lines - first)[4:-4]) <= 2 and np.abs((lines - first)[4:-4] - 10).max() <= 1


@pytest.mark.parametrize("wrong", [noise(120)[:, :100], noise(59), noise(120).astype(np.float32), noise(120)[..., 0]])
def test_what_is_no_square_crop_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match="give a square one of 60 pixels or more"):
        enlarged(Edit(noise(60), noise(60), UNIT, moves()), wrong)
