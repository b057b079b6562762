"""Answers to queries: what is found, in which order, and what is refused."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event

from faceedit.attributes import ILLUMINATION, INPAINTING
from faceedit.describes import Usual
from faceedit.errors import AttributeValueError, ImageError, UsageError
from faceedit.images import read_crop
from index.errors import GalleryEmptyError, ModelMismatchError, WhereError
from index.labels import FILE, Labels
from index.where import parse
from retrieval.answer_text import Format
from retrieval.answers import Answer
from retrieval.face_search import FaceSearch
from retrieval.kinds import find_images
from retrieval.query import Question, chain
from retrieval.source import read_source
from retrieval.wishes import Selection
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, ReadsHere, stand_in_search


@pytest.fixture(scope="module")
def photos(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every sixth picture of the data set."""
    folder = tmp_path_factory.mktemp("photos")
    for path in find_images(data_set / "images")[::6]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def asked(data_set: Path) -> Path:
    """A picture that the gallery does not hold."""
    return find_images(data_set / "images")[3]


@pytest.fixture(scope="module")
def faces(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceSearch]:
    first, second, *_ = find_images(photos)
    labels = {
        first: Labels.given(FILE, identity="labelled", pose=45),
        second: Labels.given(FILE, identity="unlabelled"),
    }
    with FaceSearch(tmp_path_factory.mktemp("place") / "gallery", describer=HashEditor(), reader=ReadsHere()) as opened:
        opened.index(photos, labels)
        yield opened


def found_paths(faces: FaceSearch, path: Path, k: int = 100) -> list[Path]:
    return [result.path for result in faces.query(path, pose=30, k=k)]


def true_distances(faces: FaceSearch, descriptor: np.ndarray) -> np.ndarray:
    ids = [image.id for image in faces.gallery.faces()]
    return np.sort(np.linalg.norm(faces.gallery.descriptors(ids) - descriptor, axis=1))


@pytest.mark.parametrize(("where", "most"), [(None, 5), ("pose = 45", 10)])
def test_a_query_asks_the_database_no_oftener_than_it_must(
    faces: FaceSearch, asked: Path, where: str | None, most: int
) -> None:
    """Whether it is as it was opened, and empty; how far it has come; who was found, and whether that still holds."""
    crop, statements = read_crop(asked), list[str]()

    def note(connection: object, cursor: object, statement: str, *of_it: object) -> None:
        statements.extend([statement] if statement.startswith("SELECT") else [])

    faces.query(crop, pose=30, where=where)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        faces.query(crop, pose=30, where=where)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert 4 <= len(statements) <= most, "\n".join(statements)


def test_results_come_by_rising_true_distance(faces: FaceSearch, asked: Path) -> None:
    answer = faces.query(asked, pose=30, k=100)
    distances = [result.distance for result in answer]
    assert distances == sorted(distances) and len(distances) == len(faces.gallery)
    np.testing.assert_allclose(distances, true_distances(faces, answer.steps[-1].edit.descriptor), atol=1e-3)
    assert [result.rank for result in answer] == list(range(1, len(answer) + 1))


def test_several_questions_at_once_are_answered_as_each_alone(photos: Path, faces: FaceSearch) -> None:
    editor, paths = HashEditor(), find_images(photos)[:3]
    with FaceSearch(faces.folder, describer=editor) as opened:
        few = Selection(2, parse("id > 2"), "content")
        questions = [
            Question(opened.read(paths[0]), {"pose": 30}),
            Question(opened.read(paths[1]), {"pose": -45}, few),
            Question(opened.read(paths[2])),
            Question(opened.read(paths[1]), {}, replace(few, max_distance=1.3)),
        ]
        together = opened.ask(questions)
        assert (editor.edited, editor.described) == ([2], [2])  # one call for all that are alike
        assert together == [opened.ask([one])[0] for one in questions] and opened.ask([]) == []
        assert together[0].results == faces.query(paths[0], pose=30).results
        assert paths[0] not in [one.path for one in together[0]]  # the query's own file never counts
        assert paths[1] in [one.path for one in opened.query(paths[0], pose=30, k=100)]


def test_results_that_are_too_far_are_left_out(faces: FaceSearch, asked: Path) -> None:
    every = faces.query(asked, pose=30, k=100).results
    for most in (every[4].distance, every[4].distance - 1e-6, 0, 2):
        for distinct in (None, "content"):
            found = faces.query(asked, pose=30, k=3, max_distance=most, distinct=distinct).results
            assert found == tuple(one for one in every[:3] if one.distance <= most)
        assert len(faces.query(asked, pose=30, k=100, max_distance=most)) == sum(one.distance <= most for one in every)
    swept = faces.sweep(asked, k=2, max_distance=every[0].distance)
    assert all(one.distance <= every[0].distance for answer in swept for one in answer)


@pytest.mark.parametrize("far", [-0.1, 2.001, 1_000, True, False, float("nan"), float("inf"), "1"])
def test_what_is_no_distance_is_refused(faces: FaceSearch, asked: Path, far: Any) -> None:
    with pytest.raises(UsageError, match=r"the largest distance is .*: give a number from 0 to 2"):
        faces.query(asked, pose=30, max_distance=far)


@pytest.mark.parametrize(("nearly_all", "near"), [(0.01, False), (2.0, True)])
def test_an_answer_says_whether_its_first_result_is_as_near_as_right_ones(
    photos: Path, asked: Path, tmp_path: Path, nearly_all: float, near: bool
) -> None:
    known = Usual("people", "2026-11-26", 7, 0.0, 0.0, nearly_all)
    with FaceSearch(tmp_path / "db", describer=HashEditor(usual=known), reader=ReadsHere()) as faces:
        faces.index(photos)
        answer = faces.query(asked, pose=30)
        assert (answer.near, answer.as_json()["near"]) == (near, near)
        assert answer.first and answer.first.usual == known
        assert faces.query(asked, pose=30, max_distance=0).near is None  # nothing is found


def test_where_nobody_measured_nothing_is_said_of_nearness(faces: FaceSearch, asked: Path) -> None:
    assert faces.query(asked, pose=30).near is None


def test_results_say_what_has_become_of_their_files(data_set: Path, asked: Path, tmp_path: Path) -> None:
    names = ("same", "touched", "changed", "twin", "gone", "closed")
    pictures = find_images(data_set / "images")[10:]
    (tmp_path / "photos" / "closed").mkdir(parents=True)
    files = {name: tmp_path / "photos" / ("closed" if name == "closed" else "") / f"{name}.png" for name in names}
    for file, picture in zip(files.values(), pictures, strict=False):
        shutil.copy(picture, file)
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(tmp_path / "photos")
        os.utime(files["touched"], (1, 1))
        files["changed"].write_bytes(b"another")
        kept = files["twin"].stat()
        files["twin"].write_bytes(files["twin"].read_bytes()[:-1] + b"!")  # as `cp -p` does with one of the same size
        os.utime(files["twin"], ns=(kept.st_atime_ns, kept.st_mtime_ns))
        files["gone"].unlink()
        shutil.move(files["closed"].parent, tmp_path / "moved")
        files["closed"].parent.write_bytes(b"a file where the folder was")
        answer = faces.query(asked, pose=30, k=10)
    found = {result.path.stem: result.file for result in answer}
    changed = "changed since"
    assert found == dict(zip(names, ("there", "there", changed, changed, "gone", "gone"), strict=True))
    lines = {line.split("/")[-1] for line in str(answer).splitlines()[1:]}
    assert lines == {"same.png", "touched.png", "changed.png (changed since)", "twin.png (changed since)"} | {
        "gone.png (gone)",
        "closed.png (gone)",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_where_a_result_lay_is_not_waited_for(data_set: Path, asked: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(find_images(data_set / "images")[10], tmp_path / "photos" / "one.png")
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(tmp_path / "photos")
        (tmp_path / "photos" / "one.png").unlink()
        os.mkfifo(tmp_path / "photos" / "one.png")
        assert [one.file for one in faces.query(asked, pose=30)] == ["changed since"]


def test_a_sweep_with_nobody_near_says_so_whatever_finds_nothing(photos: Path, asked: Path, tmp_path: Path) -> None:
    known, form = Usual("people", "2026-11-26", 7, 0.0, 0.0, 0.01), Format("table")
    with FaceSearch(tmp_path / "db", describer=HashEditor(usual=known), reader=ReadsHere()) as faces:
        faces.index(photos)
        far, none = faces.query(asked, pose=30), faces.query(asked, pose=30, max_distance=0)
        assert far.first is not None
        near = replace(far, first=replace(far.first, usual=replace(known, nearly_all=2.0)))
    assert form.warnings("x.png", [none, far])[0].startswith("nothing is near x.png: the first result is ")
    assert form.warnings("x.png", [none]) == form.warnings("x.png", [far, near]) == []


def test_distinct_results_are_the_nearest_of_each(data_set: Path, tmp_path: Path) -> None:
    images = find_images(data_set / "images")
    labels = {path: Labels.given(FILE, identity=path.name[:2]) for path in images if not path.name.startswith("p3")}
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(data_set / "images", labels)
        ranked = faces.query(images[0], pose=30, k=100).results
        expected, seen = [], set()
        for result in ranked:
            if result.identity is None or result.identity not in seen:  # nobody knows who the others are
                seen.add(result.identity)
                expected.append(result.path)
        for k in (1, 2, len(expected), 100):
            distinct = faces.query(images[0], pose=30, k=k, distinct="identity")
            assert [result.path for result in distinct] == expected[:k]
        only = faces.query(images[0], pose=30, k=9, where="identity = 'p1'", distinct="identity")
        assert [result.identity for result in only] == ["p1"]
        with pytest.raises(UsageError, match="choose one of identity, content"):
            faces.query(images[0], pose=30, distinct="colour")


def test_distinct_people_are_those_that_a_condition_tells_apart(data_set: Path, tmp_path: Path) -> None:
    images = find_images(data_set / "images")[:4]
    names = ("Jürgen", "JU\u0308RGEN", "jürgen", "Anna")  # composed or not, with and without case
    labels = {path: Labels.given(FILE, identity=name) for path, name in zip(images, names, strict=True)}
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(data_set / "images", labels)
        found = faces.query(blob_face(9, 0, 0), k=9, where="identity is not null", distinct="identity")
        assert len(found) == faces.info().people == 2
        assert len(faces.query(blob_face(9, 0, 0), k=9, where="identity = 'JÜRGEN'", distinct="identity")) == 1


@pytest.mark.parametrize("k", [0, -1, "5", None, 2.5])
def test_what_is_no_number_of_results_is_refused(faces: FaceSearch, asked: Path, k: Any) -> None:
    with pytest.raises(UsageError, match="give how many results to find, 1 or more"):
        faces.query(asked, k=k)


def test_a_condition_is_given_as_text_or_parsed(faces: FaceSearch, asked: Path) -> None:
    def paths(answer: Answer) -> list[Path]:
        return [result.path for result in answer]

    text = faces.query(asked, pose=30, where="identity = 'labelled'")
    assert [result.identity for result in text] == ["labelled"]
    assert paths(faces.query(asked, pose=30, where=parse("identity = 'labelled'"))) == paths(text)
    with pytest.raises(WhereError, match="expected text in quotes"):
        faces.query(asked, pose=30, where="identity = anna")
    with pytest.raises(WhereError, match="is not valid Unicode"):
        faces.query(asked, pose=30, where="identity = '\udcff'")
    number: Any = 5
    with pytest.raises(UsageError, match="5 is no condition: give one such as"):
        faces.query(asked, pose=30, where=number)


def test_an_answer_holds_the_crop_and_the_imagined_face(faces: FaceSearch, asked: Path) -> None:
    answer = faces.query(asked, pose=-45, k=2)
    assert (answer.asked, len(answer), answer.query) == ({"pose": -45}, 2, str(asked))
    np.testing.assert_array_equal(answer.source, read_crop(asked))
    np.testing.assert_array_equal(answer.steps[-1].picture, HashEditor().edit(read_crop(asked), -45).refined)


def test_without_a_wish_the_most_alike_are_found(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(find_images(photos)[2].read_bytes())
    nearest = faces.query(copy).results[0]
    assert nearest.path == find_images(photos)[2] and nearest.distance < 1e-2


def test_the_query_s_own_file_never_counts(faces: FaceSearch, photos: Path) -> None:
    own = find_images(photos)[1]
    found = found_paths(faces, own)
    assert len(found) == len(faces.gallery) - 1 and own not in found


def test_the_query_s_own_file_is_known_by_a_relative_or_roundabout_path(
    faces: FaceSearch, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = find_images(photos)[1]
    monkeypatch.chdir(photos)
    for path in (Path(own.name), photos.parent / photos.name / ".." / photos.name / own.name):
        assert len(found_paths(faces, path)) == len(faces.gallery) - 1


def test_a_picture_from_elsewhere_competes_with_the_whole_gallery(
    faces: FaceSearch, photos: Path, tmp_path: Path
) -> None:
    own = find_images(photos)[1]
    copy = tmp_path / own.name
    copy.write_bytes(own.read_bytes())
    assert set(found_paths(faces, copy)) == set(find_images(photos))


def test_a_result_s_value_is_its_label_else_what_was_decided(faces: FaceSearch, asked: Path) -> None:
    results = {result.identity: result for result in faces.query(asked, pose=0, k=100)}
    assert results["labelled"].pose == 45
    guessed = results["unlabelled"]
    assert (
        guessed.pose
        == guessed.decided
        == HashEditor().attribute.values[int(HashEditor().describe(read_crop(guessed.path)[None]).best[0])]
    )
    assert guessed.illumination is None  # nobody labelled it, and this model does not look for lights


def test_a_query_file_whose_name_is_not_unicode_is_answered(faces: FaceSearch, asked: Path, photos: Path) -> None:
    odd = photos / "query\udcff.png"
    try:
        odd.write_bytes(asked.read_bytes())
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    try:
        assert len(found_paths(faces, odd)) == len(faces.gallery)
    finally:
        odd.unlink()


def test_an_unknown_value_and_an_unreadable_picture_are_refused(faces: FaceSearch, asked: Path, tmp_path: Path) -> None:
    with pytest.raises(AttributeValueError, match="pose 31 is not one of -45"):
        faces.query(asked, pose=31)
    for given in ("30", [30], np.array([30, 45])):
        number: Any = given
        with pytest.raises(AttributeValueError, match=r"is no number: give one of -45, "):
            faces.query(asked, pose=number)
    with pytest.raises(ImageError, match="does not exist"):
        faces.query(tmp_path / "none.png", pose=30)


def test_another_model_is_refused(faces: FaceSearch, asked: Path) -> None:
    with FaceSearch(faces.folder, describer=HashEditor("another")) as other, pytest.raises(ModelMismatchError):
        other.query(asked, pose=30)


def test_an_empty_gallery_is_refused(asked: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.png").touch()
    with FaceSearch(tmp_path / "db", describer=HashEditor()) as empty:
        assert len(empty.index(tmp_path / "photos").skipped) == 1
        with pytest.raises(GalleryEmptyError, match="run `facesearch index`"):
            empty.query(asked, pose=30)


def test_a_sweep_answers_for_every_value(faces: FaceSearch, asked: Path) -> None:
    answers = faces.sweep(asked, k=2)
    assert [answer.asked for answer in answers] == [{"pose": value} for value in (-45, -30, -15, 0, 15, 30, 45)]
    with pytest.raises(UsageError, match="pose 30 in a sweep over every pose: choose one"):
        faces.sweep(asked, pose=30)
    single = faces.query(asked, pose=15, k=2)
    assert [result.path for result in answers[4]] == [result.path for result in single]


# --- one attribute after the other ---


def several(**changed: HashEditor) -> dict[str, HashEditor]:
    return {
        "pose": HashEditor(),
        "illumination": HashEditor(attribute=ILLUMINATION),
        "inpainting": HashEditor(attribute=INPAINTING),
        **changed,
    }


WISHES = {"pose": 30, "illumination": 6, "inpainting": 0}


def test_an_occlusion_goes_first_and_the_gallery_s_own_attribute_last() -> None:
    editors, source = several(), read_source(blob_face(0, 0, 0))

    def order(last: str) -> list[str]:
        return [step.attribute.name for step in chain(source, WISHES, editors, last)]

    assert order("pose") == ["inpainting", "illumination", "pose"]
    assert order("illumination") == ["inpainting", "pose", "illumination"]
    assert order("inpainting") == ["inpainting", "illumination", "pose"]  # the others never saw an occluded face
    steps = chain(source, WISHES, editors, "pose")
    again = editors["illumination"].edit(steps[0].picture, 6)
    np.testing.assert_array_equal(steps[1].picture, again.refined)  # each works on what the one before made
    with pytest.raises(UsageError, match="there is no model for illumination"):
        chain(source, WISHES, {"pose": editors["pose"], "inpainting": editors["inpainting"]})


def test_an_editor_that_leaves_out_the_background_comes_last() -> None:
    editors = several(pose=HashEditor(neutral=True))
    for last in ("pose", "illumination"):
        steps = chain(read_source(blob_face(0, 0, 0)), WISHES, editors, last)
        assert [step.attribute.name for step in steps] == ["inpainting", "illumination", "pose"]


def test_a_face_that_another_editor_made_is_described_as_a_gallery_picture(faces: FaceSearch, asked: Path) -> None:
    with FaceSearch(faces.folder, describer=several()) as chained:
        answer = chained.query(asked, illumination=4, k=100)
        described = HashEditor().describe(answer.steps[-1].picture[None]).descriptors[0]
        np.testing.assert_allclose(
            [result.distance for result in answer], true_distances(chained, described), atol=1e-3
        )


def test_a_gallery_of_lights_is_asked_for_lights(photos: Path, asked: Path, tmp_path: Path) -> None:
    with stand_in_search(tmp_path / "lights", attribute="illumination") as faces:
        faces.index(photos)
        answer = faces.query(asked, illumination=3)
        assert all(result.illumination == result.decided for result in answer)
        assert all(result.pose is None for result in answer)
