"""Search a gallery while another process adds to it and removes from it: errors, wrong answers, and the longest wait.

    python benchmarks/together.py --images 20860 --size 775 --queries 1000

Descriptors are random, so that the right answer is known: each query is one of the images that stay, and must come
first. The writer adds 24 images every 20 ms, several times as many as could be described, and removes every tenth
batch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.gallery import Decision, Face, Gallery, GalleryConfig, Labels, Photo

BATCH, REMOVE_EVERY, PAUSE = 24, 10, 0.02  # images, batches, seconds


@dataclass(frozen=True)
class Together:
    """queries: how many were asked; wrong: of another image than the right one, or not at distance 0; waits (queries,)
    seconds; added: images in the meantime; states: how often the gallery was another one than at the query before."""

    queries: int
    wrong: int
    waits: NDArray[np.float64]
    added: int
    states: int


def measure(folder: Path, images: int, size: int, queries: int) -> Together:
    """Make a gallery of so many images, and ask while another process writes. Raises what a search raises."""
    rng = np.random.default_rng(0)
    config = GalleryConfig("a" * 64, "pose", (0, 1), size, folder.absolute())
    with Gallery.create(folder / "db", config) as gallery:
        ids: list[int] = []
        for start in range(0, images, 2_000):
            some = range(start, min(start + 2_000, images))
            ids += gallery.add(_faces("old", some), _vectors(rng, len(some), size))
        gallery.prepare()
        asked = rng.choice(ids, queries)
        wanted = gallery.descriptors(asked.tolist())
        gallery.search(wanted[0], 10)
        context = multiprocessing.get_context("spawn")
        begun, stop = context.Event(), context.Event()
        writer = context.Process(target=_write, args=(folder / "db", size, begun, stop))
        writer.start()
        begun.wait()
        before, waits, wrong, states, last = len(gallery), [], 0, 0, gallery.generation
        try:
            for id_, descriptor in zip(asked, wanted, strict=True):
                started = time.perf_counter()
                found = gallery.search(descriptor, 10)
                waits.append(time.perf_counter() - started)
                wrong += found[0].face.id != id_ or found[0].distance > 1e-3
                states += gallery.generation != last
                last = gallery.generation
        finally:
            stop.set()
            writer.join()
        if writer.exitcode:
            raise RuntimeError(f"the writer ended with {writer.exitcode}")
        return Together(queries, wrong, np.array(waits), len(gallery) - before, states)


def _write(folder: Path, size: int, begun: Event, stop: Event) -> None:
    rng, count = np.random.default_rng(1), 0
    with Gallery.open(folder) as gallery:
        parent = multiprocessing.parent_process()
        while not stop.is_set() and parent is not None and parent.is_alive():
            ids = gallery.add(_faces("new", range(count, count + BATCH)), _vectors(rng, BATCH, size))
            count += BATCH
            if count % (BATCH * REMOVE_EVERY) == 0:
                gallery.remove(ids)
            begun.set()
            stop.wait(PAUSE)


def _faces(name: str, numbers: range) -> list[Face]:
    return [Face(Photo(f"{name}/{number}.png"), Labels(), Decision(number % 2, (1.0, 2.0))) for number in numbers]


def _vectors(rng: np.random.Generator, count: int, size: int) -> NDArray[np.float32]:
    made: NDArray[np.float32] = rng.normal(size=(count, size)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, value in (("images", 20_860), ("size", 775), ("queries", 1_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.images, given.size, given.queries)
    p50, p99 = np.percentile(found.waits, [50, 99])
    print(
        f"{found.queries:,} queries over {given.images:,} images of {given.size:,} numbers while {found.added:,} were "
        f"added ({found.states:,} states): {found.wrong} wrong, p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, "
        f"longest {1000 * found.waits.max():.0f} ms"
    )


if __name__ == "__main__":
    main()
