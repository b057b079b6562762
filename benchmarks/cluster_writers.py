"""Two writers and four readers over one gallery on PostgreSQL, while a random part is killed once a minute.

    python benchmarks/cluster_writers.py [--vectors milvus|pgvector|faiss] [--milvus-server PROGRAM] [--ray]
                                         [--minutes 10] [--seed 1] [--every 60]

Each writer changes pictures of a folder of its own and indexes it, labels, hides and removes; readers ask, without and
with conditions, and check every answer. A process, PostgreSQL (the whole server, or one of its sessions), Milvus or a
node of Ray is killed by SIGKILL once a minute and started again at once. A stand-in describes pictures, so that no time
goes into that. `milvus` is Milvus Lite as a server of its own, or with --milvus-server the server of the wheel `milvus`
by its program `milvus-server`, in an environment of its own. With --ray the second writer indexes by a Ray cluster of a
head and two nodes of a processor each. Prints what each kill cost the readers; at the end the gallery is compared with
one that is made anew in a folder, and with what the writers had been told was done. Needs what `make test-cluster`
installs.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cluster_checks import check_end
from benchmarks.cluster_parts import Milvus, MilvusLite, MilvusServer, Processes, RayNodes, kinds_of_kills, postgres
from benchmarks.cluster_roles import OWN, READERS, WRITERS, Place, opened, save
from index.search.plan import Requirements
from tests.conftest import ROOT

STILL, NAMED, HIDING = 1_200, 30, 20  # pictures that never change; of each writer those it labels, and may hide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", choices=("milvus", "pgvector", "faiss"), default="milvus")
    parser.add_argument("--milvus-server", type=Path, help="the wheel's program; by default it is Milvus Lite")
    parser.add_argument("--ray", action="store_true", help="the second writer indexes by Ray")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=60, help="seconds from one kill to the next")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.milvus_server is not None and (given.vectors != "milvus" or not given.milvus_server.is_file()):
        parser.error("--milvus-server is the program milvus-server of the wheel milvus, for --vectors milvus")
    os.environ["PYTHONPATH"] = str(ROOT)  # of the processes, also Ray's
    with ExitStack() as stack:
        folder = TemporaryDirectory(prefix="facesearch-writers-", ignore_cleanup_errors=True)
        work, server = Path(stack.enter_context(folder)), stack.enter_context(postgres())
        os.environ["FACESEARCH_CACHE"] = str(work / "cache")
        uri = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://").replace(":@", "@")
        address = f"{uri}{'&' if '?' in uri else '?'}gallery=writers"
        place = Place(address, work / "photos", work / "notes", "ray" if given.ray else None)
        place.notes.mkdir()
        milvus: Milvus | None = None
        if given.vectors == "milvus":
            data, program = work / "milvus", given.milvus_server
            milvus = MilvusLite(data) if program is None else MilvusServer(program, data)
            stack.callback(milvus.end)
        ray = RayNodes() if given.ray else None
        if ray is not None:
            stack.callback(ray.end)
        failed = _campaign(place, server, milvus, ray, given)
    sys.exit(failed)


def _campaign(place: Place, server: Any, milvus: Milvus | None, ray: RayNodes | None, given: argparse.Namespace) -> int:
    _begin(place, f"milvus://127.0.0.1:{milvus.port}/writers" if milvus else given.vectors)
    print(f"begun: {STILL + len(WRITERS) * (OWN + NAMED + HIDING):,} faces by {given.vectors}", flush=True)
    chosen, kills = random.Random(given.seed), list[tuple[float, str]]()
    processes = Processes(place, given.seed)
    kinds = kinds_of_kills(processes, server, milvus, ray)
    began = time.monotonic()
    while time.monotonic() - began < 60 * given.minutes:
        time.sleep(min(1.0, given.every / 4))
        processes.look()
        if time.monotonic() - began > given.every * (len(kills) + 1):
            if len(kills) % len(kinds) == 0:
                order = chosen.sample(kinds, len(kinds))
            at, load = time.time(), os.getloadavg()[0]
            kills.append((at, order[len(kills) % len(kinds)](chosen)))
            print(f"killed: {kills[-1][1]}, after {time.monotonic() - began:.0f} s; load {load:.1f}", flush=True)
    processes.end()
    return _report(place, kills, processes.unexpected)


def _begin(place: Place, vectors: str) -> None:
    for n in range(STILL):
        save(place.photos / "still" / f"{n}.png", n)
    for number, name in enumerate(WRITERS, 1):
        for kind, count in (("p", OWN), ("named", NAMED), ("hidden", HIDING)):
            for n in range(count):
                save(place.photos / name / kind / f"{n}.png", 10**6 * number + 10**5 * len(kind) + n)
    with opened(place.address) as faces:
        faces.create(place.photos, vectors)
        faces.index(place.photos, requirements=Requirements(0.95, 60_000), identity_level="first")


def _report(place: Place, kills: list[tuple[float, str]], unexpected: list[str]) -> int:
    readers = {name: place.notes_of(name) for name in READERS}
    writers = {name: place.notes_of(name) for name in WRITERS}
    for name, notes in writers.items():
        runs = [note for note in notes if note["kind"] == "run"]
        errors = [note["error"] for note in notes if note["kind"] == "error"]
        seconds = sorted(run["seconds"] for run in runs) or [0.0]
        print(
            f"writer {name}: {len(runs)} runs, {sum(one['described'] for one in runs)} described, {len(errors)} "
            f"refused; a run takes {seconds[len(seconds) // 2]:.1f} s, the longest {seconds[-1]:.1f}"
        )
        print("".join(f"    {errors.count(error)} x {error[:300]}\n" for error in dict.fromkeys(errors)), end="")
    answers = sum(note["count"] for notes in readers.values() for note in notes if note["kind"] == "answers")
    wrong = [note["wrong"] for notes in readers.values() for note in notes if note["kind"] == "wrong"]
    print(f"readers: about {answers:,} answers, {len(wrong)} of them wrong {wrong[:5]}")
    _report_gaps(readers, kills)
    found = check_end(place, writers, opened)
    for line in [*wrong, *unexpected, *found]:
        print(f"FOUND: {line}")
    return int(bool(wrong or unexpected or found))


def _report_gaps(readers: dict[str, list[dict[str, Any]]], kills: list[tuple[float, str]]) -> None:
    """What each kill cost each reader, and when else nobody was answered."""
    gaps = [{**note, "reader": name} for name, notes in readers.items() for note in notes if note["kind"] == "gap"]
    others = list(gaps)
    for at, what in kills:
        near = [gap for gap in gaps if gap["began"] <= at + 10 and gap["began"] + gap["seconds"] > at]
        others = [gap for gap in others if gap not in near]
        longest = {gap["reader"]: gap["seconds"] for gap in sorted(near, key=lambda gap: gap["seconds"])}
        told = ", ".join(f"{longest.get(name, 0):.1f}" for name in readers)
        said = "; ".join(dict.fromkeys(gap["error"][:120] for gap in near if gap["error"]))
        print(f"  {what} killed: seconds without an answer, of each reader: {told}. {said}")
    if others:
        worst = max(others, key=lambda gap: gap["seconds"])
        kills_before = [(worst["began"] - at, what) for at, what in kills if at < worst["began"]]
        after = "".join(f", {ago:.0f} s after {what} was killed" for ago, what in kills_before[-1:])
        print(f"  else {len(others)} times for longer than half a second, at most {worst['seconds']:.1f} s{after}")


if __name__ == "__main__":
    main()
