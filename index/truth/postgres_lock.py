"""Rights to write into a gallery on PostgreSQL: advisory locks on a connection of their own, each with a key.

Several write where they claim different folders. Who writes has the turn's key for as long as that takes, and is waited
for. A claim shares the gallery's key with others, and those of the folders that it lies in, and has its own folder's
alone, so that one of two claims, of which one lies in the other, is refused. Who needs all of it has the turn's and the
gallery's alone; where others have claims, it gives their turn back before it tries again. Whoever only needs that
nobody writes meanwhile gives the gallery's back once it has both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from index.errors import GalleryLockedError, GalleryStorageError
from index.progress import Alive
from index.truth.postgres_errors import named, no_answer, psycopg
from index.truth.rights import Right

_HOLDERS = """SELECT application_name, activity.pid FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = activity.datid AND objsubid = 1
    AND ((classid::bigint << 32) | objid::bigint) = %s AND mode LIKE %s ORDER BY mode, backend_start"""
ALL = "gallery"  # what the lock stands for that whoever has all of it has alone
_AGAIN = 0.05  # seconds until a key is tried again
WHILE, AGAIN, NEVER = "while", "again", "never"
_WAIT = "wait for it to finish, or stop it, and try again"


@dataclass(frozen=True)
class Key:
    """One lock. shared: others may share it; wait: for it, WHILE those before it are held, AGAIN after they were given
    back, or NEVER; refused: what is said where another has it, of whom."""

    number: int
    shared: bool
    wait: str
    refused: str


def keys_of(right: Right, name: str, number: Callable[[str], int]) -> list[Key]:
    """What a right needs, in the order in which it is taken. name: of the gallery, for people; number: of a lock, by
    what it stands for."""
    taken = f"the gallery {name} is being written by {{}}; only one can write at a time: {_WAIT}"
    turn, whole = Key(number("turn"), False, WHILE, taken), number(ALL)
    if right.kind == "whole":
        return [turn, Key(whole, False, AGAIN, taken)]
    if right.kind == "turn":
        return [turn]
    keys = [Key(whole, True, WHILE, taken)]
    *above, own = right.folders
    for folder in above:
        told = f"{folder}, which {own} lies in, is being indexed into the gallery {name} by {{}}: {_WAIT}"
        keys.append(Key(number(f"folder {folder}"), True, NEVER, told))
    told = f"{own}, or a folder in it, is being indexed into the gallery {name} by {{}}: {_WAIT}"
    return [*keys, Key(number(f"folder {own}"), False, NEVER, told)]


class AdvisoryLock:
    """Held by one object at a time, whichever machine it is on; the server frees it when the connection ends."""

    def __init__(self, name: str, where: Mapping[str, Any], keys: Sequence[Key], turns: bool, whole: int) -> None:
        """name: of the gallery; where: how psycopg connects; turns: whether others that have the keys are waited for in
        turn, unless they have all of the gallery, whose key is `whole`."""
        self._name, self._where, self._keys = name, where, keys
        self._turns, self._whole = turns, whole
        self._connection: psycopg.Connection | None = None

    @property
    def held(self) -> bool:
        """Whether this object has taken the lock, and not given it back."""
        return self._connection is not None

    def require(self) -> None:
        """Raise GalleryStorageError where the lock is held no more, since the server has lost the connection."""
        assert self._connection is not None
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise GalleryStorageError(
                f"the connection by which this process might write into the gallery {self._name} was lost, and another "
                "one may have written since: run this again"
            ) from error

    def acquire(self, patience: float = 0.0, alive: Alive | None = None) -> None:
        """Take the lock within so many seconds, or raise GalleryLockedError naming the holder's process and machine.
        alive: called every second until then.
        Raises GalleryStorageError where the server does not answer."""
        if self.held:
            return
        connection: psycopg.Connection | None = None
        try:
            connection = psycopg.connect(**self._where, autocommit=True)
            refused = _refused(connection, self._keys, time.monotonic() + patience, alive)
            if refused is None:
                self._connection, connection = connection, None
                return
            holder = connection.execute(_HOLDERS, (refused.number, "%")).fetchone()
            in_turn = self._turns and not connection.execute(_HOLDERS, (self._whole, "Exclusive%")).fetchone()
        except psycopg.Error as error:
            raise (
                no_answer(self._name, error) if error.sqlstate is None else named(self._name, 0, error.sqlstate, error)
            ) from error
        finally:
            if connection is not None:
                _end(connection)
        raise GalleryLockedError(refused.refused.format(_told(holder)), in_turn)

    def let_claim(self) -> None:
        """Let others claim folders meanwhile: they wait for their turn to write."""
        assert self._connection is not None
        try:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._whole,))
        except psycopg.Error as error:
            raise no_answer(self._name, error) from error

    def release(self) -> None:
        """Give the lock back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _end(connection)


def _end(connection: psycopg.Connection) -> None:
    """Give back what it holds, also of a lock that was refused in part: a server that is busy ends a session a while
    after we have closed it."""
    with suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
    connection.close()


def _refused(connection: psycopg.Connection, keys: Sequence[Key], deadline: float, alive: Alive | None) -> Key | None:
    """Which of the keys cannot be had until then; None: all are held."""
    while (refused := next((key for key in keys if not _taken(connection, key, deadline, alive)), None)) is not None:
        left = deadline - time.monotonic()
        if left <= 0 or refused.wait != AGAIN:
            return refused
        connection.execute("SELECT pg_advisory_unlock_all()")
        time.sleep(min(_AGAIN, left))
    return None


def _taken(connection: psycopg.Connection, key: Key, deadline: float, alive: Alive | None) -> bool:
    kind = "_shared" if key.shared else ""
    if connection.execute(f"SELECT pg_try_advisory_lock{kind}(%s)", (key.number,)).fetchone() == (True,):
        return True
    left = deadline - time.monotonic() if key.wait == WHILE else 0
    return left > 0 and _waited(connection, f"SELECT pg_advisory_lock{kind}({key.number})", left, alive)


def _waited(connection: psycopg.Connection, lock: str, seconds: float, alive: Alive | None) -> bool:
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(1000 * seconds))}",))
    with suppress(psycopg.Error):  # before PostgreSQL 14, or where its system cannot: then it waits in vain for us, too
        connection.execute("SET client_connection_check_interval = 10000")
    try:
        if alive is None:
            connection.execute(lock)
        else:
            _execute(connection, lock, alive)
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _execute(connection: psycopg.Connection, lock: str, alive: Alive) -> None:
    """Wait in one statement, so that nobody who came later is before us, and be heard of meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(connection.execute, lock)
        try:
            while waiting not in wait([waiting], timeout=1).done:
                alive()
        except BaseException:
            connection.cancel()
            raise
        waiting.result()


def _told(holder: tuple[Any, ...] | None) -> str:
    if holder is None:  # it has finished since
        return "another process"
    name, server = holder
    return f"process {name.removeprefix('facesearch ')}" if name.startswith("facesearch ") else f"session {server}"
