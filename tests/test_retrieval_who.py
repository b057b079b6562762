"""Who somebody is, whatever the look: queries without a wish, people who are not there, and two pictures compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.cropping import Cropper, unseen
from faceedit.describes import Accepted, Usual, Who
from faceedit.errors import UsageError
from faceedit.manifest import read_manifest
from index.search.plan import Planner, Requirements
from retrieval.answer_text import Format
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set
from retrieval.evaluation.who import Parts, first_right, measured
from retrieval.face_search import FaceSearch
from tests.stand_ins import KnowsPeople, ReadsHere

ACCEPTED = (Accepted(0.01, 0.9, 1.0, 1.0, 1.0), Accepted(0.001, 0.5, 0.9, 0.8, 1.0))
USUAL = Usual("people", "2026-11-26", 10, 0.1, 0.2, 0.4, ACCEPTED)
COSTS = {"exact": 10**9, "flat": 0, "ivf": 10**9, "hnsw": 10**9}  # an index of reduced descriptors is chosen
PEOPLE = {"anna": 40, "ben": 90, "carl": 140, "dora": 190}


def picture(person: int, number: int) -> Image.Image:
    """Of a person, at one of many looks."""
    noise = np.random.default_rng(1000 * person + number).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    noise[0, 0] = person
    return Image.fromarray(noise)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, person in PEOPLE.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            picture(person, number).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    finder = Cropper(glance=unseen)
    with FaceSearch(tmp_path / "db", describer=KnowsPeople(usual_who=USUAL), reader=ReadsHere(), finder=finder) as made:
        made.index(photos)
        yield made


def test_with_nothing_asked_a_person_is_found_at_any_look(faces: FaceSearch) -> None:
    for name, person in PEOPLE.items():
        answer = faces.query(np.asarray(picture(person, 99)), k=6)
        assert [one.identity for one in answer][:5] == [name] * 5 and answer[5].identity != name
        assert answer.at_any_look and answer.near and max(one.distance for one in answer[:5]) < 0.02
        look = faces.query(np.asarray(picture(person, 99)), pose=15, k=6)
        assert not look.at_any_look and min(one.distance for one in look) > 0.3


def test_distances_of_who_are_those_between_what_is_said_of_people(faces: FaceSearch) -> None:
    source = np.asarray(picture(40, 99))
    asked = faces.gallery.descriptors([face.id for face in faces.gallery.faces()])
    mine = KnowsPeople().describe(source[None]).descriptors[0]
    halves = np.linalg.norm(asked[:, :8] / math.sqrt(0.5) - mine[:8] / math.sqrt(0.5), axis=1)
    found = faces.query(source, k=20)
    expected = dict(zip((face.id for face in faces.gallery.faces()), halves, strict=True))
    for one in found:
        assert one.distance == pytest.approx(expected[one.face.id], abs=3e-3)


def test_who_is_searched_among_all_descriptors_also_where_reduced_ones_are(photos: Path, tmp_path: Path) -> None:
    for name, person in PEOPLE.items():
        for number in range(5, 40):
            picture(person, number).save(photos / name / f"{number}.png")
    with FaceSearch(tmp_path / "db", describer=KnowsPeople(), reader=ReadsHere()) as faces:
        faces.index(photos)
        faces.gallery.prepare(Requirements(recall=0.1, max_ms=10_000), planner=Planner(COSTS))
        assert (faces.folder / "search.json").exists()
        answer = faces.query(np.asarray(picture(90, 999)), k=40)
        assert {one.identity for one in answer} == {"ben"}


def test_somebody_who_is_not_there_is_told_by_who_whatever_was_asked(faces: FaceSearch) -> None:
    stranger, known = np.asarray(picture(7, 0)), np.asarray(picture(40, 99))
    for asked in (None, 30):
        told = faces.query(stranger, pose=asked)
        assert told.near is False
        assert Format("table").warnings("x.png", [told])[0].startswith("x.png is probably nobody of this gallery: in")
    by_look = faces.query(known, pose=30)
    assert by_look.first and by_look.first.by_who
    assert by_look.near == (by_look[0].identity == "anna")


def test_two_pictures_are_of_one_person_or_not(faces: FaceSearch) -> None:
    same = faces.compare(np.asarray(picture(40, 98)), np.asarray(picture(40, 99)))
    other = faces.compare(np.asarray(picture(40, 98)), np.asarray(picture(90, 99)))
    assert (same.same, other.same) == (True, False) and same.distance < 0.02 < 0.5 < other.distance
    assert same.as_json()["false_accepts"] == 0.001
    assert str(same).startswith("same: 0.00") and "within the 0.500 of 1 in 1,000 strangers" in str(same)
    assert str(other).startswith("not the same: ") and other.as_json()["threshold"]["distance"] == 0.5
    assert faces.compare(np.asarray(picture(40, 98)), np.asarray(picture(40, 99)), false_accepts=0.01).same


def test_what_nobody_measured_is_not_compared(faces: FaceSearch, tmp_path: Path) -> None:
    one = np.asarray(picture(40, 98))
    with pytest.raises(UsageError, match=r"in 0\.5 of pairs: choose one of 0\.01, 0\.001"):
        faces.compare(one, one, false_accepts=0.5)
    with (
        FaceSearch(tmp_path / "no", describer=KnowsPeople()) as unmeasured,
        pytest.raises(UsageError, match="`facesearch evaluate --record` does"),
    ):
        unmeasured.compare(one, one)


# --- what is measured ---


def parts(spread: float, people: int = 30, each: int = 4) -> Parts:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(people, 16)).repeat(each, 0)
    vectors = middles + spread * rng.normal(size=middles.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Parts(vectors.astype(np.float32), np.arange(people).repeat(each), np.tile(np.arange(each), people))


def test_a_threshold_lets_so_many_strangers_in_and_no_more() -> None:
    known = parts(0.5)
    usual = measured(known, "made", (0.1, 0.01, 0.001))
    assert usual is not None
    far = np.linalg.norm(known.vectors[:, None] - known.vectors, axis=2)
    upper, same = np.triu(np.ones(far.shape, bool), 1), known.people[:, None] == known.people
    for one in usual.accepted:
        inside = (far[upper & ~same] <= one.distance).mean()
        assert 0.5 * one.rate <= inside <= one.rate
        assert one.share == pytest.approx((far[upper & same] <= one.distance).mean(), abs=2e-3)
        assert one.low <= one.share <= one.high
    rates = [one.share for one in usual.accepted]
    assert rates == sorted(rates, reverse=True) and usual.half <= usual.most <= usual.nearly_all


def test_people_who_are_apart_are_told_apart_and_noise_is_not() -> None:
    assert first_right(parts(0.05)) == 1.0
    assert first_right(parts(50.0)) < 0.2
    assert measured(parts(0.1, people=1), "made") is None


def test_pictures_of_one_look_alone_have_no_first_result() -> None:
    known = parts(0.1)
    flat = Parts(known.vectors, known.people, np.zeros_like(known.looks))
    assert measured(flat, "made") is None


def test_a_part_of_another_length_is_as_far_as_its_direction() -> None:
    who = Who(0, 2)
    one, other = (np.array(numbers, np.float32) for numbers in ((1, 0, 0), (0.2, 0, 0.9)))
    assert who.apart(one, other) == 0 and who.apart(one, np.array([0, 3, 0], np.float32)) == pytest.approx(2**0.5)
    assert who.apart(one, np.array([0, 0, 1], np.float32)) == 2


def test_a_descriptor_that_is_all_of_one_s_person_is_not_nearer_than_it_is(faces: FaceSearch) -> None:
    some = faces.gallery.descriptors([1, 6, 11])[:, :8].sum(0)  # between three people, and of nothing else
    strange = np.zeros((1, 16), np.float32)
    strange[0, :8] = some / np.linalg.norm(some)
    face = next(iter(faces.gallery.faces()))
    photo = replace(face.photo, path="strange/1.png", sha256="f" * 64)
    faces.gallery.add([replace(face, id=0, photo=photo)], strange)
    answer = faces.query(np.asarray(picture(40, 99)), k=8)
    assert [one.identity for one in answer][:5] == ["anna"] * 5 and answer[0].distance < 0.02
    assert next(one.distance for one in answer if "strange" in str(one.path)) > 0.5


def test_an_evaluation_says_what_who_it_is_finds_alone_and_with_a_filter(tmp_path: Path) -> None:
    lines = ["path,identity,pose,illumination"]
    for name, person in PEOPLE.items():
        for number, pose in enumerate((-15, 0, 15)):
            picture(person, number).save(tmp_path / f"{name}{number}.png")
            lines.append(f"{name}{number}.png,{name},{pose},0")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    editor, manifest = KnowsPeople(), read_manifest(tmp_path)
    test = load_test_set(manifest, editor.attribute, default_match(manifest))
    queries = choose_queries(test, editor.attribute, 100, 0)
    found = evaluate(editor, test, queries, default_match(manifest))
    assert len(queries) == 24 and set(found.hits) > {"who_alone", "who_at_the_true_value"}
    assert found.hits["who_at_the_true_value"][:, 0].all()  # the person, among pictures at the asked pose
    assert not found.hits["who_at_the_true_value"][:, 1:].any()
    alone = found.hits["who_alone"]
    assert alone[:, :2].any(1).all() and 0 < alone[:, 0].mean() < 1  # one of the two other poses, whichever
