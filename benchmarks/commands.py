"""What the commands that everybody runs cost in computing, by this tree and by an older one, in turn.

git worktree add --detach ../before 46f6767
python benchmarks/commands.py --before ../before [--rounds 4]

One core, the own identity network, compiled modules, the sample gallery in a folder of its own: seconds on the
processor of `query`, `index` over unchanged files, `gallery verify`, `--help` and the first `index`, and of a query
from Python in a process that has asked five times before. Without --before, this tree alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_db"
_COMMAND = """
try:
    from cli.start import main
except ModuleNotFoundError:  # before there was one
    from cli.app import main
main()
"""
_FROM_PYTHON = """
import statistics, sys, time
from facesearch import FaceSearch

def once():
    started = time.process_time()
    faces.query(sys.argv[2], pose=30, k=5)
    return time.process_time() - started

if __name__ == "__main__":
    with FaceSearch(sys.argv[1]) as faces:
        print(statistics.median([once() for _ in range(65)][5:]))
"""


class Tree:
    """One version of the project, and the gallery that it makes of the sample's pictures in a folder."""

    def __init__(self, root: Path, work: Path) -> None:
        self._root, self._work = root, work
        self._photos = work / "photos"
        self._gallery = str(work / "gallery")
        shutil.copytree(SAMPLE / "gallery", self._photos)
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(root)], check=True)

    def first_index(self) -> float:
        return self._seconds("index", str(self._photos), "--db", self._gallery)

    def round(self) -> dict[str, float]:
        """Seconds of each command, once."""
        query = str(next((SAMPLE / "queries").glob("*.png")))
        return {
            "query": self._seconds("query", query, "--pose", "30", "--db", self._gallery),
            "index, nothing changed": self.first_index(),
            "gallery verify": self._seconds("gallery", "verify", "--db", self._gallery),
            "--help": self._seconds("--help"),
            "a query from Python": float(self._run(_FROM_PYTHON, self._gallery, query)),
        }

    def _seconds(self, *arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(_COMMAND, *arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _run(self, code: str, *arguments: str) -> str:
        """What a program of this tree prints. Exits with what it said where it fails."""
        one_core = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        own = {"HOME": str(self._work), "PYTHONPATH": str(self._root), "FACESEARCH_IDENTITY": "own"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            env={"PATH": os.environ["PATH"], **one_core, **own},
            cwd=self._work,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{self._root}: {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-600:]}")
        return done.stdout


def measure(roots: list[Path], rounds: int) -> dict[str, list[float]]:
    """Medians of each tree in turn, by what was run; seconds on the processor."""
    with tempfile.TemporaryDirectory() as folder:
        trees = []
        for n, root in enumerate(roots):
            (Path(folder) / str(n)).mkdir()
            trees.append(Tree(root, Path(folder) / str(n)))
        first = [tree.first_index() for tree in trees]
        taken = [[tree.round() for tree in trees] for _ in range(rounds)]
    rows = {what: [statistics.median(one[n][what] for one in taken) for n in range(len(roots))] for what in taken[0][0]}
    return {"index, for the first time": first, **rows}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--before", type=Path, help="a work tree of an older version")
    options.add_argument("--rounds", type=int, default=4)
    given = options.parse_args()
    roots = [*([given.before.resolve()] if given.before else []), ROOT]
    for what, seconds in measure(roots, given.rounds).items():
        ratio = f"  {seconds[1] / seconds[0]:.3f}" if len(seconds) == 2 else ""
        print(f"{what:28}" + "".join(f"{one:10.3f} s" for one in seconds) + ratio, flush=True)


if __name__ == "__main__":
    main()
