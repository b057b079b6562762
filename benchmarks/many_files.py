"""A folder of 200,000 files, and 1,500 folders in each other: what indexing costs without a network.

python benchmarks/many_files.py [--files 200000] [--each 200000] [--nested 1500] --folder DIR

DIR: where the pictures and the galleries are written, and left; pictures that are there are used again. Each run is a
process of its own: seconds on the processor, the memory it took at most, and how much it had before it looked at any
file; first with an empty gallery, then with nothing changed. What describes is a stand-in that makes numbers of bytes,
so that folders, files and rows are what is measured.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from retrieval.face_search import FaceSearch
from tests.stand_ins import HashEditor, ReadsHere

ROOT = Path(__file__).resolve().parent.parent


def picture(n: int) -> bytes:
    """A PNG of 60 x 60 pixels in two colours, another for every n below 2**24."""
    image = Image.new("RGB", (60, 60), (n & 255, n >> 8 & 255, n >> 16 & 255))
    image.paste((17, 99, 200), (0, 30, 60, 60))
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()


def write_files(folder: Path, files: int, each: int) -> None:
    """So many pictures, so many of them in a folder."""
    for n in range(files):
        place = folder / f"p{n // each:04d}"
        if n % each == 0:
            place.mkdir(parents=True, exist_ok=True)
        path = place / f"IMG_{n:06d}.png"
        if not path.exists():
            path.write_bytes(picture(n))


def write_nested(folder: Path, folders: int) -> None:
    """Folders one in the other, with a picture in each."""
    for n in range(folders):
        folder /= "a"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.png").write_bytes(picture(n))


def index(gallery: Path, folder: Path) -> dict[str, float]:
    """One run in this process."""
    before, started = _megabytes(), time.process_time()
    with FaceSearch(gallery, describer=HashEditor(batch=500), reader=ReadsHere()) as faces:
        report = faces.index(folder)
    return {
        "described": report.described,
        "unchanged": report.unchanged,
        "skipped": len(report.skipped),
        "seconds": time.process_time() - started,
        "megabytes": _megabytes(),
        "before": before,
    }


def _megabytes() -> float:
    """The most that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(gallery: Path, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.many_files", "--one", str(gallery), "--folder", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--files", type=int, default=200_000)
    options.add_argument("--each", type=int, help="files of a folder; all by default")
    options.add_argument("--nested", type=int, default=1_500)
    options.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(index(given.one, given.folder)))
        return
    write_files(given.folder / "wide", given.files, given.each or given.files)
    write_nested(given.folder / "deep", given.nested)
    for name in ("wide", "deep"):
        for run in ("first", "again"):
            row = in_a_process(given.folder / f"{name}.gallery", given.folder / name)
            print(
                f"{name}, {run}: {row['described']:,} described, {row['unchanged']:,} unchanged, "
                f"{row['skipped']} skipped: {row['seconds']:.2f} s of computing, {row['megabytes']:.0f} MB at most, "
                f"{row['before']:.0f} before",
                flush=True,
            )


if __name__ == "__main__":
    main()
