"""Folders deeper than calls or paths reach."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def fill_deepest(root: Path, depth: int, name: str, picture: bytes) -> None:
    """Folders of this name, one within the other, and a picture in the last, which may lie deeper than a path can."""
    place = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        above, place = place, os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(above)
    with open(os.open("1.png", os.O_CREAT | os.O_WRONLY, dir_fd=place), "wb") as file:  # noqa: PTH123
        file.write(picture)
    os.close(place)


def remove(folder: Path) -> None:
    """shutil.rmtree calls itself for every folder in a folder."""
    subprocess.run(["rm", "-r", str(folder)], check=True)
