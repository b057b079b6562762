"""The right to write into a gallery on PostgreSQL: an advisory lock on a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from index.errors import GalleryLockedError
from index.truth.postgres_errors import named, no_answer, psycopg

_HOLDER = """SELECT application_name, activity.pid FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = activity.datid AND objsubid = 1
    AND ((classid::bigint << 32) | objid::bigint) = %s"""


class AdvisoryLock:
    """Held by one object at a time, whichever machine it is on; the server frees it when the connection ends."""

    def __init__(self, name: str, where: Mapping[str, Any], key: int) -> None:
        """name: of the gallery; where: how psycopg connects."""
        self._name, self._where, self._key = name, where, key
        self._connection: psycopg.Connection | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock, as far as its connection is known to live."""
        return self._connection is not None and not self._connection.closed

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock within so many seconds, or raise GalleryLockedError naming the holder's process and machine.
        Raises GalleryStorageError where the server does not answer."""
        if self.held:
            return
        connection: psycopg.Connection | None = None
        try:
            connection = psycopg.connect(**self._where, autocommit=True)
            if self._taken(connection, patience):
                self._connection, connection = connection, None
                return
            holder = connection.execute(_HOLDER, (self._key,)).fetchone()
        except psycopg.Error as error:
            raise (
                no_answer(self._name, error) if error.sqlstate is None else named(self._name, 0, error.sqlstate, error)
            ) from error
        finally:
            if connection is not None:
                connection.close()
        raise GalleryLockedError(
            f"the gallery {self._name} is being written by {_told(holder)}; only one can write at a time: wait for it "
            "to finish, or stop it, and try again"
        )

    def _taken(self, connection: psycopg.Connection, patience: float) -> bool:
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
        if taken == (True,) or not patience:
            return taken == (True,)
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(1000 * patience))}",))
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", (self._key,))
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):  # a server that is busy ends the session a while after we have closed it
                connection.execute("SELECT pg_advisory_unlock_all()")
            connection.close()


def _told(holder: tuple[Any, ...] | None) -> str:
    if holder is None:  # it has finished since
        return "another process"
    name, server = holder
    return f"process {name.removeprefix('facesearch ')}" if name.startswith("facesearch ") else f"session {server}"
