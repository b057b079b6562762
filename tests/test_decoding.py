"""Reading ahead in worker processes: in order, bounded, and alive after a file that kills its reader."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.images import read_crop
from index.stamps import FileStamp
from retrieval.one_file import Crops, Read
from retrieval.reading import read_ahead

ROOT = Path(__file__).resolve().parent.parent

IMPORTS = (
    "from retrieval.one_file import Crops",
    "from retrieval.reading import read_ahead",
    "read = Crops('aligned')",
)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number:02d}.png" for number in range(10)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((60, 60, 3), number, np.uint8)).save(path)
    return paths


read = Crops("aligned")  # whatever they show


def read_unless_deadly(path: Path) -> Read:
    if path.stem in ("03", "04", "09"):
        os._exit(1)  # as a decoder that writes where it must not
    return read(path)


def read_slowly(path: Path) -> Read:
    path.with_suffix(".read").touch()
    return Read(path)


def test_a_file_is_read_once_and_identified(pictures: list[Path]) -> None:
    one = read(pictures[7])
    assert one.crop is not None and (one.crop == 7).all() and one.reason == ""
    content, stat = pictures[7].read_bytes(), pictures[7].stat()
    assert (one.sha256, one.stamp) == (hashlib.sha256(content).hexdigest(), FileStamp.of(stat))


@pytest.mark.parametrize("workers", [None, 2])
def test_files_come_in_order_with_the_reasons_of_those_that_cannot_be_read(
    pictures: list[Path], workers: int | None
) -> None:
    pictures[4].write_bytes(b"")
    pictures[5].unlink()
    batches = list(read_ahead(pictures, 4, workers, read))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    files = [file for batch in batches for file in batch]
    assert [file.path for file in files] == pictures
    for number, file in enumerate(files):
        assert (file.crop is None) == (number in (4, 5)) == bool(file.reason)
        if file.crop is not None:
            np.testing.assert_array_equal(file.crop, read_crop(pictures[number]))
    assert files[4].reason == f"{pictures[4]} is empty (0 bytes): give a PNG, JPEG or other picture"
    assert files[5].reason == f"{pictures[5]} does not exist any more"


@pytest.mark.slow
def test_a_file_that_kills_its_reader_costs_itself_alone(pictures: list[Path]) -> None:
    files = [file for batch in read_ahead(pictures, 4, 2, read_unless_deadly) for file in batch]
    assert [file.path for file in files] == pictures
    assert [n for n, file in enumerate(files) if file.crop is None] == [3, 4, 9]
    assert files[3].reason == f"{pictures[3]} cannot be read: its decoder crashed; give a whole picture"


def test_a_single_file_that_kills_its_reader_does_not_kill_us(pictures: list[Path]) -> None:
    [[file]] = read_ahead(pictures[3:4], 4, reader=read_unless_deadly)
    assert file.crop is None and "its decoder crashed" in file.reason


def ran(script: Path, folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """A script without `if __name__ == "__main__":` that reads the pictures of a folder."""
    reads = "for batch in read_ahead(sorted(Path(sys.argv[1]).glob('*.png')), 4, reader=reader) for file in batch]"
    begin = ("import sys", "from pathlib import Path", *IMPORTS)
    end = (f"files = [file {reads}", "print('read', sum(file.crop is not None for file in files), flush=True)")
    script.write_text("\n".join([*begin, "print('the script runs', flush=True)", *lines, *end, ""]))
    return subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_script_without_a_guard_is_not_run_again_by_the_workers(pictures: list[Path], tmp_path: Path) -> None:
    done = ran(tmp_path / "script.py", tmp_path, "reader = read")
    assert done.stdout.splitlines() == ["the script runs", "read 10"] and done.stderr == ""


def test_where_no_process_can_be_started_files_are_read_here(pictures: list[Path], tmp_path: Path) -> None:
    """A worker has to run the script for a reader of its own, and for want of a guard fails."""
    done = ran(tmp_path / "script.py", tmp_path, "def reader(path):", "    return read(path)")
    assert "read 10" in done.stdout.splitlines(), done.stderr
    assert "no process can be started" in done.stderr


def test_no_files_start_no_process() -> None:
    before = threading.active_count()
    assert list(read_ahead([], 4)) == []
    assert multiprocessing.active_children() == [] and threading.active_count() == before


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def say_threads(path: Path) -> Read:
    return Read(path, reason=" ".join(os.environ.get(name, "-") for name in THREADS))


def test_a_process_that_reads_computes_by_one_thread(pictures: list[Path]) -> None:
    """There are as many of them as processors."""
    before = [os.environ.get(name) for name in THREADS]
    [[file]] = read_ahead(pictures[:1], 4, reader=say_threads)
    assert file.reason == "1 1 1" and [os.environ.get(name) for name in THREADS] == before


def say_faults(path: Path) -> Read:
    """How many pages the system has to give for 16 MB, after as many were free again."""
    resource = pytest.importorskip("resource")
    bytearray(b"1") * 2**24
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"1") * 2**24
    return Read(path, reason=str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep what they like")
def test_a_process_that_reads_keeps_the_room_of_the_last_picture(pictures: list[Path]) -> None:
    [[file]] = read_ahead(pictures[:1], 4, reader=say_faults)
    assert int(file.reason) < 100 and "MALLOC_TRIM_THRESHOLD_" not in os.environ  # of 4,096


def test_a_process_that_reads_begins_with_little() -> None:
    """Every one imports it anew."""
    script = "import sys, retrieval.reading_process; print(*sorted({'torch', 'filelock', 'sqlite3'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_more_than_two_batches_are_read_ahead(pictures: list[Path]) -> None:
    batches = read_ahead(pictures, 2, 1, read_slowly)
    assert len(next(batches)) == 2
    time.sleep(0.3)
    assert sum(path.with_suffix(".read").exists() for path in pictures) <= 4
    batches.close()  # type: ignore[attr-defined]


def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(600_000_000)
    assert "has 600,000,000 bytes, over 500,000,000: make it smaller" in read(path).reason


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 1.2])
def test_a_terminal_s_interrupt_reaches_this_process_alone(pictures: list[Path], tmp_path: Path, after: float) -> None:
    """A terminal sends it to every process at once, also to workers that are just being started."""
    script = tmp_path / "reads.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from retrieval.reading import read_ahead\n"
        "if __name__ == '__main__':\n"
        "    paths = sorted(Path(sys.argv[1]).glob('*.png')) * 1000\n"
        "    try:\n"
        "        print('begins', flush=True)\n"
        "        for _ in read_ahead(paths, 8, 2):\n"
        "            pass\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_workers_do_not_outlive_a_killed_parent(pictures: list[Path], tmp_path: Path) -> None:
    code = (
        "import multiprocessing, os, signal, sys\n"
        "from pathlib import Path\n"
        "from retrieval.reading import read_ahead\n"
        "if __name__ == '__main__':\n"
        "    batches = read_ahead(sorted(Path(sys.argv[1]).glob('*.png')), 2, 2)\n"
        "    next(batches)\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    ran = subprocess.run(
        [sys.executable, script, tmp_path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    workers = [int(number) for number in ran.stdout.split()]
    assert ran.returncode == -9 and workers, ran.stderr
    for _ in range(100):
        if not any(_alive(worker) for worker in workers):
            return
        time.sleep(0.05)
    pytest.fail(f"workers {workers} are still there 5 s after their parent was killed")


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
