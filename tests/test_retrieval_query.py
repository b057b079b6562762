"""Answers to queries, and the contact sheets that show them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cli.asking import load_editors
from faceedit.editor import Editor
from faceedit.errors import AttributeValueError, ImageError, UsageError
from faceedit.images import read_crop
from faceedit.modelfile import load_model
from index.errors import GalleryEmptyError, ModelMismatchError
from index.gallery import Filter, Gallery, GalleryConfig, Labels
from index.where import parse
from retrieval.folder import find_images
from retrieval.indexing import index_folder, open_gallery
from retrieval.query import QueryEngine, chain
from retrieval.sheets import GREEN, Cell, draw_sheet
from tests.conftest import blob_face


@pytest.fixture(scope="module")
def editor(model_folder: Path) -> Editor:
    return Editor.load(model_folder, "cpu")


@pytest.fixture(scope="module")
def photos(data_set: Path) -> Path:
    return data_set / "images"


@pytest.fixture(scope="module")
def gallery(editor: Editor, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    chosen = find_images(photos)[::6]
    labels = {chosen[0]: Labels("labelled", pose=45), chosen[1]: Labels("unlabelled")}
    with open_gallery(tmp_path_factory.mktemp("gallery"), editor, photos) as opened:
        index_folder(opened, editor, chosen, labels)
        yield opened


@pytest.fixture(scope="module")
def engine(gallery: Gallery, editor: Editor) -> QueryEngine:
    return QueryEngine(gallery, {"pose": editor})


def found_paths(engine: QueryEngine, path: Path, k: int = 100) -> list[Path]:
    return [engine.path_of(match) for match in engine.query(path, {"pose": 30}, k).matches]


def test_results_come_by_rising_true_distance(engine: QueryEngine, gallery: Gallery, photos: Path) -> None:
    answer = engine.query(find_images(photos)[3], {"pose": 30}, 100)
    ids = [image.id for image in gallery.images()]
    true = np.linalg.norm(gallery.descriptors(ids) - answer.steps[-1].edit.descriptor, axis=1)
    distances = [match.distance for match in answer.matches]
    assert distances == sorted(distances)
    np.testing.assert_allclose(distances, np.sort(true), atol=2e-4)
    assert sorted(match.image.id for match in answer.matches) == sorted(ids)


def test_distinct_results_are_the_nearest_of_each(editor: Editor, photos: Path, tmp_path: Path) -> None:
    images = find_images(photos)
    labels = {path: Labels(path.name[:2]) for path in images if not path.name.startswith("p3")}
    with open_gallery(tmp_path / "db", editor, photos) as gallery:
        index_folder(gallery, editor, images, labels)
        engine = QueryEngine(gallery, {"pose": editor})
        ranked = engine.query(images[0], {"pose": 30}, 100).matches
        expected, seen = [], set()
        for match in ranked:
            if match.image.identity is None or match.image.identity not in seen:  # nobody knows who the others are
                seen.add(match.image.identity)
                expected.append(match)
        for k in (1, 2, len(expected), 100):
            assert engine.query(images[0], {"pose": 30}, k, distinct="identity").matches == expected[:k]
        where = Filter(where=parse("identity = 'p1'"))
        assert [m.image.identity for m in engine.query(images[0], {"pose": 30}, 9, where, "identity").matches] == ["p1"]


def test_an_answer_holds_the_crop_and_the_imagined_face(engine: QueryEngine, editor: Editor, photos: Path) -> None:
    path = find_images(photos)[3]
    answer = engine.query(path, {"pose": -45}, 2)
    assert answer.asked == {"pose": -45}
    assert len(answer.matches) == 2
    np.testing.assert_array_equal(answer.source, read_crop(path))
    np.testing.assert_array_equal(answer.steps[-1].edit.refined, editor.edit(read_crop(path), -45).refined)


def test_the_query_s_own_file_never_counts(engine: QueryEngine, gallery: Gallery, photos: Path) -> None:
    own = find_images(photos)[6]
    assert gallery.ids_of([own.name])
    found = found_paths(engine, own)
    assert len(found) == len(gallery) - 1
    assert own not in found


def test_the_query_s_own_file_is_known_by_a_relative_or_roundabout_path(
    engine: QueryEngine, gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = find_images(photos)[6]
    monkeypatch.chdir(photos)
    for path in (Path(own.name), photos.parent / "images" / ".." / "images" / own.name):
        assert len(found_paths(engine, path)) == len(gallery) - 1


def test_a_picture_from_elsewhere_competes_with_the_whole_gallery(
    engine: QueryEngine, gallery: Gallery, photos: Path, tmp_path: Path
) -> None:
    own = find_images(photos)[6]
    copy = tmp_path / own.name
    copy.write_bytes(own.read_bytes())
    assert own in found_paths(engine, copy)
    assert len(found_paths(engine, copy)) == len(gallery)


def test_found_value_prefers_the_label_to_what_the_network_decided(engine: QueryEngine, photos: Path) -> None:
    matches = {match.image.identity: match for match in engine.query(find_images(photos)[3], {"pose": 0}, 100).matches}
    assert engine.found_value(matches["labelled"], "pose") == 45
    guessed = matches["unlabelled"]
    assert engine.found_value(guessed, "pose") == (-45, -30, -15, 0, 15, 30, 45)[guessed.image.candidate]


def test_found_paths_are_the_files(engine: QueryEngine, photos: Path) -> None:
    assert set(found_paths(engine, find_images(photos)[3])) == set(find_images(photos)[::6])


def test_a_query_file_whose_name_is_not_unicode_is_answered(
    engine: QueryEngine, gallery: Gallery, photos: Path
) -> None:
    odd = photos / "query\udcff.png"
    try:
        odd.write_bytes(find_images(photos)[3].read_bytes())
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    try:
        assert len(found_paths(engine, odd)) == len(gallery)
    finally:
        odd.unlink()


def test_an_unknown_value_and_an_unreadable_picture_are_refused(
    engine: QueryEngine, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(AttributeValueError, match="pose 31 is not one of -45"):
        engine.query(find_images(photos)[3], {"pose": 31})
    with pytest.raises(ImageError, match="does not exist"):
        engine.query(tmp_path / "none.png", {"pose": 30})


def test_another_model_is_refused(gallery: Gallery, other_model_folder: Path) -> None:
    with pytest.raises(ModelMismatchError):
        QueryEngine(gallery, {"pose": Editor.load(other_model_folder, "cpu")})


def test_an_empty_gallery_is_refused(editor: Editor, photos: Path, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "db", editor, photos) as empty, pytest.raises(GalleryEmptyError):
        QueryEngine(empty, {"pose": editor}).query(find_images(photos)[3], {"pose": 30})


def test_an_occlusion_goes_first_and_the_gallery_s_own_attribute_last(models_folder: Path) -> None:
    editors = {name: Editor.load(models_folder / name, "cpu") for name in ("pose", "illumination", "inpainting")}
    face, wishes = blob_face(0, 0, 0), {"pose": 30, "illumination": 6, "inpainting": 0}

    def order(last: str) -> list[str]:
        return [step.space.name for step in chain(face, wishes, editors, last)]

    assert order("pose") == ["inpainting", "illumination", "pose"]
    assert order("illumination") == ["inpainting", "pose", "illumination"]
    assert order("inpainting") == ["inpainting", "illumination", "pose"]  # the others never saw an occluded face
    steps = chain(face, wishes, editors, "pose")
    again = editors["illumination"].edit(steps[0].edit.refined, 6)
    np.testing.assert_array_equal(steps[1].edit.refined, again.refined)  # each works on what the one before made
    with pytest.raises(UsageError, match="there is no model for illumination"):
        chain(face, wishes, {"pose": editors["pose"], "inpainting": editors["inpainting"]})


def test_an_editor_that_leaves_out_the_background_comes_last(models_folder: Path, learned_model_folder: Path) -> None:
    editors = {name: Editor.load(models_folder / name, "cpu") for name in ("illumination", "inpainting")}
    editors["pose"] = Editor.load(learned_model_folder, "cpu")
    wishes = {"pose": 30, "illumination": 6, "inpainting": 0}
    for last in ("pose", "illumination"):
        steps = chain(blob_face(0, 0, 0), wishes, editors, last)
        assert [step.space.name for step in steps] == ["inpainting", "illumination", "pose"]


def test_a_gallery_of_whole_pictures_gets_whole_pictures(
    models_folder: Path, learned_model_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    """Asked for a pose, a gallery of an illumination model is searched with a face before its background."""
    for name, folder in (("pose", learned_model_folder), ("pose-fast", model_folder)):
        (tmp_path / name).symlink_to(folder)
    light = models_folder / "illumination"
    digests = {}
    for task, own in (("illumination", light), ("pose", learned_model_folder)):
        card = Editor.load(own, "cpu")
        config = GalleryConfig(card.digest, task, card.space.values, card.descriptor_size, tmp_path)
        editors = load_editors(["pose", task], tmp_path, "cpu", {task: own}, config)
        digests[task] = editors["pose"].digest
    assert digests["illumination"] == load_model(model_folder).digest
    assert digests["pose"] == load_model(learned_model_folder).digest


def test_a_face_that_another_editor_made_is_described_as_a_gallery_picture(
    gallery: Gallery, models_folder: Path, photos: Path
) -> None:
    editors = {name: Editor.load(models_folder / name, "cpu") for name in ("pose", "illumination")}
    answer = QueryEngine(gallery, editors).query(find_images(photos)[3], {"illumination": 4}, 100)
    described = editors["pose"].describe(answer.steps[-1].edit.refined[None]).descriptors[0]
    ids = [image.id for image in gallery.images()]
    true = np.sort(np.linalg.norm(gallery.descriptors(ids) - described, axis=1))
    np.testing.assert_allclose([match.distance for match in answer.matches], true, atol=2e-4)


# --- sheets ---


def plain(value: int) -> NDArray[np.uint8]:
    return np.full((60, 60, 3), value, np.uint8)


def test_a_sheet_is_an_rgb_picture_that_holds_every_picture_at_its_scale() -> None:
    for scale in (1, 2, 3):
        sheet = draw_sheet([[Cell(plain(10)), Cell(plain(20))], [Cell(plain(30))]], scale)
        assert sheet.dtype == np.uint8
        assert sheet.shape[2] == 3
        for value in (10, 20, 30):
            assert int((sheet == value).all(2).sum()) == (60 * scale) ** 2


def test_a_sheet_grows_by_the_same_step_with_every_row_and_column() -> None:
    def size(rows: int, columns: int) -> tuple[int, ...]:
        return draw_sheet([[Cell(plain(0))] * columns] * rows).shape

    assert size(1, 3)[1] - size(1, 2)[1] == size(1, 2)[1] - size(1, 1)[1] > 120
    assert size(3, 1)[0] - size(2, 1)[0] == size(2, 1)[0] - size(1, 1)[0] > 120
    assert size(2, 3) == (size(2, 1)[0], size(1, 3)[1], 3)


def test_rows_of_unequal_length_take_the_width_of_the_longest() -> None:
    cell = Cell(plain(0))
    assert draw_sheet([[cell], [cell] * 4]).shape == draw_sheet([[cell] * 4] * 2).shape


def test_captions_make_room_below_by_their_lines() -> None:
    heights = [draw_sheet([[Cell(plain(0), caption)]]).shape[0] for caption in ("", "one", "one\ntwo")]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0
    assert (draw_sheet([[Cell(plain(200), "one")]])[136:] < 100).any()


def test_a_caption_beyond_ascii_is_drawn() -> None:
    assert draw_sheet([[Cell(plain(0), "Zoë 日本")]]).shape == draw_sheet([[Cell(plain(0), "Zoe")]]).shape


def test_a_gap_moves_only_what_comes_after_it() -> None:
    cells = [Cell(plain(10)), Cell(plain(20))]
    close, apart = draw_sheet([cells]), draw_sheet([cells], gap_after=1)

    def left(sheet: NDArray[np.uint8], value: int) -> int:
        return int(np.argwhere((sheet == value).all(2))[:, 1].min())

    assert left(apart, 10) == left(close, 10)
    assert left(apart, 20) - left(close, 20) == apart.shape[1] - close.shape[1] > 0


def test_a_frame_surrounds_its_picture() -> None:
    sheet = draw_sheet([[Cell(plain(10), frame=GREEN), Cell(plain(20))]])
    green = np.argwhere((sheet == GREEN).all(2))
    inside = np.argwhere((sheet == 10).all(2))
    assert (green.min(0) < inside.min(0)).all()
    assert (green.max(0) > inside.max(0)).all()
    assert green[:, 1].max() < np.argwhere((sheet == 20).all(2))[:, 1].min()


def test_a_sheet_can_be_saved(tmp_path: Path) -> None:
    sheet = draw_sheet([[Cell(plain(10), "x")]])
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), sheet)
