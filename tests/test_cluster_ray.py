"""Describing on two Ray nodes: what one process makes, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from index.gallery import Gallery
from retrieval.errors import ClusterError
from retrieval.face_search import FaceSearch
from tests.conftest import ROOT, blob_face
from tests.rays import Deadly, DeadlyReader, Noting, Otherwise, Slow, Twofold, TwoNodes, two_nodes  # noqa: F401
from tests.stand_ins import HashEditor, ReadsHere
from tests.test_retrieval_shards import everything

pytestmark = [
    pytest.mark.cluster,
    # Ray leaves the files that its servers write into to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """120 pictures of five people, and one that is none."""
    for n in range(120):
        path = tmp_path / "photos" / f"p{n % 5}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"\x89PNG no picture")
    return tmp_path / "photos"


def index(place: Path, photos: Path, editor: HashEditor | None = None, reader: Any = None, **wishes: Any) -> Any:
    with FaceSearch(place, describer=editor or HashEditor(), reader=reader or ReadsHere(crops=Slow(0))) as faces:
        return faces.index(photos, **wishes)


@pytest.mark.usefixtures("two_nodes")
def test_two_nodes_make_what_one_process_makes(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    one = index(tmp_path / "one", photos)
    two = index(tmp_path / "two", photos, Noting(tmp_path / "notes"), ReadsHere(crops=Slow(0.02)), workers="ray")
    assert (two.described, two.skipped) == (one.described, one.skipped) == (120, one.skipped)
    assert everything(str(tmp_path / "two")) == everything(str(tmp_path / "one"))
    processes = {path.name: sum(map(int, path.read_text().split())) for path in (tmp_path / "notes").iterdir()}
    assert len(processes) == 2 and sum(processes.values()) == 120 and min(processes.values()) >= 16
    again = index(tmp_path / "two", photos, workers="ray")
    assert (again.described, again.unchanged) == (0, 120)


@pytest.mark.usefixtures("two_nodes")
def test_two_nodes_describe_photographs_of_several_people(photos: Path, tmp_path: Path) -> None:
    one = index(tmp_path / "one", photos, reader=ReadsHere(crops=Twofold()))
    two = index(tmp_path / "two", photos, reader=ReadsHere(crops=Twofold()), workers="ray")
    assert two.described == one.described == 240
    assert everything(str(tmp_path / "two")) == everything(str(tmp_path / "one"))


def test_a_node_that_is_lost_costs_no_photograph(two_nodes: TwoNodes, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    index(tmp_path / "one", photos)
    third, notes, lost = two_nodes.add(), tmp_path / "notes", Event()
    notes.mkdir()

    def lose() -> None:
        """As soon as all three have begun."""
        while not lost.wait(0.05):
            if len(list(notes.iterdir())) == 3:
                two_nodes.cluster.remove_node(third, allow_graceful=False)
                lost.set()

    thread = Thread(target=lose)
    thread.start()
    try:
        report = index(tmp_path / "two", photos, reader=ReadsHere(crops=Slow(0.2, notes)), workers="ray")
        assert lost.is_set()
    finally:
        lost.set()
        thread.join()
    assert report.described == 120 and len(report.skipped) == 1
    assert everything(str(tmp_path / "two")) == everything(str(tmp_path / "one"))


@pytest.mark.usefixtures("two_nodes")
def test_a_photograph_that_ends_its_worker_is_named(photos: Path, tmp_path: Path) -> None:
    (photos / "p1" / "1.png").rename(photos / "p1" / "poison.png")
    report = index(tmp_path / "db", photos, reader=ReadsHere(crops=Deadly()), workers="ray")
    assert report.described == 119 and len(report.skipped) == 2
    with Gallery.open(tmp_path / "db") as gallery:
        reasons = {problem.path: problem.reason for problem in gallery.problems()}
        assert len(gallery) == 119 and reasons.keys() == {"bad.png", "p1/poison.png"}
    assert "ends the process that describes it" in reasons["p1/poison.png"]
    again = index(tmp_path / "db", photos, reader=ReadsHere(crops=Deadly()), workers="ray")
    assert (again.described, again.unchanged) == (0, 119)  # it is not tried again until it changes


@pytest.mark.usefixtures("two_nodes")
def test_a_photograph_that_ends_its_decoder_is_named(photos: Path, tmp_path: Path) -> None:
    (photos / "p1" / "1.png").rename(photos / "p1" / "poison.png")
    report = index(tmp_path / "db", photos, reader=DeadlyReader(), workers="ray")
    assert report.described == 119 and len(report.skipped) == 2
    with Gallery.open(tmp_path / "db") as gallery:
        reasons = {problem.path: problem.reason for problem in gallery.problems()}
    assert "its decoder crashed" in reasons["p1/poison.png"] and "is not an image" in reasons["bad.png"]


@pytest.mark.usefixtures("two_nodes")
def test_shards_may_be_described_by_a_cluster_each(photos: Path, tmp_path: Path) -> None:
    index(tmp_path / "one", photos)
    reports = [index(tmp_path / "two", photos, shard=f"{n}/2", workers="ray") for n in range(2)]
    assert sum(report.described for report in reports) == 120 and min(report.described for report in reports) > 0
    assert everything(str(tmp_path / "two")) == everything(str(tmp_path / "one"))


@pytest.mark.usefixtures("two_nodes")
def test_a_worker_with_another_model_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"has model .* not .*: install the same facesearch there"):
        index(tmp_path / "db", photos, Otherwise(), workers="ray")


@pytest.mark.usefixtures("two_nodes")
def test_where_nobody_listens_one_line_says_so_at_once(photos: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address, began = f"ray://127.0.0.1:{taken.getsockname()[1]}", time.monotonic()
        with pytest.raises(ClusterError, match=r"no Ray answers at ray://127\.0\.0\.1:\d+ \(ConnectionRefusedError"):
            index(tmp_path / "db", photos, workers=address)
        assert time.monotonic() - began < 60


@pytest.mark.parametrize("fails", [1, 9])
@pytest.mark.usefixtures("two_nodes")
def test_a_head_that_starts_no_process_for_a_client_is_asked_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """A busy head may not start it in the 30 seconds that Ray gives it, which says nothing of the next time."""
    import ray

    asked, begin = [], ray.init

    def init(**wishes: Any) -> Any:
        asked.append(wishes["address"])
        if len(asked) <= fails:
            raise ConnectionAbortedError(
                "Initialization failure from server:\nTraceback (most recent call last):\n  ...\n"
                "RuntimeError: Proxy failed to Connect to backend!\n"
            )
        return begin(**wishes)

    monkeypatch.setattr(ray, "init", init)
    if fails == 1:
        assert index(tmp_path / "db", photos, workers="ray").described == 120
        assert len(asked) == 2
    else:
        with pytest.raises(ClusterError, match=r"no Ray answers at .* \(RuntimeError: Proxy failed to Connect"):
            index(tmp_path / "db", photos, workers="ray")
        assert len(asked) == 3


_PROGRAM = """
import sys
from cli.app import run
from tests.rays import Slow
from tests.stand_ins import ReadsHere, stand_in_search

def search(place, **options):
    return stand_in_search(place, **options, reader=ReadsHere(crops=Slow(float(sys.argv[1]))))

if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], search))
"""


def started(folder: Path, seconds: float, *arguments: str) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), str(seconds), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("client", [True, False])
def test_the_command_says_what_it_says_without_ray(
    two_nodes: TwoNodes,  # noqa: F811
    photos: Path,
    tmp_path: Path,
    client: bool,
) -> None:
    address = two_nodes.client if client else "ray"
    out, err = started(tmp_path, 0, "index", "photos", "--db", "db", "--workers", address).communicate(timeout=200)
    assert "120 images; 120 described, 0 unchanged, 1 skipped" in out, err
    lines = [line for line in err.splitlines() if not line.startswith(("describing images", "skipped: "))]
    assert lines == [], err


@pytest.mark.usefixtures("two_nodes")
def test_an_interrupt_ends_it_and_the_next_run_goes_on(photos: Path, tmp_path: Path) -> None:
    process = started(tmp_path, 2.0, "index", "photos", "--db", "db", "--workers", "ray")
    end = time.monotonic() + 120
    while time.monotonic() < end and images_in(tmp_path / "db") == 0:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - asked < 30
    assert "interrupted" in err and "Traceback" not in err
    there = images_in(tmp_path / "db")
    assert 0 < there < 120
    report = index(tmp_path / "db", photos, stand_in_editor(), workers="ray")
    assert report.described == 120 - there
    with Gallery.open(tmp_path / "db") as gallery:
        assert len(gallery) == 120 and gallery.verify().sound


@pytest.mark.usefixtures("two_nodes")
def test_an_interrupt_that_is_lost_where_it_came_ends_it_too(photos: Path, tmp_path: Path) -> None:
    """As what it raises while Ray forgets an object: nobody hears of that."""
    kept: list[int] = []

    def told(what: str, done: int, of: int) -> None:
        if done:
            kept.append(done)
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    with interrupted():
        index(tmp_path / "db", photos, workers="ray", progress=told)
    assert len(kept) == 1
    there = images_in(tmp_path / "db")
    assert there > 0 and index(tmp_path / "db", photos).described == 120 - there


@pytest.mark.usefixtures("two_nodes")
def test_an_interrupt_that_is_lost_with_the_last_part_ends_it_too(photos: Path, tmp_path: Path) -> None:
    def told(what: str, done: int, of: int) -> None:
        if done == of:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    with interrupted():
        index(tmp_path / "db", photos, workers="ray", progress=told)


@contextmanager
def interrupted() -> Iterator[None]:
    """The block ends as Ctrl-C ends it, and leaves Python's own handler in its place."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def stand_in_editor() -> HashEditor:
    """The one of `stand_in_search`."""
    return HashEditor("stand-in", descriptor_size=28_800)


def images_in(place: Path) -> int:
    if not (place / "gallery.db").exists():
        return 0
    with Gallery.open(place) as gallery:
        return len(gallery)
