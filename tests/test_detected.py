"""How a detector's points would have cut the pictures that are learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceedit.attributes import POSE
from faceedit.errors import MissingPackageError, TrainingError
from faceedit.images import read_crops
from faceedit.manifest import read_manifest
from faceedit.training.augmentation import as_sharp, misaligned, upright
from faceedit.training.batches import Photographer
from faceedit.training.pairs import PairSet, load_pairs
from faceedit.training.preparing import Asked, prepared
from tests.test_augmentation import GALLERY, OFF, PLAIN


def cut(pictures: NDArray[np.uint8], frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    shown = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    moved = misaligned(shown, upright(*torch.from_numpy(frames).unbind(1)), "bicubic")
    return moved.permute(0, 2, 3, 1).round().clamp(0, 255).byte().numpy()


def test_what_was_cut_by_the_detectors_points_is_found_cut_by_them() -> None:
    pytest.importorskip("cv2")
    from faceedit.training.detected import looked_at

    pictures = read_crops(sorted(GALLERY.glob("*/*_+00_00.png"))[:8])
    everybody = np.full(pictures.shape[:3], 255, np.uint8)
    found = looked_at(pictures, everybody)
    assert found.shape == (8, 3) and (found[:, 0] < 1).all()  # the mouth sets the scale, not the chin: faces are larger
    again = looked_at(cut(pictures, found), everybody)
    assert np.abs(again.mean(0) - [1, 0, 0]).max() < 0.02 < 0.05 < 1 - found[:, 0].mean()
    given = np.repeat(np.array([[1.1, 0.05, -0.06]], np.float32), 8, 0)
    other = looked_at(cut(pictures, given), everybody)
    both = np.c_[other[:, :1] * given[:, :1], other[:, 1:] * given[:, :1] + given[:, 1:]]  # one after the other
    assert np.abs((both - found).mean(0)).max() < 0.03 and np.abs((both - found)[:, 1:]).max() < 0.05


def test_where_no_face_is_found_nothing_is_said() -> None:
    pytest.importorskip("cv2")
    from faceedit.training.detected import frames_of, looked_at

    nobody, everywhere = np.full((2, 60, 60, 3), 90, np.uint8), np.zeros((2, 60, 60), np.uint8)
    assert not looked_at(nobody, everywhere).any()
    with pytest.raises(TrainingError, match=r"in 0 of 2 pictures.*--knob detected=0$"):
        frames_of(nobody, everywhere, np.zeros(2), np.zeros(2, np.int64))


def test_what_is_said_of_a_view_is_of_its_angle_and_its_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise goes, a face's own proportions stay, and a view that was not seen has both."""
    from faceedit.training import detected

    rng = np.random.default_rng(0)
    faces = np.repeat(np.arange(40), 25)
    sideways = rng.uniform(-0.7, 0.7, len(faces))
    own = 0.05 * rng.normal(size=(40, 3)) * [1, 0, 1]
    told = np.c_[0.2 * sideways**2 - 0.1, 0.02 * sideways, 0 * sideways - 0.04] + own[faces]
    truth = np.c_[np.exp(told[:, 0]), told[:, 1:] * np.exp(told[:, :1])]
    seen = np.c_[truth[:, :1] * np.exp(0.04 * rng.normal(size=(len(faces), 1))), truth[:, 1:]]
    seen[::10] = 0
    monkeypatch.setattr(detected, "looked_at", lambda *_: seen.astype(np.float32))
    nothing = np.zeros((len(faces), 60, 60, 3), np.uint8)
    found = detected.frames_of(nothing, nothing[..., 0], sideways, faces)
    assert np.abs(found - truth).mean() < 0.006 and np.abs(found[::10] - truth[::10]).max() < 0.05
    assert np.abs(seen[1::10] - truth[1::10])[:, 0].mean() > 0.02


@pytest.fixture(scope="module")
def pairs(placed_cut_out: Path) -> PairSet:
    return load_pairs(read_manifest(placed_cut_out), POSE, placed=True)


def test_a_sitting_is_cut_by_a_detector_as_each_of_its_pictures_was(pairs: PairSet) -> None:
    """Each row by its own view's."""
    assert pairs.masks is not None and pairs.places is not None and pairs.viewpoints is not None
    views = np.zeros(len(pairs.images), np.int64)
    views[pairs.groups[:, 1]], views[pairs.groups[:, 2]] = 1, 2
    held = {name: np.repeat(getattr(pairs, name), 3, 0) for name in ("masks", "places", "viewpoints")}
    frames = np.array([[0.9, 0.05, -0.04], [1.1, 0.0, 0.06], [1.0, -0.05, 0.0]], np.float32)
    known = replace(pairs, **held, mask_rows=views, detected=frames)
    rows, targets = pairs.groups[:2, 0], pairs.groups[:2, 1:3]
    values, people = np.tile([1, 2], (2, 1)), np.arange(2)

    def made(of: PairSet, detected: float):  # type: ignore[no-untyped-def]
        return Photographer(of, PLAIN, replace(OFF, detected=detected), "cpu").sitting(
            rows, targets, values, people, (0, 3)
        )

    all_of_them, none = made(known, 1.0), made(known, 0.0)
    scale, across, down = torch.from_numpy(frames).unbind(1)
    maps = upright(scale, across, down)
    inner = (slice(None), slice(None), slice(8, 52), slice(8, 52))
    moved = misaligned(none.sources, maps[[0, 0]])
    assert torch.allclose(all_of_them.sources[inner], moved[inner], atol=1)
    moved = 255 * as_sharp(misaligned(none.targets / 255, maps[[1, 2, 1, 2]], "bicubic"))
    assert torch.allclose(all_of_them.targets[inner], moved[inner], atol=2)
    assert not torch.allclose(all_of_them.targets[inner], none.targets[inner], atol=8)
    assert torch.equal(made(pairs, 1.0).sources, made(pairs, 0.0).sources)  # nothing is known of a detector


def test_another_cut_is_another_data_set(pairs: PairSet) -> None:
    views = len(pairs.masks if pairs.masks is not None else ())
    known = [replace(pairs, detected=np.full((views, 3), of, np.float32)) for of in (0.9, 1.0)]
    assert len({each.digest() for each in (pairs, *known)}) == 3


def test_only_who_asks_for_it_has_a_detector_look(placed_cut_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def frames_of(
        pictures: NDArray[np.uint8], masks: NDArray[np.uint8], sideways: NDArray[np.floating], faces: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        looked.append((pictures.shape, masks.shape, sideways.shape, faces.shape))
        return np.ones((len(masks), 3), np.float32)

    pytest.importorskip("cv2")
    monkeypatch.setattr("faceedit.training.detected.frames_of", frames_of)
    assert load_pairs(read_manifest(placed_cut_out), POSE, placed=True).detected is None and not looked
    found = load_pairs(read_manifest(placed_cut_out), POSE, placed=True, detected=True).detected
    assert found is not None and found.shape == (1, 3) and looked == [((1, 60, 60, 3), (1, 60, 60), (1,), (1,))]


def test_without_the_detector_nothing_is_read(
    placed_cut_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingPackageError("no detector")

    monkeypatch.setattr("faceedit.yunet.shipped_weights", missing)
    monkeypatch.setattr("faceedit.yunet.opencv", lambda: None)
    asked = Asked(POSE, [placed_cut_out], tmp_path / "run", knobs=["detected=0.3"])
    with pytest.raises(MissingPackageError, match="no detector"):
        prepared(asked, False, lambda _: None, lambda _: None)
    monkeypatch.setattr("faceedit.training.pairs.read_crops", lambda *_: pytest.fail("read"))
    with pytest.raises(MissingPackageError, match="no detector"):
        prepared(asked, False, lambda _: None, lambda _: None)
