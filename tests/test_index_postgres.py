"""PostgreSQL's own: what it says by its codes, who holds what, and several galleries in one database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from index.config import GalleryConfig
from index.errors import GalleryCorruptError, GalleryLockedError, GalleryNotFoundError, GalleryStorageError
from index.truth import descriptor_slots, state, store
from index.truth.address import Server, read_server
from tests.faces import new_face, unit_vectors
from tests.servers import administer, new_server, opened_on

if TYPE_CHECKING:
    from index.truth.postgres import Postgres

pytestmark = pytest.mark.cluster
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 4, Path("/photos").absolute())
HIDDEN = "correct horse battery staple"


@pytest.fixture
def server(postgres: str) -> Server:
    """Of an empty gallery."""
    made = new_server(postgres)
    database = opened_on(made)
    with database.writing() as session:
        state.create(session, CONFIG)
    database.close()
    return made


@pytest.fixture
def database(server: Server) -> Iterator[Postgres]:
    opened = opened_on(server)
    yield opened
    opened.close()


def paths(database: Postgres) -> set[str]:
    with database.reading() as session:
        return store.paths(session)


def test_galleries_of_one_database_have_nothing_to_do_with_each_other(postgres: str, server: Server) -> None:
    one, other = opened_on(server), opened_on(new_server(postgres))
    assert not other.exists and one.exists
    with pytest.raises(GalleryNotFoundError, match=r"gallery=g\d+ is no gallery yet: index images into it first"):
        paths(other)
    mine, theirs = one.lock(), other.lock()
    with other.writing() as session:
        state.create(session, CONFIG)
        store.insert_faces(session, [new_face("theirs.png")])
        with one.writing() as second:  # at the same time
            store.insert_faces(second, [new_face("mine.png")])
    assert (paths(one), paths(other)) == ({"mine.png"}, {"theirs.png"})
    mine.acquire()
    theirs.acquire()
    for lock in (mine, theirs):
        lock.release()
    for opened in (one, other):
        opened.close()


def test_making_it_is_undone_where_it_fails(postgres: str) -> None:
    database = opened_on(new_server(postgres))
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        state.create(session, CONFIG)
        raise ZeroDivisionError
    assert not database.exists
    with database.writing() as session:
        state.create(session, CONFIG)
    assert database.exists and paths(database) == set()
    database.close()


def test_a_gallery_that_was_made_anew_is_another(server: Server, database: Postgres) -> None:
    assert database.exists and database.in_place
    administer(server, f"DROP SCHEMA {server.schema} CASCADE")
    assert not database.exists and not database.in_place
    with database.writing() as session:
        state.create(session, CONFIG)
    assert database.exists and not database.in_place


def test_texts_are_ordered_by_bytes_and_whole_numbers_have_64_bits(server: Server) -> None:
    columns = administer(
        server,
        "SELECT table_name || '.' || column_name, data_type, collation_name FROM information_schema.columns "
        f"WHERE table_schema = '{server.schema}'",
    )
    found = {str(name): (kind, collation) for name, kind, collation in columns}
    assert len(found) > 60 and "photo.path" in found
    texts = {name: said for name, said in found.items() if "char" in str(said[0]) or said[0] == "text"}
    assert {said for name, said in texts.items()} == {("text", "C")}
    assert {kind for kind, _ in found.values()} == {"text", "bigint", "bytea", "double precision"}


def test_a_writer_that_dies_leaves_nothing_locked(server: Server, database: Postgres) -> None:
    held = f"""
import sys, time
from index.truth.address import read_server
from index.truth.postgres import Postgres
database = Postgres(read_server({str(server)!r}))
lock = database.lock()
lock.acquire()
with database.writing() as session:
    print("held", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    lock = database.lock()
    with pytest.raises(GalleryLockedError, match=rf"by process {child.pid} on .*: wait for it to finish"):
        lock.acquire()
    with pytest.raises(GalleryLockedError), database.writing():
        pass
    child.kill()
    child.communicate()
    for _ in range(100):
        try:
            lock.acquire()
            break
        except GalleryLockedError:
            continue
    assert lock.held
    patient = opened_on(server, 5.0)
    with patient.writing() as session:
        store.insert_faces(session, [new_face("after.png")])
    patient.close()
    assert paths(database) == {"after.png"}
    lock.release()


def test_a_connection_that_is_cut_undoes_its_block_and_the_next_is_as_if_nothing_had_been(
    server: Server, database: Postgres
) -> None:
    with pytest.raises(GalleryStorageError, match=r"PostgreSQL does not answer for .*: check that it runs"):
        with database.writing() as session:
            store.insert_faces(session, [new_face("lost.png")])
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            administer(server, f"SELECT pg_terminate_backend({pid})")
            store.count(session)
    assert paths(database) == set()
    with database.writing() as session:
        store.insert_faces(session, [new_face("kept.png")])
    assert paths(database) == {"kept.png"}


def test_a_connection_that_the_server_ended_between_two_questions_is_made_anew(
    server: Server, database: Postgres
) -> None:
    def asked_by() -> int:
        with database.glance() as session:
            return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)

    first = asked_by()
    assert asked_by() == first  # it is kept
    administer(server, f"SELECT pg_terminate_backend({first}, 5000)")
    assert asked_by() != first


def test_an_index_that_is_not_to_be_used_is_told(server: Server, database: Postgres) -> None:
    administer(
        server, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{server.schema}.face_of_photo'::regclass"
    )
    assert database.soundness() == ["the index face_of_photo is not to be used: REINDEX it"]
    database.rebuild_indexes()
    assert database.soundness() == []


def test_tables_that_are_gone_are_damage(server: Server, database: Postgres) -> None:
    administer(server, f"DROP TABLE {server.schema}.staged")
    with pytest.raises(GalleryCorruptError, match="is not a sound gallery database"), database.reading() as session:
        session.execute(text("SELECT * FROM staged"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"host": "127.0.0.1", "port": 1}, "does not answer"),
        ({"host": "no.such.host.invalid", "port": 5432}, "does not answer"),
        ({"database": "nowhere"}, "has no database for .* make it with createdb"),
        ({"username": "nobody_at_all"}, "refuses .* check the user|role"),
    ],
)
def test_a_server_that_is_not_as_the_address_says_is_told_in_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch, change: dict[str, str | int], expected: str
) -> None:
    monkeypatch.setenv("PGPASSWORD", HIDDEN)
    url = server.url.set(**change)  # type: ignore[arg-type]
    url = url.set(query={}) if "host" in change else url
    wrong = Server(url, server.gallery)
    database = opened_on(wrong)
    for doing in (lambda: paths(database), lambda: database.lock().acquire(), lambda: database.vacuum()):
        with pytest.raises(GalleryStorageError, match=expected) as raised:
            doing()
        assert HIDDEN not in str(raised.value) and "\n" not in str(raised.value)
    database.close()


def test_a_password_comes_from_the_environment_and_is_never_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hba = Path(str(administer(server, "SHOW hba_file")[0][0]))
    before = hba.read_text(encoding="utf-8")
    administer(server, f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{HIDDEN}'")
    hba.write_text(f"local all reader scram-sha-256\n{before}", encoding="utf-8")
    try:
        administer(server, "SELECT pg_reload_conf()")
        url = server.url.set(username="reader")
        for given, expected in ((None, "no password supplied"), ("wrong", "authentication failed")):
            monkeypatch.delenv("PGPASSWORD", raising=False)
            if given:
                monkeypatch.setenv("PGPASSWORD", given)
            database = opened_on(Server(url, server.gallery))
            with pytest.raises(GalleryStorageError, match=rf"{expected}.*: passwords are read from \$PGPASSWORD"):
                paths(database)
            database.close()
        monkeypatch.setenv("PGPASSWORD", HIDDEN)
        database = opened_on(Server(url, server.gallery))
        with pytest.raises(GalleryStorageError, match="permission denied") as raised:  # it may connect, no more
            paths(database)
        assert HIDDEN not in str(raised.value)
        database.close()
    finally:
        hba.write_text(before, encoding="utf-8")
        administer(server, "SELECT pg_reload_conf()")


def test_without_the_package_the_extra_is_named() -> None:
    code = "import sys; sys.modules['psycopg'] = None\nimport index.truth.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "GalleryStorageError: galleries on PostgreSQL need psycopg" in done.stderr
    assert "pip install 'facesearch[postgres]'" in done.stderr


def test_the_address_is_what_is_told(server: Server, database: Postgres) -> None:
    assert database.name == str(server) and read_server(database.name) == server


def test_descriptors_go_on_behind_as_many_as_sixteen_bits_can_count(database: Postgres, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        file = descriptor_slots.descriptor_file(session, tmp_path)
        assert file.append(unit_vectors(2_000, file.size, 1), committed=32_000) == 32_000
        assert file.append(unit_vectors(2_000, file.size, 2), committed=34_000) == 34_000
        raise ZeroDivisionError  # they belong to no face
