"""A Ray cluster of two nodes on this machine for tests, and what stands in for photographs that are slow or deadly."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from faceedit.describes import Described
from faceedit.images import Picture
from index.values import Place
from retrieval.one_file import Crops, Read, ReadFace
from retrieval.reading import FileReader
from tests.conftest import ROOT
from tests.stand_ins import HashEditor, believing

WHY_NOT = "Ray is not installed for tests: `make test-cluster` does so"
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@cache
def installed() -> bool:
    return importlib.util.find_spec("ray") is not None


@dataclass(frozen=True)
class TwoNodes:
    """cluster: `ray.cluster_utils.Cluster`; address: for who is on one of its machines; client: for who is not."""

    cluster: Any
    address: str
    client: str

    def add(self) -> Any:
        """One more, which may be lost."""
        node = self.cluster.add_node(**SMALL)
        self.cluster.wait_for_nodes()
        return node


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    """Two nodes of one processor each; programs find them by $RAY_ADDRESS."""
    if not installed():
        pytest.skip(WHY_NOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "120")  # both processors are busy with other tests
        from ray.cluster_utils import Cluster

        client, agent = _free_ports(2)
        own = {"include_dashboard": False, "ray_client_server_port": client, "runtime_env_agent_port": agent}
        cluster = Cluster(initialize_head=True, head_node_args={**SMALL, **own})
        try:
            cluster.add_node(**SMALL)
            cluster.wait_for_nodes()
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield TwoNodes(cluster, cluster.address, f"ray://127.0.0.1:{client}")
        finally:
            cluster.shutdown()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Noting(HashEditor):
    """Notes in a folder which process described how many."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self._notes = notes

    def describe(self, images: NDArray[np.uint8], /) -> Described:
        with (self._notes / str(os.getpid())).open("a") as file:
            file.write(f"{len(images)}\n")
        return super().describe(images)


class Otherwise(HashEditor):
    """Another model in every other process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return HashEditor, ("another",)


@dataclass(frozen=True)
class Slow:
    """What reads a file after a while, and notes in a folder which process did."""

    seconds: float
    notes: Path | None = None

    def __call__(self, path: Path) -> Read:
        if self.notes is not None:
            (self.notes / str(os.getpid())).touch()
        time.sleep(self.seconds)
        return believing()(path)


@dataclass(frozen=True)
class Twofold:
    """What sees two people in each photograph, one below the other, of whom the second stands on the head."""

    def __call__(self, path: Path) -> Read:
        read = believing()(path)
        people = (self._one(face.crop[::step].copy(), n) for face in read.faces for n, step in enumerate((1, -1)))
        return replace(read, faces=tuple(people), width=60, height=120)

    def _one(self, crop: Picture, n: int) -> ReadFace:
        return ReadFace(crop, Place((0, 60 * n, 60, 60), (20, 20, 40, 20, 22, 45, 38, 45), 0.9), n + 1)


@dataclass(frozen=True)
class Deadly(Crops):
    """What ends the process that reads a file of this name, as a fault of a decoder does."""

    name_of_poison: str = "poison.png"

    def __call__(self, path: Path, /) -> Read:
        if path.name == self.name_of_poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return believing()(path)


class DeadlyReader(FileReader):
    """Reads so in processes of its own, whatever it is told of crops."""

    def __init__(self) -> None:
        super().__init__(Deadly())

    def cropping(self, crops: Crops, /) -> FileReader:
        return self
