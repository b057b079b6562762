"""How fast large galleries are searched, in how much memory, and how much is found.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/search.py [--rows 20000 1000000] [--size 0] [--data DATA] [--work FOLDER]
        [--others 200000] [--max-memory 2] [--recall 0.99] [--max-ms 25]

Descriptors are generated with the statistics of real ones: the spread between people and that among one person's
pictures, for each decided pose, as in pictures of DATA (the sample gallery by default); 140 pictures a person. Queries
are generated likewise: a stored picture of a person, off by what imagined descriptors are off the true picture's.
--size: the descriptors are reduced to so many numbers by principal components (0: as they are). Files go to WORK, which
needs 2 bytes a number. Up to --others rows, other indexes stand beside ours: Faiss's flat and HNSW, hnswlib, and what
autofaiss chooses, where they are installed. recall@10 is against every descriptor in half precision.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from faceedit.editor import Editor
from faceedit.images import read_crops
from faceedit.manifest import read_manifest
from index.search.exact import build_index, nearest
from index.search.plan import EXACT, Requirements, make_plan, size_text
from index.search.prepare import build, dimensions_for
from index.search.rates import measure_rates
from index.search.reduction import components
from index.search.scan import scan

SAMPLE = Path(__file__).resolve().parent.parent / "sample_db"
PICTURES = 140  # of each person
QUERIES = 200
BLOCK = 70_000
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Statistics:
    """poses (n_a, D): the mean descriptor of each decided pose; people, within, imagined (D, D): factors of the
    covariances between people, among one person's pictures of a pose, and of imagined descriptors around true ones."""

    poses: Floats
    people: Floats
    within: Floats
    imagined: Floats

    def rows(self, first: int, count: int) -> Floats:
        """Descriptors of rows `first` on, whole people."""
        n, size = len(self.poses), self.people.shape[1]
        people = np.random.default_rng((1, first)).standard_normal((-(-count // PICTURES), size), np.float32)
        random = np.random.default_rng((2, first))
        made = (people @ self.people).repeat(PICTURES, 0)[:count] + self.poses[np.arange(count) % n]
        made += random.standard_normal((count, size), np.float32) @ self.within
        return _normalised(made)

    def queries(self, stored: Floats) -> Floats:
        random = np.random.default_rng(3)
        return _normalised(stored + random.standard_normal(stored.shape, np.float32) @ self.imagined)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "facesearch-search-benchmark")
    parser.add_argument("--others", type=int, default=200_000)
    parser.add_argument("--max-memory", type=float, default=2.0, help="GB")
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--max-ms", type=float, default=25.0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    needs = Requirements(given.recall, given.max_ms, int(1e9 * given.max_memory))
    statistics = measured(given.data, given.size)
    print(f"descriptors of {statistics.people.shape[1]} numbers; {faiss.omp_get_max_threads()} threads", flush=True)
    for count in given.rows:
        records = generated(statistics, count, given.work / f"{count}-{given.size}.f16")
        targets = np.linspace(0, count - 1, QUERIES).astype(int)
        queries = statistics.queries(records[targets].astype(np.float32))
        truth = [ids for _, ids in _blocked(records, queries)]
        first = np.mean([ids[0] == target for ids, target in zip(truth, targets, strict=True)])
        print(f"{count:,} rows, {size_text(records.nbytes)}; the picture meant is nearest in {first:.3f}", flush=True)
        ours(records, queries, truth, needs)
        if count <= given.others:
            for name, make in OTHERS.items():
                others(name, make, records, queries, truth)


def measured(data: Path | None, size: int) -> Statistics:
    """The statistics of descriptors of real pictures."""
    if data is None:
        paths = sorted((SAMPLE / "gallery").rglob("*.png"))
        names = [path.parent.name for path in paths]
    else:
        manifest = read_manifest(data).where("split", "test")
        paths, names = manifest.paths(), list(manifest.columns["identity"])
    some = np.sort(np.random.default_rng(0).permutation(len(paths))[:4000])
    editor = Editor.load(SAMPLE / "models" / "pose")
    images = read_crops([paths[i] for i in some])
    described = editor.describe(images)
    who, best = np.unique([names[i] for i in some], return_inverse=True)[1], described.best
    stored = described.descriptors
    wanted = np.random.default_rng(0).integers(0, len(editor.attribute), len(some))
    imagined = np.stack([edit.descriptor for edit in editor.edit_many(images, wanted)])
    if size:
        directions = components(stored, size)
        stored, imagined = _normalised(stored @ directions), _normalised(imagined @ directions)
    poses = np.stack([stored[best == p].mean(0) for p in range(len(editor.attribute))])
    people = np.stack([(stored - poses[best])[who == w].mean(0) for w in range(who.max() + 1)])
    within = stored - poses[best] - people[who]
    # one imagined descriptor and one true one: of the same person, at the same pose
    pairs = [(i, np.flatnonzero((who == who[i]) & (best == wanted[i]))) for i in range(len(some))]
    off = np.stack([imagined[i] - stored[same].mean(0) for i, same in pairs if len(same)])
    return Statistics(poses, _factor(people), _factor(within), _factor(off))


def generated(statistics: Statistics, count: int, path: Path) -> NDArray[np.float16]:
    """(count, D) half-precision rows in a file, made unless it is there."""
    size = statistics.people.shape[1]
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        out = np.memmap(temporary, np.float16, "w+", shape=(count, size))
        for first in range(0, count, BLOCK):
            out[first : first + BLOCK] = statistics.rows(first, min(BLOCK, count - first))
        out.flush()
        temporary.rename(path)
    return np.memmap(path, np.float16, "r", shape=(count, size))


def ours(records: NDArray[np.float16], queries: Floats, truth: list[NDArray[np.int64]], needs: Requirements) -> None:
    """What the planner chooses, built and searched."""
    ids = slots = np.arange(len(records))
    began, before = time.perf_counter(), _resident()
    plan = make_plan(len(ids), records.shape[1], dimensions_for(records, slots), needs, measure_rates())
    kind = plan.require().kind
    search: Callable[[Floats], NDArray[np.int64]]
    if kind == EXACT:
        index = build_index(records, ids)
        about = kind

        def search(query: Floats) -> NDArray[np.int64]:
            return np.asarray(nearest(index, query[None], 10, ids)[1][0])
    else:
        made = build(records, ids, slots, plan, 0)
        about = f"{kind}, {made.about.dimensions} numbers, effort {made.about.effort}, {made.about.length} in full"

        def search(query: Floats) -> NDArray[np.int64]:
            return made.search(records, query[None], 10)[0][1]

    built = time.perf_counter() - began
    _report(f"ours ({about})", built, search, queries, truth, before)


def others(
    name: str,
    make: Callable[[Floats], Callable[[Floats], NDArray[np.int64]] | None],
    records: NDArray[np.float16],
    queries: Floats,
    truth: list[NDArray[np.int64]],
) -> None:
    vectors = records.astype(np.float32)
    before = _resident() - vectors.nbytes
    began = time.perf_counter()
    search = make(vectors)
    built = time.perf_counter() - began
    del vectors
    if search is None:
        print(f"  {name}: not installed", flush=True)
    else:
        _report(name, built, search, queries, truth, before)


def faiss_flat(vectors: Floats) -> Callable[[Floats], NDArray[np.int64]]:
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return lambda query: index.search(query[None], 10)[1][0]


def faiss_hnsw(vectors: Floats) -> Callable[[Floats], NDArray[np.int64]]:
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32)
    index.add(vectors)
    index.hnsw.efSearch = 128
    return lambda query: index.search(query[None], 10)[1][0]


def hnsw_library(vectors: Floats) -> Callable[[Floats], NDArray[np.int64]] | None:
    try:
        import hnswlib
    except ImportError:
        return None
    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), ef_construction=100, M=32)
    index.add_items(vectors)
    index.set_ef(128)
    return lambda query: index.knn_query(query[None], 10)[0][0].astype(np.int64)


def autofaiss_choice(vectors: Floats) -> Callable[[Floats], NDArray[np.int64]] | None:
    try:
        from autofaiss import build_index
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        index, _ = build_index(
            vectors,
            metric_type="l2",
            max_index_memory_usage="2GB",
            current_memory_available="8GB",
            max_index_query_time_ms=25,
            save_on_disk=False,
            verbose=50,
            index_infos_path=str(Path(folder) / "i.json"),
        )
    return lambda query: index.search(query[None], 10)[1][0]


OTHERS: dict[str, Callable[[Floats], Callable[[Floats], NDArray[np.int64]] | None]] = {
    "Faiss flat": faiss_flat,
    "Faiss HNSW": faiss_hnsw,
    "hnswlib": hnsw_library,
    "autofaiss": autofaiss_choice,
}


def _report(
    name: str,
    built: float,
    search: Callable[[Floats], NDArray[np.int64]],
    queries: Floats,
    truth: list[NDArray[np.int64]],
    before: int,
) -> None:
    times, hits = [], []
    for query, wanted in zip(queries, truth, strict=True):
        began = time.perf_counter()
        found = search(query)
        times.append(1000 * (time.perf_counter() - began))
        hits.append(np.isin(wanted, found).mean())
    middle, worst = np.percentile(times[10:], [50, 99])
    memory = _resident()
    print(
        f"  {name}: built in {built:.1f} s, p50 {middle:.2f} ms, p99 {worst:.2f} ms, recall@10 {np.mean(hits):.4f}, "
        f"{size_text(max(memory - before, 0))} more resident, {size_text(memory)} in all",
        flush=True,
    )


def _blocked(records: NDArray[np.float16], queries: Floats) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """The exact ten nearest of each query: by matrix products first, the best hundred again by differences."""
    best = np.zeros((len(queries), 0), np.int64)
    values = np.zeros((len(queries), 0), np.float32)
    for first in range(0, len(records), BLOCK):
        block = records[first : first + BLOCK].astype(np.float32)
        distances = (block**2).sum(1) - 2 * queries @ block.T
        values = np.concatenate([values, distances], 1)
        best = np.concatenate([best, np.broadcast_to(np.arange(first, first + len(block)), distances.shape)], 1)
        kept = np.argpartition(values, min(100, values.shape[1] - 1), axis=1)[:, :100]
        values, best = np.take_along_axis(values, kept, 1), np.take_along_axis(best, kept, 1)
    for query, rows in zip(queries, best, strict=True):
        yield scan(records, rows, rows, query[None], 10)[0]


def _factor(deviations: Floats) -> Floats:
    """(D, D) that turns independent normal numbers into deviations of the same covariance."""
    values, vectors = np.linalg.eigh(np.cov(deviations.T) if len(deviations) > 1 else np.zeros((1, 1)))
    return np.asarray((np.sqrt(np.maximum(values, 0)) * vectors).T, np.float32)


def _normalised(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _resident() -> int:
    """Bytes of memory that this process holds now; freed blocks are given back first."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
