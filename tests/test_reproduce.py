"""The paper's tables, figures and claims on a data set that follows its protocol."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit.attributes import POSE
from faceedit.editor import Editor
from faceedit.errors import ManifestError, ModelFileError
from faceedit.images import read_crop
from faceedit.manifest import Manifest, read_manifest
from faceedit.training.recipes import RECIPES
from retrieval.errors import EvaluationError
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set, truth_rows
from retrieval.evaluation.reproduce import paper
from retrieval.evaluation.reproduce.claims import check_claims
from retrieval.evaluation.reproduce.figures import map_figure
from retrieval.evaluation.reproduce.measure import Settings, measure_errors
from retrieval.evaluation.reproduce.run import find_models, pairs_seen, reproduce
from tests.conftest import blob_face, write_model

POSES, LIGHTS, PEOPLE = (-15, 0, 15, 30), 3, 3
SETTINGS = Settings(pairs=40, queries=8)
Found = tuple[dict[str, Path], dict[str, Path]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("protocol")
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "identity", "pose", "illumination", "split"])
        for person in range(PEOPLE):
            for pose in POSES:
                for light in range(LIGHTS):
                    name = f"p{person}_{pose}_{light}.png"
                    Image.fromarray(blob_face(person, pose, light)).save(root / name)
                    writer.writerow([name, f"<p{person}>", pose, light, "test"])
    return root


@pytest.fixture(scope="module")
def models(models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    for path in models_folder.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def found(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The models of all tasks, and another one to compare."""
    another = tmp_path_factory.mktemp("another") / "model"
    write_model(another, seed=8)
    return find_models(models, {"another": another})


@pytest.fixture(scope="module")
def report(data: Path, found: Found, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    reproduce(read_manifest(data), found, out, SETTINGS, "cpu")
    return out


def numbers(report: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.slow
def test_every_task_has_its_errors_and_its_retrieval(report: Path) -> None:
    tasks = numbers(report)["tasks"]
    assert set(tasks) == {"pose", "illumination", "inpainting"}
    for name, task in tasks.items():
        assert task["pairs"] == (PEOPLE * len(POSES) * LIGHTS if name == "inpainting" else 40)
        assert all(task["mse"][key] > 0 for key in ("unedited", "stage1", "stage2"))
        assert task["retrieval"]["queries"] == 8
        assert task["retrieval"]["gallery"] == PEOPLE * len(POSES) * LIGHTS
    table = tasks["pose"]["mse_by_pair"]
    assert set(table) == set(map(str, POSES))
    assert set(numbers(report)["comparison"]) == {"another"}


@pytest.mark.slow
def test_the_mse_is_that_of_the_editor_s_own_pictures(report: Path, data: Path, models: Path) -> None:
    """The table's mean against a naive loop over the very same pairs."""
    editor = Editor.load(models / "pose", "cpu")
    test = load_test_set(read_manifest(data), editor.attribute, ("identity", "illumination", "pose"))
    pairs = choose_queries(test, editor.attribute, 40, 0)
    errors = []
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        made = editor.edit(test.images[source], editor.attribute.values[target]).refined.astype(float)
        truth = next(
            test.images[row]
            for row in range(len(test.images))
            if test.keys[row] == test.keys[source] and test.values[row] == target
        )
        errors.append(((made - truth) ** 2).mean())
    assert numbers(report)["tasks"]["pose"]["mse"]["stage2"] == pytest.approx(np.mean(errors), rel=2e-3)


class _Page(HTMLParser):
    """Collects every address a page refers to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses.extend(value or "" for name, value in attrs if name in ("src", "href"))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.slow
def test_the_page_holds_everything_and_needs_no_network(report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(html)
    assert page.addresses and all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe"} and "@import" not in html and "url(" not in html
    for address in page.addresses:
        with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
            image.load()
    text = " ".join(page.text)
    for name in (
        "Table 1",
        "Figure 3",
        "Figure 4",
        "Figure 5, left",
        "Figure 5, right",
        "Figure 6",
        "Figure 7",
        "Figure 8",
        "Claims",
        "Retrieval by illumination",
        "What the choices cost",
    ):
        assert name in text, name
    assert "376.3" in text and "0.499" in text and "1473" in text  # the paper's own
    assert "The paper's figures are of Multi-PIE" in text
    assert "<p0>" in text and "<p0>" not in html  # names are escaped


@pytest.mark.slow
def test_figure_7_shows_every_light_and_its_truth(report: Path) -> None:
    figures = json.loads((report / "work/illumination-errors.json").read_text())["figures"]
    figure = next(figure for figure in figures if figure["name"] == "Figure 7")
    assert [len(row) for row in figure["rows"][:2]] == [21, 21]
    assert [cell["caption"] for cell in figure["rows"][0][1:]] == [str(light) for light in range(20)]


@pytest.mark.slow
def test_what_is_finished_is_not_measured_again(report: Path, data: Path, found: Found) -> None:
    def refuse(what: str, done: int, total: int) -> None:
        raise AssertionError(f"measured again: {what}")

    before = numbers(report)
    assert reproduce(read_manifest(data), found, report, SETTINGS, "cpu", refuse) == before
    kept = report / "work/pose-retrieval.json"
    kept.rename(kept.with_suffix(".aside"))
    kept.write_text('{"key": 1}')
    with pytest.raises(AssertionError, match="measured again: pose: gallery"):  # what is damaged is
        reproduce(read_manifest(data), found, report, SETTINGS, "cpu", refuse)
    kept.with_suffix(".aside").rename(kept)
    with pytest.raises(AssertionError, match="measured again: pose: errors"):  # other settings are another measurement
        reproduce(read_manifest(data), found, report, Settings(pairs=41, queries=8), "cpu", refuse)


@pytest.mark.slow
def test_a_run_that_was_interrupted_while_it_described_goes_on(data: Path, found: Found, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what == "pose: queries":
            raise Stop

    with pytest.raises(Stop):
        reproduce(read_manifest(data), found, tmp_path, SETTINGS, "cpu", stop)
    seen: list[str] = []

    def stop_later(what: str, done: int, total: int) -> None:
        if what.startswith("illumination"):
            raise Stop
        seen.append(what)

    with pytest.raises(Stop):
        reproduce(read_manifest(data), found, tmp_path, SETTINGS, "cpu", stop_later)
    assert set(seen) == {"pose: queries", "pose: baselines"}  # neither its errors nor its gallery
    assert not (tmp_path / "work" / "cache").exists()  # of no use any more


EARLIER = {  # as cards of 0.2.0 have them
    "fast": {"sources": 8, "targets": 7, "steps_one": 8000, "steps_two": 1200}
    | {"contrast": 0.2, "contrast_people": 6, "contrast_conditions": 5},
    "paper": {"sources": 32, "targets": 1, "steps_one": 2100, "steps_two": 750, "contrast": 0.0},
}


def test_how_much_a_model_saw_is_told_by_recipes_of_every_release() -> None:
    assert pairs_seen(EARLIER["fast"], 7) == [8000 * 8 * 7, 1200 * 4 * 6 * 5]
    assert pairs_seen(EARLIER["paper"], 7) == [2100 * 32, 750 * 32]
    for recipe in RECIPES.values():  # as this release writes them
        for values in (2, 7, 20):
            sources, targets = recipe.shape(values)
            own, compared = sources * targets, 4 * recipe.contrast_people * recipe.contrast_conditions
            expected = [recipe.steps_one * own, recipe.steps_two * (compared if recipe.contrast else own)]
            if recipe.beside:  # both learn from all of it
                whole = own + compared
                expected = [recipe.steps_one * whole, (recipe.steps_one + recipe.steps_two) * whole]
            assert pairs_seen(json.loads(json.dumps(asdict(recipe))), values) == expected
    assert pairs_seen({}, 7) == pairs_seen({"note": "by hand", "sources": "many"}, 7) == [0, 0]


def test_a_missing_task_or_a_model_of_another_one_is_named(models_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pose").symlink_to(models_folder / "pose")
    with pytest.raises(ModelFileError, match="has no model illumination, inpainting"):
        find_models(tmp_path)
    (tmp_path / "illumination").symlink_to(models_folder / "inpainting")
    (tmp_path / "inpainting").symlink_to(models_folder / "inpainting")
    with pytest.raises(ModelFileError, match="is a model for inpainting: give one for illumination"):
        find_models(tmp_path)


def test_a_model_that_is_named_as_a_task_is_measured_and_others_are_compared(
    models_folder: Path, learned_model_folder: Path, tmp_path: Path
) -> None:
    given = {"pose": learned_model_folder, "mine": models_folder / "pose"}
    main, others = find_models(models_folder, given)
    assert list(main) == ["pose", "illumination", "inpainting"] and main["pose"] == learned_model_folder
    assert others == {"mine": models_folder / "pose"} and len(given) == 2
    with pytest.raises(ModelFileError, match="is a model for pose: give one for illumination"):
        find_models(models_folder, {"illumination": models_folder / "pose"})
    with pytest.raises(ModelFileError, match="is not a model"):
        find_models(models_folder, {"none": tmp_path})


@pytest.mark.slow
def test_people_on_neutral_grey_are_compared_with_people_on_neutral_grey(
    data: Path, learned_model_folder: Path, tmp_path: Path
) -> None:
    """What is behind them counts on neither side; without masks it would, so that nothing is measured."""
    editor = Editor.load(learned_model_folder, "cpu")
    assert editor.neutral
    with pytest.raises(EvaluationError, match="no mask cuts the people"):
        measure_errors(editor, read_manifest(data), SETTINGS, lambda *arguments: None)
    half = tmp_path / "half"  # a person who is the left half of a picture, on black
    shutil.copytree(data, half)
    mask = np.zeros((60, 60), np.uint8)
    mask[:, :30] = 255
    for path in half.glob("*.png"):
        Image.fromarray(read_crop(path) * (mask[..., None] > 0)).save(path)
    Image.fromarray(mask).save(half / "mask.png")
    plain = read_manifest(half)
    manifest = Manifest(half, {**plain.columns, "mask": ("mask.png",) * len(plain)})
    numbers, _ = measure_errors(editor, manifest, SETTINGS, lambda *arguments: None)
    test = load_test_set(manifest, POSE, ("identity", "illumination", "pose"))
    pairs = choose_queries(test, POSE, SETTINGS.pairs, SETTINGS.seed)
    before, after = [], []
    for row, truth, edit in zip(
        pairs.sources, truth_rows(test, pairs), editor.edit_many(test.images[pairs.sources], pairs.targets), strict=True
    ):
        shown, wanted = (test.images[i].astype(float) for i in (row, truth))
        before.append(((shown - wanted) ** 2).mean())
        wanted[:, 30:] = 128
        after.append(((edit.refined - wanted) ** 2).mean())
    assert numbers["mse"]["unedited"] == pytest.approx(np.mean(before), abs=0.01)
    assert numbers["mse"]["stage2"] == pytest.approx(np.mean(after), rel=2e-3)


def test_nothing_measurable_and_another_s_report_are_refused(data: Path, found: Found, tmp_path: Path) -> None:
    one = read_manifest(data).where("pose", "0").where("illumination", "0")
    training = Manifest(one.root, {**one.columns, "split": ("train",) * len(one)})
    out = tmp_path / "out"
    with pytest.raises(EvaluationError, match="nothing can be measured: "):
        reproduce(training, found, out, SETTINGS, "cpu")
    (out / "work").rmdir()
    (out / "report.json").write_text("{}")
    with pytest.raises(EvaluationError, match="holds another report"):
        reproduce(read_manifest(data), found, out, SETTINGS, "cpu")
    assert (out / "report.json").read_text() == "{}"


def test_another_session_s_picture_is_neither_truth_nor_hit(models: Path, tmp_path: Path) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "identity", "pose", "illumination", "session"])
        for person, session, pose in [(p, s, v) for p in range(2) for s in (1, 2) for v in (0, 15)]:
            Image.fromarray(blob_face(person + 5 * session, pose, 0)).save(tmp_path / f"{person}{session}{pose}.png")
            writer.writerow([f"{person}{session}{pose}.png", f"p{person}", pose, "00", f"0{session}"])
    manifest = read_manifest(tmp_path)
    match = default_match(manifest)
    assert match == ("identity", "illumination", "pose", "session")
    test = load_test_set(manifest, POSE, match)
    queries = choose_queries(test, POSE, 100, 0)
    sessions = np.array(manifest.columns["session"])
    assert len(queries) == 8
    assert (sessions[truth_rows(test, queries)] == sessions[queries.sources]).all()
    numbers, _ = measure_errors(Editor.load(models / "pose", "cpu"), manifest, SETTINGS, lambda *arguments: None)
    assert numbers["mse_neutral"]["pairs"] == 8  # light 00 is light 0


@pytest.mark.slow
def test_a_card_with_a_foreign_recipe_is_measured_all_the_same(data: Path, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    card = json.loads((folder / "pose" / "model.json").read_text())
    (folder / "pose" / "model.json").write_text(json.dumps({**card, "recipe": {"note": "by hand"}}))
    one = read_manifest(data).where("identity", "<p0>")
    content = reproduce(one, find_models(folder), tmp_path / "out", Settings(6, 2), "cpu")
    assert content["tasks"]["pose"]["recipe"] == "unknown"


@pytest.mark.slow
def test_a_task_that_the_data_cannot_measure_says_so(data: Path, found: Found, tmp_path: Path) -> None:
    one_light = read_manifest(data).where("illumination", "0")
    content = reproduce(one_light, found, tmp_path, Settings(10, 4), "cpu")
    assert "nothing to query" in content["tasks"]["illumination"]["not_measured"]
    assert content["tasks"]["pose"]["mse"]["stage2"] > 0
    claims = {claim["text"]: claim["holds"] for claim in content["claims"]}
    assert claims["Illumination is easier than pose"] is None
    with pytest.raises(ManifestError, match="no column 'illumination'"):
        manifest = read_manifest(data)
        del manifest.columns["illumination"]
        reproduce(manifest, found, tmp_path, SETTINGS, "cpu")


# --- claims ---


def of_the_paper() -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = {
        name: {"mse": {"stage1": one, "stage2": two}} for name, (one, two) in paper.MSE.items()
    }
    own = {"mse_by_pair": paper.MSE_BY_PAIR, "mse_by_pair_face": paper.MSE_BY_PAIR}
    tasks["pose"] |= {**own, "regions": {"face": 1.0, "around": 2.0}}
    return tasks


def test_the_paper_s_own_numbers_bear_out_its_claims() -> None:
    claims = check_claims(of_the_paper())
    verdicts = [claim.holds for claim in claims]
    assert verdicts.count(None) == 1  # inpainting: its first stage is not reported
    assert False not in verdicts and len(claims) == 13
    symmetric = next(c for c in claims if "-15 to 15 against -15 to -45" in c.text)
    assert (symmetric.smaller, symmetric.larger) == (315, 390)
    frontal = next(c for c in claims if "-30 to 0 against 0 to 30" in c.text)
    assert (frontal.smaller, frontal.larger) == (277, 387)


def _spoil_small_turns(tasks: dict[str, Any]) -> None:
    for source, row in tasks["pose"]["mse_by_pair"].items():
        row.update({target: 1000.0 for target in row if abs(int(source) - int(target)) == 15})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t["pose"]["mse"].update(stage2=400), "Stage two beats stage one (pose)"),
        (lambda t: t["illumination"]["mse"].update(stage2=400), "Illumination is easier than pose"),
        (lambda t: t["inpainting"]["mse"].update(stage2=150), "Inpainting is easier than illumination"),
        (lambda t: t["pose"]["regions"].update(face=3.0), "The largest errors"),
        (lambda t: t["pose"]["mse_by_pair"]["-15"].update({"15": 391.0}), "At an equal angle"),
        (lambda t: t["pose"]["mse_by_pair"]["-30"].update({"0": 388.0}), "Turning toward frontal"),
        (_spoil_small_turns, "Small rotations"),
    ],
)
def test_a_claim_that_the_numbers_contradict_does_not_hold(change: Any, text: str) -> None:
    tasks = json.loads(json.dumps(of_the_paper()))
    change(tasks)
    claim = next(c for c in check_claims(tasks) if c.text.startswith(text))
    assert claim.holds is False


def test_the_map_figure_names_each_pose_and_its_mean() -> None:
    maps = np.zeros((3, 60, 60))
    maps[0], maps[2, :30] = 10, 100
    figure = map_figure(maps, (-15, 0, 15))
    assert [cell.caption for cell in figure.rows[0]] == ["-15: 10", "15: 50", "scale"]  # nothing was turned to 0
