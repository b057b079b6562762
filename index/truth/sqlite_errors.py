"""What SQLite says by its codes, as errors of a gallery."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError, MultipleResultsFound, NoResultFound

from index.errors import GalleryCorruptError, GalleryError, GalleryLockedError, GalleryStorageError

# what SQLite gives no code of its own, and Python none at all
_CORRUPT_SIGNS = ("no such table", "no such column", "foreign key mismatch", "Could not decode to UTF-8")
_LOCKED, FULL, _CORRUPT = (
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED},
    {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN},
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CONSTRAINT,  # what we write keeps to them
    },
)


@contextmanager
def named_errors(path: Path, patience: float) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise named(path, patience, error.orig) from error
    except sqlite3.Error as error:  # of a cursor that is read without SQLAlchemy
        raise named(path, patience, error) from error
    except (UnicodeDecodeError, MultipleResultsFound, NoResultFound) as error:
        # names in a damaged schema, the engine's own words about it; a row of the gallery that is there twice or never
        raise _corrupt(path, error) from error


def named(path: Path, patience: float, error: object) -> GalleryError:
    """By the error's code; its first byte is the primary one (sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        return GalleryLockedError(
            f"{path} is locked: another process has been writing for more than {patience:g} s; "
            "wait for it to finish and try again"
        )
    if code in _CORRUPT or any(sign in str(error) for sign in _CORRUPT_SIGNS):
        return _corrupt(path, error)
    return GalleryStorageError(f"SQLite cannot use {path} ({error}); check the free space and the permissions there")


def _corrupt(path: Path, error: object) -> GalleryCorruptError:
    return GalleryCorruptError(
        f"{path} is not a sound gallery database ({error}); restore it from a copy, "
        "or delete the gallery folder and index the images again"
    )
