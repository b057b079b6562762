"""How fast photographs and crops are indexed, what of that is work that has to be done, and what cutting out costs.

    python benchmarks/photographs_speed.py --real REAL --out FOLDER [--crops FOLDER] [--count 100] [--rounds 2]

REAL: a folder with photographs.csv (path, eye_left_x, ...) and photographs/. Of JPEGs of 2 and of 12 megapixels: an
index beside a plain loop, which decodes one after the other in full, finds faces by benchmarks/plain_faces.py and
describes by the same network; they take turns, so that other load on the machine falls on both. Then how much of the
cores' time while indexing the decoder, the detector and the networks need: each picture is cut, and each batch
described, once more in this process, on one thread. Then a folder of crops (the sample gallery's) taken as it is,
beside the same looked at as `index` does. And the landmark network, by parts. Six minutes on two quiet cores; under
load the times of computing are nearer to the truth than the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.photographs_faces import MODEL, jpeg, of_width, rows_of
from benchmarks.plain_faces import PlainDetector
from faceedit.align import Landmarks, align
from faceedit.cropping import Cropper
from faceedit.editor import Editor
from faceedit.face_detector import SIDES, Face, FaceDetector, Faces
from faceedit.images import read_photograph
from faceedit.landmarks import LandmarkFinder, by_network
from retrieval.face_search import FaceSearch

CROPS = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
WIDTHS = {2: 1414, 12: 3464}  # by megapixels, of pictures that are as high as 1.0 times that
FACES = 40  # that the landmark network is timed with
Timed = tuple[float, float]
"""Seconds by the clock, and of computing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("real", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--crops", type=Path, default=CROPS)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began", flush=True)
    for part in (photographs, crops, landmarks):
        for line in part(given):
            print(line, flush=True)


# --- photographs ---


def photographs(given: argparse.Namespace) -> Iterator[str]:
    """Indexed beside the plain loop, and of what that consists."""
    rows, editor = rows_of(given.real)[: given.count], Editor.load(MODEL)
    for megapixels, width in WIDTHS.items():
        folder = given.out / f"{megapixels}"
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            image = of_width(read_photograph(given.real / row["path"]), width)
            (folder / Path(row["path"]).name).write_bytes(jpeg(image))
        rounds = [(plain(folder, editor), indexed(folder, given.out / "db", editor)) for _ in range(given.rounds)]
        yield f"{megapixels} megapixels, {len(rows)} photographs"
        yield from _told("plain loop", "index", rounds, len(rows))
        yield from _of_what(Parts.of(folder, editor), min(one[1] for one in rounds))


def plain(folder: Path, editor: Editor) -> Timed:
    """By a loop."""

    def work() -> None:
        detector = PlainDetector()
        for path in sorted(folder.iterdir()):
            image = Image.open(path).convert("RGB")
            for points in detector(np.asarray(image)):
                editor.describe(align(image, points)[None])

    return timed(work)


def indexed(folder: Path, db: Path, editor: Editor, faces: str = "auto") -> Timed:
    """Into a new gallery."""
    shutil.rmtree(db, ignore_errors=True)
    with FaceSearch(db, describer=editor) as search:
        return timed(lambda: search.index(folder, faces=faces))


def timed(work: Callable[[], object]) -> Timed:
    """Also in processes that have ended."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in both)

    clock, before = time.monotonic(), used()
    work()
    return time.monotonic() - clock, used() - before


def _told(one: str, other: str, rounds: Sequence[tuple[Timed, Timed]], count: int) -> Iterator[str]:
    for what, at in (("by the clock", 0), ("computing", 1)):
        ratios = [a[at] / b[at] for a, b in rounds]
        least = [min(some) for some in zip(*((a[at], b[at]) for a, b in rounds), strict=True)]
        yield (
            f"  {what}: {one} {least[0]:.1f} s ({count / least[0]:.1f}/s), {other} {least[1]:.1f} s "
            f"({count / least[1]:.1f}/s); {np.median(ratios):.2f} times as fast, from {min(ratios):.2f} to "
            f"{max(ratios):.2f}"
        )
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    yield f"  most memory of a process so far: {peak / 1e6:.2f} GB"


@dataclass
class Parts:
    """Seconds of computing on one thread."""

    detector: float = 0.0
    landmarks: float = 0.0
    cutting: float = 0.0
    describing: float = 0.0
    crops: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, editor: Editor) -> Parts:
        """Of the photographs in a folder: decoded and cut (`cutting` is what is left), and described."""
        parts, detector = cls(), FaceDetector()
        cropper = Cropper(load=lambda: _Counted(detector, parts), points=parts.found)
        before = time.thread_time()
        for path in sorted(folder.iterdir()):
            parts.crops += [cut.crop for cut in cropper.cut(path, path.read_bytes()).faces]
        parts.cutting = time.thread_time() - before - parts.detector - parts.landmarks
        torch.set_num_threads(1)
        before = time.thread_time()
        for first in range(0, len(parts.crops), editor.batch):
            editor.describe(np.stack(parts.crops[first : first + editor.batch]))
        parts.describing = time.thread_time() - before
        torch.set_num_threads(2)
        return parts

    def found(self, photograph: Image.Image, face: Face) -> Landmarks:
        """By the landmark network."""
        before = time.thread_time()
        points = by_network(photograph, face)
        self.landmarks += time.thread_time() - before
        return points

    @property
    def all(self) -> float:
        return self.detector + self.landmarks + self.cutting + self.describing


class _Counted:
    """A detector whose computing is counted."""

    def __init__(self, detector: FaceDetector, parts: Parts) -> None:
        self._detector, self._parts = detector, parts

    def faces(self, photograph: Image.Image, side: int = SIDES[0], /) -> Faces:
        before = time.thread_time()
        found = self._detector.faces(photograph, side)
        self._parts.detector += time.thread_time() - before
        return found

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        before = time.thread_time()
        found = self._detector.standing(photograph, side)
        self._parts.detector += time.thread_time() - before
        return found


def _of_what(parts: Parts, index: Timed) -> Iterator[str]:
    each = 1000 / len(parts.crops)
    yield (
        f"  a face needs, on one thread: decoding and cutting {each * parts.cutting:.1f} ms, detector "
        f"{each * parts.detector:.1f}, landmarks {each * parts.landmarks:.1f}, describing {each * parts.describing:.1f}"
    )
    cores = os.cpu_count() or 1
    yield (
        f"  of the {cores} cores' time while indexing that is {100 * parts.all / (cores * index[0]):.0f} %, of what "
        f"indexing computed {100 * parts.all / index[1]:.0f} %"
    )


# --- crops, and landmarks ---


def crops(given: argparse.Namespace) -> Iterator[str]:
    """A folder of crops, taken as they are and looked at."""
    editor, db = Editor.load(MODEL), given.out / "db"
    count = sum(path.suffix in (".png", ".jpg") for path in given.crops.rglob("*"))
    rounds = [
        (indexed(given.crops, db, editor, "aligned"), indexed(given.crops, db, editor)) for _ in range(given.rounds)
    ]
    yield f"{count} crops"
    yield from _told("taken as they are", "looked at", rounds, count)


def landmarks(given: argparse.Namespace) -> Iterator[str]:
    """The landmark network, on the thread that asks it."""
    import cv2

    cv2.setNumThreads(1)
    finder, detector = LandmarkFinder(), FaceDetector()
    images = [read_photograph(given.real / row["path"]) for row in rows_of(given.real)[:FACES]]
    faces = [detector.faces(image).found[0] for image in images]
    square = np.zeros((64, 64, 3), np.uint8)
    found = [finder(image, face) for image, face in zip(images, faces, strict=True)]
    whole = _each(lambda at: finder(images[at], faces[at]), len(images))
    network = _each(lambda at: finder.places(square), len(images))
    cutting = _each(lambda at: align(images[at], found[at]), len(images))
    yield f"landmarks of a face: {whole:.2f} ms, the network alone {network:.2f}; its crop is cut in {cutting:.2f} ms"


def _each(work: Callable[[int], object], count: int) -> float:
    """Milliseconds of computing, the least of five rounds."""
    least = np.inf
    for _ in range(5):
        before = time.thread_time()
        for at in range(count):
            work(at)
        least = min(least, time.thread_time() - before)
    return float(1000 * least / count)


if __name__ == "__main__":
    main()
