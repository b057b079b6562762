"""How fast photographs and crops are indexed, what of that is work that has to be done, and what cutting out costs.

    python benchmarks/photographs_speed.py --real REAL --out FOLDER [--crops FOLDER] [--count 100] [--rounds 2]

REAL: a folder with photographs.csv (path, eye_left_x, ...) and photographs/. Of JPEGs of 2 and of 12 megapixels: an
index beside a plain loop, which decodes one after the other in full, finds faces by benchmarks/plain_faces.py and
describes by the same network; they take turns, so that other load on the machine falls on both. Then how much of the
cores' time while indexing the decoder, the detector and the networks need (YuNet, the landmark network and the model's;
the landmark network is told apart, and so is what is done for them besides: reading and hashing files, cutting out):
each picture is cut once more by one process that reads, each batch described on one thread. The same of all
photographs of REAL, since starting two processes is a cost of each run. Then a folder of crops (the sample gallery's)
taken as it is, beside the same looked at as `index` does. And the landmark network, by parts. Eight minutes on two
quiet cores; under load the times of computing are nearer to the truth than the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from benchmarks.photographs_faces import MODEL, jpeg, of_width, rows_of
from benchmarks.plain_faces import PlainDetector
from faceedit.align import Landmarks, align
from faceedit.cropping import Cropper
from faceedit.decoding import read_photograph
from faceedit.editor import Editor
from faceedit.face_detector import SIDES, Face, FaceDetector, Faces
from faceedit.landmarks import LandmarkFinder, by_network
from retrieval.face_search import FaceSearch
from retrieval.one_file import Read, read_by
from retrieval.reading import read_ahead

CROPS = Path(__file__).resolve().parent.parent / "sample_db" / "gallery"
WIDTHS = {2: 1414, 12: 3464}  # by megapixels, of pictures that are as high as 1.0 times that
FACES = 40  # that the landmark network is timed with
Timed = tuple[float, float]
"""Seconds by the clock, and of computing."""
T = TypeVar("T")


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
    rows, editor, db = rows_of(given.real), Editor.load(MODEL), given.out / "db"
    for megapixels, width in WIDTHS.items():
        some, more = (given.out / f"{megapixels}" / name for name in ("some", "more"))
        for number, row in enumerate(rows):
            image = of_width(read_photograph(given.real / row["path"]), width)
            folder = some if number < given.count else more
            folder.mkdir(parents=True, exist_ok=True)
            (folder / Path(row["path"]).name).write_bytes(jpeg(image))
        count = min(given.count, len(rows))
        rounds = [(plain(some, editor), indexed(some, db, editor)) for _ in range(given.rounds)]
        yield f"{megapixels} megapixels, {count} photographs"
        yield from _told("plain loop", "index", rounds, count)
        parts = Parts.of(some, editor)
        yield from _of_what(parts, min(one[1] for one in rounds), count)
        if more.is_dir():
            yield f"  all {len(rows)} photographs:"
            yield from _of_what(parts, indexed(some.parent, db, editor), len(rows))


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
    """Seconds of computing on one thread, of one photograph."""

    decoder: float = 0.0
    detector: float = 0.0
    landmarks: float = 0.0
    besides: float = 0.0
    describing: float = 0.0

    @classmethod
    def of(cls, folder: Path, editor: Editor) -> Parts:
        """The mean over the photographs in a folder."""
        paths = sorted(folder.iterdir())
        read = [one for some in read_ahead(paths, len(paths), 1, Counting()) for one in some]
        crops = [face.crop for one in read for face in one.faces]
        torch.set_num_threads(1)
        before = time.thread_time()
        for first in range(0, len(crops), editor.batch):
            editor.describe(np.stack(crops[first : first + editor.batch]))
        described = time.thread_time() - before
        torch.set_num_threads(2)
        each = np.mean([[float(text) for text in one.warnings] for one in read[1:]], axis=0)  # the first one loads
        decoder, detector, landmarks, besides = each.tolist()
        return cls(decoder, detector, landmarks, besides, described / len(paths))

    @property
    def asked(self) -> float:
        """Decoder, detector and networks."""
        return self.decoder + self.detector + self.landmarks + self.describing


class Counting:
    """Reads a file as `index` does, in a process that reads, and says in place of warnings how long each part of that
    takes: decoding (once more, as for the first look), the detector, the landmark network, and what is left."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    def __call__(self, path: Path, /) -> Read:
        self._spent = dict.fromkeys(("decoder", "detector", "landmarks"), 0.0)
        before = time.thread_time()
        read = read_by(self._cropper, path)
        whole, content = time.thread_time() - before, path.read_bytes()
        self.timed("decoder", lambda: read_photograph(path, content=content, longest=SIDES[0]))
        told = [*self._spent.values(), whole - sum(self._spent.values())]
        return replace(read, warnings=tuple(map(str, told)))

    @cached_property
    def _cropper(self) -> Cropper:
        """Made in the process that reads."""
        return Cropper(load=lambda: _Counted(FaceDetector(), self), points=self._points)

    def _points(self, photograph: Image.Image, face: Face) -> Landmarks:
        return self.timed("landmarks", lambda: by_network(photograph, face))

    def timed(self, part: str, work: Callable[[], T]) -> T:
        """What a piece of work gives, its computing added to a part's."""
        before = time.thread_time()
        made = work()
        self._spent[part] += time.thread_time() - before
        return made


class _Counted:
    """A detector whose computing is counted."""

    def __init__(self, detector: FaceDetector, counting: Counting) -> None:
        self._detector, self._counting = detector, counting

    def faces(self, photograph: Image.Image, side: int = SIDES[0], /) -> Faces:
        return self._counting.timed("detector", lambda: self._detector.faces(photograph, side))

    def standing(self, photograph: Image.Image, side: int, /) -> Faces:
        return self._counting.timed("detector", lambda: self._detector.standing(photograph, side))


def _of_what(parts: Parts, index: Timed, count: int) -> Iterator[str]:
    """Of an index of so many photographs."""
    yield (
        f"  a photograph needs, on one thread: decoder {1000 * parts.decoder:.1f} ms, detector "
        f"{1000 * parts.detector:.1f}, landmarks {1000 * parts.landmarks:.1f}, describing "
        f"{1000 * parts.describing:.1f}; reading, hashing and cutting out besides {1000 * parts.besides:.1f}"
    )
    cores = os.cpu_count() or 1
    by_clock, computed = (100 * count / seconds for seconds in (cores * index[0], index[1]))
    yield (
        f"  of the {cores} cores' {index[0]:.1f} s while indexing decoder, detector and networks are "
        f"{by_clock * parts.asked:.0f} % ({by_clock * parts.landmarks:.0f} of it landmarks), the rest of reading "
        f"{by_clock * parts.besides:.0f}; of the {index[1]:.1f} s that were computed {computed * parts.asked:.0f} % "
        f"({computed * parts.landmarks:.0f}) and {computed * parts.besides:.0f}"
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
