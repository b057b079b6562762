"""Stage one where nothing moves: another light, a hidden part. What is kept is kept to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.attributes import ILLUMINATION, INPAINTING, POSE, AttributeSpace
from faceedit.describes import Edit, Moves
from faceedit.editor import Editor
from faceedit.engine import Engine
from faceedit.enlarging import enlarged
from faceedit.errors import UsageError
from faceedit.manifest import read_manifest
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.modelfile import Model, Networks, load_model, new_networks, save_model
from faceedit.networks import (
    COLOUR,
    LIGHT,
    FlowDecoder,
    FlowGenerationNetwork,
    NetworkConfig,
    blended,
    corrected,
    filled,
    initialise,
    invented,
    joined,
    pixel_grid,
)
from faceedit.training.augmentation import Augmentation
from faceedit.training.batches import EVEN, Photographer
from faceedit.training.occluders import occluder
from faceedit.training.pairs import PairSet, load_pairs
from faceedit.training.recipes import Recipe, recipe_named
from faceedit.training.run import TrainingRun, begin
from faceedit.training.trainer import train
from tests.conftest import write_cut_out

LIT = NetworkConfig(attributes=20, mixing=1, width=32, skip=True, flow=True, still=True)
KEPT = replace(LIT, attributes=2, kept=True)
MOVES = replace(LIT, attributes=7, still=False)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def networks_of(config: NetworkConfig, seed: int = 4) -> Networks:
    """Untrained, but for scores that differ enough for some pixels to be invented."""
    networks, draw = new_networks(config), torch.Generator().manual_seed(seed)
    for each in networks:
        initialise(each, draw)
    assert isinstance(networks.generation, FlowGenerationNetwork)
    assert isinstance(networks.generation.decoder, FlowDecoder)
    last = networks.generation.decoder.layers[4]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.mul_(30)
    return networks.for_use()


def editor_of(space: AttributeSpace, config: NetworkConfig) -> Editor:
    return Editor(Model(ModelCard(space, config, EVEN), networks_of(config), "x"), "cpu")


def faces(count: int, side: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def patches(n: int, seed: int = 0) -> Tensor:
    """(n, 60, 60) numbers that are the same over 10 x 10 pixels."""
    return F.interpolate(6 * random(n, 1, 6, 6, seed=seed), (60, 60))[:, 0]


# --- what the networks say, and what is made of it ---


def test_light_is_said_of_each_pixel_and_of_places_and_nothing_moves() -> None:
    said, light = random(2, 11, 60, 60), random(2, 3, 15, 15, seed=1)
    made = joined(said, light)
    assert made.shape == (2, 13, 60, 60) and (made[:, :2] == 0).all()
    assert torch.equal(made[:, 2:LIGHT], said[:, :8])
    flat = joined(said, torch.full((2, 3, 15, 15), 0.25))
    assert torch.allclose(flat[:, LIGHT:], said[:, 8:] + 0.25, atol=1e-6)
    assert joined(random(2, 10, 60, 60), light).shape == made.shape  # where pixels move, of places alone


def test_another_light_is_a_gain_and_an_offset_of_the_source() -> None:
    """Picture = weight x (black + gain x (source - black)) + weight x colour, pixel by pixel."""
    source, said, black = random(1, 3, 60, 60), random(1, 13, 60, 60, seed=1), torch.tensor([-2.0, -1.5, -1.0])
    said[:, :2] = 0
    said[:, 5] = -1e4  # none of the mirrored half
    made = blended(source, said, pixel_grid(), black).picture[0]
    for y, x in ((3, 4), (30, 31), (59, 0)):
        weights = torch.softmax(said[0, [4, 6], y, x], 0)
        gain = said[0, LIGHT:, y, x].clamp(-1.2, 1.2).exp()
        lit = black + gain * (source[0, :, y, x] - black)
        expected = weights[0] * lit + weights[1] * said[0, COLOUR:LIGHT, y, x]
        assert torch.allclose(made[:, y, x], expected, atol=1e-4)


def test_what_is_kept_is_the_source_and_the_rest_is_made_without_it() -> None:
    source, said, black = random(2, 3, 60, 60), random(4, 13, 60, 60, seed=1), torch.zeros(3)
    said[:, :2], said[:, 4] = 0, patches(4)
    maps = blended(source, said, pixel_grid(), black, kept=True).maps
    made_up = invented(said[:, 4:COLOUR].softmax(1)).expand(-1, 3, -1, -1)
    assert torch.equal(invented(maps[:, 9:]).expand(-1, 3, -1, -1), made_up) and 0.2 < made_up.float().mean() < 0.9
    repeated = source.repeat_interleave(2, 0)
    assert torch.equal(maps[:, :3][~made_up], repeated[~made_up])
    assert torch.equal(maps[:, 3:6], repeated)
    black_holes = source.clone()
    black_holes[made_up[::2]] = -9.0  # the first picture of each source: what is hidden says nothing
    again = blended(black_holes, said, pixel_grid(), black, kept=True).maps
    share = said[:, 5:COLOUR].softmax(1)
    clear = 1 - F.max_pool2d(made_up[:, :1].float(), 3, 1, 1)  # nor what is beside the hidden pixels
    around = filled(black_holes.repeat_interleave(2, 0), clear)
    by_hand = share[:, :1] * again[:, 6:9] + share[:, 1:] * (around + said[:, COLOUR:LIGHT])
    assert torch.allclose(again[:, :3][made_up], by_hand[made_up], atol=1e-5)


def test_pixels_beside_invented_ones_are_kept_only_where_that_is_sure() -> None:
    own = torch.full((60, 60), 0.8)
    own[10, 10], own[10, 11], own[30, 30] = 0.2, 0.95, 0.6
    made = invented(torch.stack([own, 1 - own, 0 * own])[None])[0, 0]
    expected = torch.zeros(60, 60, dtype=torch.bool)
    expected[9:12, 9:12] = True
    expected[10, 11] = False
    assert torch.equal(made, expected)


@pytest.mark.parametrize("size", [60, 75])
def test_what_is_hidden_is_filled_with_what_is_around(size: int) -> None:
    axis = torch.linspace(-1, 1, size)
    slope = (axis + 0.5 * axis[:, None]).expand(1, 3, size, size)
    seen = torch.ones(1, 1, size, size)
    seen[..., 20:35, 25:45] = 0
    made = filled(slope, seen)
    there = seen.expand_as(slope) > 0
    assert torch.equal(made[there], slope[there])
    spoilt = torch.where(there, slope, torch.full_like(slope, 50.0))
    assert torch.allclose(filled(spoilt, seen), made, atol=1e-5)  # what is hidden says nothing
    assert (made - slope).abs()[~there].max() < 0.25  # of a picture from -1.5 to 1.5
    assert (filled(torch.full_like(slope, 0.7), seen) - 0.7).abs().max() < 1e-5
    assert torch.equal(filled(slope, torch.zeros_like(seen)), torch.zeros_like(slope))  # nothing is known of anything


def test_stage_two_changes_what_was_invented_alone() -> None:
    maps, said = random(1, 12, 60, 60), random(1, 5, 60, 60, seed=1)
    maps[:, 9:] = torch.stack([patches(1), 0 * patches(1), 0 * patches(1)], 1).softmax(1)
    made_up = invented(maps[:, 9:]).expand(-1, 3, -1, -1)
    assert 0.1 < made_up.float().mean() < 0.9
    free, bound = corrected(said, maps), corrected(said, maps, kept=True)
    assert torch.equal(bound[made_up], free[made_up]) and torch.equal(bound[~made_up], maps[:, 3:6][~made_up])


@pytest.mark.parametrize("config", [{"still": True}, {"flow": True, "mixing": 1, "skip": True, "kept": True}])
def test_still_needs_flow_and_kept_needs_still(config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="still needs flow, and kept needs still"):
        NetworkConfig(**config)  # type: ignore[arg-type]


# --- pictures ---


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_pixels_that_are_not_invented_are_the_pictures_own_to_the_bit(precision: torch.dtype) -> None:
    networks, shown = networks_of(KEPT), faces(3)
    source = EVEN.applied(shown)
    engine = Engine(networks, "cpu", precision=precision)
    with torch.inference_mode():
        prepared = engine.prepare(source)
        rows, values = torch.arange(3), torch.zeros(3, dtype=torch.int64)
        first = engine.first(prepared, rows, values)
        second = engine.second(prepared, rows, engine.features(prepared, rows, first), first)
    made_up = invented(first[:, 9:])
    assert 0.1 < made_up.float().mean() < 1
    keep = ~made_up.expand(-1, 3, -1, -1)
    assert torch.equal(first[:, :3][keep], source[keep]) and torch.equal(second[keep], source[keep])
    assert not torch.equal(second, source)


def test_an_edit_says_what_it_keeps_and_the_larger_picture_keeps_it_to_the_bit() -> None:
    editor, shown = editor_of(INPAINTING, KEPT), faces(1)[0]
    edit = editor.edit(shown, 0)
    assert edit.moves is not None and edit.moves.kept and edit.moves.said.shape == (13, 60, 60)
    kept = torch.from_numpy(edit.moves.said[4:7].astype(np.float32)).softmax(0)[0].numpy() > 0.91  # half precision
    assert 0.02 < kept.mean() < 0.9 and (edit.refined == shown)[kept].all() and (edit.refined != shown).any()

    said = np.zeros((13, 60, 60), np.float16)
    said[4], said[6] = np.where(np.arange(60) < 30, 20, 0), np.where(np.arange(60) < 30, 0, 20)  # the right is invented
    said[7:10] = 50
    crop = np.full((180, 180, 3), 100, np.uint8)
    crop[::7, 10:60:9] = [90, 100, 110]
    crop[:, 93:] = 3  # what hides the right
    picture = np.full((60, 60, 3), 150, np.uint8)
    more_by_ten = np.where(np.arange(60)[:, None] < 30, picture, picture + 10).astype(np.uint8)
    large = enlarged(Edit(picture, more_by_ten, edit.descriptor, Moves(said, np.zeros(3, np.float32), True)), crop)
    assert (large[:, :89] == crop[:, :89]).all()  # the boundary is said of pixels three times as large
    assert (np.abs(large[:, 100:].astype(int) - 160) <= 3).all()  # what is around, 50 more, and the correction


def test_what_is_invented_has_the_same_colours_at_every_size() -> None:
    editor = editor_of(INPAINTING, KEPT)
    edit = editor.edit(np.full((60, 60, 3), 100, np.uint8), 0)  # of one colour, so that places do not count
    assert edit.moves is not None
    large = enlarged(replace(edit, refined=edit.generated), np.full((180, 180, 3), 100, np.uint8))
    new = torch.from_numpy(edit.moves.said[4:7].astype(np.float32)).softmax(0)[0].numpy() < 0.49
    differences = np.abs(large[1::3, 1::3].astype(int) - edit.generated)[new]  # the middles of three times as many
    assert new.mean() > 0.1 and np.quantile(differences, 0.95) <= 2


def test_a_still_model_is_saved_loaded_and_edits_as_its_networks_do(tmp_path: Path) -> None:
    networks = networks_of(LIT)
    card = ModelCard(ILLUMINATION, LIT, Normalisation((124.0, 114.0, 110.0), (60.0, 58.0, 58.0)))
    digest = save_model(tmp_path, card, networks)
    model = load_model(tmp_path)
    assert model.digest == digest and model.card.network.still and not model.card.network.kept
    source, values = EVEN.applied(faces(2)), torch.tensor([0, 19])
    engine = Engine(model.networks, "cpu", precision=torch.float32)
    with torch.inference_mode():
        plain = torch.cat([networks.generation.many(source[i : i + 1], values[i : i + 1, None]) for i in range(2)])
        prepared = engine.prepare(source)
        first = engine.first(prepared, torch.arange(2), values)
        second = engine.second(prepared, torch.arange(2), engine.features(prepared, torch.arange(2), first), first)
        assert torch.allclose(first, plain, atol=1e-3)
        assert torch.allclose(second, networks.refinement(source, plain), atol=2e-2)


def test_a_complete_face_is_not_taken_for_a_hidden_one_for_a_pixel() -> None:
    """As occluded nothing changes, so that its error is nothing at all."""
    assert INPAINTING.decide(np.array([[0.0, 0.0], [4.0, 0.0], [900.0, 0.0]])).tolist() == [0, 0, 1]


# --- what is learnt from ---


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cut_out(tmp_path_factory.mktemp("placed") / "data", placed=True)


def pairs_of(folder: Path, space: AttributeSpace) -> PairSet:
    return load_pairs(read_manifest(folder).where("split", "train"), space, placed=True)


def test_a_hidden_face_and_its_complete_one_are_one_photograph(placed: Path) -> None:
    pairs = pairs_of(placed, INPAINTING)
    n, knobs = len(pairs.images), Augmentation(together=True, neutral=False, mirror=False)
    rows, targets = np.array([n + 1, n + 2, 3]), np.array([[1], [n + 2], [3]])
    photographer = Photographer(pairs, EVEN, knobs, "cpu")
    made = photographer.sitting(rows, targets, targets // n, np.arange(3), (1, 2))
    assert made.truth is not None
    before = [occluder(np.random.default_rng([1, 2, row])) for row in (1, 2)]
    hidden = torch.from_numpy(before[0].hidden)
    same = (made.sources[0] - made.targets[0]).abs().amax(0) < 1e-4
    assert same[torch.from_numpy(before[0].cover == 0)].all() and not same[hidden].all() and hidden.any()
    assert torch.equal(made.sources[1], made.targets[1]) and torch.equal(made.sources[2], made.targets[2])
    assert torch.equal(made.truth.better[0], ~hidden)
    assert made.truth.better[1:].all()  # as occluded, and as complete: nothing is to be found elsewhere
    assert not (made.truth.seen[0] & hidden).any()


def test_what_is_photographed_together_differs_in_its_light_alone(placed: Path) -> None:
    pairs = pairs_of(placed, POSE)
    row = int(pairs.groups[0][0])
    knobs = Augmentation(together=True, neutral=False)
    rows, targets, values = np.array([row]), np.array([[row, pairs.groups[0][3]]]), np.array([[0, 3]])
    made = Photographer(pairs, EVEN, knobs, "cpu").sitting(rows, targets, values, np.arange(1), (3, 4))
    assert torch.equal(made.sources[0], made.targets[0]) and not torch.equal(made.targets[0], made.targets[1])
    alone = Photographer(pairs, EVEN, replace(knobs, together=False), "cpu")
    other = alone.sitting(rows, targets, values, np.arange(1), (3, 4))
    assert torch.equal(other.sources, made.sources) and not torch.equal(other.targets[0], made.targets[0])
    assert made.truth is not None
    inner = made.truth.seen[0] & (made.truth.flow[0].abs().amax(-1) < 0.8)
    assert inner.any() and (made.truth.flow[0] - pixel_grid()).abs()[inner].max() < 2 / 60  # a pixel's half, each way


def test_what_people_have_before_their_faces_is_of_every_kind_and_lies_on_the_face() -> None:
    shown = [occluder(np.random.default_rng(i), black=0.0) for i in range(60)]
    again = occluder(np.random.default_rng(7), black=0.0)
    assert np.array_equal(again.colours, shown[7].colours) and np.array_equal(again.cover, shown[7].cover)
    assert all(0 <= one.cover.min() and one.cover.max() <= 1 + 1e-6 for one in shown)
    sizes = np.array([one.hidden.sum() for one in shown])
    assert sizes.min() > 30 and sizes.max() < 2500 and sizes.std() > 150
    soft = np.array([((one.cover > 0.1) & (one.cover < 0.9)).sum() for one in shown])
    assert (soft > 0).all()  # edges as a lens draws them
    black = [occluder(np.random.default_rng(i), black=1.0) for i in range(5)]
    assert all((one.colours == 0).all() and set(np.unique(one.cover)) == {0.0, 1.0} for one in black)


def tiny(task: str, **changes: float) -> Recipe:
    recipe = recipe_named("best", task).turned(["identity=0", "head=0", "mixing=1", "width=32", "perceptual=0"])
    few = {"sources": 6, "targets": 1, "contrast_people": 2, "steps_identity": 0, "warmup": 4, "average": 0.0}
    return replace(recipe, **{**few, "steps_one": 2, "steps_two": 0, **changes})  # type: ignore[arg-type]


def test_recipe_best_is_another_one_where_nothing_moves() -> None:
    pose, light, whole = (recipe_named("best", task) for task in ("pose", "illumination", "inpainting"))
    assert [r.network.still for r in (pose, light, whole)] == [False, True, True]
    assert [r.network.kept for r in (pose, light, whole)] == [False, False, True]
    assert [r.neutral for r in (pose, light, whole)] == [True, False, False]
    assert pose == recipe_named("best") and recipe_named("paper", "inpainting") == recipe_named("paper")
    painted = light.turned(["flow=off"])
    assert not painted.network.still and painted.network.mixing == 4
    with pytest.raises(UsageError, match="choose one of paper, best"):
        recipe_named("fast", "inpainting")


@pytest.mark.parametrize("space", [ILLUMINATION, INPAINTING], ids=lambda s: s.name)
def test_a_model_that_moves_pixels_is_what_another_task_begins_with(space: AttributeSpace) -> None:
    """What it says of mirrored places, weights and colours is what the pose model says of the same tokens."""
    config = MOVES if space is POSE else {"illumination": LIT, "inpainting": KEPT}[space.name]
    start = Model(ModelCard(POSE, MOVES, EVEN), networks_of(MOVES), "start")
    recipe = replace(recipe_named("best", space.name), network=config)
    mine = begin(TrainingRun(space, recipe, Path("nowhere"), start=start)).generation
    other = start.generation
    assert isinstance(mine, FlowGenerationNetwork) and isinstance(other, FlowGenerationNetwork)
    for name, tensor in other.state_dict().items():
        if name != "attributes" and "decoder.layers.4" not in name:
            assert torch.equal(mine.state_dict()[name], tensor), name
    assert isinstance(mine.decoder, FlowDecoder) and isinstance(other.decoder, FlowDecoder)
    tokens = random(1, 32, 15, 15)
    with torch.no_grad():
        said, before = mine.decoder(tokens, random(1, 64, 60, 60)), other.decoder(tokens)
    assert torch.allclose(said[:, 2:COLOUR], before[:, 2:COLOUR], atol=1e-5)
    if config.kept:  # a colour is added to what is around
        assert (said[:, COLOUR:LIGHT] == 0).all()
    else:
        assert torch.allclose(said[:, COLOUR:LIGHT], before[:, COLOUR:LIGHT], atol=1e-5)
    assert torch.allclose(said[:, LIGHT:], before[:, LIGHT:], atol=1e-5)
    told = mine.attributes.mean(1)  # what is the same at all places
    assert (told.mean(0) - other.attributes.mean((0, 1))).abs().mean() < 0.1
    assert torch.cdist(told, told)[~torch.eye(len(told), dtype=torch.bool)].min() > 0.3  # values are told apart


@pytest.mark.slow
def test_stage_two_is_not_worse_than_stage_one_after_a_small_training(placed: Path, tmp_path: Path) -> None:
    """Every face as it is, under light 0, and under light 9, which comes from the right."""
    faces = pairs_of(placed, POSE)
    n = len(faces.images)
    gain = np.linspace(0.3, 1.0, 60)[None, None, :, None]
    lit = np.concatenate([faces.images, (faces.images * gain).astype(np.uint8)])
    groups = np.full((n, 20), -1, np.int64)
    groups[:, 0], groups[:, 9] = np.arange(n), n + np.arange(n)
    assert faces.mask_rows is not None
    pairs = replace(
        faces,
        images=lit,
        groups=groups,
        people=np.arange(n),
        faces=np.arange(n),
        leads=np.ones((20, 20), bool),
        mirror=None,
        mask_rows=np.concatenate([faces.mask_rows] * 2),
        loose=None,
    )
    recipe = tiny("illumination", steps_one=60, learning_rate=2e-3, contrast=0.0, sources=8)
    editor = Editor(train(TrainingRun(ILLUMINATION, recipe, tmp_path / "model", seed=1), pairs), "cpu")
    edits = editor.edit_many(lit[:24], np.full(24, 9))
    one, two = (np.stack([getattr(e, stage) for e in edits]).astype(float) for stage in ("generated", "refined"))
    truths = lit[n : n + 24]
    before, first, second = (float(((made - truths) ** 2).mean()) for made in (lit[:24].astype(float), one, two))
    assert second <= 1.01 * first and first < before
