"""What the tables of a gallery cost: adding, listing, conditions, labels, removing, verifying so many generated rows.

python benchmarks/rows.py --rows 1000000 --folder DIR [--size 32]

Descriptors are short, so that the rows are what is measured; paths, hashes and labels are as real ones are. Times are
this process's own on the processor, so that others on the machine, and its disk, do not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from index.gallery import Decision, Face, FileStamp, Gallery, GalleryConfig, Labels, Photo
from index.where import parse

BATCH, POSES = 1_000, (-45, -30, -15, 0, 15, 30, 45)
THEN = 1_700_000_000_000_000_000  # nanoseconds


def faces(first: int, count: int) -> list[Face]:
    """Faces as indexing makes them: 50 of each person, one error known."""
    made = []
    for n in range(first, first + count):
        errors = tuple(round(123.456 + n % 977, 3) if value == n % 7 else None for value in range(7))
        stamp = FileStamp(40_000 + n % 9_999, THEN + n, 5_000_000 + n, THEN + n)
        photo = Photo(f"person{n // 50:06d}/photograph_{n:08d}.jpg", f"{n:064x}", stamp)
        labels = Labels.given("folder", identity=f"person{n // 50:06d}")
        made.append(Face(photo, labels, Decision(POSES[n % 7], errors)))
    return made


def descriptors(first: int, count: int, size: int) -> Any:
    array = np.random.default_rng(first).normal(size=(count, size)).astype(np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def measured(gallery: Gallery, rows: int, size: int) -> Iterator[tuple[str, float, str]]:
    """What was done, how long it took, and its unit."""
    took = 0.0
    for first in range(0, rows, BATCH):
        new, of_them = faces(first, BATCH), descriptors(first, BATCH, size)  # made by whoever adds
        took += _seconds(lambda: gallery.add(new, of_them))  # noqa: B023
    yield "added", rows / took, "rows/s"
    more = count(rows, 24)
    few = descriptors(rows, 24, size)
    yield "added once more, 24", 1000 * _best(lambda: gallery.add(faces(next(more), 24), few)), "ms"
    yield "listed, all", rows / _seconds(lambda: sum(1 for _ in gallery.faces())), "rows/s"
    query = descriptors(7, 1, size)[0]
    gallery.search(query, 10)
    yield "search", 1000 * _best(lambda: gallery.search(query, 10)), "ms"
    for text in ("identity = 'person000007'", "pose = 30", "identity != 'person000007' and pose between -15 and 15"):
        where = parse(text)
        yield f"search where {text}", 1000 * _best(lambda: gallery.search(query, 10, where=where)), "ms"  # noqa: B023
    some = [face.id for face in gallery.faces(parse("identity in ('person000001', 'person000002')"))]
    said = {id_: Labels.given("hand", identity="anna") for id_ in some}
    yield f"labelled, {len(some)}", 1000 * _best(lambda: gallery.update_labels(said)), "ms"
    yield f"removed, {len(some)}", 1000 * _seconds(lambda: gallery.remove(some)), "ms"
    yield "verified", rows / _seconds(lambda: _sound(gallery)), "rows/s"


def _sound(gallery: Gallery) -> None:
    found = gallery.verify()
    assert found.sound, found.findings[:3]


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _best(work: Callable[[], object], times: int = 5) -> float:
    return min(_seconds(work) for _ in range(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--folder", type=Path, required=True, help="new folder for the gallery; it stays")
    given = parser.parse_args()
    config = GalleryConfig("a" * 64, "pose", POSES, given.size, Path("/photos").absolute())
    figures = {}
    with Gallery.create(given.folder, config) as gallery:
        for what, figure, unit in measured(gallery, given.rows, given.size):
            print(f"{what:60} {figure:12,.1f} {unit}", flush=True)
            figures[what] = figure
    size = (given.folder / "gallery.db").stat().st_size
    print(f"{'database':60} {size / 1e9:12,.3f} GB")
    (given.folder / "rows.json").write_text(json.dumps({**figures, "database, bytes": size}, indent=2) + "\n")


if __name__ == "__main__":
    main()
