"""What every Database promises, whichever engine it is: one line in ENGINES puts another to the same tests."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import BigInteger, false, literal, select, union_all

from index.config import GalleryConfig
from index.errors import GalleryCorruptError, GalleryLockedError, GalleryStorageError
from index.truth import state, store
from index.truth.database import Database, SQLite
from index.truth.many import ascending, numbers
from tests.damage import full_disk
from tests.faces import new_face
from tests.servers import new_server, opened_on

CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 4, Path("/photos").absolute())
PATIENCE = 0.05  # seconds
Opened = Callable[[], Database]
"""Opens the one database of a test once more, with little patience."""


def sqlite(folder: Path) -> Database:
    return SQLite(folder / "gallery.db", patience=PATIENCE)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.cluster)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    all_: list[Database] = []
    server = new_server(request.getfixturevalue("postgres")) if request.param == "postgres" else None

    def another() -> Database:
        all_.append(sqlite(tmp_path) if server is None else opened_on(server, PATIENCE))
        return all_[-1]

    with another().writing() as session:
        state.create(session, CONFIG)
    yield another
    for database in all_:
        database.close()


def insert(database: Database, *numbers: int) -> list[int]:
    with database.writing() as session:
        ids = store.insert_faces(session, [new_face(f"{number}.png", identity="anna") for number in numbers])
        state.advance(session, removed=False)
        return ids


def content(database: Database) -> tuple[int, list[str]]:
    """How far it has come, and the paths that it holds."""
    with database.reading() as session:
        return state.state(session).generation, [face.path for face in store.page(session, None, 0)]


def test_a_glance_sees_what_is_committed_and_nothing_else(opened: Opened) -> None:
    first, second = opened(), opened()
    insert(first, 1)
    with first.writing() as session:
        store.insert_faces(session, [new_face("2.png")])
        with second.glance() as other:
            assert store.count(other) == 1
    with second.glance() as other:
        assert store.count(other) == 2


def test_many_numbers_come_as_they_are_by_the_first_of_each_row(opened: Opened) -> None:
    rows = [(2**62, -(2**63)), (3, 0), (-5, 2**63 - 1)]
    database = opened()
    with database.reading() as session:
        query = union_all(*(select(literal(a, BigInteger), literal(b, BigInteger)) for a, b in rows)).subquery()
        assert numbers(session, select(query)).tolist() == sorted(map(list, rows))
        assert ascending(session, select(query.c[1])).tolist() == sorted(b for _, b in rows)
        none = numbers(session, select(query).where(false()))
        assert none.shape == (0, 2) and none.dtype == np.int64


def test_what_is_written_is_there_for_everybody_and_after_closing(opened: Opened) -> None:
    first, second = opened(), opened()
    assert content(second) == (0, [])
    assert insert(first, 1, 2) == [1, 2]
    assert content(first) == content(second) == (1, ["1.png", "2.png"])
    first.close()
    second.close()
    assert content(opened()) == (1, ["1.png", "2.png"])


def test_a_reading_transaction_sees_one_state_while_a_writer_commits(opened: Opened) -> None:
    reader, writer = opened(), opened()
    insert(writer, 1)
    with reader.reading() as session:
        assert store.count(session) == 1  # from here on
        insert(writer, 2)
        with writer.writing() as other:
            store.remove(other, [1])
        assert [face.path for face in store.page(session, None, 0)] == ["1.png"]
        assert state.state(session).generation == 1
        assert store.paths(session) == {"1.png"}
    assert content(reader) == (2, ["2.png"])


def test_a_reader_does_not_keep_a_writer_waiting_nor_a_writer_a_reader(opened: Opened) -> None:
    reader, writer = opened(), opened()
    with reader.reading() as session:
        assert store.count(session) == 0
        with writer.writing() as other:
            store.insert_faces(other, [new_face("1.png")])
            assert content(reader) == (0, [])  # not committed yet


def test_a_block_that_raises_changes_nothing(opened: Opened) -> None:
    database = opened()
    insert(database, 1)
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        store.insert_faces(session, [new_face("2.png")])
        store.remove(session, [1])
        state.change(session, image_root="/elsewhere")
        assert store.paths(session) == {"2.png"}
        raise ZeroDivisionError
    assert content(database) == (1, ["1.png"])
    with database.reading() as session:
        assert state.config(session) == CONFIG
    assert insert(database, 3) == [2]  # and nobody is kept out


def test_a_rule_of_the_tables_that_is_broken_undoes_the_block(opened: Opened) -> None:
    database = opened()
    insert(database, 1)
    with pytest.raises(GalleryCorruptError), database.writing() as session:
        store.insert_faces(session, [new_face("2.png")])
        store.insert_faces(session, [new_face("1.png")])  # a path that is there
    assert content(database) == (1, ["1.png"])


@pytest.mark.parametrize("same", [True, False])
def test_two_writers_exclude_each_other(opened: Opened, same: bool) -> None:
    first = opened()
    second = first if same else opened()
    with first.writing() as session:
        store.insert_faces(session, [new_face("1.png")])
        started = time.monotonic()
        with pytest.raises(GalleryLockedError, match=r"another process has been writing for more than 0\.05 s; wait"):
            insert(second, 2)
        assert time.monotonic() - started >= PATIENCE
    assert insert(second, 2) == [2]
    assert content(first) == (1, ["1.png", "2.png"])


def test_a_writer_waits_for_another_that_is_quick(opened: Opened) -> None:
    databases = [opened() for _ in range(4)]

    def add(number: int) -> None:
        while True:
            try:
                insert(databases[number % 4], number)
                return
            except GalleryLockedError:
                continue

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(20)))
    generation, paths = content(opened())
    assert generation == 20 and sorted(paths) == sorted(f"{number}.png" for number in range(20))


def test_threads_may_share_it(opened: Opened) -> None:
    database = opened()

    def look(_: int) -> bool:
        generation, paths = content(database)
        return generation == len(paths)  # of one state

    with ThreadPoolExecutor(4) as threads:
        looks = threads.map(look, range(60))
        for number in range(20):
            insert(database, number)
        assert all(looks)
    assert content(database)[0] == 20


def test_a_sound_database_is_sound(opened: Opened) -> None:
    database = opened()
    insert(database, *range(50))
    with database.writing() as session:
        store.remove(session, range(1, 20))
    assert database.soundness() == []


def test_free_pages_are_given_back(opened: Opened) -> None:
    database = opened()
    ids = insert(database, *range(2_000))
    with database.writing() as session:
        store.remove(session, ids[10:])
    before = content(database)
    database.vacuum()
    assert content(database) == before and database.soundness() == []
    other = opened()
    with other.writing() as session:
        store.insert_faces(session, [new_face("late.png")])
        with pytest.raises(GalleryLockedError):
            database.vacuum()


def test_the_right_to_write_is_one_objects_at_a_time_and_its_holder_is_named(opened: Opened) -> None:
    first, second = opened().lock(), opened().lock()
    assert not first.held
    first.acquire()
    assert first.held and not second.held
    with pytest.raises(GalleryLockedError, match=rf"is being written by process {os.getpid()}\b.*; only one can write"):
        second.acquire()
    assert insert(opened(), 1) == [1]  # what it is for is the caller's to know
    first.release()
    assert not first.held
    second.acquire()
    second.release()


def test_an_id_is_never_given_twice(opened: Opened) -> None:
    database = opened()
    ids = insert(database, 1, 2, 3)
    with database.writing() as session:
        store.remove(session, ids)
    database.vacuum()
    database.close()
    assert insert(opened(), 4) == [4]


def test_indexes_are_made_anew(opened: Opened) -> None:
    database = opened()
    insert(database, *range(50))
    database.rebuild_indexes()
    assert database.soundness() == [] and len(content(database)[1]) == 50


def test_it_says_where_it_is(opened: Opened) -> None:
    first, second = opened(), opened()
    assert first.name == second.name != ""


# --- SQLite's own ---


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed database of some pages."""
    path = tmp_path / "gallery.db"
    database = SQLite(path)
    with database.writing() as session:
        state.create(session, CONFIG)
    insert(database, *range(400))
    database.close()
    return path


def test_its_connections_are_durable(path: Path) -> None:
    database = SQLite(path)
    names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
    with database.reading() as session:
        found = [session.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    database.close()
    assert found == ["wal", 2, 1, 1, 10_000]


@pytest.mark.parametrize("size", [0, 1, 100, 4096])
def test_reading_a_file_that_was_cut_off_leaves_it_as_it_is(path: Path, size: int) -> None:
    cut = path.read_bytes()[:size]
    path.write_bytes(cut)
    database = SQLite(path)
    with pytest.raises(GalleryCorruptError):
        content(database)
    database.close()
    assert path.read_bytes() == cut


def test_a_file_with_another_journal_gets_ours_from_who_writes(path: Path) -> None:
    plain = sqlite3.connect(path)  # as a copy by `VACUUM INTO` has it
    assert plain.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    plain.close()
    before = path.read_bytes()
    reader = SQLite(path)
    assert len(content(reader)[1]) == 400
    reader.close()
    assert path.read_bytes() == before
    writer = SQLite(path)
    insert(writer, 1_000)
    assert content(writer)[0] == 2
    writer.close()
    plain = sqlite3.connect(path)
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


def test_a_closed_database_is_one_file(path: Path) -> None:
    first, second = SQLite(path), SQLite(path)
    insert(first, 1_000)
    assert content(second)[0] == 2
    assert len(list(path.parent.iterdir())) > 1  # with the log
    first.close()
    second.close()
    assert [file.name for file in path.parent.iterdir()] == ["gallery.db"]
    handles = Path("/proc/self/fd")
    if handles.is_dir():
        assert str(path) not in {str(handle.readlink()) for handle in handles.iterdir() if handle.is_symlink()}


def test_space_is_given_back_to_the_disk(path: Path) -> None:
    database, before = SQLite(path), path.stat().st_size
    with database.writing() as session:
        store.remove(session, range(5, 400))
    database.vacuum()
    assert path.stat().st_size < before * 0.7
    database.close()


def test_a_damaged_page_is_found_whichever_it_is(path: Path) -> None:
    sound, size = path.read_bytes(), 4096
    assert len(sound) > 20 * size
    for start in range(size, len(sound), size):
        path.write_bytes(sound[:start] + bytes(size) + sound[start + size :])
        database = SQLite(path)
        try:
            assert database.soundness(), f"page {start // size + 1}"
        except GalleryCorruptError as error:
            assert "is not a sound gallery database" in str(error)
        finally:
            database.close()
    path.write_bytes(sound)
    database = SQLite(path)
    assert database.soundness() == []
    database.close()


def test_a_row_that_points_to_none_is_found(path: Path) -> None:
    plain = sqlite3.connect(path)  # which does not enforce it
    plain.execute("INSERT INTO record VALUES (1, 0, 9999, zeroblob(32), 0)")
    plain.commit()
    plain.close()
    database = SQLite(path)
    assert database.soundness() == ["a row of record points to no face"]
    database.close()
    with pytest.raises(GalleryCorruptError), database.writing() as session:
        session.exec_driver_sql("INSERT INTO record VALUES (1, 1, 9998, zeroblob(32), 0)")
    database.close()


def test_text_that_is_none_is_named(path: Path) -> None:
    content_ = path.read_bytes()
    assert content_.count(b"399.png") >= 1
    path.write_bytes(content_.replace(b"399.png", b"39\xff.png"))
    database = SQLite(path)
    with pytest.raises(GalleryCorruptError, match="Could not decode to UTF-8"):
        content(database)
    database.close()


def test_where_nothing_can_be_written_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    database = SQLite(path)
    assert content(database)[0] == 1 and database.soundness() == []
    with pytest.raises(GalleryStorageError, match="readonly"):
        insert(database, 1_000)
    with pytest.raises(GalleryStorageError, match="readonly"):
        database.vacuum()
    database.close()
    assert [file.name for file in path.parent.iterdir()] == ["gallery.db"]
    path.with_name("gallery.db-wal").write_bytes(b"not folded in")
    with pytest.raises(GalleryStorageError, match=r"cannot be written to and holds gallery\.db-wal: somebody"):
        content(SQLite(path))


def test_a_disk_that_refuses_is_named(path: Path) -> None:
    database = SQLite(path)
    with pytest.raises(GalleryStorageError, match=r"SQLite cannot use .* \(database or disk is full\); check the free"):
        with database.writing() as session:
            pages = session.exec_driver_sql("PRAGMA page_count").scalar()
            session.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            store.insert_faces(session, [new_face(f"more/{number}.png") for number in range(1_000)])
    assert content(database)[0] == 1 and database.soundness() == []
    database.close()


@pytest.mark.parametrize("logged", [False, True])
def test_where_the_disk_is_full_it_is_read_with_all_that_was_committed(
    path: Path, tmp_path: Path, logged: bool
) -> None:
    writer = SQLite(path)
    insert(writer, 1_000)
    left = tmp_path / "left" / "gallery.db"  # as a writer leaves it that was killed, or that ended
    left.parent.mkdir()
    if not logged:
        writer.close()
    for file in path.parent.glob("gallery.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, left.with_name(file.name))
    writer.close()
    assert logged == left.with_name("gallery.db-wal").exists()
    with full_disk():
        database = SQLite(left)
        assert content(database)[0] == 2 and len(content(database)[1]) == 401
        with pytest.raises(GalleryStorageError, match="check the free space"):
            insert(database, 1_001)
        database.close()
    after = SQLite(left)
    assert insert(after, 1_002) and len(content(after)[1]) == 402
    after.close()


def test_who_reads_on_a_full_disk_sees_what_another_commits_when_there_is_room(path: Path) -> None:
    with full_disk():
        reader = SQLite(path)
        assert len(content(reader)[1]) == 400
    insert(writer := SQLite(path), 1_000)
    assert len(content(reader)[1]) == 401
    for database in (reader, writer):
        database.close()
