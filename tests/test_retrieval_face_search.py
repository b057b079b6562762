"""FaceSearch: one gallery with its models, for every form of picture, for many threads, from the first index on."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.describes import Described, Edit
from faceedit.errors import ImageError, ModelFileError, UsageError
from faceedit.images import Picture
from index.errors import GalleryNotFoundError, RequirementsError, UnknownImageError, WhereError
from index.gallery import Gallery
from index.search.plan import Requirements
from retrieval.errors import NothingFoundError, RetrievalError
from retrieval.face_search import FaceSearch
from retrieval.source import AnyPicture
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, ReadsHere

ROOT = Path(__file__).resolve().parent.parent
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}


def save_face(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blob_face(seed, 15 * (seed % 3), seed)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(6):
        save_face(tmp_path / "photos" / ("anna", "ben")[seed % 2] / f"{seed}.png", seed)
    return tmp_path / "photos"


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return save_face(tmp_path / "asked.png", 40)


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as opened:
        opened.index(photos)
        yield opened


# --- from the first index on ---


def test_the_first_index_creates_the_gallery(photos: Path, asked: Path, tmp_path: Path) -> None:
    with FaceSearch(str(tmp_path / "db"), describer=HashEditor(), reader=ReadsHere()) as faces:
        with pytest.raises(GalleryNotFoundError, match="holds no gallery"):
            faces.query(asked)
        assert not (tmp_path / "db").exists()
        report = faces.index(str(photos))
        assert (report.images, report.described, report.search is not None) == (6, 6, True)
        assert json.loads(json.dumps(report.as_json()))["search"] == {"kind": "exact", "recall": 1.0}
        assert len(faces.query(asked)) == 5
        assert faces.index(photos).unchanged == 6


def test_what_is_called_after_close_opens_it_again(faces: FaceSearch, asked: Path) -> None:
    before = faces.query(asked).as_json()
    faces.close()
    faces.close()
    assert faces.query(asked).as_json() == before


def test_labels_may_be_a_manifest_s_path(faces: FaceSearch, photos: Path) -> None:
    (photos / "people.csv").write_text("path,identity\nanna/0.png,Anna K.\n", encoding="utf-8")
    assert faces.index(photos, labels=str(photos / "people.csv")).relabelled == 1
    assert faces.gallery.known()["anna/0.png"].identity == "Anna K."
    (photos / "other.csv").write_text("path,identity\nnobody.png,Nobody\n", encoding="utf-8")
    with pytest.raises(RetrievalError, match="names none of the images"):
        faces.index(photos, labels=photos / "other.csv")


@pytest.mark.parametrize("labels", [3, ["people.csv"], b"people.csv"])
def test_what_can_be_no_labels_is_refused(faces: FaceSearch, photos: Path, labels: Any) -> None:
    with pytest.raises(UsageError, match=r"labels of type \w+: give the path of a manifest\.csv"):
        faces.index(photos, labels=labels)


@pytest.mark.parametrize("attribute", [["pose"], 3, None, "smile"])
def test_what_is_no_attribute_is_refused(faces: FaceSearch, asked: Path, attribute: Any) -> None:
    for call in (faces.decide, faces.sweep):
        with pytest.raises(UsageError, match=r"no task .*: choose one of"):
            call(asked, attribute)


def test_bytes_come_in_any_of_their_kinds(faces: FaceSearch, asked: Path) -> None:
    content = asked.read_bytes()
    answers = [faces.query(kind(content), pose=30) for kind in (bytes, bytearray, memoryview)]
    assert [answer.as_json() for answer in answers] == [faces.query(content, pose=30).as_json()] * 3


@pytest.mark.parametrize("size", [(0, 0), (0, 60), (60, 0)])
def test_a_picture_without_pixels_is_refused(faces: FaceSearch, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=r"the given picture has \d+ x \d+ pixels: give a whole picture"):
        faces.query(Image.new("RGB", size))


def test_requirements_that_nothing_keeps_to_are_refused_before_anything_is_described(
    photos: Path, tmp_path: Path
) -> None:
    describer = HashEditor()
    with FaceSearch(tmp_path / "new", describer=describer) as faces:
        with pytest.raises(RequirementsError, match="nothing searches"):
            faces.index(photos, requirements=Requirements(max_memory=1))
    assert describer.described == [] and not (tmp_path / "new").exists()


def test_a_folder_that_no_gallery_can_name_is_refused(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    odd = tmp_path / "photos\udcff"
    try:
        shutil.copytree(photos, odd)
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    with FaceSearch(tmp_path / "new", describer=HashEditor(), reader=ReadsHere()) as new:
        for call in (new.index, faces.index, faces.relocate):
            with pytest.raises(UsageError, match="is not named in valid Unicode: give it a name in UTF-8"):
                call(odd)
    assert not (tmp_path / "new").exists() and faces.info().image_root == photos


def test_progress_is_told_with_what_is_done(faces: FaceSearch, photos: Path) -> None:
    told: list[tuple[str, int, int]] = []
    save_face(photos / "new.png", 20)
    faces.index(photos, progress=lambda *step: told.append(step))
    assert told[0] == ("describing images", 6, 7) and ("describing images", 7, 7) in told


def test_info_is_a_value(faces: FaceSearch, photos: Path) -> None:
    about = faces.info()
    assert (about.images, about.people, about.task, about.descriptor) == (6, 2, "pose", 16)
    assert (about.image_root, about.model, about.redescription) == (photos, HashEditor().digest, None)
    assert json.loads(json.dumps(about.as_json()))["values"] == [-45, -30, -15, 0, 15, 30, 45]


@pytest.mark.parametrize("given", [{"device": "cpu"}, {"descriptor": "paper"}, {"models": "m"}, {"model": Path("m")}])
def test_a_describer_together_with_what_says_which_to_load_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    [name] = given
    with pytest.raises(UsageError, match=f"describer and {name} together: a describer is loaded already"):
        FaceSearch(tmp_path / "db", describer=HashEditor(), **given)


# --- a picture in every form ---


def test_every_form_of_a_picture_gives_the_same_answer(faces: FaceSearch, asked: Path) -> None:
    with Image.open(asked) as opened:
        forms: list[AnyPicture] = [asked, str(asked), asked.read_bytes(), opened.copy(), np.asarray(opened)]
    expected = faces.query(asked, pose=30).as_json()["results"]
    for picture in forms:
        assert faces.query(picture, pose=30).as_json()["results"] == expected
    assert [faces.query(picture).query for picture in forms] == [str(asked), str(asked), "", "", ""]


def test_a_picture_that_was_opened_is_treated_as_its_file(faces: FaceSearch, tmp_path: Path) -> None:
    """Turned by its EXIF, transparent and grey ones too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    big = Image.fromarray(np.asarray(Image.fromarray(blob_face(3, 0, 0)).resize((230, 250))))
    big.save(tmp_path / "turned.jpg", exif=exif)
    big.convert("L").save(tmp_path / "grey.png")
    big.convert("RGBA").save(tmp_path / "clear.png")
    for path in (tmp_path / "turned.jpg", tmp_path / "grey.png", tmp_path / "clear.png"):
        with Image.open(path) as opened:
            opened.load()
            size = opened.size
            found = faces.query(opened)
            assert opened.size == size
        np.testing.assert_allclose(found.source, faces.query(path.read_bytes()).source, atol=12)  # a JPEG's draft


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (b"", "the given picture is empty"),
        (b"no picture", "the given picture is not an image"),
        (np.zeros((60, 60), np.uint8), r"a picture of shape \(60, 60\) uint8: give \(H, W, 3\) uint8 RGB"),
        (np.zeros((60, 60, 3), np.float32), "float32: give"),
        (np.zeros((0, 60, 3), np.uint8), "give"),
        (7, "a picture of type int: give a path, bytes, a PIL image"),
        ("nowhere.png", "nowhere.png does not exist"),
    ],
)
def test_what_is_no_picture_is_refused(faces: FaceSearch, picture: AnyPicture, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        faces.query(picture)


@pytest.mark.slow
def test_a_query_decodes_its_picture_once_and_reads_model_json_once(
    photos: Path, asked: Path, tmp_path: Path, model_folder: Path
) -> None:
    db = tmp_path / "db"
    with FaceSearch(db, model=model_folder, device="cpu", reader=ReadsHere()) as faces:
        faces.index(photos)
    code = (
        "import collections, sys\n"
        "opened = collections.Counter()\n"
        "sys.addaudithook(lambda event, given: event == 'open' and opened.update([str(given[0])]))\n"
        "from cli.app import run\n"
        f"line = ['query', {str(asked)!r}, '--pose', '30', '--db', {str(db)!r}, '--model', {str(model_folder)!r}]\n"
        "assert run(line) == 0\n"
        f"print(opened[{str(asked)!r}], opened[{str(model_folder / 'model.json')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=HERE, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["1 1"], done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(faces: FaceSearch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="is no regular file"):
        faces.query(tmp_path / "pipe.png")


# --- editing ---


def test_an_edit_needs_no_gallery(asked: Path, tmp_path: Path) -> None:
    with FaceSearch(tmp_path / "none", describer=HashEditor()) as faces:
        [step] = faces.edit(asked, pose=30)
        assert (step.text, step.picture.shape) == ("pose 30", (60, 60, 3))
        assert faces.decide(asked) in HashEditor().attribute.values
        [step] = faces.edit(asked, pose=30, size=240)
        assert (step.picture.shape, step.edit.refined.shape) == ((240, 240, 3), (60, 60, 3))
        with pytest.raises(UsageError, match="give the side of the picture in pixels, 60 to 240"):
            faces.edit(asked, pose=30, size=500)
        with pytest.raises(UsageError, match="there is no model for illumination"):
            faces.edit(asked, illumination=3)
        with pytest.raises(UsageError, match="there is no model for illumination"):
            faces.decide(asked, "illumination")
        with pytest.raises(UsageError, match="say how to see the face: pose=30, illumination=9 or inpaint=True"):
            faces.edit(asked)
    assert not (tmp_path / "none").exists()


def test_a_strip_shows_each_value_as_an_edit_does(asked: Path, tmp_path: Path) -> None:
    with FaceSearch(tmp_path / "none", describer=HashEditor()) as faces:
        source = faces.read(asked)
        values = HashEditor().attribute.values
        edits = [faces.edit(source, pose=value)[-1].picture for value in values]
        assert np.array_equal(faces.strip(source), np.concatenate(edits, axis=1))
        assert faces.strip(asked, size=90).shape == (90, 90 * len(values), 3)
        with pytest.raises(UsageError, match="pose 30 in a sweep over every pose: choose one"):
            faces.strip(asked, pose=30)


# --- upkeep ---


def test_what_would_be_removed_is_what_remove_takes(faces: FaceSearch) -> None:
    anna = [face.name for face in faces.would_remove(identity="anna")]
    assert anna == ["anna/0.png", "anna/2.png", "anna/4.png"] and len(faces.gallery) == 6
    assert [face.name for face in faces.would_remove("ben/1.png", 1)] == ["anna/0.png", "ben/1.png"]
    assert [face.name for face in faces.would_remove(where="identity = 'anna'")] == anna
    for given in ({"where": "id = 1"}, {"identity": ""}):
        with pytest.raises(UsageError, match=r"choose one|is no name"):
            faces.would_remove(**{"identity": "anna", **given})
    assert faces.remove(identity="anna").images == len(anna)


def test_a_condition_that_cannot_be_read_is_told_before_the_gallery_is_opened(tmp_path: Path) -> None:
    with FaceSearch(tmp_path / "none", describer=HashEditor()) as faces:
        with pytest.raises(WhereError, match="there is foo"):
            faces.remove(where="foo = 3")
        with pytest.raises(WhereError, match="there is foo"):
            faces.would_remove(where="foo = 3")


def test_an_exported_gallery_is_restored_and_searched(
    faces: FaceSearch, photos: Path, asked: Path, tmp_path: Path
) -> None:
    faces.gallery.export(tmp_path / "out")
    with FaceSearch(tmp_path / "again", describer=HashEditor(), reader=ReadsHere()) as again:
        with pytest.raises(UsageError, match="nowhere is no folder: give the one that the images lie in"):
            again.restore(tmp_path / "out", tmp_path / "nowhere")
        done = again.restore(tmp_path / "out")
        assert (done.images, done.image_root, done.missing, done.warnings()) == (6, photos, 0, [])
        assert again.query(asked).as_json() == faces.query(asked).as_json()
    photos.rename(tmp_path / "moved")
    with FaceSearch(tmp_path / "third", describer=HashEditor()) as third:
        gone = third.restore(str(tmp_path / "out"))
        assert gone.missing == 6 and "relocate" in gone.warnings()[0]


def test_images_are_labelled_and_removed_by_id_path_file_and_condition(faces: FaceSearch, photos: Path) -> None:
    known = faces.gallery.known()
    assert faces.label(known["anna/0.png"].id, "ben/1.png", photos / "anna" / "2.png", identity="zoe", pose=30) == 3
    assert faces.label(where="identity = 'zoe' and path like 'ben/%'", pose=None) == 1
    found = {path: (one.identity, one.pose) for path, one in faces.gallery.known().items() if one.identity == "zoe"}
    assert found == {"anna/0.png": ("zoe", 30), "ben/1.png": ("zoe", None), "anna/2.png": ("zoe", 30)}
    assert faces.remove(where="identity = 'zoe'").images == 3
    assert (faces.remove("ben/3.png").images, len(faces.gallery)) == (1, 2)
    assert (photos / "ben" / "3.png").exists()


def test_images_that_nobody_has_are_refused(faces: FaceSearch) -> None:
    with pytest.raises(UsageError, match=r"the gallery holds no image 'x\.png'"):
        faces.remove("x.png")
    with pytest.raises(UnknownImageError):
        faces.label(99, pose=0)
    with pytest.raises(UnknownImageError, match="holds no image 1000000000000000000000000000000"):
        faces.label(10**30, pose=0)
    with pytest.raises(NothingFoundError, match="no image fulfils the condition"):
        faces.remove(where="identity = 'zoe'")
    with pytest.raises(UsageError, match="say which images"):
        faces.remove()
    with pytest.raises(UsageError, match="say what to change"):
        faces.label("anna/0.png")
    assert len(faces.gallery) == 6


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"pose": 10**30}, "pose 1000000000000000000000000000000 is too large a number"),
        ({"pose": "abc"}, "pose 'abc' is no whole number: give one"),
        ({"illumination": 1.5}, r"illumination 1\.5 is no whole number"),
        ({"identity": "\udcff"}, "identity .* is not valid Unicode"),
        ({"expression": 3}, "expression 3 is no text"),
        ({"identity": "x" * 1_001}, r"identity 'x{25,}\.\.\. has 1,001 characters: give 1,000 at most"),
    ],
)
def test_a_label_that_no_gallery_can_hold_is_refused(faces: FaceSearch, labels: dict[str, Any], words: str) -> None:
    before = list(faces.gallery.faces())
    with pytest.raises(UsageError, match=words) as raised:
        faces.label("anna/0.png", **labels)
    assert "\n" not in str(raised.value) and list(faces.gallery.faces()) == before


def test_an_empty_label_is_an_unknown_one(faces: FaceSearch) -> None:
    empty: Any = ""
    assert faces.label("anna/0.png", identity="", expression="", pose=empty) == 1
    face = faces.gallery.known()["anna/0.png"]
    assert (face.identity, face.expression, face.pose, face.labels.origin("identity")) == (None, None, None, "")
    assert faces.info().people == 2


def test_numbers_of_numpy_are_numbers(faces: FaceSearch, asked: Path) -> None:
    known = faces.gallery.known()["anna/0.png"].id
    number: Any = np.int64(30)
    assert faces.label(np.int64(known), pose=number) == 1
    assert [face.pose for face in faces.gallery.get([known])] == [30]
    answer = faces.query(asked, pose=number)
    assert json.loads(json.dumps(answer.as_json())) == faces.query(asked, pose=30).as_json()


@pytest.mark.parametrize("meant", [None, 1.5, True, ["anna/0.png"], b"anna/0.png", "\udcff.png"])
def test_what_names_no_image_is_refused(faces: FaceSearch, meant: Any) -> None:
    with pytest.raises(UsageError, match=r"is no image: give an id|is not valid Unicode"):
        faces.label(meant, pose=0)


def test_another_model_redescribes_the_gallery(faces: FaceSearch, asked: Path) -> None:
    ids = {path: face.id for path, face in faces.gallery.known().items()}
    with pytest.raises(UsageError, match=r"is described by the model .* already: give another"):
        faces.redescribe()
    with FaceSearch(faces.folder, describer=HashEditor("next", descriptor_size=24), reader=ReadsHere()) as later:
        report = later.redescribe()
        assert (report.finished, report.described) == (True, 6)
        assert {path: face.id for path, face in later.gallery.known().items()} == ids
        assert len(later.query(asked)) == 5
        assert later.give_up_redescription() is None


# --- many threads ---

INDEXING = """
import sys
from pathlib import Path
from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor, ReadsHere
with FaceSearch(sys.argv[1], describer=HashEditor(batch=3), reader=ReadsHere()) as faces:
    print(faces.index(sys.argv[2]).described, flush=True)
"""


@pytest.mark.slow
def test_eight_threads_query_while_another_process_indexes(faces: FaceSearch, photos: Path, asked: Path) -> None:
    for seed in range(50, 90):
        save_face(photos / "later" / f"{seed}.png", seed)
    crops = [blob_face(seed, 0, 0) for seed in range(100, 108)]
    other = subprocess.Popen(
        [sys.executable, "-c", INDEXING, faces.folder, photos], env=HERE, stdout=subprocess.PIPE, text=True
    )

    def ask(crop: np.ndarray) -> list[int]:
        counts: list[int] = []
        while other.poll() is None or not counts:
            answer = faces.query(crop, pose=30, k=100)
            distances = [result.distance for result in answer]
            assert distances == sorted(distances) and len({result.path for result in answer}) == len(answer)
            counts.append(len(answer))
        return counts

    with ThreadPoolExecutor(len(crops)) as threads:
        counts = list(threads.map(ask, crops))
    assert other.communicate()[0] == "40\n" and other.returncode == 0
    assert all(one == sorted(one) and one[0] >= 6 for one in counts)  # what was found once is found again
    assert len(faces.query(asked, k=100)) == 46
    assert faces.gallery.verify().sound


def test_eight_threads_that_open_everything_at_once_get_what_one_gets(
    photos: Path, tmp_path: Path, model_folder: Path
) -> None:
    with FaceSearch(tmp_path / "db", model=model_folder, device="cpu", reader=ReadsHere()) as faces:
        faces.index(photos)
    crops = [blob_face(seed, 0, 0) for seed in range(100, 108)]
    with FaceSearch(tmp_path / "db", model=model_folder, device="cpu") as faces:
        with ThreadPoolExecutor(len(crops)) as threads:
            together = list(threads.map(lambda crop: faces.query(crop, pose=30), crops))
        for crop, answer in zip(crops, together, strict=True):
            alone = faces.query(crop, pose=30)
            assert [result.path for result in alone] == [result.path for result in answer]
            np.testing.assert_array_equal(alone.steps[-1].picture, answer.steps[-1].picture)


def test_threads_that_write_wait_for_one_another(faces: FaceSearch, photos: Path, tmp_path: Path) -> None:
    for seed in range(4):
        shutil.copytree(photos / "anna", photos / f"more-{seed}")
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda seed: faces.index(photos / f"more-{seed}"), range(4)))
    assert sum(report.duplicates for report in reports) == 12 and len(faces.gallery) == 18
    with Gallery.open(faces.folder) as gallery:
        assert gallery.verify().sound


def test_bytes_of_a_picture_in_memory_can_be_asked_with(faces: FaceSearch) -> None:
    content = io.BytesIO()
    Image.fromarray(blob_face(7, 0, 0)).save(content, "PNG")
    assert len(faces.query(content.getvalue(), pose=-30, k=3)) == 3


class Broken(HashEditor):
    """Of a model whose file is sound and whose weights make nothing: of length 0, 3 or no number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        made = super().describe(images)
        return replace(made, descriptors=made.descriptors * np.float32(self.factor))

    def edit(self, image: Picture, value: int, /) -> Edit:
        made = super().edit(image, value)
        return replace(made, descriptor=made.descriptor * np.float32(self.factor))


def test_a_face_of_the_gallery_is_read_by_its_id(faces: FaceSearch) -> None:
    face = next(faces.gallery.faces())
    source = faces.read_face(face.id)
    np.testing.assert_array_equal(source.crop, faces.read(source.path or "").crop)
    assert face.id not in [one.face.id for one in faces.query(source, k=100)]
    with pytest.raises(UnknownImageError):
        faces.read_face(99)


@pytest.mark.parametrize("factor", [0.0, 3.0, np.nan])
def test_what_is_no_descriptor_is_neither_kept_nor_searched(
    faces: FaceSearch, photos: Path, asked: Path, factor: float, tmp_path: Path
) -> None:
    told = "makes a descriptor of length .* of a picture, expected 1: .* give another --model"
    with FaceSearch(tmp_path / "other", describer=Broken(factor), reader=ReadsHere()) as broken:
        with pytest.raises(ModelFileError, match=told):
            broken.index(photos)
        assert len(broken.gallery) == 0
    with FaceSearch(faces.folder, describer=Broken(factor), reader=ReadsHere()) as broken:
        for pose in (None, 30):
            with pytest.raises(ModelFileError, match=told):
                broken.query(asked, pose=pose)
