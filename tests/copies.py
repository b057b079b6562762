"""Galleries for tests of copying: one with something in every table, all that a database holds, and a process that is
killed.

`python -m tests.copies FROM TO MOMENTS` copies in small steps, and kills itself at a moment: before a commit, or behind
one. It prints how many rows it copied, and had been copied before, where it gets to the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from index.care.copy_target import begun
from index.care.copying import copy
from index.gallery import CropPolicy, FileStamp, Gallery, GalleryConfig, Labels, Passed, Problem
from index.search.plan import Requirements, write_requirements
from index.truth.address import Address, Server, read_address
from index.truth.database import Database, SQLite
from index.truth.postgres import Postgres
from tests.faces import in_photograph, new_face, numbered
from tests.servers import administer

SIZE, NEXT_SIZE, STEP = 24, 8, 7
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
NEXT = replace(CONFIG, model_digest="b" * 64, descriptor_size=NEXT_SIZE)
TABLES = "gallery photo face passed kept hidden member placement record redescription staged".split()


def fill(place: Address | str) -> None:
    """Make a gallery with rows in every table, slots of removed faces between others, and ids that none has any more;
    in a folder, the very same each time."""
    place = read_address(place)
    if isinstance(place, Path):
        shutil.copytree(_filled().name, place, dirs_exist_ok=True)
    else:
        fill_anew(place)


@cache
def _filled() -> TemporaryDirectory[str]:
    made = TemporaryDirectory()
    fill_anew(made.name)
    return made


def fill_anew(place: Address | str) -> None:
    """Make such a gallery, another one each time."""
    with Gallery.create(place, CONFIG) as gallery:
        crops = [
            new_face(f"p/{n}.png", (n % 3 - 1) * 15, (0.1 * n, None, 1e-7), sha256=f"{n:064x}", size=n, mtime_ns=n)
            for n in range(30)
        ]
        named = [
            replace(one, labels=Labels.given("folder", identity=("anna", "Stra\u00dfe", "\u674e")[n % 3], pose=15))
            for n, one in enumerate(crops)
        ]
        party = [in_photograph(new_face("party.jpg", 0, sha256="f" * 64), n, 100.0 * n) for n in (1, 2, 3)]
        ids = gallery.add([*named, *party], numbered(SIZE, *range(33)))
        hand = Labels.given("hand", identity="Zo\u00eb", expression="smile", illumination=3)
        gallery.update_labels(dict.fromkeys((ids[4], ids[5], ids[6]), hand))
        gallery.remove(ids[5:8], keep_labels=True)
        gallery.remove(ids[28:33:2], hide=ids[28:33:2])
        gallery.note_problems([Problem("bad.png", FileStamp(1, 2), "is empty", "reader 1")])
        gallery.note_problems([Problem("wall.png", FileStamp(3, 4), "shows no face", "reader 1", faceless=True)])
        gallery.note_passed([Passed("notes.txt", "a text", FileStamp(5), "reader 1")])
        gallery.set_identity_level("last")
        gallery.set_crops(CropPolicy("all", None, "largest"))
        there = gallery.ids().tolist()
        gallery.people.write({}, [there[:4], there[4:7]], there[7:9])
        gallery.people.place({there[1]: 2})
        gallery.redescribing.begin(NEXT)
        gallery.redescribing.stage([gallery.get([one])[0] for one in there[:9]], numbered(NEXT_SIZE, *range(9)))
        write_requirements(gallery.folder, Requirements(0.95, 60_000.0, 10**9))


def tables(place: Address | str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table as the engine keeps it, and the last ids that were given."""
    place = read_address(place)
    columns = {name: f"SELECT * FROM {name}" for name in TABLES}
    if isinstance(place, Server):
        found = {name: administer(place, f"SELECT * FROM {place.schema}.{name}") for name in columns}
        last = administer(place, f"SELECT name, last FROM {place.schema}.given WHERE name IN ('photo', 'face')")
    else:
        connection = sqlite3.connect(place / "gallery.db")
        found = {name: connection.execute(query).fetchall() for name, query in columns.items()}
        last = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        connection.close()
    return {name: sorted(rows, key=repr) for name, rows in {**found, "given": last}.items()}


def descriptors(place: Address | str) -> dict[tuple[int, int], bytes]:
    """The bytes of every record that a face has, by file and slot."""
    place = read_address(place)
    rows = {(row[0], row[1]) for row in tables(place)["record"]}
    if isinstance(place, Server):
        found = administer(place, f"SELECT file, slot, content FROM {place.schema}.descriptor")
        return {(int(str(file)), int(str(slot))): content for file, slot, content in found}  # type: ignore[misc]
    sizes = {1: 2 * SIZE, 2: 2 * NEXT_SIZE}
    content = {file: (place / f"descriptors-{file}.f16").read_bytes() for file in {file for file, _ in rows}}
    return {(file, slot): content[file][slot * sizes[file] : (slot + 1) * sizes[file]] for file, slot in sorted(rows)}


def database_of(place: Address) -> tuple[Path, Database]:
    if isinstance(place, Server):
        return place.folder, Postgres(place)
    return place, SQLite(place / "gallery.db")


def main(source: str, target: str, killed_at: int) -> None:
    gone_by = 0

    def moment(*happening: object) -> None:
        nonlocal gone_by
        gone_by += 1
        if gone_by == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    folder, database = database_of(read_address(source))
    event.listen(Engine, "commit", moment)
    with begun(read_address(target)) as begun_there:
        done = copy(folder, database, begun_there, moment, STEP)
    print(done.rows, done.before)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
