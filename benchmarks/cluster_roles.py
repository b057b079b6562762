"""Who writes into the gallery of benchmarks/cluster_writers.py, and who asks and checks every answer: each a process
that may be killed at any time, and notes what it did."""

from __future__ import annotations

import json
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from index.errors import GalleryError
from index.gallery import Gallery
from index.values import FloatArray
from index.where import parse
from retrieval.errors import ClusterError
from retrieval.face_search import FaceSearch
from retrieval.one_file import Read
from tests.stand_ins import HashEditor, ReadsHere, believing

WRITERS, READERS = ("a", "b"), tuple(f"reader{n}" for n in range(4))
OWN = 150  # pictures of each writer that come, go and change
CONDITIONS = (None, "decided != 45", "identity = 'still' and decided < 45", "path like 'still/%'", "decided = 0")
_GAP = 0.5  # seconds between two answers from which on it is told
_BY_RAY = 48  # pictures that change before each run by Ray: three parts, so that both nodes have some
_READING = 0.1  # seconds that such a picture takes longer, so that a node may be lost while it has a part


def editor() -> HashEditor:
    return HashEditor(descriptor_size=1_024, batch=64)


def opened(address: str, by_ray: bool = False) -> FaceSearch:
    return FaceSearch(address, describer=editor(), reader=ReadsHere(crops=_Reads(_READING if by_ray else 0)))


@dataclass(frozen=True)
class _Reads:
    """What reads a file in any process, and takes so many seconds more."""

    seconds: float

    def __call__(self, path: Path) -> Read:
        time.sleep(self.seconds)
        return _reads()(path)


_reads = cache(believing)


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path.with_suffix(".new"), "PNG")
    path.with_suffix(".new").replace(path)


@dataclass(frozen=True)
class Place:
    """address: of the gallery; photos: its images' folder; notes: where processes say what they did; workers: by which
    the second writer indexes, None: it describes itself."""

    address: str
    photos: Path
    notes: Path
    workers: str | None = None

    def note(self, name: str, **said: Any) -> None:
        """One line, there before this returns."""
        with (self.notes / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), **said}) + "\n")

    @property
    def is_over(self) -> bool:
        return (self.notes / "over").exists()

    def notes_of(self, name: str) -> list[dict[str, Any]]:
        path = self.notes / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- writers ---


def write(place: Place, name: str, seed: int) -> None:
    """Change a folder and index it, until all is over. What was begun and what was done is noted, each before the
    next."""
    chosen, folder = random.Random(f"{name} {seed} {time.time()}"), place.photos / name
    workers = place.workers if name == WRITERS[-1] else None
    while not place.is_over:
        _change(folder, chosen, 0 if workers is None else _BY_RAY)
        began = time.time()
        try:
            with opened(place.address, workers is not None) as faces:
                report = faces.index(folder, workers=workers)
                done = {"described": report.described, "renamed": report.renamed}
                place.note(name, kind="run", seconds=time.time() - began, **done)
                _by_hand(place, name, faces, chosen)
        except (ClusterError, GalleryError) as error:
            place.note(name, kind="error", error=f"{type(error).__name__}: {error}")
            time.sleep(0.2)


def _change(folder: Path, chosen: random.Random, least: int) -> None:
    there = sorted((folder / "p").glob("*.png"))
    chosen.shuffle(there)
    for path in there[: chosen.randrange(4)]:
        path.unlink()
    for path in there[4 : 4 + least + chosen.randrange(6)]:
        save(path, chosen.getrandbits(62))
    for path in there[10 + least : 10 + least + chosen.randrange(4)]:
        path.rename(path.with_name(f"{chosen.getrandbits(60)}.png"))
    for _ in range(chosen.randrange(12) if len(there) < 2 * OWN else 0):
        save(folder / "p" / f"{chosen.getrandbits(60)}.png", chosen.getrandbits(62))
    if chosen.random() < 0.5:
        path = chosen.choice(sorted((folder / "named").glob("*.png")))
        path.rename(path.with_name(f"{path.stem.split('-')[0]}-{chosen.getrandbits(30)}.png"))


def _by_hand(place: Place, name: str, faces: FaceSearch, chosen: random.Random) -> None:
    """Label a picture by its stem, which it keeps whatever it is called; hide one."""
    path = chosen.choice(sorted((place.photos / name / "named").glob("*.png")))
    label = f"{chosen.getrandbits(40)}"
    said = {"picture": path.stem.split("-")[0], "label": label}
    place.note(name, kind="labels", **said)
    faces.label(path.relative_to(place.photos).as_posix(), identity=label)
    place.note(name, kind="labelled", **said)
    left = sorted((place.photos / name / "hidden").glob("*.png"))
    known = faces.gallery.faces_at([one.relative_to(place.photos).as_posix() for one in left])
    if known and chosen.random() < 0.3:
        going = chosen.choice(sorted(known))
        place.note(name, kind="hides", picture=going)
        faces.remove(going, hide=True)
        place.note(name, kind="hidden", picture=going)


# --- readers ---


@dataclass
class Asking:
    """What one reader saw since it wrote it down last. When it had its last answer stands on a file, for the one that
    is started where this one is killed."""

    place: Place
    name: str
    answers: int = 0
    error: str = ""
    told: float = 0.0

    def __post_init__(self) -> None:
        self._mark = self.place.notes / f"{self.name}.last"
        if not self._mark.exists():
            self._mark.touch()
        self.last = self._mark.stat().st_mtime

    def good(self, seconds: float) -> None:
        self.end(asked=seconds)
        self._mark.touch()
        self.answers, self.last, self.error = self.answers + 1, time.time(), ""
        if self.last - self.told > 5:
            self.place.note(self.name, kind="answers", count=self.answers)
            self.answers, self.told = 0, self.last

    def end(self, **said: Any) -> None:
        """Note for how long there has been no answer, where that is long."""
        if (seconds := time.time() - self.last) > _GAP:
            self.place.note(self.name, kind="gap", began=self.last, seconds=seconds, error=self.error, **said)


def read(place: Place, name: str, seed: int) -> None:
    """Ask until all is over, and check every answer."""
    chosen, looks = random.Random(f"{name} {seed} {time.time()}"), still_looks(place.photos)
    asking = Asking(place, name)
    with ExitStack() as stack:
        gallery: Gallery | None = None
        while not place.is_over:
            began = time.time()
            try:
                gallery = gallery or stack.enter_context(Gallery.open(place.address))
                wrong = _ask(gallery, chosen, looks)
            except GalleryError as error:
                asking.error = asking.error or f"{type(error).__name__}: {error}"
                time.sleep(0.05)
                continue
            if wrong:
                place.note(name, kind="wrong", wrong=wrong)
            asking.good(time.time() - began)
    asking.end()


def still_looks(photos: Path) -> dict[str, FloatArray]:
    """By path the descriptor of each picture that never changes, as a gallery keeps it."""
    paths = sorted((photos / "still").glob("*.png"))
    made = editor()
    crops = [made.describe(np.asarray(Image.open(path).convert("RGB"))[None]).descriptors[0] for path in paths]
    return {f"still/{path.name}": np.asarray(look, np.float32) for path, look in zip(paths, crops, strict=True)}


def _ask(gallery: Gallery, chosen: random.Random, looks: dict[str, FloatArray]) -> str:
    """What is wrong with an answer; empty where nothing is."""
    path = chosen.choice(list(looks))
    asked = chosen.choice(CONDITIONS)
    found = gallery.search(looks[path], 10, where=None if asked is None else parse(asked))
    distances = [match.distance for match in found]
    if len(found) != 10 or distances != sorted(distances) or len({match.face.id for match in found}) != 10:
        return f"{asked}: {len(found)} results at {distances}"
    others = [match.face.path for match in found if not _passes(match.face, asked)]
    if others:
        return f"{asked}: {others} do not pass"
    at = {match.face.path: match.distance for match in found}
    passes = asked in (None, "path like 'still/%'")
    if path in at and at[path] > 0.03:
        return f"{path} at {at[path]}"
    if passes and found[0].face.path != path:
        return f"{asked}: {path} is not first, but {found[0].face.path} at {distances[0]}"
    return ""


def _passes(face: Any, asked: str | None) -> bool:
    value, still = face.decision.decided, face.path.startswith("still/")
    passes = (True, value != 45, still and value < 45, still, value == 0)
    return bool(passes[CONDITIONS.index(asked)])
