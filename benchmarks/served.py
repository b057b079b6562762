"""What the server costs: a query over HTTP against the same FaceSearch called directly, and many clients at once.

    python benchmarks/served.py --rows 20860 --seconds 60

The gallery is the sample's, and beyond it faces with descriptors near those; queries are by faces of the sample, and by
an upload of two megapixels. Server and clients run in processes of their own on the same processors.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands have it: threads that wait take no processor
os.environ.setdefault("GOMP_SPINCOUNT", "0")
ROOT = Path(__file__).resolve().parent.parent
API = "/api/v1"
_STEP = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_860)
    parser.add_argument("--seconds", type=float, default=60.0, help="of many clients at once")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=40, help="queries of one client, in turns with direct ones")
    parser.add_argument("--skip-uploads", action="store_true", help="by many clients: only ask by faces")
    parser.add_argument("--identity", default="own", help="what says who somebody is: own, sface, or a file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "db"
        with FaceSearch(db, SAMPLE_DB / "models", identity=given.identity) as faces:
            faces.index(SAMPLE_DB / "gallery", SAMPLE_DB / "gallery")
            own = len(faces.gallery)
            add_rows(faces, given.rows)
            with listening(db, given.identity) as address:
                figures = asyncio.run(measure(faces, address, own, given))
    print(json.dumps(figures, indent=2))


def add_rows(faces: FaceSearch, rows: int) -> None:
    """Faces near those that are there: rows and descriptors, no files."""
    gallery, random = faces.gallery, np.random.default_rng(0)
    known = list(gallery.faces())
    have = gallery.descriptors([face.id for face in known])
    for start in range(len(known), rows, _STEP):
        chosen = random.integers(0, len(known), min(_STEP, rows - start))
        made = have[chosen] + random.normal(0, 0.5 / have.shape[1] ** 0.5, (len(chosen), have.shape[1]))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        new = [
            replace(known[one], photo=replace(known[one].photo, path=f"more/{start + n}.png"))
            for n, one in enumerate(chosen)
        ]
        gallery.add(new, made.astype(np.float32))


@contextmanager
def listening(db: Path, identity: str) -> Iterator[str]:
    """The address of a server process over a gallery."""
    command = [sys.executable, "-m", "cli.app", "serve", "--db", str(db), "--port", "0", "--identity", identity]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0].rstrip("/")
        finally:
            process.terminate()


async def measure(faces: FaceSearch, address: str, own: int, given: argparse.Namespace) -> dict[str, object]:
    upload = two_megapixels()
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
        ids = np.random.default_rng(1).integers(1, own + 1, 10_000).tolist()
        figures: dict[str, object] = {"rows": given.rows}
        by_face = lambda n: client.post(f"{API}/query", params={"of": ids[n], "pose": 30})  # noqa: E731
        by_upload = lambda n: client.post(f"{API}/query", params={"pose": 30}, content=upload)  # noqa: E731
        figures["by a face"] = await one(
            given.repeats, lambda n: faces.query(faces.read_face(ids[n]), pose=30), by_face
        )
        figures["by an upload"] = await one(given.repeats, lambda n: faces.query(upload, pose=30), by_upload)
        figures[f"{given.clients} clients by a face"] = await many(given, by_face)
        if not given.skip_uploads:
            figures[f"{given.clients} clients by an upload"] = await many(given, by_upload)
        return figures


Ask = Callable[[int], Awaitable[httpx2.Response]]


async def one(repeats: int, direct: Callable[[int], object], served: Ask) -> dict[str, float]:
    """Milliseconds in the median, taken in turns."""
    took: dict[str, list[float]] = {"direct": [], "served": []}
    for n in range(repeats + 3):
        started = time.perf_counter()
        direct(n)
        between = time.perf_counter()
        (await served(n)).raise_for_status()
        if n >= 3:
            took["direct"].append(between - started)
            took["served"].append(time.perf_counter() - between)
    medians = {name: 1000 * statistics.median(times) for name, times in took.items()}
    return {
        **{f"{name} ms": round(value, 1) for name, value in medians.items()},
        "times as long": round(medians["served"] / medians["direct"], 2),
    }


async def many(given: argparse.Namespace, ask: Ask) -> dict[str, float]:
    """How many a second, of one client and of many, in turns of two seconds; the slowest hundredth of the many."""
    counts, spent, took, failed = {1: 0, given.clients: 0}, {1: 0.0, given.clients: 0.0}, [], 0
    end, turn = time.perf_counter() + given.seconds, 0
    while time.perf_counter() < end:
        clients = (1, given.clients)[turn % 2]
        turn += 1
        started = time.perf_counter()

        async def client(first: int, until: float) -> list[tuple[float, bool]]:
            found, n = [], first
            while time.perf_counter() < until:
                before = time.perf_counter()
                answer = await ask(n % 10_000)
                found.append((time.perf_counter() - before, answer.status_code == 200))
                n += 97
            return found

        length = 2.0 if clients == 1 else 4.0
        all_ = await asyncio.gather(*(client(97 * turn + 13 * c, started + length) for c in range(clients)))
        spent[clients] += time.perf_counter() - started
        done = [each for of_one in all_ for each in of_one]
        counts[clients] += sum(good for _, good in done)
        failed += sum(not good for _, good in done)
        took += [seconds for seconds, _ in done] if clients > 1 else []
    rates = {clients: counts[clients] / spent[clients] for clients in counts}
    return {
        "one client a second": round(rates[1], 1),
        "all a second": round(rates[given.clients], 1),
        "times as many": round(rates[given.clients] / rates[1], 2),
        "p50 ms": round(1000 * float(np.quantile(took, 0.5)), 0),
        "p99 ms": round(1000 * float(np.quantile(took, 0.99)), 0),
        "failed": failed,
    }


def two_megapixels() -> bytes:
    """A JPEG photograph of 1600 x 1250 with one face of the sample in it."""
    face = Image.open(SAMPLE_DB / "queries" / "0104_+00_06.png").convert("RGB").resize((500, 500))
    scene = np.random.default_rng(2).normal(128, 20, (125, 160, 3)).clip(0, 255).astype(np.uint8)
    photograph = Image.fromarray(scene).resize((1600, 1250))
    photograph.paste(face, (550, 350))
    content = io.BytesIO()
    photograph.save(content, "JPEG", quality=90)
    return content.getvalue()


if __name__ == "__main__":
    main()
