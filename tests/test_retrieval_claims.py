"""Several runs over different folders of one gallery at once, where the gallery is on a server."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from faceedit.errors import UsageError
from index.errors import GalleryLockedError, GalleryStorageError
from index.gallery import Gallery
from index.search.plan import EXACT, FLAT, HNSW, IVF, Planner, Requirements
from index.truth.address import read_server
from index.truth.database import Lock
from index.truth.rights import TURN, WHOLE, Right, claim
from index.writing import Patience
from retrieval.face_search import FaceSearch
from retrieval.run_reports import IndexReport
from tests.servers import administer, new_address, opened_on
from tests.stand_ins import HashEditor, ReadsHere, believing
from tests.test_retrieval_shards import everything, index, save, search_in

Progress = Callable[[str, int, int], None]


@pytest.fixture
def place(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a gallery that nobody has made yet."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    return new_address(postgres)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six pictures in each of three folders, one within another; and a gallery's folder that is above them."""
    for number, folder in enumerate(("a", "a/x", "b")):
        for n in range(6):
            save(tmp_path / "photos" / folder / f"{n}.png", 100 * number + n)
    save(tmp_path / "photos" / "0.png", 900)
    return tmp_path / "photos"


@pytest.fixture
def known(place: str, photos: Path) -> str:
    """The address of a gallery of one picture, whose images' folder holds all others."""
    index(place, photos, exclude=["a", "b"])
    return place


def during(do: Callable[[], object]) -> tuple[Progress, list[object]]:
    """A progress that does this once, after a run's look at its files and before it keeps any; and what came of it."""
    came: list[object] = []

    def told(what: str, done: int, of: int) -> None:
        if not came:
            try:
                came.append(do())
            except GalleryLockedError as error:
                came.append(error)

    return told, came


def run(place: str, folder: Path, meanwhile: Callable[[], object], **wishes: Any) -> tuple[IndexReport, Any]:
    told, came = during(meanwhile)
    report = index(place, folder, progress=told, **wishes)
    return report, came[0]


# --- rights ---

PAIRS = (
    (claim("a"), claim("b"), None),
    (claim("a"), claim("ab"), None),
    (claim("a/x"), claim("a/y"), None),
    (claim("a"), claim("a"), "a, or a folder in it, is being indexed"),
    (claim("a"), claim("a/x/y"), "a, which a/x/y lies in, is being indexed"),
    (claim("a/x/y"), claim("a"), "a, or a folder in it, is being indexed"),
    (claim("a"), WHOLE, "only one can write at a time"),
    (WHOLE, claim("a"), "only one can write at a time"),
    (WHOLE, TURN, "only one can write at a time"),
    (TURN, WHOLE, "only one can write at a time"),
    (TURN, TURN, "only one can write at a time"),
    (claim("a"), TURN, None),
    (TURN, claim("a"), None),
)


@pytest.mark.cluster
@pytest.mark.parametrize(("first", "second", "refused"), PAIRS)
def test_which_rights_exclude_each_other(place: str, first: Right, second: Right, refused: str | None) -> None:
    server = read_server(place)
    one, two = opened_on(server), opened_on(server)
    mine, other = one.lock(first), two.lock(second)
    mine.acquire()
    if refused is None:
        other.acquire(0.05)
        other.release()
    else:
        with pytest.raises(GalleryLockedError, match=rf"{refused}.* process {os.getpid()} on |process .*{refused}"):
            other.acquire(0.05)
    mine.release()
    other.acquire()
    other.require()
    other.release()
    one.close()
    two.close()


@pytest.mark.cluster
def test_a_server_gives_up_on_a_machine_that_was_lost_within_a_minute_and_a_half(place: str) -> None:
    """Else what that had locked stays locked for hours."""
    database = opened_on(read_server(place))
    with database.glance() as session:
        rows = session.execute(text("SELECT name, reset_val::int FROM pg_settings WHERE name LIKE 'tcp%'"))
        alive: dict[str, int] = {name: value for name, value in rows}
    database.close()
    idle, interval, count = (alive[f"tcp_keepalives_{name}"] for name in ("idle", "interval", "count"))
    assert 0 < idle + interval * count <= 90 and 0 < alive["tcp_user_timeout"] <= 90_000


@pytest.mark.cluster
def test_galleries_of_one_database_do_not_wait_for_one_another(place: str) -> None:
    server = read_server(place)
    for right in (WHOLE, TURN, claim("a")):
        databases = [opened_on(server), opened_on(replace(server, gallery="another"))]
        locks = [database.lock(right) for database in databases]
        for lock in locks:
            lock.acquire()
        for lock, database in zip(locks, databases, strict=True):
            lock.release()
            database.close()


SHORT = Patience(quiet=0.2)


def until_told(log: pytest.LogCaptureFixture) -> list[str]:
    """What somebody who waits is told, once that is so."""
    deadline = time.monotonic() + 60
    while not log.records and time.monotonic() < deadline:
        time.sleep(0.02)
    return [record.getMessage() for record in log.records]


@contextmanager
def turn_of_another(known: str) -> Iterator[Lock]:
    """Somebody else has its turn in the block, until it is given back."""
    database = opened_on(read_server(known))
    turn = database.lock(TURN)
    turn.acquire()
    try:
        yield turn
    finally:
        turn.release()
        database.close()


@pytest.mark.cluster
def test_who_has_finished_waits_as_long_as_another_has_its_turn_and_is_told_whose(
    place: str, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A build of the index may take an hour, and the engine has to learn of what this one did."""
    with search_in(place) as faces:
        faces.create(photos, "pgvector")
        faces.index(photos)

    def end() -> list[str]:
        told = until_told(caplog)
        turn.release()
        return told

    with Gallery.open(place, patience=SHORT) as gallery, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        with gallery.claiming("a") as beside:
            gallery.remove([next(gallery.faces()).id])
            assert beside and gallery.lag == 1
            turn = stack.enter_context(turn_of_another(place))
            ending = pool.submit(end)
        assert ending.result() == [f"{held_by_us(place)}: waiting until it has finished"] and gallery.lag == 0


@pytest.mark.cluster
def test_who_has_finished_waits_for_nobody_where_nothing_is_left_to_do(known: str) -> None:
    with Gallery.open(known, patience=SHORT) as gallery, ExitStack() as stack:
        began = time.monotonic()
        with gallery.claiming("a"):
            stack.enter_context(turn_of_another(known))
        assert time.monotonic() - began < SHORT.quiet


@pytest.mark.cluster
@pytest.mark.parametrize("notes", ["", "notes"])
def test_a_run_waits_for_its_turns_however_impatient_hands_are(
    known: str, photos: Path, notes: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For that which it begins with, how faces are cut out, and for that which it ends with, files passed over."""
    if notes:
        (photos / "b" / "notes.txt").write_text(notes)
    wishes: dict[str, Any] = {} if notes else {"faces": "aligned"}

    with turn_of_another(known) as turn, ThreadPoolExecutor(1) as pool:
        with search_in(known, patience=Patience(0.2, 0.2)) as faces:
            running = pool.submit(faces.index, photos / "b", **wishes)
            assert until_told(caplog) == [f"{held_by_us(known)}: waiting until it has finished"]
            turn.release()
            assert running.result().described == 6


@pytest.mark.cluster
def test_a_run_that_waits_can_be_given_up(known: str, photos: Path) -> None:
    """As a job of a server, by what its progress raises."""

    class GivenUpError(Exception):
        pass

    def told(what: str, done: int, of: int) -> None:
        calls.append(done)
        if len(calls) > 2:
            raise GivenUpError

    calls: list[int] = []
    with turn_of_another(known), search_in(known, patience=SHORT) as faces, pytest.raises(GivenUpError):
        faces.index(photos / "b", progress=told)
    assert set(calls) == {0}
    assert index(known, photos / "b").described == 6


@pytest.mark.cluster
def test_who_waits_longer_has_its_turn_earlier(known: str, caplog: pytest.LogCaptureFixture) -> None:
    """Else of many that write some wait for ever."""
    order: list[str] = []

    def had(gallery: Gallery, name: str, patience: float) -> None:
        with gallery.turn(patience, lambda: None):
            order.append(name)

    with turn_of_another(known) as turn, Gallery.open(known, patience=SHORT) as one, Gallery.open(known) as other:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(had, one, "first", 600.0)
            until_told(caplog)
            second = pool.submit(had, other, "second", 600.0)
            time.sleep(1.5)  # longer than anybody waits without a word
            turn.release()
            first.result()
            second.result()
    assert order == ["first", "second"]


@pytest.mark.cluster
@pytest.mark.parametrize("quiet", [0.0, 0.01])
def test_who_wants_to_be_told_at_once_waits_none_the_less(known: str, quiet: float) -> None:
    with turn_of_another(known) as turn, search_in(known, patience=Patience(quiet)) as faces:
        with ThreadPoolExecutor(1) as pool:
            labelling = pool.submit(faces.label, "0.png", identity="anna")
            time.sleep(0.5)
            assert not labelling.done()
            turn.release()
            assert labelling.result() == 1


@pytest.mark.cluster
def test_a_hand_that_asks_for_nonsense_is_told_at_once(known: str) -> None:
    with turn_of_another(known), search_in(known) as faces:
        with pytest.raises(UsageError, match="no whole number"):
            faces.label("0.png", pose="abc")
        with pytest.raises(UsageError, match=r"holds no image 'nobody\.png'"):
            faces.label("nobody.png", identity="anna")


@pytest.mark.cluster
def test_a_hand_waits_while_another_has_its_turn_and_is_told_who(known: str, caplog: pytest.LogCaptureFixture) -> None:
    with turn_of_another(known) as turn, search_in(known, patience=SHORT) as faces, ThreadPoolExecutor(1) as pool:
        labelling = pool.submit(faces.label, "0.png", identity="anna")
        assert until_told(caplog) == [f"{held_by_us(known)}: waiting for up to 10 minutes"]
        assert not labelling.done()
        turn.release()
        assert labelling.result() == 1


@pytest.mark.cluster
def test_hands_of_one_process_wait_no_longer_than_one_of_them_would(known: str) -> None:
    """As those of a server's clients, whose threads others need."""
    count, patience = 8, Patience(0.5, 0.5)
    with (
        turn_of_another(known) as turn,
        search_in(known, patience=patience) as faces,
        ThreadPoolExecutor(count) as pool,
    ):
        began = time.monotonic()
        hands = [pool.submit(faces.label, "0.png", identity="anna") for _ in range(count)]
        refused = [str(hand.exception()) for hand in hands]
        assert time.monotonic() - began < 0.5 * count
        assert all("is being written by" in text and "try again" in text for text in refused)
        turn.release()
        assert faces.label("0.png", identity="anna") == 1


def held_by_us(gallery: str) -> str:
    return f"the gallery {gallery} is being written by process {os.getpid()} on {socket.gethostname()}"


@pytest.mark.cluster
def test_a_hand_does_not_wait_for_long_for_who_has_all_of_the_gallery(
    known: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A redescription, for one, takes hours."""
    database = opened_on(read_server(known))
    whole = database.lock(WHOLE)
    whole.acquire()
    with (
        search_in(known, patience=SHORT) as faces,
        pytest.raises(GalleryLockedError, match=f"by process {os.getpid()} "),
    ):
        faces.label("0.png", identity="anna")
    assert not caplog.records
    whole.release()
    database.close()


@pytest.mark.cluster
def test_who_waits_for_all_of_it_keeps_nobody_from_a_turn(place: str) -> None:
    database = opened_on(read_server(place))
    mine, whole, turn = database.lock(claim("a")), database.lock(WHOLE), database.lock(TURN)
    mine.acquire()
    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(whole.acquire, 3.0)
        time.sleep(0.3)
        began = time.monotonic()
        turn.acquire(5.0)
        assert time.monotonic() - began < 2
        turn.release()
        mine.release()
        waits.result()
    whole.release()
    database.close()


# --- runs ---


@pytest.mark.cluster
def test_two_runs_over_different_folders_go_side_by_side(known: str, photos: Path) -> None:
    shutil.copy(photos / "b" / "1.png", photos / "a" / "copy.png")
    mine, others = run(known, photos / "a", lambda: index(known, photos / "b"))
    assert (others.described, mine.described, mine.duplicates) == (6, 12, 1)
    assert "is being written by process" in str(others.not_searched) and mine.search is not None
    together = everything(known)
    assert len(together["rows"]) == 20
    last = index(known, photos)
    assert (last.described, last.unchanged, last.search is not None) == (0, 20, True)
    assert everything(known) == together


@pytest.mark.cluster
def test_a_run_reads_while_another_builds_the_index_and_keeps_it_afterwards(known: str, photos: Path) -> None:
    """However long that takes."""
    index(known, photos / "a")
    others: list[Future[IndexReport]] = []
    read: list[Path] = []
    reading = Event()

    def reads(path: Path) -> Any:
        read.append(path)
        if len(read) == 3:  # a batch
            reading.set()
        return believing()(path)

    def run_beside() -> IndexReport:
        with FaceSearch(known, describer=HashEditor(), reader=ReadsHere(most=3, crops=reads)) as faces:
            return faces.index(photos / "b")

    def told(what: str, done: int, of: int) -> None:
        if others:
            return
        others.append(pool.submit(run_beside))
        assert reading.wait(60)
        with Gallery.open(known) as gallery:
            assert not others[0].done() and len(gallery) == 13

    flat = Planner({EXACT: 10**9, FLAT: 0, IVF: 10**9, HNSW: 10**9})
    with ThreadPoolExecutor(1) as pool, Gallery.open(known) as gallery:
        gallery.prepare(Requirements(recall=0.1, max_ms=10_000), told, flat)
        report = others[0].result()
    assert report.described == 6 and report.search is not None


@pytest.mark.cluster
def test_many_at_the_same_time_make_what_one_run_makes(known: str, photos: Path, postgres: str) -> None:
    for n in range(20):
        save(photos / "c" / f"{n}.png", 300 + n)
        save(photos / "d" / "e" / f"{n}.png", 310 + n)  # half of them copies of those
    folders = ["a", "b", "c", "d/e"]
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda name: index(known, photos / name), folders))
    assert sum(one.described + one.duplicates for one in reports) >= 58
    whole = new_address(postgres)
    index(whole, photos)
    assert everything(known) == everything(whole)


@pytest.mark.cluster
@pytest.mark.parametrize(("mine", "other"), [("a", "a"), ("a", "a/x"), ("a/x", "a"), ("a", ""), ("", "b")])
def test_of_two_folders_one_in_the_other_the_second_is_refused_with_the_holder(
    known: str, photos: Path, mine: str, other: str
) -> None:
    report, refused = run(known, photos / mine, lambda: index(known, photos / other))
    assert isinstance(refused, GalleryLockedError)
    assert f"by process {os.getpid()} on " in str(refused) and "\n" not in str(refused)
    assert report.described > 0 and report.search is not None
    assert index(known, photos / other).described >= 0


@pytest.mark.cluster
@pytest.mark.parametrize("what", ["compact", "redescribe", "prune", "level", "whose", "relocate"])
def test_what_concerns_the_whole_gallery_waits_for_nobody_and_is_refused(known: str, photos: Path, what: str) -> None:
    def whole() -> object:
        with FaceSearch(known, describer=HashEditor("other"), reader=ReadsHere(crops=None)) as other:
            if what == "redescribe":
                return other.redescribe()
            if what == "relocate":
                return other.relocate(photos)
        if what == "compact":
            with search_in(known) as faces:
                return faces.compact()
        wishes: dict[str, dict[str, Any]] = {
            "prune": {"prune": True},
            "level": {"identity_level": 1},
            "whose": {"identity_of": "largest"},
        }
        return index(known, photos / "b", **wishes[what])

    report, refused = run(known, photos / "a", whole)
    assert isinstance(refused, GalleryLockedError) and report.described == 12
    whole()


@pytest.mark.cluster
def test_a_hand_may_label_remove_and_hide_meanwhile(known: str, photos: Path) -> None:
    index(known, photos / "a")
    for n in range(6):
        os.utime(photos / "a" / f"{n}.png", ns=(5, 5))
    save(photos / "a" / "new.png", 950)
    shutil.copy(photos / "a" / "x" / "3.png", photos / "a" / "copy.png")

    def by_hand() -> int:
        with search_in(known) as faces:
            faces.remove("a/x/3.png", hide=True)
            faces.remove("a/x/4.png", hide=False)
            return faces.label("a/1.png", "a/x/1.png", identity="meanwhile")

    report, labelled = run(known, photos / "a", by_hand)
    assert labelled == 2 and (report.described, report.hidden) == (1, 1)
    with Gallery.open(known) as gallery:
        named = gallery.faces_at(["a/1.png", "a/x/1.png", "a/copy.png", "a/x/4.png", "a/new.png"])
        assert {path: face.labels.identity for path, face in named.items()} == {
            "a/1.png": "meanwhile",
            "a/x/1.png": "meanwhile",
            "a/new.png": "a",
        }
        assert gallery.verify().sound


@pytest.mark.cluster
def test_a_file_keeps_its_labels_and_id_wherever_it_goes_meanwhile(known: str, photos: Path) -> None:
    index(known, photos)
    with search_in(known) as faces:
        faces.label("a/1.png", identity="one")
        faces.label("b/2.png", identity="two")
        faces.label("a/4.png", identity="four")
        before = {face.labels.identity: face.id for face in faces.gallery.faces() if face.labels.identity in NAMED}
    (photos / "a" / "1.png").rename(photos / "b" / "from-a.png")
    (photos / "b" / "2.png").rename(photos / "a" / "from-b.png")
    (photos / "a" / "4.png").rename(photos / "a" / "x" / "within.png")
    mine, others = run(known, photos / "a", lambda: index(known, photos / "b"))
    assert (mine.described, others.described, mine.renamed + others.renamed) == (0, 0, 3)
    with Gallery.open(known) as gallery:
        found = gallery.faces_at(["b/from-a.png", "a/from-b.png", "a/x/within.png"]).values()
        assert {face.labels.identity: face.id for face in found} == before
        assert len(gallery) == 19 and gallery.verify().sound


NAMED = ("one", "two", "four")


@pytest.mark.cluster
def test_two_files_that_swapped_names_in_a_claimed_folder_keep_ids_and_labels(known: str, photos: Path) -> None:
    index(known, photos)
    with search_in(known) as faces:
        faces.label("a/1.png", identity="one")
        faces.label("a/x/2.png", identity="two")
        before = {face.labels.identity: face.id for face in faces.gallery.faces() if face.labels.identity in NAMED}
    (photos / "a" / "1.png").rename(photos / "aside")
    (photos / "a" / "x" / "2.png").rename(photos / "a" / "1.png")
    (photos / "aside").rename(photos / "a" / "x" / "2.png")
    report = index(known, photos / "a")
    assert (report.renamed, report.described) == (2, 0)
    with Gallery.open(known) as gallery:
        found = gallery.faces_at(["a/1.png", "a/x/2.png"])
        assert {face.labels.identity: face.id for face in found.values()} == before
        assert found["a/1.png"].labels.identity == "two"


@pytest.mark.cluster
def test_a_claim_vanishes_with_its_holder(known: str, photos: Path) -> None:
    for n in range(60):
        save(photos / "a" / f"more{n}.png", 400 + n)
    process = multiprocessing.get_context("spawn").Process(target=run_slowly, args=(known, photos / "a"))
    process.start()
    try:
        deadline = time.monotonic() + 60
        with Gallery.open(known) as gallery:
            while len(gallery) < 5 and time.monotonic() < deadline:
                time.sleep(0.02)
        with pytest.raises(GalleryLockedError, match=f"by process {process.pid} on "):
            index(known, photos / "a" / "x")
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    for _ in range(100):  # the server learns of it a moment later
        with suppress(GalleryLockedError):
            index(known, photos)
            break
        time.sleep(0.1)
    assert len(everything(known)["rows"]) == 79


def run_slowly(place: str, folder: Path) -> None:
    with search_in(place, slow=0.1) as faces:
        faces.index(folder)


@pytest.mark.cluster
@pytest.mark.parametrize("folder", ["a", ""])
def test_a_run_whose_lock_is_lost_ends_instead_of_going_on_without(known: str, photos: Path, folder: str) -> None:
    """As when the server was started again between two batches."""
    server = read_server(known)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND pid <> pg_backend_pid()"
    )
    told, came = during(lambda: administer(server, cut))
    with pytest.raises(GalleryStorageError, match="was lost, and another one may have written since: run this again"):
        index(known, photos / folder, progress=told)
    assert came[0]
    index(known, photos)
    assert len(everything(known)["rows"]) == 19


def test_in_a_folder_one_writes_at_a_time(tmp_path: Path, photos: Path) -> None:
    known = str(tmp_path / "db")
    index(known, photos, exclude=["a", "b"])
    report, refused = run(known, photos / "a", lambda: index(known, photos / "b"))
    assert report.described == 12 and isinstance(refused, GalleryLockedError)
    assert f"by process {os.getpid()};" in str(refused)
