"""A gallery that an engine searches answers as one that compares every descriptor does, whatever came between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from index.errors import EngineError, GalleryBusyError, GalleryEmptyError, RecallError
from index.gallery import Gallery, GalleryConfig, Labels
from index.search.answering import ATTEMPTS
from index.search.engine import Engine
from index.search.engine_choice import open_engine
from index.search.engine_following import drain
from index.search.plan import Requirements
from index.search.projected import ByEngine
from index.search.reader import Reader
from index.truth.address import Server
from index.truth.database import Database
from index.values import FloatArray
from index.vectors import read_vectors
from index.where import parse
from tests.databases import At, Crash
from tests.faces import new_face, unit_vectors
from tests.servers import administer, new_server, opened_on

pytestmark = pytest.mark.cluster
SIZE, COUNT = 24, 600
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
ANY_TIME = Requirements(recall=0.95, max_ms=60_000)


@pytest.fixture(params=["lite", "collection", "pgvector"])
def word(request: pytest.FixtureRequest) -> str:
    """Of each engine the word: one more here puts another to the same tests."""
    return "pgvector" if request.param == "pgvector" else str(request.getfixturevalue(request.param))


@pytest.fixture
def gallery(server: Server, word: str) -> Iterator[Gallery]:
    with Gallery.create(server, replace(CONFIG, vectors=word)) as made:
        yield made


def fill(gallery: Gallery, first: int = 0, count: int = COUNT) -> list[int]:
    faces = [
        new_face(
            f"{n % 7}/{n}.png",
            (-15, 0, 15)[n % 3],
            identity=None if n % 5 == 0 else ("Stra\u00dfe", "anna", "\u00c4", "it's")[n % 4],
            pose=None if n % 4 else (-15, 0, 15)[(n + 1) % 3],
            expression="smile" if n % 2 else None,
        )
        for n in range(first, first + count)
    ]
    return gallery.add(faces, unit_vectors(count, SIZE, first))


CONDITIONS = (
    "identity = 'STRASSE'", "identity != 'anna'", "identity < 'b'", "identity in ('anna', '\u00e4')",
    "identity is null", "identity is not null", "identity like 'a%'", "identity = 'it''s'", "not (identity = 'anna')",
    "pose = 15", "pose != 15", "pose < 0", "pose >= 0 and identity = 'anna'", "pose is null", "pose between -15 and 0",
    "decided = 0", "expression = 'SMILE' or pose = 0", "expression is null", "illumination = 3",
    "illumination is null", "face = 1", "id in (3, 5, 500)", "id > 300 and pose = 15", "path like '%1/%'", "faces = 1",
    "size >= 0", "added >= '2020-01-01'", "sha256 is null", "not (pose = 15 or identity is null)", "person is null",
)  # fmt: skip


def expected(gallery: Gallery, query: FloatArray, k: int, where: str | None) -> list[int]:
    ids = gallery.ids(None if where is None else parse(where))
    if len(ids) == 0:
        return []
    distances = ((gallery.descriptors(ids.tolist()).astype(np.float64) - query) ** 2).sum(1)
    return [int(one) for one in ids[np.lexsort((ids, distances))[:k]]]


def check(gallery: Gallery, conditions: tuple[str | None, ...] = (None, "pose = 15", "identity = 'anna'")) -> None:
    """That the nearest come, those that there are, and no others."""
    queries = unit_vectors(3, SIZE, 4_711)
    for where in conditions:
        found = gallery.search_many(queries, 5, where=None if where is None else parse(where))
        for query, one in zip(queries, found, strict=True):
            assert [match.face.id for match in one] == expected(gallery, query, 5, where), where


def built(gallery: Gallery) -> Gallery:
    fill(gallery)
    prepared = gallery.prepare(ANY_TIME)
    assert prepared.kind == "engine flat" and prepared.recall >= 0.95 and gallery.lag == 0
    return gallery


class Told:
    """Another engine, which calls `step` with the name of each call before and after it."""

    def __init__(self, engine: Engine, step: Callable[[str], None] = lambda moment: None) -> None:
        self._engine, self.step = engine, step

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._engine, name)

        def call(*arguments: Any) -> Any:
            self.step(name)
            done = method(*arguments)
            self.step(f"have {name}")
            return done

        return call


def crash() -> None:
    raise Crash


@pytest.fixture
def another(server: Server, word: str) -> Iterator[Callable[[], Engine]]:
    """Makes another engine of that word, as another process would have it."""
    databases: list[Database] = []

    def make() -> Engine:
        databases.append(opened_on(server))
        made = open_engine(read_vectors(word), databases[-1])
        assert made is not None
        return made

    yield make
    for database in databases:
        database.close()


# --- answers ---


def test_every_condition_selects_what_it_selects_in_the_truth(gallery: Gallery) -> None:
    check(built(gallery), (None, *CONDITIONS))


def test_the_engine_itself_selects_the_same(
    gallery: Gallery, server: Server, word: str, another: Callable[[], Engine]
) -> None:
    """Where few pass, the truth is asked: not here. Also after labels were changed."""
    ids = built(gallery).ids().tolist()
    gallery.update_labels({id_: Labels.given("hand", identity="anna", pose=15, expression="smile") for id_ in ids[::9]})
    gallery.update_labels({id_: Labels() for id_ in ids[4::9]})
    assert gallery.lag == 0
    asked: list[str] = []
    engine, database = Told(another(), asked.append), opened_on(server)
    model = (CONFIG.model_digest, SIZE)
    reader = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0))
    queries = unit_vectors(3, SIZE, 4_711)
    for where in CONDITIONS:
        asked.clear()
        found = reader.search(queries, 5, parse(where), (), None)
        for query, one in zip(queries, found, strict=True):
            assert [match.face.id for match in one] == expected(gallery, query, 5, where), where
        passing = len(gallery.ids(parse(where)))
        assert ("search" in asked) == (passing > 5), where
    engine.close()
    database.close()


def test_parts_and_what_is_left_out_are_searched_too(gallery: Gallery) -> None:
    built(gallery)
    [query] = unit_vectors(1, SIZE, 4_711)
    first = [match.face.id for match in gallery.search(query, 9)]
    assert [match.face.id for match in gallery.search(query, 4, exclude=first[:5])] == first[5:]
    [found] = gallery.search_many(query[None], 3, part=(0, 8))
    stored = gallery.descriptors(gallery.ids().tolist())[:, :8]
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    nearest = np.argsort(((stored - query[:8] / np.linalg.norm(query[:8])) ** 2).sum(1))[:3]
    assert [match.face.id for match in found] == gallery.ids()[nearest].tolist()


def test_one_result_more_than_there_are_gives_all(gallery: Gallery) -> None:
    built(gallery)
    assert len(gallery.search(unit_vectors(1, SIZE, 1)[0], COUNT + 1)) == COUNT
    assert len(gallery.search(unit_vectors(1, SIZE, 1)[0], COUNT + 1, where=parse("pose is null"))) > 300


def test_an_empty_gallery_says_so(gallery: Gallery) -> None:
    with pytest.raises(GalleryEmptyError):
        gallery.search(unit_vectors(1, SIZE, 1)[0], 1)
    with pytest.raises(GalleryEmptyError):
        gallery.prepare(ANY_TIME)


def test_what_misses_too_much_is_refused_with_its_figures(gallery: Gallery) -> None:
    fill(gallery)
    with pytest.raises(RecallError, match=r"finds 1\.0000 of the 10 nearest in .* asked for 0\.95 in 0\.001 ms"):
        gallery.prepare(Requirements(recall=0.95, max_ms=0.001))
    check(gallery)


# --- changes ---


def test_whoever_writes_passes_it_on(gallery: Gallery, server: Server) -> None:
    ids = fill(built(gallery), COUNT, 50)
    assert gallery.lag == 0
    check(gallery)
    gallery.update_labels({id_: Labels.given("hand", identity="anna", pose=15) for id_ in ids[:9]})
    gallery.remove(ids[9:20])
    gallery.remove_person("\u00c4")
    face = gallery.get([ids[0]])[0]
    gallery.add([replace(face, id=0)], unit_vectors(1, SIZE, 9), replace=True)
    assert gallery.lag == 0 and gallery.verify().sound
    check(gallery)
    with Gallery.open(server) as other:
        check(other)


def test_what_changes_nothing_in_the_engine_is_not_passed_on(gallery: Gallery, server: Server) -> None:
    built(gallery)
    gallery.remove(gallery.ids()[:20].tolist())
    changes = f"SELECT changes FROM {server.schema}.engine"
    before = administer(server, changes)
    gallery.compact()  # records lie at other slots then
    gallery.set_identity_level("first")
    assert administer(server, changes) == before and gallery.lag == 0 and gallery.verify().sound
    check(gallery)


def test_a_redescription_is_searched_by_the_new_model_alone(gallery: Gallery) -> None:
    built(gallery)
    gallery.redescribing.begin(replace(CONFIG, model_digest="b" * 64, descriptor_size=16))
    check(gallery)
    faces = list(gallery.redescribing.waiting())
    gallery.redescribing.stage(faces, unit_vectors(len(faces), 16, 5))
    assert gallery.lag == 0  # of what is staged nothing is told
    gallery.redescribing.finish()
    [query] = unit_vectors(1, 16, 4_711)
    truth = gallery.descriptors(gallery.ids().tolist())
    nearest = gallery.ids()[np.argsort(((truth - query) ** 2).sum(1))[:5]].tolist()
    for _ in range(2):  # before it is built in the engine, and after
        assert [match.face.id for match in gallery.search(query, 5)] == nearest
        assert gallery.prepare(ANY_TIME).recall >= 0.95
        assert gallery.lag == 0 and gallery.verify().sound


@pytest.mark.parametrize("moment", ["apply", "have apply"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_crash_between_truth_and_engine_costs_nothing(
    gallery: Gallery, server: Server, word: str, moment: str, after: int, another: Callable[[], Engine]
) -> None:
    built(gallery)
    gallery.close()
    administer(server, f"UPDATE {server.schema}.engine SET vectors = 'milvus://127.0.0.1:1/faces'")  # out of reach
    with Gallery.open(server) as alone:
        ids = fill(alone, COUNT, 120)
        alone.remove([1, 2, *ids[5:60]])
        alone.update_labels({id_: Labels.given("hand", identity="anna") for id_ in ids[60:75]})
        assert alone.lag == 122
    database = opened_on(server)
    engine = Told(another(), At(after, crash, moment))
    with pytest.raises(Crash):
        drain(database, engine, batch=50)
    engine.close()
    database.close()
    administer(server, f"UPDATE {server.schema}.engine SET vectors = '{word}'")
    with Gallery.open(server) as again:
        check(again)  # with what waits, from the truth
        fill(again, 4_000, 1)
        assert again.lag == 0 and again.verify().sound
        check(again)


def test_any_sequence_of_changes_crashes_and_restarts_gives_the_answers_of_the_truth(
    gallery: Gallery, server: Server, word: str, another: Callable[[], Engine]
) -> None:
    chosen = random.Random(22)
    built(gallery)
    gallery.close()
    database, new = opened_on(server), 10_000
    for _ in range(12):
        with Gallery.open(server) as one:
            ids = one.ids().tolist()
            some = chosen.sample(ids, 9)
            what = chosen.choice(("add", "label", "remove", "replace", "out of reach", "crash"))
            if what == "add":
                new += len(fill(one, new, chosen.randrange(1, 40)))
            elif what == "label":
                name = chosen.choice(("anna", None, "\u00e4"))
                one.update_labels({id_: Labels.given("hand", identity=name, pose=15) for id_ in some})
            elif what == "remove":
                one.remove(some)
            elif what == "replace":
                one.add([replace(one.get(some[:1])[0], id=0)], unit_vectors(1, SIZE, new), replace=True)
            check(one)
        if what in ("out of reach", "crash"):
            administer(server, f"UPDATE {server.schema}.engine SET vectors = 'milvus://127.0.0.1:1/faces'")
            with Gallery.open(server) as one:
                one.remove(some[:4])
                new += len(fill(one, new, 5))
                check(one)
            if what == "crash":
                engine = Told(another(), At(0, crash, chosen.choice(("apply", "have apply"))))
                with pytest.raises(Crash):
                    drain(database, engine)
                engine.close()
            administer(server, f"UPDATE {server.schema}.engine SET vectors = '{word}'")
    with Gallery.open(server) as one:
        one.prepare(ANY_TIME)
        assert one.lag == 0 and one.verify().sound
        check(one, (None, *CONDITIONS))
    database.close()


# --- an engine that is not as it should be ---


def test_while_the_engine_is_out_of_reach_the_truth_answers_and_that_is_told_once(
    gallery: Gallery, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    built(gallery)
    gallery.close()
    administer(server, f"UPDATE {server.schema}.engine SET vectors = 'milvus://127.0.0.1:1/faces'")
    with Gallery.open(server) as alone:
        check(alone)
        check(alone)
        assert len(caplog.records) == 1 and "Milvus does not answer for milvus://127.0.0.1:1/faces" in caplog.text
        fill(alone, COUNT, 3)
        assert alone.lag == 3 and "what changed is searched in the database" in caplog.text
        check(alone)
        with pytest.raises(EngineError, match="does not answer"):
            alone.prepare(ANY_TIME)
        assert not alone.verify().sound


def test_a_collection_that_was_dropped_is_told_and_built_anew_by_a_repair(
    gallery: Gallery, server: Server, word: str, caplog: pytest.LogCaptureFixture, another: Callable[[], Engine]
) -> None:
    built(gallery)
    gallery.close()
    engine = another()
    engine.drop()
    engine.close()
    with Gallery.open(server) as again:
        check(again)
        assert "holds nothing of the gallery" in caplog.text
        assert any("holds nothing" in one for one in again.verify().findings)
        again.repair()
        assert again.lag == 0 and again.verify().sound
        check(again)


def test_rows_that_the_engine_lost_or_has_too_many_are_found_and_mended(
    gallery: Gallery, server: Server, word: str, another: Callable[[], Engine]
) -> None:
    built(gallery)
    ids = gallery.ids().tolist()
    gallery.close()
    engine = another()
    engine.token()
    engine.apply([], ids[:3])
    engine.close()
    with Gallery.open(server) as again:
        [finding] = again.verify().findings
        assert "the engine lacks 3 faces as they are, and has 0 that are not there" in finding
        again.repair()
        assert again.verify().sound
        check(again)


def test_what_belongs_to_another_gallery_is_not_used(
    gallery: Gallery, postgres: str, server: Server, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    built(gallery)
    if word != "pgvector":  # whose rows lie with the gallery's own
        with pytest.raises(EngineError, match="belongs to another gallery: give another collection"):
            Gallery.create(new_server(postgres), replace(CONFIG, vectors=word))
    gallery.close()
    administer(server, f"UPDATE {server.schema}.engine SET token = '0123'")
    with Gallery.open(server) as again:
        check(again)
        assert "belongs to another gallery" in caplog.text
        for way in (lambda: again.prepare(ANY_TIME), again.repair):
            with pytest.raises(EngineError, match="belongs to another gallery"):
                way()


def test_a_reader_sees_whole_answers_while_somebody_writes(
    gallery: Gallery, server: Server, another: Callable[[], Engine]
) -> None:
    """Those that stay are found at every moment, by their labels too, whatever comes, goes or is renamed meanwhile."""
    built(gallery)
    staying = gallery.ids(parse("identity = 'anna'"))
    [query] = unit_vectors(1, SIZE, 4_711)
    truth, near = expected(gallery, query, 5, "identity = 'anna'"), expected(gallery, query, COUNT, None)
    others = [id_ for id_ in near if id_ not in staying]
    engine, database = another(), opened_on(server)
    model = (CONFIG.model_digest, SIZE)
    reader = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0))

    def write() -> None:
        for n in range(8):
            gallery.remove(others[5 * n : 5 * n + 2])
            gallery.update_labels(
                {id_: Labels.given("hand", identity=f"p{n}") for id_ in others[5 * n + 2 : 5 * n + 5]}
            )
            fill_unnamed(gallery, 5_000 + 10 * n)

    answered = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done() or not answered:
            with suppress(GalleryBusyError):
                [found] = reader.search(query[None], 5, parse("identity = 'anna'"), (), None)
                assert [match.face.id for match in found] == truth
                answered += 1
        writing.result()
    engine.close()
    database.close()


def test_one_alone_asks_an_engine_again_that_was_silent_and_its_next_silence_is_told_too(
    gallery: Gallery, server: Server, another: Callable[[], Engine], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks it waits for it: the others are answered by a copy meanwhile."""
    built(gallery)
    [query] = unit_vectors(1, SIZE, 4_711)
    asked: list[str] = []
    silent, others_answered = Event(), Event()

    def answer(moment: str) -> None:
        if moment == "search":
            asked.append(moment)
            if silent.is_set():
                assert others_answered.wait(60)
                raise EngineError("it is silent")

    engine, database, again = Told(another(), answer), opened_on(server), 1.0
    model = (CONFIG.model_digest, SIZE)
    reader = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0, again=again))

    def search(expected_asked: int) -> None:
        [found] = reader.search(query[None], 5, None, (), None)
        assert [match.face.id for match in found] == expected(gallery, query, 5, None)
        assert len(asked) == expected_asked

    silent.set()
    others_answered.set()
    for _ in range(2):
        search(1)
    time.sleep(again)
    [found] = reader.search(query[None], 5, parse("identity = 'nobody'"), (), None)  # which asks no engine
    assert not found and len(asked) == 1
    others_answered.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(search, 2)
        deadline = time.monotonic() + 60
        while len(asked) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(5):
            search(2)
        assert not first.done()
        others_answered.set()
        first.result()
    assert [record.getMessage() for record in caplog.records] == [SILENT]
    silent.clear()
    time.sleep(again)
    search(3)
    silent.set()
    search(4)
    assert [record.getMessage() for record in caplog.records] == [SILENT, SILENT]
    engine.close()
    database.close()


SILENT = "it is silent; until then this machine searches by a copy of the descriptors"


@pytest.mark.parametrize("where", [None, "identity = 'anna'"])
def test_a_search_is_patient_with_those_who_write_again_and_again(
    gallery: Gallery, server: Server, word: str, another: Callable[[], Engine], where: str | None
) -> None:
    built(gallery)
    [query] = unit_vectors(1, SIZE, 4_711)
    condition = None if where is None else parse(where)
    far = gallery.search(query, COUNT, where=condition)[-1].face.id
    asked: list[str] = []

    def write(moment: str) -> None:
        if moment == "have search":
            asked.append(moment)
            if len(asked) <= 2 * ATTEMPTS:
                gallery.update_labels({far: Labels.given("hand", identity=f"p{len(asked)}")})

    database = opened_on(server)
    engine, model = Told(another(), write), (CONFIG.model_digest, SIZE)
    reader = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0, patience=600))
    [found] = reader.search(query[None], 5, condition, (), None)
    assert [match.face.id for match in found] == expected(gallery, query, 5, where)
    # an engine in the database of the truth sees what the search sees: nothing can come between
    assert len(asked) == (1 if word == "pgvector" else 2 * ATTEMPTS + 1)
    asked.clear()
    if word != "pgvector":
        impatient = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0, patience=0))
        with pytest.raises(GalleryBusyError, match="5 times"):
            impatient.search(query[None], 5, condition, (), None)
    engine.close()
    database.close()


def test_who_is_removed_during_a_search_is_not_found(
    gallery: Gallery, server: Server, another: Callable[[], Engine]
) -> None:
    built(gallery)
    [query] = unit_vectors(1, SIZE, 4_711)
    first = gallery.search(query, 1)[0].face.id
    database = opened_on(server)
    engine = Told(another(), At(0, lambda: gallery.remove([first]), "have search"))
    model = (CONFIG.model_digest, SIZE)
    reader = Reader(server.folder, database, model, ByEngine(database, model, engine, few=0))
    [found] = reader.search(query[None], 5, None, (), None)
    assert first not in {match.face.id for match in found}
    assert [match.face.id for match in found] == expected(gallery, query, 5, None)
    engine.close()
    database.close()


def fill_unnamed(gallery: Gallery, first: int) -> None:
    gallery.add([new_face(f"new/{n}.png") for n in range(first, first + 10)], unit_vectors(10, SIZE, first))
