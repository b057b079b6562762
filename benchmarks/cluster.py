"""Describe a folder by one process, and by two Ray nodes of one processor each on the same machine: what Ray costs.

    python benchmarks/cluster.py sample_db/gallery --times 3
    python benchmarks/cluster_photographs.py PORTRAITS /tmp/photographs --count 5000
    python benchmarks/cluster.py /tmp/photographs --times 1
    python benchmarks/cluster.py /tmp/photographs --lose

Wall time means something on a quiet machine only; CPU time is that of every process that the measured one began, Ray's
own servers among them, from before the photographs are listed until the last row is kept. What Ray's servers take grows
with the wall time, idle or not: it is told apart. --lose: a third node is lost when it has described something; then it
is counted whether every photograph was described, and none twice.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

_ALONE, _RAY = "one process", "two Ray nodes"
_TICK = os.sysconf("SC_CLK_TCK")
_SERVERS = ("raylet/raylet", "gcs_server", "/ray/dashboard/", "/ray/_private/", "/autoscaler/", "ray::D", "ray::R")
_RUN = """
import sys, time
from contextlib import nullcontext
from retrieval.face_search import FaceSearch
from benchmarks.cluster import losing, two_nodes
place, photos, how = sys.argv[1:]
with nullcontext() if how == "alone" else two_nodes() as cluster:
    with FaceSearch(place, identity="own", device="cpu") as faces, losing(cluster if how == "lose" else None) as told:
        started = time.monotonic()
        report = faces.index(photos, workers=None if how == "alone" else "ray", progress=told)
        wall = time.monotonic() - started
        kept = len({face.path for face in faces.gallery.faces()})
        print(report.photos, report.described + report.duplicates - len(faces.gallery), kept, wall, flush=True)
"""


@dataclass(frozen=True)
class Cost:
    """photos: kept; twice: faces that were described and are no others'; wall, cpu: seconds; servers: of the CPU
    seconds those of Ray's own servers."""

    photos: int
    twice: int
    wall: float
    cpu: float
    servers: float

    @property
    def text(self) -> str:
        return (
            f"{self.photos:,} photos kept, {self.twice} faces twice, in {self.wall:.1f} s; {self.cpu:.1f} s CPU, "
            f"{1000 * self.cpu / self.photos:.1f} ms each; {self.servers:.1f} s of it Ray's servers"
        )


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes of one processor each, which $RAY_ADDRESS names, until the block ends."""
    from ray.cluster_utils import Cluster

    own: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    head = {**own, "include_dashboard": False, "include_log_monitor": False}  # as `ray start` takes both
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**own)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def losing(cluster: Any) -> Iterator[Any]:
    """What is told how far a run is, and takes a third node away in the middle; without a cluster nothing is lost."""
    if cluster is None:
        yield None
        return
    third, lost = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20), Event()

    def told(what: str, done: int, of: int) -> None:
        if done > of / 3 and not lost.is_set():
            lost.set()
            cluster.remove_node(third, allow_graceful=False)
            print(f"lost a node at {done:,} of {of:,}", file=sys.stderr, flush=True)

    yield told
    assert lost.is_set(), "no node was lost"


def below(root: int) -> dict[int, float]:
    """CPU seconds of a process and of all that it began, by number; of those that are there now."""
    parents, spent = dict[int, int](), dict[int, float]()
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(place.parent.name)
        parents[number], spent[number] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICK
    inside, grown = {root}, True
    while grown:
        more = {one for one, parent in parents.items() if parent in inside} - inside
        inside, grown = inside | more, bool(more)
    return {one: spent[one] for one in inside if one in spent}


def is_server(process: int) -> bool:
    """Whether it is one of Ray's own."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    return "default_worker" not in command and any(name in command for name in _SERVERS)


def measured(photos: Path, how: str) -> Cost:
    """One run, in a process of its own. how: alone, ray or lose."""
    spent, servers, stop = dict[int, float](), set[int](), Event()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _RUN, f"{folder}/db", str(photos), how]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)

        def watch() -> None:
            while not stop.wait(0.25):
                now = below(process.pid)
                servers.update(one for one in now if is_server(one))
                spent.update(now)

        thread = Thread(target=watch)
        thread.start()
        out, _ = process.communicate()
        stop.set()
        thread.join()
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}, {how}")
    photos_kept, twice, kept, wall = out.split()[-4:]
    assert photos_kept == kept, f"{photos_kept} photos, {kept} paths"
    own = sum(spent[one] for one in servers)
    return Cost(int(kept), int(twice), float(wall), sum(spent.values()), own)


def main() -> None:
    """Alternate, so that what else the machine does meets both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--lose", action="store_true", help="lose a third node in the middle; measure nothing else")
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the beginning", flush=True)
    if asked.lose:
        print(f"{_RAY}, a third one lost: {measured(asked.photos, 'lose').text}")
        return
    for _ in range(asked.times):
        alone, ray = measured(asked.photos, "alone"), measured(asked.photos, "ray")
        print(f"{_ALONE}: {alone.text}\n{_RAY}: {ray.text}")
        without = (ray.cpu - ray.servers) / alone.cpu
        print(f"wall {ray.wall / alone.wall:.2f}, CPU {ray.cpu / alone.cpu:.2f} times; {without:.2f} without servers")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
