"""Which model serves which attribute and gallery, and how often its files are read."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

import retrieval.models as folders
from faceedit.attributes import POSE, TASKS
from faceedit.errors import FaceEditError, UsageError
from faceedit.modelfile import model_digest
from index.gallery import GalleryConfig
from retrieval.models import GivenModels, ModelFolders
from tests.stand_ins import HashEditor


def config(folder: Path, task: str = "pose", size: int = 28_800) -> GalleryConfig:
    return GalleryConfig(model_digest(folder), task, TASKS[task].values, size, folder.resolve())


OPENED: Counter[str] = Counter()  # how often each file was opened, by name


@pytest.fixture(scope="module")
def opened() -> Counter[str]:
    """A hook that stays as long as the process, which only counts."""
    sys.addaudithook(lambda event, given: event == "open" and OPENED.update([Path(str(given[0])).name]))
    return OPENED


def test_every_model_json_is_read_once(models_folder: Path, opened: Counter[str]) -> None:
    models = ModelFolders(models=models_folder, device="cpu")
    gallery = config(models_folder / "pose")
    opened.clear()
    first = models.to_query(["pose"], gallery)
    assert opened["model.json"] == opened["model.safetensors"] == 1
    assert models.to_query(["pose"], gallery)["pose"] is first["pose"]
    models.to_query(["pose", "illumination"], gallery)
    assert opened["model.json"] == opened["model.safetensors"] == 2


def test_a_gallery_is_asked_by_the_kind_of_descriptor_that_it_holds(learned_model_folder: Path) -> None:
    models = ModelFolders(model=learned_model_folder, device="cpu")
    learned = models.to_describe(None, None, None)
    paper = models.to_describe(None, "paper", None)
    assert learned.descriptor_size < paper.descriptor_size == 28_800
    for one in (learned, paper):
        held = GalleryConfig(one.digest, "pose", POSE.values, one.descriptor_size, learned_model_folder.resolve())
        assert models.to_query([], held)["pose"].digest == one.digest
        assert models.to_describe(None, None, held).digest == one.digest


def test_a_model_of_another_attribute_is_refused(model_folder: Path, models_folder: Path) -> None:
    models = ModelFolders(models_folder, model_folder, "cpu")
    with pytest.raises(UsageError, match="is a model for pose, not for illumination: leave out --task"):
        models.check("illumination")
    with pytest.raises(UsageError, match="is a model for pose, not for illumination: give one that was trained"):
        models.to_edit(["illumination"])
    with pytest.raises(UsageError, match="one --model, but pose and illumination to edit"):
        models.to_edit(["pose", "illumination"])
    with pytest.raises(UsageError, match="no task 'age'"):
        models.check("age")


def test_folders_come_from_the_arguments_else_the_environment_else_along(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACESEARCH_MODEL", raising=False)
    monkeypatch.delenv("FACESEARCH_MODELS", raising=False)
    along = folders.models_folder(None)
    assert along.name == "models" and folders.model_folder(None) == along / "pose"
    monkeypatch.setenv("FACESEARCH_MODELS", str(tmp_path))
    (tmp_path / "illumination").mkdir()
    assert folders.model_folder(None, "illumination") == tmp_path / "illumination"
    monkeypatch.setenv("FACESEARCH_MODEL", str(model_folder))
    assert folders.model_folder(None) == model_folder
    assert folders.model_folder(tmp_path) == tmp_path
    with pytest.raises(FaceEditError, match="no model folder"):
        folders.model_folder(tmp_path / "none")
    with pytest.raises(FaceEditError, match="no folder"):
        folders.models_folder(tmp_path / "none")


def test_given_models_are_taken_as_they_are() -> None:
    own = HashEditor()
    models = GivenModels(own)
    assert models.to_describe(None, None, None) is own and models.to_edit(["pose"])["pose"] is own
    with pytest.raises(UsageError, match="no model for illumination was given, but for pose"):
        models.check("illumination")
