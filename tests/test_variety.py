"""The rendered database with the variety of photographs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch.nn.functional as F
from PIL import Image

from faceedit.attributes import ILLUMINATION, POSE
from faceedit.errors import FaceModelError, ManifestError
from faceedit.manifest import read_manifest
from faceedit.synth.database import SynthConfig, _claim, render_database
from faceedit.synth.head import LANDMARKS, MorphableHead, Part, load_head
from faceedit.synth.person import Glasses, Person, sample_person
from faceedit.synth.places import load_places, project
from faceedit.synth.render import photograph_variety
from faceedit.synth.scene import ILLUMINATIONS, Camera
from faceedit.synth.variety import (
    Variety,
    expression_name,
    numbered_lights,
    sample_attitude,
    sample_expression,
    sample_illumination,
)
from faceedit.training.augmentation import Augmentation
from faceedit.training.batches import EVEN, Photographer
from faceedit.training.pairs import PairSampler, load_pairs
from faceedit.training.sets import read_training_set

TINY = Variety(expressions=2, lights=2, loose=2)


@pytest.fixture(scope="module")
def rendered(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("embreex")
    out = tmp_path_factory.mktemp("variety")
    render_database(face_model, out, SynthConfig(identities=2, seed=3, variety=TINY), processes=2)
    return out


def picture(root: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / name), dtype=float)


def shown_places(root: Path) -> tuple[np.ndarray, np.ndarray]:
    points, viewpoints = load_places(root / "places/0001/0001_calm.npz")
    return points.astype(np.float32), viewpoints


@pytest.mark.slow
def test_every_pixel_knows_its_place_on_the_head(rendered: Path) -> None:
    """Where it says that it lies in its own picture is where it is; and only pixels of the person have a place."""
    points, viewpoints = shown_places(rendered)
    assert points.shape == (9, 60, 60, 3) and points.dtype == np.float32 and viewpoints.shape == (9, 13)
    axis = (np.arange(60) + 0.5) / 30 - 1
    own = np.stack(np.meshgrid(axis, axis), -1)
    for view, take in ((0, "-45"), (3, "+00"), (8, "loose1")):
        there = np.isfinite(points[view, ..., 0])
        alpha = picture(rendered, f"masks/0001/0001_calm_{take}.png")
        assert there[alpha == 255].all() and not there[alpha == 0].any()
        off = np.abs(project(points[view], viewpoints[view]) - own)[there]
        assert off.max() < 0.25 * 2 / 60


@pytest.mark.slow
def test_a_place_is_found_again_in_another_picture(rendered: Path) -> None:
    """What a pixel shows at one pose is shown at the place where it is projected to at another, unless it is covered;
    a wrong viewpoint finds it elsewhere."""
    points, viewpoints = shown_places(rendered)
    for target, source in ((3, 4), (4, 2), (3, 7)):
        there = np.isfinite(points[target, ..., 0])
        g = project(points[target][there], viewpoints[source])
        column, row = np.rint((g + 1) * 30 - 0.5).astype(int).clip(0, 59).T
        apart = np.linalg.norm(points[source, row, column] - points[target][there], axis=1)
        assert np.nanmedian(apart) < 0.4 and np.nanmean(apart < 0.8) > 0.6
        wrong = project(points[target][there], viewpoints[0])
        column, row = np.rint((wrong + 1) * 30 - 0.5).astype(int).clip(0, 59).T
        assert np.nanmedian(np.linalg.norm(points[source, row, column] - points[target][there], axis=1)) > 1


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"not an archive"):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(ManifestError, match="holds no places"):
            load_places(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", points=np.zeros((2, 6, 6, 3), np.float16), viewpoints=np.zeros((3, 13), np.float32))
    with pytest.raises(ManifestError, match="render it again"):
        load_places(tmp_path / "x.npz")
    with ZipFile(tmp_path / "x.npz", "w", ZIP_DEFLATED) as packed, packed.open("points.npy", "w") as member:
        for _ in range(2**8 + 1):
            member.write(bytes(2**20))
    assert (tmp_path / "x.npz").stat().st_size < 2**20
    with pytest.raises(ManifestError, match="unpacks to 269,484,032 bytes; expected 268,435,456 at most"):
        load_places(tmp_path / "x.npz")


@pytest.mark.slow
def test_loose_pictures_are_listed_apart(rendered: Path) -> None:
    manifest = read_manifest(rendered / "loose.csv", ("path", "identity", "illumination", "expression", "mask"))
    assert len(manifest) == 2 * 2 * 2 * 2 and "pose" not in manifest.columns
    assert not set(manifest.columns["path"]) & set(read_manifest(rendered).columns["path"])
    for path, mask, places, view in zip(
        *(manifest.columns[name] for name in ("path", "mask", "places", "view")), strict=True
    ):
        assert (picture(rendered, path)[picture(rendered, mask) == 0] == 0).all()
        assert int(view) < len(load_places(rendered / places)[0])


@pytest.mark.slow
def test_training_reads_places_and_loose_pictures(rendered: Path) -> None:
    """Of both people, though one is for testing in a larger set: every mask has its places, and every group the loose
    pictures of its person, face and light."""
    pairs = load_pairs(read_training_set([rendered], POSE, loose=True).manifest, POSE, placed=True)
    assert pairs.masks is not None and pairs.places is not None and pairs.loose is not None
    assert pairs.viewpoints is not None and pairs.mask_rows is not None
    assert len(pairs.places) == len(pairs.masks) == len(pairs.viewpoints) == 2 * 2 * (7 + 2)
    assert pairs.groups.shape == (8, 7) and pairs.loose.shape == (8, 2) and (pairs.loose >= 0).all()
    assert not set(pairs.loose.ravel()) & set(pairs.groups.ravel())
    assert (np.isfinite(pairs.places[..., 0]) == (pairs.masks > 0)).mean() > 0.98
    sampler = PairSampler(pairs, 0, include_same=True)
    batch = sampler.batch(0, 4, 3)
    shot = Photographer(pairs, EVEN, Augmentation(), "cpu").sitting(
        batch.sources, batch.targets, batch.values, np.arange(4), (0, 1, 0)
    )
    assert shot.truth is not None and shot.truth.flow.shape == (12, 60, 60, 2) and shot.truth.seen.float().mean() > 0.2
    # the source, moved by the truth, is the target where it is seen
    repeated = shot.sources.repeat_interleave(3, 0)
    moved = F.grid_sample(repeated, shot.truth.flow, padding_mode="border", align_corners=False)
    off = ((moved - shot.targets) ** 2).mean(1)[shot.truth.better].mean()
    assert off < 0.5 * ((repeated - shot.targets) ** 2).mean(1)[shot.truth.better].mean()


def test_heads_are_exactly_at_a_pose_or_anywhere() -> None:
    rng, knobs = np.random.default_rng(0), Variety()
    assert sample_attitude(-30, 4.0, knobs, rng).tolist() == [-30, 4, 0]
    about = np.stack([sample_attitude(-30, 4.0, replace(knobs, stray=6.0), rng) for _ in range(400)])
    assert np.abs(about.mean(0) - [-30, 4, 0]).max() < 1
    assert about.std(0) == pytest.approx([6, 3, 3], rel=0.15)
    free = np.stack([sample_attitude(None, 4.0, knobs, rng) for _ in range(400)])
    assert (np.abs(free).max(0) <= [55, 15, 15]).all() and (np.abs(free).max(0) > [50, 12, 12]).all()
    assert abs(free[:, 1].mean() - 4) < 1
    still = sample_attitude(None, 0.0, replace(knobs, yaw=0, pitch=0, roll=0), rng)
    assert not still.any()


def test_every_look_is_turned_off_alone() -> None:
    def people(**off: object) -> list[Person]:
        return [sample_person(seed, variety=replace(Variety(), **off)) for seed in range(150)]  # type: ignore[arg-type]

    everything = people()
    assert any(p.earrings for p in everything) and not any(p.earrings for p in people(earrings=False))
    assert any(p.hair.strands for p in everything) and not any(p.hair.strands for p in people(strands=0.0))
    assert any(p.shine for p in everything) and not any(p.shine for p in people(shine=False))
    seen_through = [p.glasses for p in people(glare=False) if p.glasses]
    assert not any(g.glare or g.shade for g in seen_through) and any(p.glasses and p.glasses.glare for p in everything)
    for a, b in zip(everything, people(makeup=False), strict=True):
        assert (a.hair, a.brows, a.beard, a.glasses) == (b.hair, b.brows, b.beard, b.glasses)
    for a, b in zip(everything, people(sexes=False), strict=True):
        assert a.skin.colour == b.skin.colour and a.glasses == b.glasses
    assert {p.hair.style for p in people(sexes=False)} <= {p.hair.style for p in everything} | {"swept"}


def test_colours_ages_and_hair_are_spread_evenly() -> None:
    people = [sample_person(seed, variety=Variety()) for seed in range(400)]
    tones = np.log([np.mean(p.skin.colour) for p in people])
    low, high = tones.min(), tones.max()
    share, _ = np.histogram(tones, 3, (low, high))
    assert share.min() > 0.2 * len(people)
    ages, _ = np.histogram([p.skin.age for p in people], 4, (0, 1))
    assert ages.min() > 0.18 * len(people)
    assert {"long", "bob", "tied", "fringe", "afro", "short", "swept", "buzz", "bald"} == {p.hair.style for p in people}
    assert any(p.hair.curl for p in people) and any(p.hair.tail for p in people) and any(p.hair.fringe for p in people)


def test_lenses_mirror_a_window_and_keep_light_back(head: MorphableHead) -> None:
    pytest.importorskip("embreex")
    from faceedit.synth.lenses import lenses

    landmarks = head.mean[LANDMARKS]
    eye = landmarks[36:42].mean(0)
    points = np.stack([eye, eye + np.array([0, 6, 0], np.float32)])  # behind a lens, and on the forehead
    ahead = np.tile(np.array([0, 0, 1], np.float32), (2, 1))
    glasses = Glasses((0.1, 0.1, 0.1), 2.4, 0.8, 3.0, 0.15, glare=0.5, window=(0.0, 0.0), shade=0.4)
    made = lenses(glasses, landmarks, points, ahead)
    assert made.kept.tolist() == pytest.approx([0.6, 1]) and made.mirrored.tolist() == pytest.approx([0.5, 0])
    aside = lenses(replace(glasses, window=(60.0, 0.0)), landmarks, points, ahead)
    assert aside.mirrored.tolist() == [0, 0] and aside.kept.tolist() == pytest.approx([0.6, 1])
    assert made.over(np.ones((2, 3), np.float32)).tolist() == pytest.approx(np.array([[1.1] * 3, [1.0] * 3]))
    for nothing in (None, replace(glasses, glare=0.0, shade=0.0)):
        clear = lenses(nothing, landmarks, points, ahead)
        assert clear.kept.tolist() == [1, 1] and clear.mirrored.tolist() == [0, 0]


@pytest.mark.parametrize("style", ["short", "long", "bob", "tied", "fringe", "afro", "swept"])
def test_hair_covers_the_head_and_leaves_the_face(head: MorphableHead, style: str) -> None:
    pytest.importorskip("embreex")
    from faceedit.synth.body import build_person

    person = sample_person(1)
    plain = replace(person.hair, style=style, length={"long": 17.0, "bob": 9.0}.get(style, 0.0), curl=0.3, fringe=0.0)
    vertices = {}
    for strands in (0.0, 1.0):
        own = replace(person, hair=replace(plain, strands=strands, tail=style == "tied"), glasses=None)
        mesh, landmarks = build_person(head, own)
        hair = mesh.positions[np.unique(mesh.triangles[mesh.parts == Part.HAIR])]
        vertices[strands] = len(hair)
        assert hair[:, 1].max() > landmarks[:, 1].max() + 4  # above the brows
        nose = np.linalg.norm(hair[:, None] - landmarks[[30, 33, 51, 57]], axis=2)
        assert nose.min() > 1.0 and np.isfinite(hair).all()
    assert vertices[1.0] > vertices[0.0] + 1000


@pytest.mark.slow
def test_every_picture_stands_on_black_with_its_mask(rendered: Path) -> None:
    manifest = read_manifest(rendered, ("path", "identity", "pose", "illumination", "expression", "split", "mask"))
    assert len(manifest) == 2 * 2 * 7 * 2 and "background" not in manifest.columns
    assert set(manifest.columns["expression"]) == {"calm", "smiling"}
    for path, mask in zip(manifest.columns["path"], manifest.columns["mask"], strict=True):
        alpha = picture(rendered, mask)
        assert (picture(rendered, path)[alpha == 0] == 0).all()
        assert alpha[30, 30] == 255 and (alpha == 0).any()


@pytest.mark.slow
def test_a_smile_moves_the_mouth_and_leaves_the_forehead(rendered: Path) -> None:
    calm, smiling = (picture(rendered, f"images/0001/0001_{face}_+00_00.png") for face in ("calm", "smiling"))
    difference = np.abs(calm - smiling).mean(2)
    assert difference[38:50, 20:40].mean() > 5
    assert difference[38:50, 20:40].mean() > 1.2 * difference[10:17, 24:36].mean()


@pytest.mark.slow
def test_pairs_share_person_light_and_expression(rendered: Path) -> None:
    pairs = load_pairs(read_manifest(rendered), POSE, cut_out=True)
    assert pairs.groups.shape == (2 * 2 * 2, 7) and (pairs.groups >= 0).all()
    assert len(np.unique(pairs.people)) == 2 and len(np.unique(pairs.faces)) == 4
    assert pairs.mirror is not None and pairs.mirror.tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert pairs.masks is not None and len(pairs.masks) == 2 * 2 * 7


@pytest.mark.slow
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
        del light["tint"], light["by_camera"]
    file.write_text(json.dumps(made))
    _claim(tmp_path, head, SynthConfig(3))
    made["illuminations"][3]["room"] = 0.5
    file.write_text(json.dumps(made))
    with pytest.raises(ManifestError, match="another seed"):
        _claim(tmp_path, head, SynthConfig(3))


def test_a_data_base_without_the_twenty_is_continued(face_model: Path, tmp_path: Path) -> None:
    """As earlier releases made them, with lamps by the head: the pictures are the same."""
    head, config = load_head(face_model), SynthConfig(2, variety=replace(TINY, turning=False))
    _claim(tmp_path, head, config)
    file = tmp_path / "synth.json"
    made = json.loads(file.read_text())
    assert made["variety"].pop("twenty") == 0 and made["variety"].pop("turning") is False
    file.write_text(json.dumps(made))
    _claim(tmp_path, head, config)
    with pytest.raises(ManifestError, match="another seed, camera, variety"):
        _claim(tmp_path, head, SynthConfig(2, variety=replace(TINY, twenty=5)))


def test_everybody_has_some_of_the_twenty_lights_and_their_own_beside_them() -> None:
    some = Variety(twenty=9, lights=2)
    people = [numbered_lights(seed, some) for seed in range(60)]
    for numbers in people:
        assert len(numbers) == 11 and sorted(set(numbers[:9])) == list(numbers[:9]) and numbers[9:] == (20, 21)
        assert max(numbers[:9]) < 20
    assert len(set(people)) > 50 and {n for numbers in people for n in numbers} == set(range(22))
    assert numbered_lights(3, Variety(lights=2)) == (0, 1)  # none of the twenty: their own are numbered from the first
    assert SynthConfig(1).lights_of(1) == tuple(range(20))
    assert SynthConfig(2).pictures == 2 * 7 * 20
    assert SynthConfig(3, variety=some).pictures == 3 * (7 + some.loose) * some.expressions * 11
    with pytest.raises(ValueError, match="at most 20 lights"):
        Variety(twenty=21)


@pytest.mark.slow
def test_relighting_is_learnt_from_the_twenty_and_begun_from_any_light(face_model: Path, tmp_path: Path) -> None:
    lit = Variety(expressions=1, lights=2, loose=1, twenty=3)
    render_database(face_model, tmp_path, SynthConfig(identities=1, seed=3, variety=lit), processes=1)
    given = read_training_set([tmp_path], ILLUMINATION)
    numbers = numbered_lights(SynthConfig(seed=3).person_seed(1), lit)
    assert sorted({int(n) for n in given.manifest.columns["illumination"]}) == sorted(numbers)
    pairs = load_pairs(given.manifest, ILLUMINATION, placed=True)
    assert pairs.groups.shape == (7, 20) and pairs.loose is not None and pairs.loose.shape == (7, 2)
    assert (np.flatnonzero((pairs.groups >= 0).all(0)) == numbers[:3]).all() and (pairs.groups >= 0).sum() == 21
    shot = photograph_variety(load_head(face_model), 3_000_001, Camera(), lit)[0]
    person = shot.images[3]  # at the pose 0: the twenty first, as they are there
    row = int(pairs.groups[3][numbers[0]])
    assert np.abs(pairs.images[row].astype(int) - person[0]).mean() < 1
    assert np.abs(pairs.images[pairs.loose[3][1]].astype(int) - person[4]).mean() < 1


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
    jaw = names.index("jawOpen")
    faint, plain = (
        np.stack([sample_expression(1, Variety(faint=share, quiet=0), names, rng) for _ in range(100)])
        for share in (1.0, 0.0)
    )
    assert 0.02 < faint[:, smile].min() and faint[:, smile].max() < 0.9 and not faint[:, jaw].any()
    assert faint[:, smile].mean() < 0.4 < 0.6 < plain[:, smile].mean() and plain[:, jaw].any()
    still = sample_expression(0, Variety(quiet=0), names, rng)
    assert not still.any()
    even = sample_expression(1, Variety(asymmetry=0, quiet=0), names, rng)
    assert even[smile] == even[names.index("mouthSmile_R")] > 0
    assert [expression_name(n) for n in range(5)] == ["calm", "smiling", "other", "other2", "other3"]
    with pytest.raises(ValueError, match="faint"):
        Variety(faint=1.5)


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


@pytest.mark.parametrize("wrong", [{"expressions": 0}, {"lights": 0}, {"studio": 1.2}, {"loose": -1}])
def test_impossible_knobs_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(Variety(), **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_validation_set_is_like_photographs(rendered: Path, tmp_path: Path) -> None:
    """benchmarks/photographs.py: own backgrounds, all labels, nothing of the training split."""
    from benchmarks.photographs import write_photographs

    manifest = read_manifest(rendered)
    columns = {
        **manifest.columns,
        "split": tuple("test" if i == "0002" else "train" for i in manifest.columns["identity"]),
    }
    (tmp_path / "rendered").symlink_to(rendered)
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            cells = dict(zip(columns, row, strict=True))
            cells |= {name: f"rendered/{cells[name]}" for name in ("path", "mask")}
            writer.writerow(cells.values())
    assert write_photographs(tmp_path, tmp_path / "out", people=5, seed=0) == (28, 1)
    made = read_manifest(tmp_path / "out", ("path", "identity", "pose", "illumination", "expression"))
    assert set(made.columns["identity"]) == {"0002"} and len(set(made.columns["path"])) == 28
    corners = np.array([picture(tmp_path / "out", name)[0, 0] for name in made.columns["path"]])
    assert corners.std(0).min() > 5


@pytest.mark.slow
def test_a_sitter_turns_before_lamps_that_stay_by_the_camera(head: MorphableHead) -> None:
    """By the head one of its halves is lit whatever way it looks; by the camera what is seen is lit alike."""
    pytest.importorskip("embreex")
    knobs = Variety(expressions=1, lights=6, studio=1, loose=0, sitting=0)
    by_head, by_camera = (photograph_variety(head, 5, Camera(), replace(knobs, turning=on))[0] for on in (False, True))
    assert np.array_equal(by_head.images[3], by_camera.images[3])  # who looks into the camera
    assert not np.array_equal(by_head.images[0], by_camera.images[0])

    def unlike(images: np.ndarray) -> np.ndarray:
        """Of every light, how unlike in brightness the views from both sides are."""
        sides = ((0, left), (6, right))
        levels = np.array([[float(image[mask == 255].mean()) for image in images[pose]] for pose, mask in sides])
        return np.asarray(np.abs(np.log(levels[0] / levels[1])))

    left, right = by_head.masks[0], by_head.masks[6]
    assert unlike(by_head.images).max() > 1.5 * unlike(by_camera.images).max()


def test_only_lights_of_peoples_own_stay_by_the_camera() -> None:
    rng = np.random.default_rng(3)
    drawn = [sample_illumination(Variety(studio=0.5), rng) for _ in range(100)]
    assert {light in ILLUMINATIONS for light in drawn} == {True, False}
    assert all(light.by_camera != (light in ILLUMINATIONS) for light in drawn)
    assert not any(sample_illumination(Variety(turning=False), rng).by_camera for _ in range(20))


def test_lights_are_as_bright_as_a_photographer_has_them() -> None:
    def levels(**knobs: bool) -> np.ndarray:
        rng = np.random.default_rng(1)
        drawn = [sample_illumination(replace(Variety(studio=1), **knobs), rng) for _ in range(300)]
        frontal = [
            sum(f.power / np.pi * (0.15 + 0.85 * max(0, f.direction[2])) for f in each.flashes) for each in drawn
        ]
        return np.array([0.45 * each.room + own for each, own in zip(drawn, frontal, strict=True)])

    exposed, free = levels(), levels(exposed=False)
    assert 0.74 < exposed.min() < 0.8 and 1.45 < exposed.max() < 1.51
    assert free.max() / free.min() > 2 * exposed.max() / exposed.min()
    rng = np.random.default_rng(2)
    for wide, least, most in ((True, 80, 95), (False, 50, 60)):
        knobs = replace(Variety(studio=1), wide=wide)
        farthest = max(abs(sample_illumination(knobs, rng).flashes[0].azimuth) for _ in range(200))
        assert least < farthest <= most
