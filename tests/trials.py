"""What tests have tried in a process of its own, which loads this file and little else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def length(file: Path, times: int) -> int:
    return times * len(file.read_bytes())


def folder(file: Path) -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


def refuses(file: Path) -> None:
    raise RuntimeError("OpenCV(4) /io/a.cpp:7: error: (-2:Unspecified error) no such \x1b[31mlayer\nand more")


def falls(file: Path) -> None:
    os.kill(os.getpid(), signal.SIGFPE)


def goes_on(file: Path) -> None:
    time.sleep(60)


def fills(file: Path) -> int:
    return len(bytearray(2**40))


def chatters(file: Path) -> int:
    os.write(1, b"a library says so\n")
    return 3
