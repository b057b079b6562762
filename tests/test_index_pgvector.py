"""What is pgvector's own: the extension, rows that go with their faces, and a graph that no condition walks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.errors import AddressError, EngineError
from index.gallery import Gallery, GalleryConfig
from index.search.engine import FLAT, HNSW
from index.search.pgvector import MOST_DIMENSIONS, PgVector
from index.search.plan import Requirements
from index.truth.address import Server, read_server
from index.truth.engine import Entry
from index.where import Condition, parse
from retrieval.face_search import FaceSearch
from tests.copies import fill, tables
from tests.faces import new_face, numbered, unit_vectors
from tests.servers import administer, opened_on

pytestmark = pytest.mark.cluster
SIZE, COUNT = 16, 3_000
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute(), "pgvector")
EMPTY = {"identity": None, "pose": None, "illumination": None, "expression": None, "decided": 0, "face": 1}
Whole = tuple[Gallery, PgVector, np.ndarray]


@pytest.fixture
def whole(server: Server) -> Iterator[Whole]:
    """A gallery, its engine with every face in it, and their descriptors, which are not reduced."""
    vectors = unit_vectors(COUNT, SIZE, 1)
    database = opened_on(server, 5.0)
    with Gallery.create(server, CONFIG) as gallery:
        faces = [new_face(f"{n}.png", (-15, 0, 15)[n % 3], identity=f"p{n % 50}") for n in range(COUNT)]
        ids = gallery.add(faces, vectors)
        engine = PgVector(database)
        engine.begin("0123", SIZE, FLAT)
        labels = [{**EMPTY, "identity": f"p{n % 50}", "decided": (-15, 0, 15)[n % 3]} for n in range(COUNT)]
        told = zip(ids, labels, vectors, strict=True)
        engine.apply([Entry(id_, id_ % 7, label, vector) for id_, label, vector in told], [])
        yield gallery, engine, vectors
    database.close()


def recall(whole: Whole, effort: int, where: Condition | None) -> float:
    gallery, engine, vectors = whole
    queries = unit_vectors(20, SIZE, 2)
    passing = gallery.ids(where)
    found = engine.search(queries, 10, effort, where, "pose")
    hits = []
    for query, one in zip(queries, found, strict=True):
        distances = ((vectors[passing - 1] - query) ** 2).sum(1)
        nearest = passing[np.argsort(distances)[:10]]
        assert set(one.tolist()) <= set(passing.tolist())
        hits.append(np.isin(nearest, one).mean())
    return float(np.mean(hits))


@pytest.mark.parametrize("where", [None, "pose = 15", "decided = 15 and identity in ('p1', 'p4', 'p7')", "id < 40"])
def test_a_graph_loses_hardly_any_whatever_passes_and_comparing_all_none(whole: Whole, where: str | None) -> None:
    condition = None if where is None else parse(where)
    assert recall(whole, 1, condition) > 0.99  # half precision may swap the last
    whole[1].use(HNSW)
    whole[1].settle()
    if condition is None:
        assert recall(whole, 400, condition) > 0.97
    else:  # however short the walk would be: under a condition all that pass are compared
        assert recall(whole, 1, condition) > 0.99
    whole[1].use(FLAT)
    assert recall(whole, 1, condition) > 0.99


def test_a_row_is_replaced_and_goes_with_its_face_in_the_same_step(whole: Whole, server: Server) -> None:
    gallery, engine, _ = whole
    [moved] = numbered(SIZE, 99)
    engine.apply([Entry(5, 11, EMPTY, moved), Entry(6, 12, EMPTY, moved)], [7, 8])
    assert engine.search(moved[None], 2, 1, None, "pose")[0].tolist() in ([5, 6], [6, 5])
    assert engine.stamps(4, 9) == {4: 4, 5: 11, 6: 12, 9: 2}
    gallery.remove([5])
    assert engine.stamps(4, 6) == {4: 4, 6: 12}
    engine.apply([Entry(5, 11, EMPTY, moved)], [])  # told late: it is not there any more
    assert engine.stamps(5, 5) == {}


def test_a_gallery_is_searched_by_it_from_its_creation_on(server: Server) -> None:
    with Gallery.create(server, CONFIG) as gallery:
        gallery.add([new_face(f"{n}.png") for n in range(60)], unit_vectors(60, SIZE))
        assert gallery.prepare(Requirements(0.95, 60_000)).kind == "engine flat"
        assert gallery.lag == 0
        [match, *_] = gallery.search(numbered(SIZE, 0)[0], 3, where=parse("path = '0.png'"))
        assert match.face.path == "0.png"
        assert gallery.verify().sound
    with Gallery.open(server) as again:
        assert again.config.vectors == "pgvector" and "engine flat" in again.built


def test_a_copy_may_be_searched_by_it_and_back_in_a_folder_it_is_the_first(server: Server, tmp_path: Path) -> None:
    fill(tmp_path / "db")
    with FaceSearch(tmp_path / "db") as faces:
        with pytest.raises(AddressError, match="in a folder is searched by faiss"):
            faces.copy(tmp_path / "other", vectors="pgvector")
        faces.copy(server, vectors="pgvector")
        queries = unit_vectors(3, 24, 99)
        with Gallery.open(server) as gallery:
            assert gallery.config.vectors == "pgvector" and gallery.built and gallery.verify().sound
            for query in queries:
                assert [one.face for one in gallery.search(query, 5)] == [
                    one.face for one in faces.gallery.search(query, 5)
                ]
            gallery.copy(tmp_path / "back")
        assert faces.copy(server, vectors="pgvector").rows == 0
    assert tables(tmp_path / "back") == tables(tmp_path / "db") == tables(server)


def test_a_folder_has_none(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="in a folder is searched by faiss, not by pgvector"):
        Gallery.create(tmp_path / "db", CONFIG)


def test_more_numbers_than_an_index_holds_are_refused(whole: Whole) -> None:
    with pytest.raises(EngineError, match="holds 4,000 numbers of a descriptor at most, and 4,001 are needed"):
        whole[1].begin("0123", MOST_DIMENSIONS + 1, FLAT)
    whole[1].begin("0123", MOST_DIMENSIONS, HNSW)


def test_a_table_of_that_name_that_is_not_ours_is_left_alone(whole: Whole, server: Server) -> None:
    _, engine, _ = whole
    assert engine.token() == "0123"
    administer(server, f"COMMENT ON TABLE {server.schema}.near IS 'mine'")
    with pytest.raises(EngineError, match="has a table `near` that facesearch did not make: drop it"):
        engine.token()
    engine.drop()
    assert engine.token() is None
    with pytest.raises(EngineError, match="pgvector cannot be used"):
        engine.search(unit_vectors(1, SIZE), 3, 1, None, "pose")


@pytest.fixture
def bare(server: Server) -> Iterator[Server]:
    """A gallery's address in a database of its own, whose server has no pgvector; a user without rights."""
    administer(server, "CREATE DATABASE bare")
    administer(server, "CREATE ROLE anna LOGIN")
    administer(server, "GRANT CREATE ON DATABASE bare TO anna")
    yield read_server(str(replace(server, url=server.url.set(database="bare", username="anna"))))
    administer(server, "DROP DATABASE bare WITH (FORCE)")
    administer(server, "DROP ROLE anna")


def test_a_server_without_the_extension_is_one_clear_line(bare: Server, server: Server) -> None:
    administer(server, "ALTER DATABASE bare SET extension_control_path = '/nowhere'")
    with pytest.raises(EngineError, match=r"has no pgvector: install it on that server .*, or search by faiss"):
        Gallery.create(bare, CONFIG)
    with Gallery.create(bare, replace(CONFIG, vectors="faiss")) as gallery:  # nothing of the other was left
        assert len(gallery) == 0


def test_a_user_who_may_not_make_the_extension_is_told_what_to_ask_for(bare: Server, server: Server) -> None:
    administer(server, "REVOKE CREATE ON DATABASE bare FROM anna")
    with pytest.raises(EngineError, match=r"CREATE EXTENSION vector"):
        Gallery.create(bare, CONFIG)
