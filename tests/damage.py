"""One change of one file of a gallery, at random: bytes flipped, cut, swapped, replaced; cells, rows, links."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS = ("row deleted", "file deleted")  # which no digest of what is left can tell of
TABLES = (
    "gallery",
    "photo",
    "face",
    "record",
    "passed",
    "kept",
    "hidden",
    "member",
    "placement",
    "redescription",
    "staged",
    "alembic_version",
    "sqlite_sequence",
)
_VALUES: tuple[Any, ...] = (
    *(None, 0, 1, -1, 7, 2**31, 2**62, 2**63 - 1, -(2**63), 0.5, float("inf"), 1e300),
    *("", "x", "p1", "../precious/x", "/../../precious/x", "a/../b", "[", "[1,2]", "[NaN]", '{"a":1}', "\0", "é" * 300),
    *(b"", b"\0" * 32, b"\xff" * 32, b"x" * 5),
)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow in this block, as on a disk without room; skips where the system knows no such
    limit."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def damage(db: Path, outside: Path, rng: np.random.Generator) -> tuple[str, str]:
    """Change something in the gallery's folder: the kind of damage, and in full what was done. outside: a folder that
    links may lead to."""
    kinds: dict[str, Callable[[], str]] = {
        "cell": lambda: _cell(db, rng),
        "cells swapped": lambda: _swapped(db, rng),
        "row deleted": lambda: _deleted(db, rng),
        "link": lambda: _link(db, outside, rng),
        "file deleted": lambda: _gone(db, rng),
    }
    bytes_: dict[str, Callable[[bytearray], str]] = {
        "bit": lambda content: _flip(content, rng),
        "bytes replaced": lambda content: _replace(content, rng),
        "bytes swapped": lambda content: _swap(content, rng),
        "cut": lambda content: _cut(content, rng),
        "bytes inserted": lambda content: _insert(content, rng),
    }
    kind = str(rng.choice([*kinds, "cell", "cell", "cells swapped", *bytes_, *bytes_]))
    if kind in kinds:
        return kind, f"{kind}: {kinds[kind]()}"
    path = _file(db, rng)
    before = path.read_bytes()
    content = bytearray(before)
    while content == before:  # equal bytes may have been swapped
        told = bytes_[kind](content)
    path.write_bytes(content)
    name = path.relative_to(db).as_posix().split("-")[0].split("/")[-1]
    return f"{kind} of {name}", f"{kind} of {path.relative_to(db)}: {told}"


def _file(db: Path, rng: np.random.Generator) -> Path:
    """Any with content, most often the database."""
    files = sorted(path for path in db.rglob("*") if path.is_file() and path.stat().st_size > 1)
    return db / "gallery.db" if rng.random() < 0.3 else files[int(rng.integers(len(files)))]


def _flip(content: bytearray, rng: np.random.Generator) -> str:
    at, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[at] ^= 1 << bit
    return f"bit {bit} at {at}"


def _replace(content: bytearray, rng: np.random.Generator) -> str:
    at, count = int(rng.integers(len(content))), int(rng.integers(1, 65))
    count = min(count, len(content) - at)
    content[at : at + count] = bytes(count) if rng.random() < 0.3 else rng.bytes(count)
    return f"{count} at {at}"


def _swap(content: bytearray, rng: np.random.Generator) -> str:
    count = int(rng.integers(1, min(65, len(content) // 2 + 1)))
    first, second = (int(rng.integers(len(content) - count + 1)) for _ in range(2))
    a, b = content[first : first + count], content[second : second + count]
    content[first : first + count] = b
    content[second : second + count] = a
    return f"{count} at {first} and {second}"


def _cut(content: bytearray, rng: np.random.Generator) -> str:
    at = int(rng.integers(len(content))) if rng.random() < 0.7 else int(rng.integers(min(3, len(content))))
    del content[at:]
    return f"at {at}"


def _insert(content: bytearray, rng: np.random.Generator) -> str:
    at, count = int(rng.integers(len(content) + 1)), int(rng.integers(1, 65))
    content[at:at] = rng.bytes(count)
    return f"{count} at {at}"


def _gone(db: Path, rng: np.random.Generator) -> str:
    path = _file(db, rng)
    path.unlink()
    return path.relative_to(db).as_posix()


def _link(db: Path, outside: Path, rng: np.random.Generator) -> str:
    """To a file outside that looks like one of ours, or to any."""
    path = _file(db, rng)
    target = outside / str(rng.choice(["x", "linked"]))
    if target.name == "linked":
        target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)
    return f"{path.relative_to(db)} to {target.name}"


def _edited(db: Path, edit: Callable[[sqlite3.Connection], str]) -> str:
    """As somebody with an editor does it, minding no rule."""
    connection = sqlite3.connect(db / "gallery.db")
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        told = edit(connection)
        connection.commit()
    finally:
        connection.close()
    return told


def _place(connection: sqlite3.Connection, rng: np.random.Generator) -> tuple[str, str, list[tuple[Any, ...]]]:
    """A table with rows, one of its columns, and the rows' keys in any order."""
    while True:
        table = str(rng.choice(TABLES))
        columns = [(row[1], row[5]) for row in connection.execute(f"PRAGMA table_info({table})")]
        keys = [name for name, place in columns if place] or ["rowid"]
        rows = list(connection.execute(f"SELECT {', '.join(keys)} FROM {table}"))
        if rows:
            rng.shuffle(rows)
            where = " AND ".join(f"{key} IS ?" for key in keys)
            return table, str(rng.choice([name for name, _ in columns])), [(where, *row) for row in rows]


def _cell(db: Path, rng: np.random.Generator) -> str:
    def edit(connection: sqlite3.Connection) -> str:
        while True:
            table, column, rows = _place(connection, rng)
            where, *key = rows[0]
            value = _VALUES[int(rng.integers(len(_VALUES)))]
            [(before,)] = connection.execute(f"SELECT {column} FROM {table} WHERE {where}", key)
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *key))
            except sqlite3.Error:  # what the engine refuses, an editor cannot do
                continue
            return f"{table}.{column} of {key}: {before!r:.60} becomes {value!r:.60}"

    return _edited(db, edit)


_SWAP = ("SELECT {c} FROM {t} WHERE {w}", "UPDATE {t} SET {c} = ? WHERE {w}")


def _swapped(db: Path, rng: np.random.Generator) -> str:
    def edit(connection: sqlite3.Connection) -> str:
        while True:
            table, column, rows = _place(connection, rng)
            if len(rows) < 2 or column in rows[0][0]:
                continue
            (where, *first), (_, *second) = rows[:2]
            read, write = (text.format(t=table, c=column, w=where) for text in _SWAP)
            [a], [b] = (connection.execute(read, key).fetchone() for key in (first, second))
            try:
                connection.execute(write, (f"aside {os.urandom(4).hex()}", *first))
                connection.execute(write, (a, *second))
                connection.execute(write, (b, *first))
            except sqlite3.Error:
                connection.rollback()
                continue
            return f"{table}.{column} of {first} and {second}"

    return _edited(db, edit)


def _deleted(db: Path, rng: np.random.Generator) -> str:
    def edit(connection: sqlite3.Connection) -> str:
        table, _, rows = _place(connection, rng)
        where, *key = rows[0]
        connection.execute(f"DELETE FROM {table} WHERE {where}", key)
        return f"{table} {key}"

    return _edited(db, edit)
