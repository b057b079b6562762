"""What a search with nothing asked costs in a large gallery: who it is alone is compared, with every face.

    python benchmarks/who_search.py --work FOLDER [--rows 1000000]

Descriptors are generated: 128 numbers of who it is, a fifth of the squared length, near a middle of each person (of 20
faces), and 775 of the look at random. FOLDER holds them, 1.8 GB a million. Prints seconds of computing and of waiting
for one query and for eight together, the same by whole descriptors that say nothing else, and recall@10 against every
product in full precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.search.scan import scan

WHO, LOOK, EACH, BLOCK, SHARE = 128, 775, 20, 50_000, 0.2
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    records = generated(given.work / f"who-{given.rows}.f16", given.rows)
    ids, part = np.arange(given.rows), (0, WHO)
    queries = records[np.linspace(0, given.rows - 1, 8).astype(int)].astype(np.float32)
    queries[:, :WHO] += 0.2 * np.random.default_rng(9).standard_normal((8, WHO), np.float32) / np.sqrt(WHO)
    alone = queries.copy()
    alone[:, WHO:] = 0
    _told("who alone, one query", lambda: scan(records, ids, ids, queries[:1], 10, part))
    _told("who alone, eight queries", lambda: scan(records, ids, ids, queries, 10, part))
    _told("whole descriptors, one query", lambda: scan(records, ids, ids, alone[:1], 10))
    found = [each for _, each in scan(records, ids, ids, queries, 10, part)]
    print(
        f"recall@10 {np.mean([np.isin(a, b).mean() for a, b in zip(_truth(records, queries), found, strict=True)]):.4f}"
    )


def generated(path: Path, rows: int) -> NDArray[np.float16]:
    """(rows, WHO + LOOK) in a file, made unless it is there."""
    if not path.exists():
        out = np.memmap(path.with_suffix(".tmp"), np.float16, "w+", shape=(rows, WHO + LOOK))
        for first in range(0, rows, BLOCK):
            rng, count = np.random.default_rng(first), min(BLOCK, rows - first)
            people = rng.standard_normal((-(-count // EACH), WHO), np.float32).repeat(EACH, 0)[:count]
            who = _of_length_1(people + 0.5 * rng.standard_normal((count, WHO), np.float32))
            out[first : first + count, :WHO] = np.sqrt(SHARE) * who
            look = _of_length_1(rng.standard_normal((count, LOOK), np.float32))
            out[first : first + count, WHO:] = np.sqrt(1 - SHARE) * look
        out.flush()
        path.with_suffix(".tmp").rename(path)
    return np.memmap(path, np.float16, "r", shape=(rows, WHO + LOOK))


def _truth(records: NDArray[np.float16], queries: Floats) -> list[NDArray[np.int64]]:
    vectors = _of_length_1(np.asarray(records[:, :WHO], np.float32))
    return [np.argsort(-(vectors @ one[:WHO]), kind="stable")[:10] for one in queries]


def _of_length_1(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _told(what: str, search: Callable[[], object]) -> None:
    taken = []
    for _ in range(2):
        began, waited = time.process_time(), time.perf_counter()
        search()
        taken.append((time.process_time() - began, time.perf_counter() - waited))
    print(f"{what}: {min(taken)[0]:.2f} s computed, {min(taken)[1]:.2f} s waited", flush=True)


if __name__ == "__main__":
    main()
