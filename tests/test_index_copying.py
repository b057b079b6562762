"""A copy of a gallery is the gallery, wherever it lies, and nothing before it is whole."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from index.care.copy_target import begun
from index.care.copying import Copied, copy
from index.errors import (
    AddressError,
    GalleryBusyError,
    GalleryCorruptError,
    GalleryExistsError,
    GalleryLockedError,
    GalleryNotFoundError,
    GalleryStorageError,
    GalleryUnfinishedError,
)
from index.folders import WriterLock
from index.gallery import Gallery, Labels
from index.search.plan import read_requirements
from index.truth.address import Address, Server, read_address
from index.where import parse
from tests.copies import CONFIG, NEXT_SIZE, SIZE, STEP, database_of, descriptors, fill, tables
from tests.damage import full_disk
from tests.faces import new_face, numbered, unit_vectors
from tests.servers import administer, new_address

Place = Callable[[str], Address]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A new place of a kind: "folder" or "server"."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    made: list[str] = []

    def new(kind: str) -> Address:
        made.append(kind)
        if kind == "folder":
            return tmp_path / f"db{len(made)}"
        return read_address(new_address(request.getfixturevalue("postgres")))

    return new


BOTH = [
    ("folder", "folder"),
    *(
        pytest.param(*kinds, marks=pytest.mark.cluster)
        for kinds in (("folder", "server"), ("server", "folder"), ("server", "server"))
    ),
]
KINDS = ["folder", pytest.param("server", marks=pytest.mark.cluster)]


def copied(source: Address, target: Address, **given: Any) -> Copied:
    folder, database = database_of(source)
    try:
        with begun(target) as begun_there:
            return copy(folder, database, begun_there, **given)
    finally:
        database.close()


def found(place: Address) -> list[Any]:
    """What searches find, with conditions and without."""
    queries = unit_vectors(4, SIZE, 99)
    with Gallery.open(place) as gallery:
        return [
            [(match.face, round(match.distance, 5)) for match in one]
            for where in (None, parse("identity = 'strasse' or pose > 0"), parse("person = 2 or path like '%PARTY%'"))
            for one in gallery.search_many(queries, 5, where=where)
        ]


def require_equal(one: Address, other: Address) -> None:
    assert tables(one) == tables(other)
    assert descriptors(one) == descriptors(other)
    assert found(one) == found(other)
    for place in (one, other):
        with Gallery.open(place) as gallery:
            assert gallery.verify().sound
            assert read_requirements(gallery.folder).recall == 0.95


@pytest.mark.parametrize(("first", "second"), BOTH)
def test_every_table_every_descriptor_and_every_answer_is_the_same_and_back_again(
    place: Place, first: str, second: str
) -> None:
    one, other, back = place(first), place(second), place(first)
    fill(one)
    before = tables(one)
    assert all(before.values()), "a table without rows would show nothing"
    assert len({file for file, _ in descriptors(one)}) == 2
    with Gallery.open(one) as gallery:
        done = gallery.copy(other)
    assert done == Copied(faces=27, rows=sum(len(rows) for name, rows in before.items() if name != "given"))
    require_equal(one, other)
    with Gallery.open(other) as gallery:
        gallery.copy(back)
    require_equal(one, back)
    assert tables(one) == before  # it was only read
    if isinstance(one, Path) and isinstance(back, Path):
        for name in ("descriptors-1.f16", "descriptors-2.f16", "search.json"):  # zeros at the end were a face's
            assert (one / name).read_bytes().rstrip(b"\0") == (back / name).read_bytes().rstrip(b"\0")


@pytest.mark.parametrize(("first", "second"), BOTH)
def test_an_empty_gallery_is_copied_too(place: Place, first: str, second: str) -> None:
    one, other = place(first), place(second)
    with Gallery.create(one, CONFIG) as gallery:
        assert gallery.copy(other) == Copied(faces=0, rows=1)
    assert tables(one)["gallery"] == tables(other)["gallery"]
    with Gallery.open(other) as gallery:
        assert gallery.add([new_face("a.png")], numbered(SIZE, 1)) == [1]


@pytest.mark.parametrize(("first", "second"), BOTH)
def test_a_copy_goes_on_as_the_first_would_have(place: Place, first: str, second: str) -> None:
    one, other = place(first), place(second)
    fill(one)
    copied(one, other)
    new = [new_face("new.png", 0, sha256="e" * 64), new_face("p/6.png", 15, sha256=f"{6:064x}")]
    ids = []
    for here in (one, other):
        with Gallery.open(here) as gallery:
            ids.append(gallery.add(new, numbered(SIZE, 77, 78)))
            gallery.redescribing.stage([gallery.get(ids[-1][:1])[0]], numbered(NEXT_SIZE, 5))
    assert ids[0] == ids[1] and ids[0][0] == 34  # no id is given again
    assert found(one) == found(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_a_copy_that_is_killed_again_and_again_goes_on_where_it_was(place: Place, kind: str) -> None:
    source, target = place("folder"), place(kind)
    fill(source)
    rows, runs = 0, 0
    while True:
        command = [sys.executable, "-m", "tests.copies", str(source), str(target), str(15 + 16 * runs)]
        run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        runs += 1
        if run.returncode == 0:
            break
        assert run.returncode == -9, run.stderr
        for ask in (Gallery.open, lambda there: Gallery.create(there, CONFIG)):
            with pytest.raises(GalleryUnfinishedError, match=r"half of a copy.* run the same .* copy. again"):
                ask(target)
        assert runs < 20
    now, before = map(int, run.stdout.split())
    rows = sum(len(some) for name, some in tables(source).items() if name != "given")
    assert runs > 2 and before > 0 and now + before == rows
    require_equal(source, target)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_at_whatever_moment_it_is_killed_the_next_run_makes_it_whole(place: Place, kind: str) -> None:
    source = place("folder")
    fill(source)
    for moment in range(1, 60):
        target = place(kind)
        command = [sys.executable, "-m", "tests.copies", str(source), str(target), str(moment)]
        run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        if run.returncode == 0:
            assert moment > 20
            return
        with pytest.raises((GalleryUnfinishedError, GalleryNotFoundError)):
            Gallery.open(target)
        copied(source, target)
        require_equal(source, target)
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_copied_of_another_state_is_copied_anew(place: Place, kind: str) -> None:
    source, target = place("folder"), place(kind)
    fill(source)
    with pytest.raises(ZeroDivisionError):
        copied(source, target, progress=lambda what, done, of: 1 // (done < 70), step=STEP)
    with Gallery.open(source) as gallery:
        gallery.update_labels({1: Labels.given("hand", identity="another")})
    done = copied(source, target)
    assert done.anew and done.before == 0
    require_equal(source, target)
    assert not copied(source, place(kind)).anew


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_there_already_is_compared_and_another_gallery_is_left_alone(place: Place, kind: str) -> None:
    source, target = place(kind), place(kind)
    fill(source)
    with Gallery.open(source) as gallery:
        first, again = gallery.copy(target), gallery.copy(target)
        assert (again.rows, again.before) == (0, first.rows)
        with Gallery.open(target) as other:
            other.update_labels({1: Labels.given("hand", identity="another")})
        kept = tables(target)
        with pytest.raises(GalleryExistsError, match="is another gallery already: give another place"):
            gallery.copy(target)
    assert tables(target) == kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_in_between_is_told_and_the_copy_is_as_it_was(place: Place, kind: str) -> None:
    source, target, before = place(kind), place("folder"), place("folder")
    fill(source)
    copied(source, before)
    written: list[int] = []

    def write(what: str, done: int, of: int) -> None:
        if not written and done > 20:
            with Gallery.open(source) as gallery:
                written.append(gallery.update_labels({1: Labels.given("hand", identity="another")}))
                gallery.add([new_face("new.png", sha256="e" * 64)], numbered(SIZE, 77))

    assert copied(source, target, progress=write, step=STEP).changed
    require_equal(before, target)


def test_descriptors_that_are_erased_meanwhile_in_a_folder_are_told_as_that(place: Place) -> None:
    source, target = place("folder"), place("folder")
    fill(source)

    removed: list[int] = []

    def remove(what: str, done: int, of: int) -> None:
        if not removed:
            with Gallery.open(source) as gallery:
                removed.append(gallery.remove(gallery.ids().tolist()[-5:]))

    with pytest.raises(GalleryBusyError, match="was changed while it was copied: run the copy again"):
        copied(source, target, progress=remove, step=STEP)
    assert copied(source, target).anew
    require_equal(source, target)


@pytest.mark.cluster
def test_faces_that_are_removed_meanwhile_on_a_server_are_in_the_copy(place: Place) -> None:
    source, target, before = place("server"), place("server"), place("folder")
    fill(source)
    copied(source, before)
    removed: list[int] = []

    def remove(what: str, done: int, of: int) -> None:
        if not removed:
            with Gallery.open(source) as gallery:
                removed.append(gallery.remove(gallery.ids().tolist()[-5:]))

    assert copied(source, target, progress=remove, step=STEP).changed
    require_equal(before, target)


def test_places_that_cannot_be_meant_are_refused(place: Place, tmp_path: Path) -> None:
    source, target = place("folder"), place("folder")
    assert isinstance(source, Path) and isinstance(target, Path)
    with pytest.raises(GalleryNotFoundError):
        Gallery.open(source)
    fill(source)
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with Gallery.open(source) as gallery:
        for same in (source, source / ".." / source.name, tmp_path / "link"):
            with pytest.raises(AddressError, match="is the gallery itself"):
                gallery.copy(same)
        with pytest.raises(AddressError, match="lies in the gallery's own folder"):
            gallery.copy(source / "inside" / "deeper")
        with pytest.raises(GalleryExistsError, match="is there already: give a folder that does not exist yet"):
            gallery.copy(tmp_path / "full")
        (tmp_path / "file").write_text("x")
        with pytest.raises(GalleryExistsError, match="is there already"):
            gallery.copy(tmp_path / "file")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine" and not (source / "inside").exists()


@pytest.mark.cluster
def test_a_servers_gallery_is_not_copied_onto_itself_nor_where_copies_lie(place: Place, tmp_path: Path) -> None:
    source = place("server")
    fill(source)
    with Gallery.open(source) as gallery:
        with pytest.raises(AddressError, match="is the gallery itself"):
            gallery.copy(str(source))
        with pytest.raises(AddressError, match="lies in the gallery's own folder"):
            gallery.copy(gallery.folder / "inside")


@pytest.mark.parametrize(
    "change", ["UPDATE face SET pose = 33 WHERE id = 9", "UPDATE kept SET identity = 'x'", "DELETE FROM gallery"]
)
def test_rows_that_are_not_what_was_written_go_nowhere(place: Place, change: str) -> None:
    source, target = place("folder"), place("folder")
    fill(source)
    connection = sqlite3.connect(source / "gallery.db")  # type: ignore[operator]
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(GalleryCorruptError):
        Gallery.open(source)
    with pytest.raises(GalleryCorruptError):
        copied(source, target)
    with pytest.raises(GalleryUnfinishedError):
        Gallery.open(target)


@pytest.mark.parametrize("kind", KINDS)
def test_a_descriptor_that_is_not_what_was_stored_goes_nowhere(place: Place, kind: str) -> None:
    source, target = place(kind), place("folder")
    fill(source)
    if isinstance(source, Server):
        administer(
            source,
            f"UPDATE {source.schema}.descriptor SET content = set_byte(content, 3, 7) WHERE file = 1 AND slot = 20",
        )
    else:
        content = bytearray((source / "descriptors-1.f16").read_bytes())
        content[20 * 2 * SIZE + 3] ^= 16
        (source / "descriptors-1.f16").write_bytes(content)
    with pytest.raises(GalleryCorruptError, match=r"is damaged: the descriptor of face 21 is not what was stored: run"):
        copied(source, target)
    with pytest.raises(GalleryUnfinishedError):
        Gallery.open(target)
    with Gallery.open(source, damaged=True) as gallery:
        gallery.repair()
    copied(source, target)  # goes on, or begins anew
    require_equal(source, target)


@pytest.mark.parametrize("what", ["descriptors-1.f16", "gallery.db.copy"])
def test_a_copy_that_does_not_hold_what_came_is_found_at_the_end_and_thrown_away(place: Place, what: str) -> None:
    source, target = place("folder"), place("folder")
    assert isinstance(target, Path)
    fill(source)

    def damage(step: str, done: int, of: int) -> None:
        if done < of - 5 or step != "copying":
            return
        if what.endswith(".f16"):
            with (target / what).open("r+b") as file:
                file.seek(50)
                file.write(b"\1\2\3")
        else:
            connection = sqlite3.connect(target / what)
            connection.execute("UPDATE face SET identity = 'x' WHERE id = 9")
            connection.commit()
            connection.close()

    with pytest.raises(GalleryCorruptError, match=r"does not hold what was copied to it \(.*\): look at the disk"):
        copied(source, target, progress=damage, step=STEP)
    with pytest.raises(GalleryUnfinishedError):
        Gallery.open(target)
    assert copied(source, target).before == 0
    require_equal(source, target)


def test_what_lies_in_the_place_of_half_a_copy_is_not_believed(place: Place) -> None:
    source, target = place("folder"), place("folder")
    assert isinstance(target, Path)
    fill(source)
    target.mkdir()
    for content in (b"", b"no database at all" * 999):
        (target / "gallery.db.copy").write_bytes(content)
        copied(source, target)
        require_equal(source, target)
        shutil.rmtree(target)
        target.mkdir()
    connection = sqlite3.connect(target / "gallery.db.copy")
    connection.execute("CREATE TABLE face (id INTEGER)")
    connection.execute("CREATE TRIGGER t AFTER INSERT ON face BEGIN DELETE FROM face; END")
    connection.commit()
    connection.close()
    copied(source, target)
    require_equal(source, target)


def test_half_a_copy_is_no_gallery_to_copy(place: Place) -> None:
    source, target = place("folder"), place("folder")
    fill(source)
    with pytest.raises(ZeroDivisionError):
        copied(source, target, progress=lambda what, done, of: 1 // 0, step=STEP)
    with pytest.raises(GalleryUnfinishedError):
        Gallery.open(target)
    assert isinstance(target, Path) and not (target / "gallery.db").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_two_copies_to_one_place_do_not_meet(place: Place, kind: str) -> None:
    source, target = place("folder"), place(kind)
    fill(source)

    def again(what: str, done: int, of: int) -> None:
        with pytest.raises(GalleryLockedError):
            copied(source, target)

    copied(source, target, progress=again, step=50)
    require_equal(source, target)


def test_a_full_disk_keeps_what_was_copied(place: Place) -> None:
    source, target = place("folder"), place("folder")
    fill(source)
    with pytest.raises(ZeroDivisionError):
        copied(source, target, progress=lambda what, done, of: 1 // (done < 40), step=STEP)
    with full_disk(), pytest.raises(GalleryStorageError, match=r"is not whole yet: run the same copy again"):
        copied(source, target)
    assert copied(source, target).before >= 40
    require_equal(source, target)


@pytest.mark.cluster
@pytest.mark.parametrize(("first", "second"), [("server", "folder"), ("folder", "server")])
def test_a_server_that_goes_away_half_way_keeps_what_was_copied(place: Place, first: str, second: str) -> None:
    source, target = place(first), place(second)
    fill(source)
    server = source if isinstance(source, Server) else target
    assert isinstance(server, Server)
    done = 0

    def cut(*happening: object) -> None:
        nonlocal done
        done += 1
        if done > 9:  # steps, or transactions before they are committed
            administer(
                server,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid != pg_backend_pid() AND application_name LIKE 'facesearch%'",
            )

    if server is target:
        event.listen(Engine, "commit", cut)
    try:
        with pytest.raises(GalleryStorageError, match=r"does not answer .* is not whole yet: run the same copy again"):
            copied(source, target, progress=cut if server is source else None, step=STEP)
    finally:
        if server is target:
            event.remove(Engine, "commit", cut)
    with pytest.raises(GalleryUnfinishedError):
        Gallery.open(target)
    again = copied(source, target)
    assert again.before > 20 and not again.anew
    require_equal(source, target)


@pytest.mark.cluster
def test_who_made_a_gallery_there_meanwhile_keeps_it(place: Place) -> None:
    source, target = place("folder"), place("server")
    fill(source)
    assert isinstance(target, Server)

    def made(what: str, done: int, of: int) -> None:
        administer(target, f"CREATE SCHEMA IF NOT EXISTS {target.schema}")

    with pytest.raises(GalleryExistsError, match="has become a gallery meanwhile"):
        copied(source, target, progress=made)


def test_a_copy_is_believed_as_its_first_was_and_needs_no_second_look(place: Place) -> None:
    source, target = place("folder"), place("folder")
    assert isinstance(target, Path)
    fill(source)
    copied(source, target)
    noted = json.loads((target / "checked.json").read_text())
    assert {"gallery.db", "descriptors-1.f16", "descriptors-2.f16"} <= set(noted)
    assert not list(target.glob("gallery.db.copy*"))
    lock = WriterLock(target)
    lock.acquire()
    lock.release()
