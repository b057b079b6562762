"""The rendered database: readers, people, pictures, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import FaceModelError, ManifestError
from faceedit.manifest import read_manifest
from faceedit.synth.database import SynthConfig, render_database
from faceedit.synth.head import LANDMARKS, MorphableHead, Part, load_head
from faceedit.synth.person import sample_person
from faceedit.synth.scene import ILLUMINATIONS, POSES, Camera, background, rotation

pytestmark = pytest.mark.slow  # it renders people


@pytest.fixture(scope="module")
def rendered(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("embreex")
    out = tmp_path_factory.mktemp("synth")
    render_database(face_model, out, SynthConfig(identities=3), processes=2)
    return out


def test_both_forms_of_the_face_model_agree(face_model: Path, head: MorphableHead) -> None:
    folder = load_head(face_model / "FaceXModel")
    assert np.allclose(folder.mean, head.mean, atol=1e-4)
    assert np.array_equal(folder.triangles, head.triangles) and np.array_equal(folder.parts, head.parts)
    assert np.allclose(folder.modes[:2], head.modes[:2], atol=2e-3)  # the compact form is in half precision


def test_the_landmarks_lie_on_a_face(head: MorphableHead) -> None:
    points = head.mean[LANDMARKS]
    left, right, chin = points[36:42].mean(0), points[42:48].mean(0), points[8]
    assert left[0] < 0 < right[0] and abs(left[0] + right[0]) < 0.2
    assert chin[1] < points[48:60, 1].min() < left[1]
    assert set(np.unique(head.parts)) == {Part.FACE, Part.HEAD, Part.SCLERA, Part.IRIS, Part.GUMS, Part.TEETH}


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_wrong_face_model_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FaceModelError):
        load_head(path)
    with pytest.raises(FaceModelError, match="holds neither"):
        load_head(tmp_path)


def test_a_seed_is_one_person_for_ever() -> None:
    a, b, c = sample_person(5), sample_person(5), sample_person(6)
    assert np.array_equal(a.shape, b.shape) and a.skin == b.skin and a.hair == b.hair
    assert not np.array_equal(a.shape, c.shape) and a.skin != c.skin


def test_people_vary() -> None:
    people = [sample_person(seed) for seed in range(300)]
    assert len({person.hair.style for person in people}) == 7
    assert 0.05 < np.mean([person.glasses is not None for person in people]) < 0.3
    assert 0.1 < np.mean([person.beard is not None for person in people]) < 0.6
    tones = np.array([person.skin.colour for person in people]).mean(1)
    assert tones.min() < 0.12 and tones.max() > 0.5


def test_the_protocol_has_seven_poses_and_twenty_lights() -> None:
    assert POSES == (-45, -30, -15, 0, 15, 30, 45)
    assert len(ILLUMINATIONS) == 20 and ILLUMINATIONS[0].flashes == ()
    assert len({light.flashes for light in ILLUMINATIONS}) == 20


def test_negative_yaw_points_the_nose_to_the_left_edge() -> None:
    nose = np.array([0.0, 0.0, 1.0])
    assert (rotation(-30, 0, 0) @ nose)[0] < 0 < (rotation(30, 0, 0) @ nose)[0]


def test_the_split_is_the_papers() -> None:
    whole = [SynthConfig(249).split(n) for n in range(1, 250)]
    assert whole == ["train"] * 100 + ["test"] * 149
    more = [SynthConfig(300).split(n) for n in range(1, 301)]
    assert more[:249] == whole and set(more[249:]) == {"train"}
    few = [SynthConfig(5).split(n) for n in range(1, 6)]
    assert few == ["train", "train", "test", "test", "test"]


def test_people_of_different_seeds_never_coincide() -> None:
    seeds = {SynthConfig(seed=s).person_seed(n) for s in range(3) for n in range(1, 1000)}
    assert len(seeds) == 3 * 999


def test_every_picture_of_the_manifest_is_there(rendered: Path) -> None:
    manifest = read_manifest(rendered, ("path", "identity", "pose", "illumination", "split", "mask", "background"))
    assert len(manifest) == 3 * 7 * 20
    assert len(set(manifest.columns["path"])) == len(manifest)
    for column in ("path", "mask", "background"):
        for name in set(manifest.columns[column]):
            with Image.open(rendered / name) as image:
                assert image.size == (60, 60) and image.mode == ("L" if column == "mask" else "RGB")


def picture(root: Path, identity: int, pose: int, light: int) -> np.ndarray:
    return np.asarray(Image.open(root / f"images/{identity:04d}/{identity:04d}_{pose:+03d}_{light:02d}.png"), float)


def mask(root: Path, identity: int, pose: int) -> np.ndarray:
    return np.asarray(Image.open(root / f"masks/{identity:04d}/{identity:04d}_{pose:+03d}.png"), float) / 255


def test_masks_separate_the_person_from_the_cameras_background(rendered: Path) -> None:
    for pose in POSES:
        alpha = mask(rendered, 1, pose)
        assert 0.3 < alpha.mean() < 0.98
        behind = background(pose).astype(float)
        for light in (0, 7):
            outside = np.abs(picture(rendered, 1, pose, light) - behind)[alpha == 0]
            assert outside.max(initial=0) <= 1
        assert np.abs(picture(rendered, 1, pose, 0) - behind)[alpha == 1].mean() > 10


def test_faces_turn_and_flashes_light_their_side(rendered: Path) -> None:
    middle = slice(15, 50)
    for identity in (1, 2, 3):
        left, right = mask(rendered, identity, -45)[middle], mask(rendered, identity, 45)[middle]
        columns = np.arange(60)
        # the face looks to the left edge, so the head's bulk lies right of the eyes and mouth
        assert (left.sum(0) * columns).sum() / left.sum() > 31 > 29 > (right.sum(0) * columns).sum() / right.sum()
        from_left, from_right = picture(rendered, identity, 0, 1), picture(rendered, identity, 0, 11)
        assert from_left[20:50, 15:28].mean() > 1.3 * from_left[20:50, 32:45].mean()
        assert from_right[20:50, 32:45].mean() > 1.3 * from_right[20:50, 15:28].mean()


def test_people_differ_and_lights_differ(rendered: Path) -> None:
    assert np.abs(picture(rendered, 1, 0, 6) - picture(rendered, 2, 0, 6)).mean() > 5
    assert np.abs(picture(rendered, 1, 0, 6) - picture(rendered, 1, 0, 14)).mean() > 5


def test_rendering_is_repeatable_and_resumes(rendered: Path, face_model: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    render_database(face_model, tmp_path, SynthConfig(identities=2), 1, lambda *call: calls.append(call))
    assert calls == [(0, 2), (1, 2), (2, 2)]
    assert np.array_equal(picture(tmp_path, 2, 30, 9), picture(rendered, 2, 30, 9))
    (tmp_path / "images/0001").rename(tmp_path / "images/.0001.partial")  # as if killed in the middle
    calls.clear()
    render_database(face_model, tmp_path, SynthConfig(identities=2), 1, lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]
    assert np.array_equal(picture(tmp_path, 1, 30, 9), picture(rendered, 1, 30, 9))


def test_a_data_base_of_another_seed_is_not_mixed_in(rendered: Path, face_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="another seed, camera, variety or face model"):
        render_database(face_model, rendered, SynthConfig(identities=3, seed=1), 1)
    with pytest.raises(ManifestError, match="another seed, camera, variety or face model"):
        render_database(face_model, rendered, SynthConfig(identities=3, camera=Camera(distance=90)), 1)
    (tmp_path / "images").mkdir()
    with pytest.raises(ManifestError, match="not made here"):
        render_database(face_model, tmp_path, SynthConfig(identities=3), 1)
    assert json.loads((rendered / "synth.json").read_text())["seed"] == 0
