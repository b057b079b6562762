"""The rendered data base with the variety of photographs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.attributes import POSE
from faceedit.errors import FaceModelError, ManifestError
from faceedit.manifest import read_manifest
from faceedit.synth.database import SynthConfig, _claim, render_database
from faceedit.synth.head import MorphableHead, load_head
from faceedit.synth.person import Person, sample_person
from faceedit.synth.scene import ILLUMINATIONS
from faceedit.synth.variety import Variety, expression_name, sample_expression, sample_illumination
from faceedit.training.pairs import load_pairs

TINY = Variety(expressions=2, lights=2)


@pytest.fixture(scope="module")
def rendered(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("embreex")
    out = tmp_path_factory.mktemp("variety")
    render_database(face_model, out, SynthConfig(identities=2, seed=3, variety=TINY), processes=2)
    return out


def picture(root: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / name), dtype=float)


def test_every_picture_stands_on_black_with_its_mask(rendered: Path) -> None:
    manifest = read_manifest(rendered, ("path", "identity", "pose", "illumination", "expression", "split", "mask"))
    assert len(manifest) == 2 * 2 * 7 * 2 and "background" not in manifest.columns
    assert set(manifest.columns["expression"]) == {"calm", "smiling"}
    for path, mask in zip(manifest.columns["path"], manifest.columns["mask"], strict=True):
        alpha = picture(rendered, mask)
        assert (picture(rendered, path)[alpha == 0] == 0).all()
        assert alpha[30, 30] == 255 and (alpha == 0).any()


def test_a_smile_moves_the_mouth_and_leaves_the_forehead(rendered: Path) -> None:
    calm, smiling = (picture(rendered, f"images/0001/0001_{face}_+00_00.png") for face in ("calm", "smiling"))
    difference = np.abs(calm - smiling).mean(2)
    assert difference[38:50, 20:40].mean() > 5
    assert difference[38:50, 20:40].mean() > 1.2 * difference[10:17, 24:36].mean()


def test_pairs_share_person_light_and_expression(rendered: Path) -> None:
    pairs = load_pairs(read_manifest(rendered), POSE, cut_out=True)
    assert pairs.groups.shape == (2 * 2 * 2, 7) and (pairs.groups >= 0).all()
    assert len(np.unique(pairs.people)) == 2 and len(np.unique(pairs.faces)) == 4
    assert pairs.mirror is not None and pairs.mirror.tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert pairs.masks is not None and len(pairs.masks) == 2 * 2 * 7


def test_it_is_continued_only_with_the_same_knobs(face_model: Path, rendered: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in rendered.glob("images/*/*.png")}
    render_database(face_model, rendered, SynthConfig(identities=2, seed=3, variety=TINY), processes=1)
    assert {path: path.stat().st_mtime_ns for path in rendered.glob("images/*/*.png")} == before
    for other in (replace(TINY, detail=0.5), None):
        with pytest.raises(ManifestError, match="another seed, camera, variety or face model"):
            render_database(face_model, rendered, SynthConfig(identities=2, seed=3, variety=other), processes=1)


def test_a_data_base_of_0_2_0_is_continued(face_model: Path, tmp_path: Path) -> None:
    """Then an illumination had one flash or none, and no tint; the pictures are the same."""
    head = load_head(face_model)
    _claim(tmp_path, head, SynthConfig(2))
    file = tmp_path / "synth.json"
    made = json.loads(file.read_text())
    for light in made["illuminations"]:
        light["flash"] = next(iter(light.pop("flashes")), None)
        del light["tint"]
    file.write_text(json.dumps(made))
    _claim(tmp_path, head, SynthConfig(3))
    made["illuminations"][3]["room"] = 0.5
    file.write_text(json.dumps(made))
    with pytest.raises(ManifestError, match="another seed"):
        _claim(tmp_path, head, SynthConfig(3))


def test_every_25th_person_is_for_testing() -> None:
    config = SynthConfig(60, variety=TINY)
    assert [n for n in range(1, 61) if config.split(n) == "test"] == [25, 50]


def test_a_seed_is_the_same_person_with_or_without_variety_in_shape() -> None:
    plain, varied = sample_person(5), sample_person(5, variety=Variety())
    assert np.array_equal(plain.shape, varied.shape)
    without = sample_person(5, variety=Variety(clothing=False, detail=0, asymmetry=0))
    assert np.array_equal(plain.shape, without.shape)


def test_hair_beards_and_glasses_are_each_turned_off_alone() -> None:
    people = {seed: sample_person(seed, variety=Variety()) for seed in range(200)}

    def without(**off: bool) -> list[Person]:
        return [sample_person(seed, variety=replace(Variety(), **off)) for seed in people]

    assert {p.hair.style for p in without(hair_style=False)} == {"short"}
    assert {p.hair.length for p in without(hair_length=False)} == {0.0, 9.0, 17.0}
    assert {p.hair.volume for p in without(hair_volume=False)} == {1.0}
    assert len({p.hair.colour for p in without(hair_colour=False)}) == 1 < len({p.hair.colour for p in people.values()})
    assert not any(p.beard for p in without(beards=False)) and any(p.beard for p in people.values())
    assert not any(p.glasses for p in without(glasses=False)) and any(p.glasses for p in people.values())
    for plain, own in zip(without(hair_colour=False), people.values(), strict=True):
        assert replace(plain.hair, colour=own.hair.colour) == own.hair and plain.skin == own.skin


def test_expressions_have_their_strength_from_the_knobs(head: MorphableHead) -> None:
    names = head.expression_names
    assert len(names) > 40
    smile = names.index("mouthSmile_L")
    rng = np.random.default_rng(0)
    drawn = {n: np.stack([sample_expression(n, Variety(), names, rng) for _ in range(100)]) for n in (0, 1, 2)}
    assert drawn[0].max() < 0.5 and drawn[1][:, smile].min() > 0.1
    assert drawn[1][:, smile].mean() > 0.5 > 0.1 > drawn[0][:, smile].mean()
    assert drawn[2].max(1).mean() > 0.4
    still = sample_expression(0, Variety(quiet=0), names, rng)
    assert not still.any()
    even = sample_expression(1, Variety(asymmetry=0, quiet=0), names, rng)
    assert even[smile] == even[names.index("mouthSmile_R")] > 0
    assert [expression_name(n) for n in range(5)] == ["calm", "smiling", "other", "other2", "other3"]


def test_lights_are_the_twenty_or_a_studio() -> None:
    rng = np.random.default_rng(0)
    assert all(sample_illumination(Variety(studio=0), rng) in ILLUMINATIONS for _ in range(50))
    free = [sample_illumination(Variety(studio=1), rng) for _ in range(200)]
    assert not any(light in ILLUMINATIONS for light in free)
    assert {len(light.flashes) for light in free} == {1, 2, 3}
    assert all(abs(np.mean(light.tint) - 1) < 1e-6 for light in free)
    assert np.std([light.tint[0] for light in free]) > 0.02


def test_a_face_model_without_expressions_is_refused(face_model: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "ict_face_light.npz"
    lonely.symlink_to(face_model / "ict_face_light.npz")
    with pytest.raises(FaceModelError, match="expression"):
        render_database(lonely, tmp_path / "out", SynthConfig(identities=1, variety=TINY), processes=1)
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize("wrong", [{"expressions": 0}, {"lights": 0}, {"studio": 1.2}])
def test_impossible_knobs_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        replace(Variety(), **wrong)  # type: ignore[arg-type]


def test_the_validation_set_is_like_photographs(rendered: Path, tmp_path: Path) -> None:
    """benchmarks/photographs.py: own backgrounds, all labels, nothing of the training split."""
    from benchmarks.photographs import write_photographs

    manifest = read_manifest(rendered)
    columns = {
        **manifest.columns,
        "split": tuple("test" if i == "0002" else "train" for i in manifest.columns["identity"]),
    }
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            cells = dict(zip(columns, row, strict=True))
            cells |= {name: str(rendered / cells[name]) for name in ("path", "mask")}
            writer.writerow(cells.values())
    assert write_photographs(tmp_path, tmp_path / "out", people=5, seed=0) == (28, 1)
    made = read_manifest(tmp_path / "out", ("path", "identity", "pose", "illumination", "expression"))
    assert set(made.columns["identity"]) == {"0002"} and len(set(made.columns["path"])) == 28
    corners = np.array([picture(tmp_path / "out", name)[0, 0] for name in made.columns["path"]])
    assert corners.std(0).min() > 5
