"""Searching in two looks: what it may miss is measured, what it finds is exact."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import GalleryCorruptError, RecallError, RequirementsError
from index.gallery import Condition, Face, Gallery, GalleryConfig
from index.search.plan import EXACT, FLAT, HNSW, IVF, KINDS, Planner, Rates, Requirements, make_plan, read_requirements
from index.search.prepare import EFFORTS
from index.search.rates import measure_rates
from index.search.reduction import components, enough, shares
from index.settings import read_settings, settings_text
from index.where import parse
from tests.databases import At, stepped
from tests.faces import new_face

SIZE, COUNT, PEOPLE = 96, 2_000, 200
CONFIG = GalleryConfig("0123456789abcdef" * 4, "pose", (-45, -30, -15, 0, 15, 30, 45), SIZE, Path("/photos").absolute())
RATES = Rates(half=5e6, codes=8e6)


def row(number: int) -> Face:
    return new_face(
        f"p{number % PEOPLE}/{number}.png",
        CONFIG.values[number % 7],
        (1.0,) * 7,
        identity=f"p{number % PEOPLE}",
        pose=CONFIG.values[number % 7],
    )


def people(count: int = COUNT, seed: int = 0) -> NDArray[np.float32]:
    """Descriptors of which most of the length lies in few directions; pictures of a person are near each other."""
    random = np.random.default_rng(seed)
    spread = (np.arange(SIZE) + 1.0) ** -0.5
    own = random.normal(size=(PEOPLE, SIZE)) * spread
    array = own[np.arange(count) % PEOPLE] + 0.5 * random.normal(size=(count, SIZE)) * spread
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of which each test has a copy."""
    folder = tmp_path_factory.mktemp("filled") / "gallery"
    with Gallery.create(folder, CONFIG) as made:
        made.add([row(number) for number in range(COUNT)], people())
    return folder


@pytest.fixture
def gallery(filled: Path, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(shutil.copytree(filled, tmp_path / "galerie-é")) as copied:
        yield copied


ANY = Planner(dict.fromkeys(KINDS, 0), RATES, few=100 * SIZE)  # every way makes sense, whatever the machine


def only(*kinds: str) -> Planner:
    """Leave no other ways than these."""
    return replace(ANY, fewest=dict.fromkeys(KINDS, 10**9) | dict.fromkeys(kinds, 0))


class Exact:
    """Answers by comparing with everything that the gallery holds now."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._allowed: dict[Condition | None, NDArray[np.bool_]] = {}
        self._ids = np.array([face.id for face in gallery.faces()])
        self._stored = gallery.descriptors(self._ids.tolist())

    def nearest(self, query: NDArray[np.float32], where: Condition | None = None) -> list[int]:
        if where not in self._allowed:
            self._allowed[where] = np.isin(self._ids, [face.id for face in self._gallery.faces(where)])
        allowed = self._allowed[where]
        distances = np.linalg.norm(self._stored - query, axis=1)[allowed]
        ids = self._ids[allowed]
        return [int(id_) for id_ in ids[np.lexsort((ids, distances))[:10]]]


def nearest(gallery: Gallery, query: NDArray[np.float32]) -> list[int]:
    return Exact(gallery).nearest(query)


def found(gallery: Gallery, query: NDArray[np.float32], where: Condition | None = None) -> list[int]:
    return [match.face.id for match in gallery.search(query, 10, where=where)]


def queries(n: int = 50) -> NDArray[np.float32]:
    made = people(n, seed=0) + 0.02 * np.random.default_rng(5).normal(size=(n, SIZE)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


# --- the reduction ---


@pytest.mark.parametrize("count", [40, 400])  # fewer and more than numbers
def test_directions_are_orthonormal_uncentred_and_in_order(count: int) -> None:
    sample = people(count) + 0.3  # a mean that centring would remove
    directions, share = components(sample, 64), shares(sample)
    n = min(count, 64)
    assert directions.shape == (SIZE, n) and share.shape == (min(count, SIZE),)
    np.testing.assert_allclose(directions.T @ directions, np.eye(n), atol=1e-3)
    assert (np.diff(share) <= 1e-6).all() and float(share.sum()) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(((sample @ directions) ** 2).sum(0) / (sample**2).sum(), share[:n], atol=1e-4)


def test_enough_directions_are_a_multiple_that_sees_nine_tenths() -> None:
    assert enough(np.full(100, 0.01, np.float32)) == 96
    assert enough(np.array([0.95, *[0.05 / 63] * 63], np.float32)) == 32
    assert enough(np.array([0.5, 0.5], np.float32)) == 2


# --- the plan ---


@pytest.mark.parametrize(
    ("count", "size", "requirements", "kind"),
    [
        (500, 775, Requirements(), EXACT),
        (20_860, 775, Requirements(), EXACT),
        (1_000_000, 775, Requirements(recall=1, max_ms=500, max_memory=10**10), EXACT),
        (1_000_000, 775, Requirements(max_ms=25, max_memory=10**9), FLAT),
        (1_000_000, 775, Requirements(max_ms=5, max_memory=10**9), IVF),
        (10_000_000, 775, Requirements(max_ms=4, max_memory=8 * 10**9), HNSW),
        (10_000_000, 775, Requirements(max_ms=60, max_memory=8 * 10**9), IVF),
    ],
)
def test_the_simplest_that_fits_is_chosen(count: int, size: int, requirements: Requirements, kind: str) -> None:
    assert make_plan(count, size, 96, requirements, RATES).require().kind == kind


def test_what_speaks_against_the_others_is_said() -> None:
    plan = make_plan(1_000_000, 775, 96, Requirements(max_ms=5, max_memory=10**9), RATES)
    against = {option.kind: option.against for option in plan.options}
    assert against == {EXACT: "too much memory, too slow", FLAT: "too slow", IVF: "", HNSW: ""}


def test_nothing_that_fits_is_refused_with_the_least_that_would() -> None:
    plan = make_plan(1_000_000, 775, 96, Requirements(max_memory=10**6), RATES)
    with pytest.raises(RequirementsError, match=r"1,000,000 images within 1 MB, 200 ms.*least memory is 112 MB"):
        plan.require()


@pytest.mark.parametrize("wrong", [{"recall": 0.0}, {"recall": 1.1}, {"max_ms": 0.0}, {"max_memory": 0}])
def test_requirements_that_nothing_can_keep_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequirementsError, match=next(iter(wrong))):
        Requirements(**wrong)  # type: ignore[arg-type]


def test_rates_are_measured() -> None:
    rates = measure_rates()
    assert 1e4 < rates.half < 1e9 and 1e4 < rates.codes < 1e9


# --- the index ---


@pytest.mark.parametrize("kind", [FLAT, IVF, HNSW])
def test_an_index_finds_what_it_promised_with_exact_distances(gallery: Gallery, kind: str) -> None:
    planner = only(kind)
    prepared = gallery.prepare(Requirements(recall=0.98), planner=planner)
    assert prepared.built and prepared.index is not None and prepared.kind == kind
    assert prepared.index.recall >= 0.98 and prepared.index.effort in EFFORTS[kind]
    hits, exact = [], Exact(gallery)
    for query in queries():
        matches = gallery.search(query, 10)
        hits.append(len({match.face.id for match in matches} & set(exact.nearest(query))) / 10)
        stored = gallery.descriptors([match.face.id for match in matches])
        np.testing.assert_allclose([m.distance for m in matches], np.linalg.norm(stored - query, axis=1), rtol=1e-5)
        assert [m.distance for m in matches] == sorted(m.distance for m in matches)
    assert np.mean(hits) >= 0.97
    again = gallery.prepare(planner=planner)
    assert not again.built and again.index == prepared.index  # what was asked is remembered, what is there stays


@pytest.mark.parametrize("kind", [FLAT, IVF, HNSW])
def test_conditions_apply_in_the_search(gallery: Gallery, kind: str) -> None:
    planner = only(kind)
    gallery.prepare(Requirements(recall=0.98), planner=planner)
    exact = Exact(gallery)
    for text in ("pose = 30", "identity = 'p7'", "identity = 'p7' and pose = 30", "identity = 'nobody'"):
        where = parse(text)
        wanted = [exact.nearest(query, where) for query in queries(10)]
        hits = [
            len(set(found(gallery, query, where)) & set(ids)) for query, ids in zip(queries(10), wanted, strict=True)
        ]
        assert np.mean(hits) >= 0.95 * len(wanted[0])
    first = next(gallery.faces()).id
    assert first not in {match.face.id for match in gallery.search(people(1)[0], 10, exclude=[first])}


def test_added_images_are_found_and_the_index_stays(gallery: Gallery) -> None:
    planner = only(IVF)
    gallery.prepare(Requirements(recall=0.98), planner=planner)
    new = people(20, seed=9)
    ids = gallery.add([row(COUNT + number) for number in range(20)], new)
    for query, id_ in zip(new, ids, strict=True):
        assert found(gallery, query)[0] == id_
    assert found(gallery, new[3], parse(f"pose = {CONFIG.values[(COUNT + 3) % 7]}"))[0] == ids[3]
    assert ids[3] not in {m.face.id for m in gallery.search(new[3], 10, exclude=[ids[3]])}
    assert not gallery.prepare(planner=planner).built
    gallery.add([row(COUNT + 20 + number) for number in range(400)], people(400, seed=10))
    assert gallery.prepare(planner=planner).built  # more than a tenth is new


@pytest.mark.slow
def test_what_is_measured_is_what_searches_do(tmp_path: Path) -> None:
    """Without any order in the descriptors, the graph has to be walked far: not only while recall is measured."""
    planner = only(HNSW)
    random = np.random.default_rng(2).normal(size=(6000, SIZE)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    with Gallery.create(tmp_path / "db", CONFIG) as gallery:
        gallery.add([row(number) for number in range(6000)], random)
        prepared = gallery.prepare(Requirements(recall=0.97), planner=planner)
        exact, asked = Exact(gallery), random[::60] + random[1::60] / 4
        hits = [len(set(found(gallery, query)) & set(exact.nearest(query))) / 10 for query in asked]
    assert prepared.index is not None and np.mean(hits) >= 0.95


def test_beyond_the_allowed_memory_no_index_of_everything_is_built(gallery: Gallery) -> None:
    planner = only(FLAT)
    gallery.prepare(Requirements(recall=0.9, max_memory=COUNT * SIZE * 3 // 2), planner=planner)
    query = queries(1)[0]
    gallery.remove([found(gallery, query)[0]])
    exact = Exact(gallery)
    for where in (None, parse("pose = 30")):
        assert found(gallery, query, where) == exact.nearest(query, where)
    assert not list(gallery.folder.glob("exact-*"))


@pytest.mark.parametrize("moment", range(6))
def test_a_search_that_builds_an_index_of_everything_leaves_the_other_one(gallery: Gallery, moment: int) -> None:
    """Which another process prepares between two reads of that search."""
    planner, query = only(FLAT), queries(1)[0]
    with stepped(gallery.folder) as (reader, database):
        database.step = at = At(moment, lambda: gallery.prepare(Requirements(recall=0.9), planner=planner), "have read")
        assert found(reader, query) == Exact(gallery).nearest(query)
        assert at.done
    assert list(gallery.folder.glob("search-*"))


def test_a_database_restored_from_a_copy_does_not_take_a_later_index(gallery: Gallery, tmp_path: Path) -> None:
    planner = only(FLAT)
    ids = [face.id for face in gallery.faces()]
    gallery.close()
    copy = tmp_path / "copy"
    shutil.copytree(gallery.folder, copy)
    with Gallery.open(gallery.folder) as first:
        first.remove([ids[1000]])
        first.prepare(Requirements(recall=0.98), planner=planner)
    for name in ("gallery.db", "descriptors-1.f16"):
        shutil.copy(copy / name, gallery.folder / name)
    with Gallery.open(gallery.folder) as restored:
        restored.remove([ids[1500]])
        own = restored.descriptors([ids[1000]])[0]
        assert found(restored, own)[0] == ids[1000]
        assert len(restored.search(own, COUNT)) == COUNT - 1


def test_removed_images_are_gone_from_the_disk_too(gallery: Gallery) -> None:
    planner = only(FLAT)
    gallery.prepare(Requirements(recall=0.98), planner=planner)
    query = people(1)[0]
    first = found(gallery, query)[0]
    gallery.remove([first])
    assert not list(gallery.folder.glob("search-*"))
    assert first not in found(gallery, query)
    assert gallery.prepare(planner=planner).built
    assert first not in found(gallery, query)


@pytest.mark.slow
def test_a_compaction_at_any_moment_of_a_search_is_noticed(gallery: Gallery, tmp_path: Path) -> None:
    """The rows of an index in memory mean slots of the file that it was made from."""
    gallery.prepare(Requirements(recall=0.98), planner=only(FLAT))
    query, gone, searched = people(COUNT)[700], [face.id for face in gallery.faces()][:50], 0
    gallery.close()
    for moment in count():
        shutil.copytree(gallery.folder, folder := tmp_path / str(moment))
        with Gallery.open(folder) as other, stepped(folder, closely=True) as (reader, database):
            found(reader, query)
            other.remove(gone)
            database.step = at = At(moment, other.compact)
            assert found(reader, query) == nearest(other, query)
            searched = max(searched, at.later)
        if not at.done:
            break
    assert searched > 8


def test_an_index_that_another_process_prepared_is_taken_up(gallery: Gallery) -> None:
    """One that misses a lot, so that it can be told from an index of everything."""
    hasty = replace(only(FLAT), lengths=(1,), few=0)
    asked = people(300, seed=8)

    def firsts(by: Gallery) -> list[int]:
        return [matches[0].face.id for matches in by.search_many(asked, 1)]

    with Gallery.open(gallery.folder) as reader:
        exact = firsts(reader)
        gallery.prepare(Requirements(recall=0.01), planner=hasty)
        with Gallery.open(gallery.folder) as fresh:
            missing = firsts(fresh)
        assert missing != exact
        assert firsts(reader) == missing
        gallery.remove([1])  # the index goes, and is held on to, less what was removed
        assert 1 not in firsts(reader)


def test_an_index_that_misses_too_much_is_not_installed(gallery: Gallery) -> None:
    planner = replace(only(FLAT), lengths=(1,))  # hopeless
    with pytest.raises(RecallError, match=r"the flat index finds 0\.\d+ of the 10 nearest in .* not installed"):
        gallery.prepare(Requirements(recall=0.98), planner=planner)
    assert not list(gallery.folder.glob("search-*"))
    assert read_requirements(gallery.folder) == Requirements()
    query = queries(1)[0]
    assert found(gallery, query) == nearest(gallery, query)


def test_what_turns_out_too_slow_gives_way_to_the_next(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = only(FLAT, IVF, HNSW)
    monkeypatch.setattr("index.search.prepare._median_ms", lambda made, *_: 99.0 if made.about.kind == FLAT else 1.0)
    prepared = gallery.prepare(Requirements(recall=0.95, max_ms=50), planner=planner)
    assert prepared.plan.require().kind == FLAT and prepared.kind == IVF
    assert not gallery.prepare(planner=planner).built


def test_exactness_asked_for_takes_an_index_away(gallery: Gallery) -> None:
    gallery.prepare(Requirements(recall=0.98), planner=only(FLAT))
    assert gallery.prepare(Requirements(recall=1)).kind == EXACT
    assert not list(gallery.folder.glob("search-*"))


@pytest.mark.parametrize("damaged", ["index.faiss", "about.json", "ids.npy", "reduction.npy"])
def test_a_damaged_index_is_passed_over(gallery: Gallery, damaged: str) -> None:
    planner = only(FLAT)
    gallery.prepare(Requirements(recall=0.98), planner=planner)
    folder = next(gallery.folder.glob("search-*"))
    content = (folder / damaged).read_bytes()
    (folder / damaged).write_bytes(content[: len(content) // 2])
    with Gallery.open(gallery.folder) as again:
        query = queries(1)[0]
        assert found(again, query) == nearest(again, query)
        assert again.prepare(planner=planner).built


def test_an_index_of_another_history_is_passed_over(gallery: Gallery) -> None:
    planner = only(FLAT)
    gallery.prepare(Requirements(recall=0.98), planner=planner)
    about = next(gallery.folder.glob("search-*")) / "about.json"
    content = read_settings(about)
    about.write_bytes(settings_text({**content, "about": {**content["about"], "check": "0" * 64}}))
    with Gallery.open(gallery.folder) as again:
        query = queries(1)[0]
        assert found(again, query) == nearest(again, query)
        assert again.prepare(planner=planner).built


def test_damaged_requirements_are_named(gallery: Gallery) -> None:
    (gallery.folder / "search.json").write_text("{")
    with pytest.raises(GalleryCorruptError, match=r"search\.json is damaged"):
        gallery.prepare()


def test_a_plan_is_a_value(gallery: Gallery) -> None:
    plan = gallery.plan(Requirements(max_ms=50))
    assert (plan.count, plan.size) == (COUNT, SIZE) and 32 <= plan.dimensions <= SIZE
    assert replace(plan, count=1) != plan
