"""Describe a folder by one process, and by two Ray nodes of one processor each on the same machine: what Ray costs.

    python benchmarks/cluster.py sample_db/gallery --times 3

Wall time means something on a quiet machine only; CPU time is that of every process that the measured one began, Ray's
own servers among them, from before the photographs are listed until the last row is kept.
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
_RUN = """
import sys, time
from retrieval.face_search import FaceSearch
from benchmarks.cluster import two_nodes
place, photos, ray = sys.argv[1], sys.argv[2], sys.argv[3] == "ray"
def describe(workers):
    with FaceSearch(place, identity="own", device="cpu") as faces:
        started = time.monotonic()
        report = faces.index(photos, workers=workers)
        print(report.described, time.monotonic() - started, flush=True)
if ray:
    with two_nodes():
        describe("ray")
else:
    describe(None)
"""


@dataclass(frozen=True)
class Cost:
    """described: photographs; wall, cpu: seconds."""

    described: int
    wall: float
    cpu: float

    @property
    def text(self) -> str:
        return f"{self.described:,} described in {self.wall:.1f} s; {1000 * self.cpu / self.described:.1f} ms CPU each"


@contextmanager
def two_nodes() -> Iterator[None]:
    """A cluster of two nodes of one processor each, which $RAY_ADDRESS names, until the block ends."""
    from ray.cluster_utils import Cluster

    own: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**own, "include_dashboard": False})
    cluster.add_node(**own)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        cluster.shutdown()


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


def measured(photos: Path, ray: bool) -> Cost:
    """One run, in a process of its own."""
    spent, stop = dict[int, float](), Event()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _RUN, f"{folder}/db", str(photos), "ray" if ray else "alone"]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(command, env=environment, **pipes)

        def watch() -> None:
            while not stop.wait(0.25):
                spent.update(below(process.pid))

        thread = Thread(target=watch)
        thread.start()
        out, _ = process.communicate()
        stop.set()
        thread.join()
    described, wall = out.split()[-2:]
    return Cost(int(described), float(wall), sum(spent.values()))


def main() -> None:
    """Alternate, so that what else the machine does meets both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the beginning")
    for _ in range(asked.times):
        alone, ray = measured(asked.photos, False), measured(asked.photos, True)
        print(f"{_ALONE}: {alone.text}\n{_RAY}: {ray.text}")
        print(f"wall {ray.wall / alone.wall:.2f}, CPU {ray.cpu / alone.cpu:.2f} times", flush=True)


if __name__ == "__main__":
    main()
