"""What is drawn anew for every batch: each knob does what it says, and nothing when it is off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceedit.attributes import INPAINTING, POSE
from faceedit.cutouts import on_neutral
from faceedit.errors import ManifestError
from faceedit.images import NEUTRAL
from faceedit.manifest import Manifest, read_manifest
from faceedit.modelcard import Normalisation
from faceedit.training.augmentation import (
    Augmentation,
    colourless,
    composite,
    compressed,
    focused,
    grainy,
    misaligned,
    misalignment,
    random_backgrounds,
    tone,
    toned,
)
from faceedit.training.batches import Photographer
from faceedit.training.pairs import PairSet, load_pairs
from tests.conftest import ROOT, write_cut_out

GALLERY = ROOT / "sample_db" / "gallery"
PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
OFF = Augmentation(
    backgrounds=False,
    gamma=0,
    exposure=0,
    white_balance=0,
    shift=0,
    scale=0,
    roll=0,
    mirror=False,
    grey=0,
    blur=0,
    sharpen=0,
    noise=0,
    compression=0,
    textures=0,
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(write_cut_out(tmp_path_factory.mktemp("cut")))


@pytest.fixture(scope="module")
def pairs(manifest: Manifest) -> PairSet:
    return load_pairs(manifest, POSE, cut_out=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 60, 60, generator=generator(seed))


def shot(pairs: PairSet, knobs: Augmentation, number: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[list[int]]]:
    """Sources and targets in 0..255, and the targets' positions, of two sources with three targets each."""
    groups = pairs.groups[:2]
    sources, targets = groups[:, 0], groups[:, :3]
    values = np.tile(np.arange(3), (2, 1))
    made = Photographer(pairs, PLAIN, knobs, "cpu").sitting(sources, targets, values, np.arange(2), (0, 1, number))
    return made.sources, made.targets, made.values.tolist()


def test_with_every_knob_off_a_source_is_the_person_on_neutral_grey(pairs: PairSet, manifest: Manifest) -> None:
    sources, targets, values = shot(pairs, OFF)
    rows = pairs.groups[:2, :3].ravel()
    person = torch.from_numpy(pairs.images[rows]).permute(0, 3, 1, 2).float()
    assert pairs.masks is not None and pairs.mask_rows is not None
    alpha = torch.from_numpy(pairs.masks[pairs.mask_rows[rows]])[:, None].float() / 255
    expected = person + (1 - alpha) * 255 * NEUTRAL
    assert torch.allclose(targets, expected, atol=0.02)
    assert torch.allclose(sources, expected[::3], atol=0.02)
    assert values == [[0, 1, 2]] * 2
    neutral = on_neutral(manifest.part(rows.tolist()), np.stack([pairs.images[row] for row in rows]))
    assert neutral.shape == (6, 60, 60, 3)


def test_a_known_background_is_taken_away(tmp_path: Path) -> None:
    """What stood before its camera's background comes out on black, up to rounding."""
    plain = read_manifest(write_cut_out(tmp_path / "black"))
    behind = read_manifest(write_cut_out(tmp_path / "behind", background=(20, 200, 90)))
    a, b = (load_pairs(m, POSE, cut_out=True).images.astype(int) for m in (plain, behind))
    assert np.abs(a - b).max() <= 2
    grey = on_neutral(behind, load_pairs(behind, POSE).images)
    assert (grey[:, 0, 0] == 128).all()


def test_data_without_masks_are_refused(data_set: Path) -> None:
    with pytest.raises(ManifestError, match=r"no column .mask.*--recipe paper"):
        load_pairs(read_manifest(data_set), POSE, cut_out=True)


def test_a_background_is_random_and_only_behind_the_source(pairs: PairSet) -> None:
    sources, targets, _ = shot(pairs, replace(OFF, backgrounds=True))
    plain, plain_targets, _ = shot(pairs, OFF)
    assert torch.equal(targets, plain_targets)
    assert (sources[:, :, 0, 0] - plain[:, :, 0, 0]).abs().min() > 0
    assert torch.allclose(sources[:, :, 30, 30], plain[:, :, 30, 30], atol=0.02)  # the middle is all person
    again, other = shot(pairs, replace(OFF, backgrounds=True))[0], shot(pairs, replace(OFF, backgrounds=True), 1)[0]
    assert torch.equal(sources, again) and not torch.equal(sources, other)


def test_a_mirrored_batch_has_mirrored_poses(pairs: PairSet) -> None:
    plain, plain_targets, _ = shot(pairs, OFF)
    seen = set()
    for number in range(12):
        sources, targets, values = shot(pairs, replace(OFF, mirror=True), number)
        mirrored = values == [[6, 5, 4]] * 2
        assert mirrored or values == [[0, 1, 2]] * 2
        assert torch.allclose(sources, plain.flip(3) if mirrored else plain, atol=0.02)
        assert torch.allclose(targets, plain_targets.flip(3) if mirrored else plain_targets, atol=0.02)
        seen.add(mirrored)
    assert seen == {True, False}


def test_a_sitting_shares_its_colours(pairs: PairSet) -> None:
    knobs = replace(OFF, gamma=0.3, exposure=0.2, white_balance=0.1)
    rows = pairs.groups[[0, 0], 0]
    photographer = Photographer(pairs, PLAIN, knobs, "cpu")

    def sources(people: list[int]) -> torch.Tensor:
        return photographer.sitting(rows, rows[:, None], np.zeros((2, 1), np.int64), np.array(people), (3,)).sources

    together, apart = sources([0, 0]), sources([0, 1])
    assert torch.equal(together[0], together[1]) and not torch.equal(apart[0], apart[1])


def test_tone_is_gamma_and_gain_within_the_mask() -> None:
    gamma, gain = tone(500, Augmentation(gamma=0.3, exposure=0.2, white_balance=0), generator(), "cpu")
    assert float(gamma.log().std()) == pytest.approx(0.3, rel=0.15)
    assert float(gain.log().std()) == pytest.approx(0.2, rel=0.15) and torch.equal(gain[:, 0], gain[:, 1])
    mask = torch.ones(1, 1, 2, 2)
    mask[0, 0, 0, 0], mask[0, 0, 0, 1] = 0, 0.5
    person = torch.full((1, 3, 2, 2), 0.36) * mask
    made = toned(person, mask, torch.full((1, 1, 1, 1), 0.5), torch.full((1, 3, 1, 1), 1.5))
    assert made[0, 0].tolist() == [[0.0, pytest.approx(0.45)], [pytest.approx(0.9), pytest.approx(0.9)]]


def test_composite_is_alpha_blending() -> None:
    mask = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    made = composite(torch.full((1, 3, 1, 3), 0.8) * mask, mask, torch.full((1, 3, 1, 3), 0.4))
    assert torch.allclose(made[0, 0, 0], torch.tensor([0.4, 0.5, 0.8]))


def test_backgrounds_are_pictures_of_many_kinds() -> None:
    made = random_backgrounds(200, 60, generator(), "cpu")
    assert made.shape == (200, 3, 60, 60) and float(made.min()) >= 0 and float(made.max()) <= 1
    white = (made.amin((1, 2, 3)) > 0.8).float().mean()
    structured = (made.std((2, 3)).amax(1) > 0.05).float().mean()
    assert 0.05 < white < 0.5 and 0.2 < structured < 0.9


def test_misalignment_of_nothing_changes_nothing() -> None:
    shown = pictures()
    assert torch.allclose(misaligned(shown, misalignment(len(shown), OFF, generator())), shown, atol=1e-5)
    moved = misaligned(shown, misalignment(len(shown), Augmentation(), generator()))
    assert moved.shape == shown.shape and not torch.allclose(moved, shown, atol=0.05)


def test_a_shift_is_a_share_of_the_picture() -> None:
    spot = torch.zeros(300, 1, 60, 60)
    spot[:, :, 28:32, 28:32] = 1
    moved = misaligned(spot, misalignment(len(spot), replace(OFF, shift=0.03), generator()))
    columns = (moved.sum((1, 2)) * torch.arange(60)).sum(1) / moved.sum((1, 2, 3))
    assert float(columns.std()) == pytest.approx(0.03 * 60, rel=0.25)


def test_focus_and_colour_change_their_share() -> None:
    shown = pictures(200)
    some = focused(shown, Augmentation(blur=0.3, sharpen=0.2), generator())
    detail = (some.std((1, 2, 3)) / shown.std((1, 2, 3))).numpy()
    assert np.mean(detail < 0.8) == pytest.approx(0.3, abs=0.08)
    assert np.mean(detail > 1.02) == pytest.approx(0.2, abs=0.08)
    grey = colourless(shown, 0.4, generator())
    assert float((grey.std(1).amax((1, 2)) < 1e-6).float().mean()) == pytest.approx(0.4, abs=0.1)
    assert torch.equal(focused(shown, OFF, generator()), shown) and torch.equal(
        colourless(shown, 0, generator()), shown
    )


def test_portraits_of_one_row_have_nothing_else_in_common(pairs: PairSet) -> None:
    rows = np.repeat(pairs.groups[0, 3], 30)
    made = Photographer(pairs, PLAIN, Augmentation(grey=0.3), "cpu").portraits(rows, (0,))
    assert made.shape == (30, 3, 60, 60)
    assert float((made[1:] - made[:-1]).abs().mean((1, 2, 3)).min()) > 1
    still = Photographer(pairs, PLAIN, OFF, "cpu").portraits(rows, (0,))
    assert torch.equal(still[0], still[1])


def test_an_occlusion_lies_on_source_and_target_alike(manifest: Manifest) -> None:
    pairs = load_pairs(manifest, INPAINTING, cut_out=True)
    n = len(pairs.images)
    rows, targets, values = np.array([n + 4]), np.array([[4, n + 4]]), np.array([[0, 1]])
    made = Photographer(pairs, PLAIN, OFF, "cpu").sitting(rows, targets, values, np.array([0]), (5, 6))
    hidden = (made.sources[0] == 0).all(0)
    assert 40 < int(hidden.sum()) < 1100
    assert torch.allclose(made.sources[0], made.targets[1], atol=0.02)
    assert torch.allclose(made.sources[0][:, ~hidden], made.targets[0][:, ~hidden], atol=0.02)


def test_noise_is_a_sensors() -> None:
    grey = torch.full((400, 3, 20, 20), 0.5)
    made = grainy(grey, replace(OFF, noise=0.1), generator())
    spread = made.std((1, 2, 3))
    assert float(spread.max()) == pytest.approx(0.1, rel=0.15) and float(spread.min()) < 0.005
    assert abs(float(made.mean()) - 0.5) < 0.001
    assert torch.equal(grainy(grey, OFF, generator()), grey)


def test_compression_rounds_the_waves_of_blocks() -> None:
    """A flat or slowly changing picture hardly changes, a fine pattern does, and in blocks of 8 x 8."""
    always = replace(OFF, compression=1)
    flat = torch.full((20, 3, 60, 60), 0.4)
    assert (compressed(flat, always, generator()) - flat).abs().max() < 0.02
    noise = pictures(20)
    stored = compressed(noise, always, generator())
    error = (stored - noise).abs().mean((1, 2, 3))
    assert stored.shape == noise.shape and float(error.min()) > 0.003 and float(error.max()) > 3 * float(error.min())
    other = noise.clone()
    other[:, :, :8, :8] = 0.5
    changed = (compressed(other, always, generator()) != stored).any(1)
    assert changed[:, :8, :8].any() and not changed[:, 8:].any() and not changed[:, :, 8:].any()
    assert torch.equal(compressed(noise, OFF, generator()), noise)
    half = compressed(pictures(200), replace(OFF, compression=0.5), generator())
    assert 0.35 < (half != pictures(200)).flatten(1).any(1).float().mean() < 0.65


def test_textures_are_finer_than_rooms() -> None:
    def fine(share: float) -> torch.Tensor:
        made = random_backgrounds(300, 60, generator(), "cpu", share)
        assert float(made.min()) >= 0 and float(made.max()) <= 1
        return made.diff(dim=3).abs().mean((1, 2, 3))

    assert (fine(1.0) > 0.02).float().mean() > 2 * (fine(0.0) > 0.02).float().mean()
