"""Rights to write into a gallery on PostgreSQL: advisory locks on a connection of their own, each with a key.

Several write where they claim different folders. Who writes at all shares the gallery's key; who needs all of it has
that alone. A claim shares the keys of the folders that it lies in and has its own one alone, so that one of two claims,
of which one lies in the other, is refused. Who writes has the turn's key alone for a moment. A key that others share is
only ever tried: who waited for it would keep those from their turns who wait behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from index.errors import GalleryLockedError, GalleryStorageError
from index.truth.postgres_errors import named, no_answer, psycopg
from index.truth.rights import Right

_HOLDER = """SELECT application_name, activity.pid FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = activity.datid AND objsubid = 1
    AND ((classid::bigint << 32) | objid::bigint) = %s ORDER BY mode, backend_start"""
_AGAIN = 0.05  # seconds until a key is tried again
_WAIT = "wait for it to finish, or stop it, and try again"


@dataclass(frozen=True)
class Key:
    """One lock. shared: others may share it; tried: never waited for in the server's queue; refused: what is said where
    another has it, of whom."""

    number: int
    shared: bool
    tried: bool
    refused: str


def keys_of(right: Right, name: str, number: Callable[[str], int]) -> list[Key]:
    """What a right needs, in the order in which it is taken. name: of the gallery, for people; number: of a lock, by
    what it stands for."""
    taken = f"the gallery {name} is being written by {{}}; only one can write at a time: {_WAIT}"
    whole = number("gallery")
    if right.kind == "tell":
        told = f"the engine of the gallery {name} is being told what changed by {{}}: {_WAIT}"
        return [Key(number("tell"), right.shared, False, told)]
    if right.kind == "whole":
        return [Key(whole, False, True, taken)]
    keys = [Key(whole, True, False, taken)]
    if right.kind == "turn":
        return [*keys, Key(number("turn"), False, False, taken)]
    *above, own = right.folders
    for folder in above:
        told = f"{folder}, which {own} lies in, is being indexed into the gallery {name} by {{}}: {_WAIT}"
        keys.append(Key(number(f"folder {folder}"), True, False, told))
    told = f"{own}, or a folder in it, is being indexed into the gallery {name} by {{}}: {_WAIT}"
    return [*keys, Key(number(f"folder {own}"), False, True, told)]


class AdvisoryLock:
    """Held by one object at a time, whichever machine it is on; the server frees it when the connection ends."""

    def __init__(self, name: str, where: Mapping[str, Any], keys: Sequence[Key]) -> None:
        """name: of the gallery; where: how psycopg connects."""
        self._name, self._where, self._keys = name, where, keys
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

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock within so many seconds, or raise GalleryLockedError naming the holder's process and machine.
        Raises GalleryStorageError where the server does not answer."""
        if self.held:
            return
        connection: psycopg.Connection | None = None
        try:
            connection = psycopg.connect(**self._where, autocommit=True)
            refused = _first_refused(connection, self._keys, time.monotonic() + patience)
            if refused is None:
                self._connection, connection = connection, None
                return
            holder = connection.execute(_HOLDER, (refused.number,)).fetchone()
        except psycopg.Error as error:
            raise (
                no_answer(self._name, error) if error.sqlstate is None else named(self._name, 0, error.sqlstate, error)
            ) from error
        finally:
            if connection is not None:
                connection.close()
        raise GalleryLockedError(refused.refused.format(_told(holder)))

    def release(self) -> None:
        """Give the lock back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):  # a server that is busy ends the session a while after we have closed it
                connection.execute("SELECT pg_advisory_unlock_all()")
            connection.close()


def _first_refused(connection: psycopg.Connection, keys: Sequence[Key], deadline: float) -> Key | None:
    return next((key for key in keys if not _taken(connection, key, deadline)), None)


def _taken(connection: psycopg.Connection, key: Key, deadline: float) -> bool:
    kind = "_shared" if key.shared else ""
    while connection.execute(f"SELECT pg_try_advisory_lock{kind}(%s)", (key.number,)).fetchone() != (True,):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        if not key.tried:
            return _waited(connection, f"SELECT pg_advisory_lock{kind}(%s)", key.number, left)
        time.sleep(min(_AGAIN, left))
    return True


def _waited(connection: psycopg.Connection, lock: str, number: int, seconds: float) -> bool:
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(1000 * seconds))}",))
    try:
        connection.execute(lock, (number,))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _told(holder: tuple[Any, ...] | None) -> str:
    if holder is None:  # it has finished since
        return "another process"
    name, server = holder
    return f"process {name.removeprefix('facesearch ')}" if name.startswith("facesearch ") else f"session {server}"
