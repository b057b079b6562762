"""Recall by the paper's rule against plain loops, an oracle, a shuffled oracle, and the written report."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceedit.attributes import POSE, AttributeSpace
from faceedit.editor import Described, Edit, Editor
from faceedit.errors import ImageError, ManifestError
from faceedit.manifest import Manifest, read_manifest
from faceedit.modelcard import ModelCard, Normalisation
from faceedit.networks import NetworkConfig
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluate import OURS, Evaluation, evaluate
from retrieval.evaluation.quality import per_pixel_mse
from retrieval.evaluation.queries import LabelledSet, Queries, choose_queries, load_test_set
from retrieval.evaluation.recall import bootstrap, recall
from retrieval.evaluation.report import write_report

PAPER = ("identity", "illumination", "pose")
COLUMNS = ("path", "identity", "pose", "illumination", "expression", "split")
SOME = 120  # queries, of 420


def write_set(root: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> Path:
    """A manifest and a picture of noise for each row, so that no two pictures are alike."""
    rng = np.random.default_rng(0)
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({"path": f"{number}.png", "split": "test", **row})
            picture = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
            Image.fromarray(picture).save(root / f"{number}.png", compress_level=0)
    return root


def people_rows(people: int = 5, lights: int = 2) -> list[dict[str, Any]]:
    return [
        {"identity": f"p{person}", "pose": pose, "illumination": light, "expression": ("calm", "smile")[light % 2]}
        for person in range(people)
        for pose in POSE.values
        for light in range(lights)
    ]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """5 people, 7 poses, 2 lights, of which the second is also the smile."""
    return read_manifest(write_set(tmp_path_factory.mktemp("labelled"), people_rows()))


@pytest.fixture(scope="module")
def test_set(labelled: Manifest) -> LabelledSet:
    return load_test_set(labelled, POSE, PAPER)


class TableEditor(Editor):
    """Knows the pictures of a test set by heart. `answers` (N, n_a): the row whose descriptor, and picture, an edit of
    row N to a value gives."""

    descriptor_size = 48
    device = "cpu"
    digest = "0" * 64
    batch = 32

    def __init__(self, test: LabelledSet, answers: NDArray[np.int64]) -> None:
        self._pictures, self._answers = test.images, answers
        self._rows = {picture.tobytes(): row for row, picture in enumerate(test.images)}
        vectors = np.random.default_rng(5).normal(size=(len(test.images), self.descriptor_size))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        self._values = test.values
        self._card = ModelCard(POSE, NetworkConfig(), Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))

    @property
    def attribute(self) -> AttributeSpace:
        return POSE

    @property
    def portrays(self) -> bool:
        return False

    def describe(self, images: NDArray[np.uint8]) -> Described:
        rows = [self._rows[picture.tobytes()] for picture in images]
        errors = np.ones((len(rows), len(POSE)), np.float32)
        return Described(self.vectors[rows], self._values[rows], errors)

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        rows = [self._rows[picture.tobytes()] for picture in images]
        answers = [int(self._answers[row, value]) for row, value in zip(rows, values, strict=True)]
        return [Edit(self._pictures[row], self._pictures[row], self.vectors[row]) for row in answers]


def true_answers(test: LabelledSet) -> NDArray[np.int64]:
    """(N, n_a): the first row with the same key at each value."""
    rows = {(int(k), int(v)): n for n, (k, v) in reversed(list(enumerate(zip(test.keys, test.values, strict=True))))}
    return np.array([[rows.get((int(key), value), -1) for value in range(len(POSE))] for key in test.keys])


def oracle(test: LabelledSet) -> Editor:
    return TableEditor(test, true_answers(test))


def guesser(test: LabelledSet, seed: int = 0) -> Editor:
    """An editor that answers every edit with some row or other."""
    rng = np.random.default_rng(seed)
    return TableEditor(test, rng.integers(len(test.images), size=(len(test.images), len(POSE))))


# --- the test set ---


def test_only_the_test_split_is_measured(data_set: Path) -> None:
    manifest = read_manifest(data_set)
    test = load_test_set(manifest, POSE, PAPER)
    assert test.images.shape == (28, 60, 60, 3)
    assert set(test.manifest.columns["identity"]) == {"p2", "p3"}


def test_without_a_split_column_every_row_is_measured(tmp_path: Path) -> None:
    columns = [name for name in COLUMNS if name != "split"]
    test = load_test_set(read_manifest(write_set(tmp_path, people_rows(2, 1), columns)), POSE, PAPER)
    assert len(test.images) == 14


def test_a_test_split_without_rows_is_refused(tmp_path: Path) -> None:
    rows = [{**row, "split": "train"} for row in people_rows(1, 1)]
    with pytest.raises(EvaluationError, match="none whose split is 'test'"):
        load_test_set(read_manifest(write_set(tmp_path, rows)), POSE, PAPER)


def test_a_missing_match_column_is_named(data_set: Path) -> None:
    with pytest.raises(ManifestError, match="no column 'expression'"):
        load_test_set(read_manifest(data_set), POSE, ("identity", "expression", "pose"))


def test_a_match_without_the_asked_attribute_is_refused(labelled: Manifest) -> None:
    with pytest.raises(EvaluationError, match="leaves out pose"):
        load_test_set(labelled, POSE, ("identity", "illumination"))


def test_a_pose_outside_the_space_is_refused(tmp_path: Path) -> None:
    rows = [*people_rows(1, 1), {"identity": "p0", "pose": 31, "illumination": 0}]
    with pytest.raises(ManifestError, match="pose 31"):
        load_test_set(read_manifest(write_set(tmp_path, rows)), POSE, PAPER)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    manifest = read_manifest(write_set(tmp_path, people_rows(1, 1)))
    (tmp_path / "3.png").unlink()
    with pytest.raises(ImageError, match=r"3\.png does not exist"):
        load_test_set(manifest, POSE, PAPER)


def test_keys_are_equal_exactly_where_all_other_matched_columns_agree(labelled: Manifest) -> None:
    for match in (PAPER, ("identity", "pose"), ("expression", "pose"), ("pose",)):
        test = load_test_set(labelled, POSE, match)
        texts = list(zip(*(labelled.columns[name] for name in match if name != "pose"), strict=True))
        texts = texts or [()] * len(labelled)
        for a in range(0, len(labelled), 3):
            for b in range(len(labelled)):
                assert (test.keys[a] == test.keys[b]) == (texts[a] == texts[b])


# --- the queries ---


def test_all_queries_ask_for_another_value_that_exists(tmp_path: Path) -> None:
    rows = [row for row in people_rows(3, 2) if not (row["identity"] == "p1" and row["pose"] > 0)]
    test = load_test_set(read_manifest(write_set(tmp_path, rows)), POSE, PAPER)
    queries = choose_queries(test, POSE, 10**6, seed=0)
    expected = {
        (source, POSE.index(other["pose"]))
        for source, own in enumerate(rows)
        for other in rows
        if own["pose"] != other["pose"] and all(own[name] == other[name] for name in ("identity", "illumination"))
    }
    pairs = list(zip(queries.sources.tolist(), queries.targets.tolist(), strict=True))
    assert len(pairs) == len(expected)  # none twice
    assert set(pairs) == expected


def test_a_seed_chooses_the_same_queries_again_and_another_seed_others(test_set: LabelledSet) -> None:
    def chosen(seed: int) -> list[tuple[int, int]]:
        queries = choose_queries(test_set, POSE, 40, seed)
        return list(zip(queries.sources.tolist(), queries.targets.tolist(), strict=True))

    assert len(set(chosen(3))) == 40
    assert chosen(3) == chosen(3)
    assert chosen(3) != chosen(4)


def test_a_set_without_a_correct_picture_is_refused(tmp_path: Path) -> None:
    rows = [{"identity": f"p{n}", "pose": pose, "illumination": 0} for n, pose in enumerate(POSE.values)]
    test = load_test_set(read_manifest(write_set(tmp_path, rows)), POSE, PAPER)
    with pytest.raises(EvaluationError, match="nothing to query"):
        choose_queries(test, POSE, 10, seed=0)


# --- recall ---


def plain_hits(evaluation: Evaluation, labelled: Manifest, match: Sequence[str]) -> list[list[bool]]:
    """By the words of the rule, from the manifest's texts."""
    hits = []
    queries = evaluation.queries
    for source, target, found in zip(queries.sources, queries.targets, evaluation.nearest, strict=True):
        wanted = {name: labelled.columns[name][source] for name in match} | {"pose": str(POSE.values[target])}
        hits.append([all(labelled.columns[name][row] == text for name, text in wanted.items()) for row in found])
    return hits


def naive_nearest(editor: TableEditor, test: LabelledSet, queries: Queries) -> list[list[int]]:
    stored = editor.vectors.astype(np.float16).astype(np.float64)
    out = []
    for source, target in zip(queries.sources, queries.targets, strict=True):
        edit = editor.edit_many(test.images[source][None], np.array([target]))[0]
        distances = np.linalg.norm(stored - edit.descriptor, axis=1)
        out.append([int(row) for row in np.argsort(distances) if row != source][:10])
    return out


@pytest.mark.parametrize("match", [PAPER, ("identity", "pose"), ("identity", "expression", "pose"), ("pose",)])
def test_hits_and_recall_are_those_of_a_plain_loop(labelled: Manifest, match: tuple[str, ...]) -> None:
    test = load_test_set(labelled, POSE, match)
    queries = choose_queries(test, POSE, 60, seed=1)
    editor = guesser(test)
    assert isinstance(editor, TableEditor)
    evaluation = evaluate(editor, test, queries, match)
    assert evaluation.nearest.tolist() == naive_nearest(editor, test, queries)
    hits = plain_hits(evaluation, labelled, match)
    assert evaluation.hits[OURS].tolist() == hits
    assert any(map(any, hits))
    for rank in (1, 5, 10):
        plain = sum(any(row[:rank]) for row in hits) / len(hits)
        assert recall(evaluation.hits[OURS], rank) == pytest.approx(plain)


def test_any_of_several_correct_pictures_counts(labelled: Manifest) -> None:
    match = ("identity", "pose")
    test = load_test_set(labelled, POSE, match)
    queries = choose_queries(test, POSE, SOME, seed=0)
    answers = true_answers(test)
    other_light = answers + np.where(answers % 2 == 0, 1, -1)  # the same person and pose under the other light
    for rows in (answers, other_light):
        evaluation = evaluate(TableEditor(test, rows), test, queries, match)
        assert recall(evaluation.hits[OURS], 1) == 1.0
        assert evaluation.hits[OURS].sum(1).max() == 2  # both lights


def test_a_stricter_match_counts_fewer_of_the_same_answers(labelled: Manifest) -> None:
    loose, strict = ("identity", "pose"), ("identity", "expression", "pose")
    hits = {}
    for match in (loose, strict):
        test = load_test_set(labelled, POSE, match)
        queries = choose_queries(load_test_set(labelled, POSE, strict), POSE, SOME, seed=0)
        hits[match] = evaluate(guesser(test), test, queries, match).hits[OURS]
    assert (hits[loose] >= hits[strict]).all()
    assert hits[loose].sum() > hits[strict].sum() > 0


def test_an_oracle_reaches_recall_one(test_set: LabelledSet) -> None:
    queries = choose_queries(test_set, POSE, SOME, seed=0)
    evaluation = evaluate(oracle(test_set), test_set, queries, PAPER)
    assert [recall(evaluation.hits[OURS], rank) for rank in (1, 5, 10)] == [1, 1, 1]
    assert evaluation.nearest[:, 0].tolist() == evaluation.truths.tolist()
    assert recall(evaluation.hits["generated_pixels"], 1) == 1.0
    assert evaluation.same_value_hits[:, 0].all()
    assert (evaluation.decided == test_set.values).all()


def test_a_shuffled_oracle_does_not(test_set: LabelledSet) -> None:
    queries = choose_queries(test_set, POSE, SOME, seed=0)
    answers = np.random.default_rng(0).permutation(true_answers(test_set))  # of some other person or light
    evaluation = evaluate(TableEditor(test_set, answers), test_set, queries, PAPER)
    assert recall(evaluation.hits[OURS], 1) < 0.4
    # pictures of noise: pixels know nothing either
    assert recall(evaluation.hits["unedited_pixels"], 1) < 0.1
    assert recall(evaluation.hits["mirrored_pixels"], 1) < 0.1


def test_the_query_itself_never_counts(test_set: LabelledSet) -> None:
    queries = choose_queries(test_set, POSE, SOME, seed=0)
    itself = np.tile(np.arange(len(test_set.images))[:, None], (1, len(POSE)))
    evaluation = evaluate(TableEditor(test_set, itself), test_set, queries, PAPER)
    assert not (evaluation.nearest == queries.sources[:, None]).any()
    assert not (evaluation.truths == queries.sources).any()


def test_a_gallery_smaller_than_ten_is_measured(tmp_path: Path) -> None:
    test = load_test_set(read_manifest(write_set(tmp_path, people_rows(1, 1))), POSE, PAPER)
    evaluation = evaluate(oracle(test), test, choose_queries(test, POSE, 100, 0), PAPER)
    assert evaluation.nearest.shape == (42, 6)
    assert recall(evaluation.hits[OURS], 10) == 1.0


@pytest.mark.slow
def test_more_pictures_and_queries_than_one_batch_are_taken_in_order(tmp_path: Path) -> None:
    test = load_test_set(read_manifest(write_set(tmp_path, people_rows(13, 2))), POSE, PAPER)
    calls: list[tuple[str, int, int]] = []
    queries = choose_queries(test, POSE, 10**6, 0)
    assert len(queries) == 1092
    evaluation = evaluate(oracle(test), test, queries, PAPER, lambda *call: calls.append(call))
    assert recall(evaluation.hits[OURS], 1) == 1.0
    assert [done for what, done, total in calls if what == "gallery" and total == 182] == [32, 64, 96, 128, 160, 182]
    assert [call for call in calls if call[0] == "queries"] == [("queries", done, 1092) for done in (1024, 1092)]


# --- intervals and errors ---


def random_hits(share: float, queries: int = 200) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return rng.random((queries, 10)) < share / 3, rng.integers(0, 25, queries)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("rank", [1, 5, 10])
def test_the_interval_contains_the_recall(share: float, rank: int) -> None:
    hits, people = random_hits(share)
    low, high = bootstrap(hits, rank, people)
    assert 0 <= low < recall(hits, rank) < high <= 1


def test_perfect_and_absent_hits_have_no_interval() -> None:
    people = np.arange(30) // 3
    assert bootstrap(np.ones((30, 10), np.bool_), 1, people) == (1.0, 1.0)
    assert bootstrap(np.zeros((30, 10), np.bool_), 10, people) == (0.0, 0.0)


def test_the_interval_resamples_people_not_queries() -> None:
    people = np.arange(400) // 40
    alike = np.repeat(np.arange(10) % 2 == 0, 40)[:, None]  # a person's queries all hit or all miss
    low, high = bootstrap(alike, 1, people)
    alone_low, alone_high = bootstrap(alike, 1, np.arange(400))
    assert high - low > 3 * (alone_high - alone_low)
    assert bootstrap(alike, 1, people) == (low, high)  # the same seed


def test_per_pixel_mse_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    made = rng.integers(0, 256, (300, 60, 60, 3), dtype=np.uint8)  # more than one block
    truths = rng.integers(0, 256, made.shape, dtype=np.uint8)
    made[0], truths[0] = 0, 255  # where unsigned numbers would wrap
    plain = [((a.astype(np.int64) - b.astype(np.int64)) ** 2).mean() for a, b in zip(made, truths, strict=True)]
    np.testing.assert_allclose(per_pixel_mse(made, truths), plain, rtol=1e-5)
    assert per_pixel_mse(made, truths)[0] == pytest.approx(255**2)


# --- the report ---


@pytest.fixture(scope="module")
def evaluation(test_set: LabelledSet) -> Evaluation:
    return evaluate(guesser(test_set), test_set, choose_queries(test_set, POSE, 90, seed=0), PAPER)


def assert_recalls(found: Any) -> None:
    assert set(found) == {"1", "5", "10"}
    for figures in found.values():
        assert set(figures) == {"value", "low", "high"}
        assert 0 <= figures["low"] <= figures["value"] <= figures["high"] <= 1
    assert found["1"]["value"] <= found["5"]["value"] <= found["10"]["value"]


def test_report_json_holds_what_was_measured(evaluation: Evaluation, tmp_path: Path) -> None:
    returned = write_report(evaluation, tmp_path / "new" / "report", {"seed": 0})
    report = json.loads((tmp_path / "new" / "report" / "report.json").read_text(encoding="utf-8"))
    assert report == returned
    assert (report["queries"], report["gallery"]) == (90, 70)
    assert report["about"] == {"seed": 0}
    assert report["match"] == list(PAPER)
    assert_recalls(report["recall"])
    assert set(report["baselines"]) == {"unedited_pixels", "mirrored_pixels", "generated_pixels"}
    for baseline in report["baselines"].values():
        assert_recalls(baseline)
    assert set(report["mse"]) == {"stage1", "stage2"}
    assert report["decided_accuracy"] == 1.0


def test_report_json_splits_recall_by_pose(evaluation: Evaluation, tmp_path: Path) -> None:
    report = write_report(evaluation, tmp_path, {})
    sources = [POSE.values[evaluation.test.values[row]] for row in evaluation.queries.sources]
    targets = [POSE.values[value] for value in evaluation.queries.targets]
    first = evaluation.hits[OURS][:, 0]
    for name, poses in (("by_source", sources), ("by_target", targets)):
        split = report[name]
        assert set(split) <= {str(value) for value in POSE.values}
        assert sum(row["queries"] for row in split.values()) == 90
        for pose, row in split.items():
            own = [bool(hit) for hit, value in zip(first, poses, strict=True) if str(value) == pose]
            assert row["queries"] == len(own)
            assert row["1"] == pytest.approx(sum(own) / len(own), abs=1e-4)


def test_report_json_holds_the_error_of_both_stages(test_set: LabelledSet, tmp_path: Path) -> None:
    queries = choose_queries(test_set, POSE, 30, seed=0)
    perfect = evaluate(oracle(test_set), test_set, queries, PAPER)
    assert write_report(perfect, tmp_path, {})["mse"] == {"stage1": 0, "stage2": 0}
    worse = replace(perfect, generated=255 - perfect.generated)
    mse = write_report(worse, tmp_path, {})["mse"]
    truths = test_set.images[perfect.truths].astype(np.float64)
    assert mse["stage1"] == pytest.approx(((255 - 2 * truths) ** 2).mean(), rel=1e-4)
    assert mse["stage2"] == 0


def test_report_md_shows_the_figures_and_pictures(evaluation: Evaluation, tmp_path: Path) -> None:
    figures = write_report(evaluation, tmp_path, {"model": "abc", "seed": 7})
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert f"{figures['recall']['1']['value']:.3f}" in text
    assert f"stage one {figures['mse']['stage1']}" in text
    assert "model abc, seed 7" in text
    for name in ("unedited pixels", "mirrored pixels", "generated pixels", "recall@10"):
        assert name in text
    for name in ("pictures/results.png", "pictures/stages.png"):
        assert f"({name})" in text
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 120


def test_a_report_can_be_written_again_over_the_old(evaluation: Evaluation, tmp_path: Path) -> None:
    first = write_report(evaluation, tmp_path, {})
    assert write_report(evaluation, tmp_path, {}) == first


@pytest.mark.slow
def test_a_real_untrained_model_can_be_measured(data_set: Path, model_folder: Path, tmp_path: Path) -> None:
    editor = Editor.load(model_folder, "cpu")
    test = load_test_set(read_manifest(data_set), POSE, PAPER)
    queries = choose_queries(test, POSE, 12, seed=0)
    report = write_report(evaluate(editor, test, queries, PAPER), tmp_path, {})
    assert (report["queries"], report["gallery"], report["identities"]) == (12, 28, 2)
    assert report["mse"]["stage1"] > 0
