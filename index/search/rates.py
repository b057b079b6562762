"""How fast this machine compares descriptors, which plans of a search are made with."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from index.search.faiss_files import faiss_module
from index.search.plan import Rates


@cache
def measure_rates() -> Rates:
    """This machine's rates, measured once a process, in half a second, on more than its caches hold."""
    faiss = faiss_module()
    random = np.random.default_rng(0)

    def rate(kind: int, count: int, size: int) -> float:
        index = faiss.IndexScalarQuantizer(size, kind, faiss.METRIC_L2)
        vectors = random.random((count, size), np.float32)
        index.train(vectors[:1000])
        index.add(vectors)
        seconds = []
        for query in vectors[:5]:
            started = time.perf_counter()
            index.search(query[None], 100)
            seconds.append(time.perf_counter() - started)
        return count * size / (1000 * float(np.median(seconds)))

    return Rates(rate(faiss.ScalarQuantizer.QT_fp16, 40_000, 768), rate(faiss.ScalarQuantizer.QT_8bit, 500_000, 96))
